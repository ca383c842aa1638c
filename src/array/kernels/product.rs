//! Matrix products on strided memory, for every dtype, with the same bits for any number of threads.
//!
//! One row or column of C at least has to be contiguous for speed; A and B may lie in any way. The way of computing is
//! chosen in `problem` from the shape and the strides alone.

#![allow(
    clippy::inline_always,
    reason = "code for an instruction set must end up inside the function that enables it"
)]
#![allow(clippy::needless_range_loop, reason = "one index walks registers, memory and sums at once")]

mod batch;
mod gathered;
mod inner;
pub(super) mod lanes;
mod outer;
mod pack;
mod problem;
mod register;
mod rows;
mod tile;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::array::pool::for_each;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as arch;

use gathered::Gathered;
pub use gathered::{Lines, SLACK, gemm_gathered};
use problem::Problem;
use register::{Baseline, Element, Lanes};
pub(super) use register::{Kernel, Register};
pub(super) use tile::{DEPTH, MOST_ROWS};

/// A matrix to read: `data[offset + i * row_stride + j * col_stride]`, any strides, zero and negative too.
/// Its shape comes with the product that reads it, which checks the bounds once.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    offset: usize,
    row_stride: isize,
    col_stride: isize,
}

impl<'a, T> Matrix<'a, T> {
    /// The matrix whose first element is `data[offset]`.
    #[inline]
    pub fn new(data: &'a [T], offset: usize, row_stride: isize, col_stride: isize) -> Self {
        Self { data, offset, row_stride, col_stride }
    }

    /// The rows from one on.
    #[inline]
    pub fn from_row(self, row: usize) -> Self {
        Self { offset: self.offset.wrapping_add_signed(row as isize * self.row_stride), ..self }
    }

    /// The first row.
    #[inline]
    pub fn first_row(self) -> Vector<'a, T> {
        Vector::new(self.data, self.offset, self.col_stride)
    }

    /// The same memory with rows and columns exchanged.
    #[inline]
    pub fn transposed(self) -> Self {
        Self { row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }
}

/// A matrix to write; no two of its elements may share memory.
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    data: &'a mut [T],
    offset: usize,
    row_stride: isize,
    col_stride: isize,
}

impl<'a, T> MatrixMut<'a, T> {
    /// The matrix whose first element is `data[offset]`.
    #[inline]
    pub fn new(data: &'a mut [T], offset: usize, row_stride: isize, col_stride: isize) -> Self {
        Self { data, offset, row_stride, col_stride }
    }
}

/// A vector to read: `data[offset + i * stride]`, any stride.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a, T> {
    data: &'a [T],
    offset: usize,
    stride: isize,
}

impl<'a, T> Vector<'a, T> {
    /// The vector whose first element is `data[offset]`.
    #[inline]
    pub fn new(data: &'a [T], offset: usize, stride: isize) -> Self {
        Self { data, offset, stride }
    }
}

/// The lowest and the highest index that `offset` plus every combination of `shape`'s indices times `strides` reaches;
/// `None` where they do not fit in a word.
#[inline]
fn reach<const D: usize>(offset: usize, shape: [usize; D], strides: [isize; D]) -> Option<(isize, isize)> {
    let (mut least, mut most) = (isize::try_from(offset).ok()?, isize::try_from(offset).ok()?);
    for (&size, &stride) in shape.iter().zip(&strides) {
        let far = isize::try_from(size).ok()?.checked_sub(1)?.checked_mul(stride)?;
        least = least.checked_add(far.min(0))?;
        most = most.checked_add(far.max(0))?;
    }
    Some((least, most))
}

/// Whether a matrix of `shape` stays inside `length` elements.
#[inline]
fn within(length: usize, offset: usize, shape: [usize; 2], strides: [isize; 2]) -> bool {
    shape.contains(&0)
        || reach(offset, shape, strides).is_some_and(|(least, most)| least >= 0 && (most as usize) < length)
}

/// Whether no two index pairs of an `m` by `n` matrix name the same element, judged by its strides.
#[inline]
fn distinct(m: usize, n: usize, row_stride: isize, col_stride: isize) -> bool {
    let (row, col) = (row_stride.unsigned_abs(), col_stride.unsigned_abs());
    m == 0
        || n == 0
        || (m == 1 || row > 0)
            && (n == 1 || col > 0)
            && (m == 1 || n == 1 || row >= col.saturating_mul(n) || col >= row.saturating_mul(m))
}

/// A dtype that products are computed in; integers wrap.
pub trait Product: Element + sealed::Compute {}

mod sealed {
    use super::{Gathered, Problem};

    /// The best compiled engine of this machine for a dtype.
    pub trait Compute: Sized {
        /// Computes a checked problem, whose C has contiguous columns.
        ///
        /// # Safety
        /// The problem's matrices are valid and C overlaps neither A nor B.
        unsafe fn compute(problem: &Problem<Self>, threads: usize);

        /// Computes a checked product of gathered rows.
        ///
        /// # Safety
        /// As `compute`, and B has slack.
        unsafe fn compute_gathered(product: &Gathered<'_, Self>);

        /// Copies a matrix into rows so far apart.
        ///
        /// # Safety
        /// The matrix is valid, there is room for it at `to`, and the two do not overlap.
        unsafe fn copy(from: (*const Self, isize, isize), shape: (usize, usize), to: (*mut Self, usize));
    }
}

/// A narrow C is computed in narrow registers while the inner index is at most this long: a wide masked load that
/// touches a neighbour just written waits for it, and little matrices are each other's neighbours.
#[cfg(target_arch = "x86_64")]
const NARROW_DEPTH: usize = 64;

macro_rules! product {
    ($($t:ty: $wide:ty, $middle:ty, $narrow:ty, $plain:ty;)*) => {$(
        impl Product for $t {}
        impl sealed::Compute for $t {
            // Not `inline`: its hundreds of compiled tiles are then made once, in this crate, and not in each that calls.
            unsafe fn compute(problem: &Problem<Self>, threads: usize) {
                // SAFETY: the caller's promise, and each register type only where its instructions are.
                unsafe {
                    #[cfg(target_arch = "x86_64")]
                    {
                        let short = problem.k <= NARROW_DEPTH;
                        match x86::level() {
                            x86::Level::Plain | x86::Level::Unknown => {}
                            _ if short && problem.n <= <$narrow>::LANES => {
                                return problem.compute_in_parts::<$narrow>(threads);
                            }
                            x86::Level::Avx512 if !(short && problem.n <= <$middle>::LANES) => {
                                return problem.compute_in_parts::<$wide>(threads);
                            }
                            _ => return problem.compute_in_parts::<$middle>(threads),
                        }
                    }
                    problem.compute_in_parts::<$plain>(threads);
                }
            }

            unsafe fn compute_gathered(product: &Gathered<'_, Self>) {
                // SAFETY: the caller's promise, and each register type only where its instructions are.
                unsafe {
                    #[cfg(target_arch = "x86_64")]
                    match x86::level() {
                        x86::Level::Plain | x86::Level::Unknown => {}
                        x86::Level::Avx512 => return product.compute::<$wide, $middle>(),
                        x86::Level::Avx2 => return product.compute::<$middle, $middle>(),
                    }
                    product.compute::<$plain, $plain>();
                }
            }

            unsafe fn copy(from: (*const Self, isize, isize), shape: (usize, usize), to: (*mut Self, usize)) {
                // SAFETY: the caller's promise, and each register type only where its instructions are.
                unsafe {
                    #[cfg(target_arch = "x86_64")]
                    match x86::level() {
                        x86::Level::Plain | x86::Level::Unknown => {}
                        x86::Level::Avx512 => return pack::copy::<$wide>(from, shape, to),
                        x86::Level::Avx2 => return pack::copy::<$middle>(from, shape, to),
                    }
                    pack::copy::<$plain>(from, shape, to);
                }
            }
        }
    )*};
}

product! {
    f32: arch::__m512, arch::__m256, arch::__m128, Lanes<f32, 4, Baseline>;
    f64: arch::__m512d, arch::__m256d, arch::__m256d, Lanes<f64, 2, Baseline>;
    i8: Lanes<i8, 8, x86::Avx2>, Lanes<i8, 8, x86::Avx2>, Lanes<i8, 8, x86::Avx2>, Lanes<i8, 8, Baseline>;
    u8: Lanes<u8, 8, x86::Avx2>, Lanes<u8, 8, x86::Avx2>, Lanes<u8, 8, x86::Avx2>, Lanes<u8, 8, Baseline>;
    i16: Lanes<i16, 8, x86::Avx2>, Lanes<i16, 8, x86::Avx2>, Lanes<i16, 8, x86::Avx2>, Lanes<i16, 8, Baseline>;
    i32: Lanes<i32, 8, x86::Avx2>, Lanes<i32, 8, x86::Avx2>, Lanes<i32, 8, x86::Avx2>, Lanes<i32, 4, Baseline>;
    i64: Lanes<i64, 4, x86::Avx2>, Lanes<i64, 4, x86::Avx2>, Lanes<i64, 4, x86::Avx2>, Lanes<i64, 2, Baseline>;
}

/// `C = alpha A B + beta C` for A of `m` by `k`, B of `k` by `n`, C of `m` by `n`, on up to `threads` threads.
///
/// With `k == 0` this is `beta C`; with `beta == 0`, C is written but never read, so a NaN in it does not survive.
/// The bits of C do not depend on `threads`.
///
/// # Panics
/// If a matrix reaches outside its slice, or two elements of C share memory: both are the caller's errors.
#[expect(clippy::too_many_arguments, reason = "the arguments and the order that BLAS made standard")]
#[expect(clippy::needless_pass_by_value, reason = "C is borrowed exclusively for the call: so it is given")]
#[inline]
pub fn gemm<T: Product>(
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    beta: T,
    c: MatrixMut<'_, T>,
    threads: usize,
) {
    assert!(
        within(a.data.len(), a.offset, [m, k], [a.row_stride, a.col_stride]),
        "A reaches outside its memory"
    );
    assert!(
        within(b.data.len(), b.offset, [k, n], [b.row_stride, b.col_stride]),
        "B reaches outside its memory"
    );
    assert!(
        within(c.data.len(), c.offset, [m, n], [c.row_stride, c.col_stride]),
        "C reaches outside its memory"
    );
    assert!(distinct(m, n, c.row_stride, c.col_stride), "two elements of C share memory");
    let problem = Problem {
        m,
        n,
        k,
        alpha,
        a: a.data.as_ptr().wrapping_add(a.offset),
        a_row: a.row_stride,
        a_col: a.col_stride,
        b: b.data.as_ptr().wrapping_add(b.offset),
        b_row: b.row_stride,
        b_col: b.col_stride,
        beta,
        c: c.data.as_mut_ptr().wrapping_add(c.offset),
        c_row: c.row_stride,
        c_col: c.col_stride,
    };
    // SAFETY: the bounds were checked; C is borrowed exclusively, so it overlaps neither A nor B.
    unsafe { solve(problem, threads) }
}

/// Copies a matrix of `rows` by `cols` into rows of `to` that are `to_row` apart; one whose columns are contiguous is
/// turned in registers. What lies between the rows of `to` stays as it is.
///
/// # Panics
/// If the matrix reaches outside its slice, `to` has no room for it, or its rows overlap there.
pub fn copy_matrix<T: Product>(rows: usize, cols: usize, from: Matrix<'_, T>, to: &mut [T], to_row: usize) {
    let strides = [from.row_stride, from.col_stride];
    assert!(
        within(from.data.len(), from.offset, [rows, cols], strides),
        "the matrix reaches outside its memory"
    );
    let (row, column) = (isize::try_from(to_row).unwrap_or(isize::MAX), 1);
    assert!(to_row >= cols && within(to.len(), 0, [rows, cols], [row, column]), "no room for the matrix");
    let first = from.data.as_ptr().wrapping_add(from.offset);
    // SAFETY: both were checked; `to` is borrowed exclusively, so they do not overlap.
    unsafe { T::copy((first, from.row_stride, from.col_stride), (rows, cols), (to.as_mut_ptr(), to_row)) }
}

/// Brings a problem to contiguous columns of C and computes it.
///
/// # Safety
/// The matrices are valid, C's elements are distinct and C overlaps neither A nor B.
#[inline]
unsafe fn solve<T: Product>(mut p: Problem<T>, threads: usize) {
    if p.m == 0 || p.n == 0 {
        return;
    }
    if p.k == 0 {
        // SAFETY: the caller's promise, passed on.
        return unsafe { scale(&p) };
    }
    // A single column becomes a single row, whose stride between rows is then free; so is a single column's.
    if p.n == 1 || (p.c_col != 1 && p.c_row == 1 && p.m > 1) {
        p = p.transposed();
    }
    if p.n == 1 {
        p.c_col = 1;
    }
    // SAFETY: the caller's promise, passed on.
    unsafe { if p.c_col == 1 { T::compute(&p, threads) } else { scattered(&p, threads) } }
}

/// `C = beta C`, without reading C when `beta` is zero.
unsafe fn scale<T: Product>(p: &Problem<T>) {
    for i in 0..p.m {
        for j in 0..p.n {
            // SAFETY: i < m and j < n, and the caller vouches for C.
            unsafe {
                let c = p.c.offset(i as isize * p.c_row + j as isize * p.c_col);
                *c = if p.beta == T::ZERO { T::ZERO } else { p.beta.times(*c) };
            }
        }
    }
}

/// A product into a C without contiguous rows or columns, by way of one that has them.
#[cold]
unsafe fn scattered<T: Product>(p: &Problem<T>, threads: usize) {
    let mut product = vec![T::ZERO; p.m * p.n];
    let compact = Problem { beta: T::ZERO, c: product.as_mut_ptr(), c_row: p.n as isize, c_col: 1, ..*p };
    // SAFETY: the caller vouches for A and B; the new C has m x n elements of its own.
    unsafe { T::compute(&compact, threads) };
    for (at, &x) in product.iter().enumerate() {
        let (i, j) = (at / p.n, at % p.n);
        // SAFETY: i < m and j < n, and the caller vouches for C.
        unsafe {
            let c = p.c.offset(i as isize * p.c_row + j as isize * p.c_col);
            *c = if p.beta == T::ZERO { x } else { x.multiply_add(p.beta, *c) };
        }
    }
}

/// The sum of `a[i] * b[i]` over `n` elements.
///
/// # Panics
/// If a vector reaches outside its slice.
pub fn dot<T: Product>(n: usize, a: Vector<'_, T>, b: Vector<'_, T>) -> T {
    let mut sum = [T::ZERO];
    let a = Matrix::new(a.data, a.offset, 0, a.stride);
    let b = Matrix::new(b.data, b.offset, b.stride, 0);
    gemm(1, 1, n, T::ONE, a, b, T::ZERO, MatrixMut::new(&mut sum, 0, 1, 1), 1);
    sum[0]
}

/// [`gemm`] for each index of a batch of shape `batch`: operand `x` of index `(i0, i1, ..)` starts at
/// `x.1[0] * i0 + x.1[1] * i1 + ..` elements from where `x.0` does. Steps of A and B may be zero (broadcasting).
///
/// Parallel over the batch, or inside the products where those are few and large; the bits of C depend on neither.
///
/// # Panics
/// If a matrix reaches outside its slice, if two elements of C share memory (a step of C within its matrix counts),
/// or if a list of steps has not the length of `batch`.
#[expect(clippy::too_many_arguments, reason = "gemm's arguments, and the batch")]
pub fn gemm_batched<T: Product>(
    batch: &[usize],
    m: usize,
    n: usize,
    k: usize,
    alpha: T,
    a: (Matrix<'_, T>, &[isize]),
    b: (Matrix<'_, T>, &[isize]),
    beta: T,
    c: (MatrixMut<'_, T>, &[isize]),
    threads: usize,
) {
    batch::gemm_batched(batch, [m, n, k], alpha, a, b, beta, c, threads);
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// Numbers in -1..1, the same on every run.
    fn numbers(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1_u32 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// C by registers of type `R`, however long they are for the shape.
    fn by<R: Register<Element = f32>>(
        [m, n, k]: [usize; 3],
        [a_transposed, b_transposed]: [bool; 2],
        a: &[f32],
        b: &[f32],
    ) -> Vec<u32> {
        let mut c = numbers(m * n, 3);
        let (a_row, a_col) = if a_transposed { (1, m as isize) } else { (k as isize, 1) };
        let (b_row, b_col) = if b_transposed { (1, k as isize) } else { (n as isize, 1) };
        let problem = Problem {
            m,
            n,
            k,
            alpha: 0.7,
            a: a.as_ptr(),
            a_row,
            a_col,
            b: b.as_ptr(),
            b_row,
            b_col,
            beta: 0.3,
            c: c.as_mut_ptr(),
            c_row: n as isize,
            c_col: 1,
        };
        // SAFETY: the vectors have m x k, k x n and m x n elements; whoever names R has asked the machine.
        unsafe { problem.compute_in_parts::<R>(2) };
        c.into_iter().map(f32::to_bits).collect()
    }

    const TRANSPOSED: [[bool; 2]; 4] = [[false, false], [false, true], [true, false], [true, true]];

    const SHAPES: [[usize; 3]; 11] = [
        [3, 4, 5],
        [8, 8, 8],
        [1, 600, 300],
        [2, 600, 300],
        [7, 90, 333],
        [50, 5, 270],
        [70, 65, 300],
        [300, 40, 260],
        [13, 300, 259],
        [500, 290, 30],
        [90, 1100, 300],
    ];

    #[test]
    fn bits_do_not_depend_on_the_width_of_registers() {
        if x86::level() != x86::Level::Avx512 {
            return;
        }
        for shape @ [m, n, k] in SHAPES {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            for transposed in TRANSPOSED {
                let wide = by::<arch::__m512>(shape, transposed, &a, &b);
                assert!(by::<arch::__m256>(shape, transposed, &a, &b) == wide, "{shape:?} by eight lanes");
                assert!(by::<arch::__m128>(shape, transposed, &a, &b) == wide, "{shape:?} by four lanes");
            }
        }
    }

    #[test]
    fn a_machine_without_vectors_agrees_within_rounding() {
        for shape @ [m, n, k] in SHAPES {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let before = numbers(m * n, 3);
            for transposed @ [a_transposed, b_transposed] in TRANSPOSED {
                let plain = by::<Lanes<f32, 4, Baseline>>(shape, transposed, &a, &b);
                for (at, bits) in plain.into_iter().enumerate() {
                    let (i, j) = (at / n, at % n);
                    let terms = (0..k).map(|p| {
                        let b = if b_transposed { b[j * k + p] } else { b[p * n + j] };
                        let a = if a_transposed { a[p * m + i] } else { a[i * k + p] };
                        f64::from(a) * f64::from(b)
                    });
                    let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                    let kept = f64::from(0.3_f32) * f64::from(before[at]);
                    let right = f64::from(0.7_f32) * sum + kept;
                    let bound = (k as f64 + 4.0) * f64::from(f32::EPSILON) * (size + kept.abs());
                    assert!(
                        (f64::from(f32::from_bits(bits)) - right).abs() <= bound,
                        "{shape:?} at {i}, {j}"
                    );
                }
            }
        }
    }
}
