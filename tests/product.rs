//! Facts of matrix products: the right sums for any strides, and the same bits for any number of threads.

#![allow(
    clippy::float_cmp,
    reason = "where floats are compared, they are small integers or must have the same bits"
)]

use arcgrad::array::kernels::product::{
    Matrix, MatrixMut, Product, Vector, copy_matrix, dot, gemm, gemm_batched,
};
use proptest::prelude::*;

#[path = "product/gathered.rs"]
mod gathered;

/// How a matrix lies in memory: both strides in elements, and the slot of its first element.
#[derive(Clone, Copy, Debug)]
struct Layout {
    offset: usize,
    row: isize,
    col: isize,
    length: usize,
}

/// The ways that a tensor's matrix can lie: rows contiguous, columns contiguous, every other element, backwards, and
/// (for operands that are only read) one row or one element shown many times.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Rows,
    Columns,
    Gaps,
    Backwards,
    OneRow,
    OneElement,
}

fn layout(lie: Lie, rows: usize, cols: usize) -> Layout {
    let (r, c) = (rows as isize, cols as isize);
    let room = rows * cols;
    match lie {
        Lie::Rows => Layout { offset: 0, row: c, col: 1, length: room },
        Lie::Columns => Layout { offset: 3, row: 1, col: r, length: room + 3 },
        Lie::Gaps => Layout { offset: 1, row: 2 * c + 3, col: 2, length: 2 * room + 3 * rows + 2 },
        Lie::Backwards => Layout { offset: room.saturating_sub(1), row: -c, col: -1, length: room },
        Lie::OneRow => Layout { offset: 0, row: 0, col: 1, length: cols },
        Lie::OneElement => Layout { offset: 2, row: 0, col: 0, length: 3 },
    }
}

impl Layout {
    fn at(self, i: usize, j: usize) -> usize {
        (self.offset as isize + i as isize * self.row + j as isize * self.col) as usize
    }
    fn of<T>(self, data: &[T]) -> Matrix<'_, T> {
        Matrix::new(data, self.offset, self.row, self.col)
    }
    fn of_mut<T>(self, data: &mut [T]) -> MatrixMut<'_, T> {
        MatrixMut::new(data, self.offset, self.row, self.col)
    }
}

/// Numbers in -1..1 with full mantissas, the same on every run.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        })
        .collect()
}

trait Float: Product + Into<f64> {
    const EPSILON: f64;
    fn rounded(x: f64) -> Self;
}
impl Float for f32 {
    const EPSILON: f64 = f32::EPSILON as f64;
    fn rounded(x: f64) -> Self {
        x as f32
    }
}
impl Float for f64 {
    const EPSILON: f64 = f64::EPSILON;
    fn rounded(x: f64) -> Self {
        x
    }
}

/// One product against sums in double precision. Any order of summation errs by at most about `k eps sum |a b|`;
/// `alpha`, `beta` and the reference's own rounding add four more roundings.
fn check<T: Float>(
    [m, n, k]: [usize; 3],
    (a_lie, b_lie, c_lie): (Lie, Lie, Lie),
    (alpha, beta): (f64, f64),
    threads: usize,
) -> Result<(), TestCaseError> {
    let (la, lb, lc) = (layout(a_lie, m, k), layout(b_lie, k, n), layout(c_lie, m, n));
    let [a, b, before] = [(la, 1), (lb, 2), (lc, 3)]
        .map(|(l, seed)| numbers(l.length, seed).into_iter().map(T::rounded).collect::<Vec<_>>());
    let (alpha, beta) = (T::rounded(alpha), T::rounded(beta));
    let mut c = before.clone();
    gemm(m, n, k, alpha, la.of(&a), lb.of(&b), beta, lc.of_mut(&mut c), threads);
    let mut untouched = vec![true; c.len()];
    for i in 0..m {
        for j in 0..n {
            let (mut sum, mut size) = (0.0, 0.0);
            for p in 0..k {
                let term: f64 = a[la.at(i, p)].into() * b[lb.at(p, j)].into();
                sum += term;
                size += term.abs();
            }
            let at = lc.at(i, j);
            untouched[at] = false;
            let (kept, result): (f64, f64) = (beta.into() * before[at].into(), c[at].into());
            let right = alpha.into() * sum + kept;
            let bound = (k as f64 + 4.0) * T::EPSILON * (alpha.into().abs() * size + kept.abs());
            prop_assert!(
                (result - right).abs() <= bound,
                "C[{i}, {j}] = {result}, not {right} within {bound}"
            );
        }
    }
    for (at, _) in untouched.iter().enumerate().filter(|(_, untouched)| **untouched) {
        prop_assert_eq!(c[at].into().to_bits(), before[at].into().to_bits(), "wrote between C's elements");
    }
    Ok(())
}

fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![0..10_usize, 10..40_usize, 40..90_usize]
}

fn any_depth() -> impl Strategy<Value = usize> {
    prop_oneof![0..10_usize, 10..80_usize, 250..262_usize, 500..530_usize]
}

fn any_lie() -> impl Strategy<Value = Lie> {
    use Lie::{Backwards, Columns, Gaps, OneElement, OneRow, Rows};
    prop_oneof![4 => Just(Rows), 4 => Just(Columns), 1 => Just(Gaps), 1 => Just(Backwards), 1 => Just(OneRow), 1 => Just(OneElement)]
}

fn any_lie_of_c() -> impl Strategy<Value = Lie> {
    prop_oneof![3 => Just(Lie::Rows), 3 => Just(Lie::Columns), 1 => Just(Lie::Gaps), 1 => Just(Lie::Backwards)]
}

fn any_factor() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), Just(-1.0), -2.0..2.0]
}

/// Every element in its place, and nothing written between the rows or behind the last.
fn check_copy<T: Float>([rows, cols]: [usize; 2], lie: Lie, gap: usize) -> Result<(), TestCaseError> {
    let (lie, to_row) = (layout(lie, rows, cols), cols + gap);
    let from: Vec<T> = (0..lie.length).map(|i| T::rounded(i as f64)).collect();
    let mut to = vec![T::rounded(-1.0); rows * to_row + 3];
    copy_matrix(rows, cols, lie.of(&from), &mut to, to_row);
    let mut right = vec![-1.0; to.len()];
    for i in 0..rows {
        for j in 0..cols {
            right[i * to_row + j] = lie.at(i, j) as f64;
        }
    }
    prop_assert_eq!(to.into_iter().map(Into::into).collect::<Vec<f64>>(), right);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn elements_are_the_sums_they_should_be(
        m in any_size(), n in any_size(), k in any_depth(),
        lies in (any_lie(), any_lie(), any_lie_of_c()),
        factors in (any_factor(), any_factor()),
        threads in 1..5_usize,
    ) {
        check::<f32>([m, n, k], lies, factors, threads)?;
        check::<f64>([m, n, k], lies, factors, threads)?;
    }

    #[test]
    fn a_copied_matrix_lies_in_rows_as_far_apart_as_wanted(
        rows in 0..40_usize, cols in 0..40_usize, lie in any_lie(), gap in 0..3_usize,
    ) {
        check_copy::<f32>([rows, cols], lie, gap)?;
        check_copy::<f64>([rows, cols], lie, gap)?;
    }

    #[test]
    fn long_rows_and_tall_columns_too(
        long in 200..1100_usize, short in 1..4_usize, k in prop_oneof![1..20_usize, 250..600_usize],
        tall: bool,
        lies in (any_lie(), any_lie(), any_lie_of_c()),
        factors in (any_factor(), any_factor()),
    ) {
        let shape = if tall { [long, short, k] } else { [short, long, k] };
        check::<f32>(shape, lies, factors, 2)?;
        check::<f64>(shape, lies, factors, 2)?;
    }

    #[test]
    fn integers_wrap_and_are_exact(
        m in 0..40_usize, n in 0..40_usize, k in any_depth(), lies in (any_lie(), any_lie(), any_lie_of_c()),
        alpha: i8, beta: i8,
    ) {
        check_integers(m, n, k, lies, alpha, beta)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of which the transposed is computed where B is, and turned.
    #[test]
    fn many_columns_of_few_rows_too(
        m in 13..80_usize, n in 300..1000_usize, k in prop_oneof![70..90_usize, 250..520_usize],
        lies in (any_lie(), prop_oneof![3 => Just(Lie::Columns), 1 => any_lie()], any_lie_of_c()),
        factors in (any_factor(), any_factor()),
        threads in 1..4_usize,
    ) {
        check::<f32>([m, n, k], lies, factors, threads)?;
        check::<f64>([m, n, k], lies, factors, threads)?;
    }
}

/// Threads keep rows of A, or columns of B, packed from one part to the next, and must not take those of the product before.
#[test]
fn a_product_after_another_of_the_same_place_and_shape_is_its_own() {
    for [m, n, k] in [[100, 300, 600], [30, 900, 300], [500, 70, 300], [60, 1500, 700], [700, 700, 1000]] {
        // Matrices by columns begin three elements on.
        let b: Vec<f32> = numbers(k * n + 3, 2).into_iter().map(|x| x as f32).collect();
        let mut a = vec![0.0_f32; m * k + 3];
        for (seed, lies) in [
            (3, [Lie::Rows; 2]),
            (4, [Lie::Rows; 2]),
            (5, [Lie::Columns; 2]),
            (6, [Lie::Columns; 2]),
            (7, [Lie::Rows, Lie::Columns]),
            (8, [Lie::Rows, Lie::Columns]),
        ] {
            a.iter_mut().zip(numbers(m * k + 3, seed)).for_each(|(a, x)| *a = x as f32);
            let (la, lb) = (layout(lies[0], m, k), layout(lies[1], k, n));
            let [alone, parted] = [1, 4].map(|threads| {
                let mut c = vec![0.0_f32; m * n];
                gemm(
                    m,
                    n,
                    k,
                    1.0,
                    la.of(&a),
                    lb.of(&b),
                    0.0,
                    MatrixMut::new(&mut c, 0, n as isize, 1),
                    threads,
                );
                c
            });
            assert!(alone == parted, "{m} x {n} x {k}, {lies:?}");
        }
    }
}

fn check_integers(
    m: usize,
    n: usize,
    k: usize,
    lies: (Lie, Lie, Lie),
    alpha: i8,
    beta: i8,
) -> Result<(), TestCaseError> {
    macro_rules! each {
        ($($t:ty),*) => {$({
            let (la, lb, lc) = (layout(lies.0, m, k), layout(lies.1, k, n), layout(lies.2, m, n));
            let [a, b, before] = [(la, 4), (lb, 5), (lc, 6)]
                .map(|(l, seed)| numbers(l.length, seed).into_iter().map(|x| (x * 9e18) as i64 as $t).collect::<Vec<_>>());
            let mut c = before.clone();
            gemm(m, n, k, alpha as $t, la.of(&a), lb.of(&b), beta as $t, lc.of_mut(&mut c), 2);
            for i in 0..m {
                for j in 0..n {
                    let sum = (0..k).fold(0 as $t, |s, p| s.wrapping_add(a[la.at(i, p)].wrapping_mul(b[lb.at(p, j)])));
                    let kept = (beta as $t).wrapping_mul(before[lc.at(i, j)]);
                    prop_assert_eq!(c[lc.at(i, j)], (alpha as $t).wrapping_mul(sum).wrapping_add(kept));
                }
            }
        })*};
    }
    each!(i8, u8, i16, i32, i64);
    Ok(())
}

/// Shapes that take every way of computing: tiny, narrow, rows and columns alone, deep, and large.
const SHAPES: [[usize; 3]; 15] = [
    [4, 4, 4],
    [8, 8, 8],
    [40, 4, 2000],
    [1, 700, 600],
    [700, 1, 600],
    [2, 900, 300],
    [10, 200, 300],
    [600, 10, 300],
    [64, 64, 3000],
    [300, 65, 20],
    [257, 130, 270],
    [100, 300, 257],
    [60, 1100, 300],
    [3000, 8, 8],
    [1300, 40, 33],
];

#[test]
fn bits_do_not_depend_on_threads() {
    for [m, n, k] in SHAPES {
        for (a_lie, b_lie) in [
            (Lie::Rows, Lie::Rows),
            (Lie::Rows, Lie::Columns),
            (Lie::Columns, Lie::Rows),
            (Lie::Columns, Lie::Columns),
        ] {
            for c_lie in [Lie::Rows, Lie::Columns, Lie::Gaps] {
                let (la, lb, lc) = (layout(a_lie, m, k), layout(b_lie, k, n), layout(c_lie, m, n));
                let [a, b, before] = [(la, 1), (lb, 2), (lc, 3)]
                    .map(|(l, seed)| numbers(l.length, seed).iter().map(|&x| x as f32).collect::<Vec<_>>());
                let with = |threads: usize| {
                    let mut c = before.clone();
                    gemm(m, n, k, 0.7, la.of(&a), lb.of(&b), 0.3, lc.of_mut(&mut c), threads);
                    c.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                let serial = with(1);
                for threads in [2, 3, 5, 16] {
                    assert!(
                        with(threads) == serial,
                        "{m} x {n} x {k}, {a_lie:?} {b_lie:?} {c_lie:?}, {threads} threads"
                    );
                }
            }
        }
    }
}

/// Small whole numbers, of which sums are exact in `f32`.
fn whole(count: usize, step: usize) -> Vec<f32> {
    (0..count).map(|i| (i * step % 7) as f32 - 3.0).collect()
}

#[test]
fn every_block_of_a_meets_every_block_of_b_once() {
    // More rows, columns and depth than are packed at once.
    let (m, n, k) = (250, 2070, 260);
    for b_lie in [Lie::Rows, Lie::Columns] {
        let (la, lb) = (layout(Lie::Rows, m, k), layout(b_lie, k, n));
        let (a, b) = (whole(la.length, 5), whole(lb.length, 3));
        let mut c = vec![1.0_f32; m * n];
        gemm(m, n, k, 2.0, la.of(&a), lb.of(&b), 3.0, layout(Lie::Rows, m, n).of_mut(&mut c), 1);
        let at =
            |i: usize, j: usize| 3.0 + 2.0 * (0..k).map(|p| a[la.at(i, p)] * b[lb.at(p, j)]).sum::<f32>();
        for i in (0..m).step_by(17).chain([239, 240, m - 1]) {
            for j in (0..n).step_by(61).chain([2047, 2048, n - 1]) {
                assert_eq!(c[i * n + j], at(i, j), "at {i}, {j}");
            }
        }
    }
}

#[test]
fn nothing_of_c_survives_beta_zero() {
    for [m, n, k] in SHAPES.into_iter().chain([[5, 7, 0]]) {
        for c_lie in [Lie::Rows, Lie::Columns, Lie::Gaps] {
            for b_lie in [Lie::Rows, Lie::Columns] {
                let (lb, lc) = (layout(b_lie, k, n), layout(c_lie, m, n));
                let mut c = vec![f32::NAN; lc.length];
                let (a, b) = (vec![1.0; m * k], vec![1.0; lb.length]);
                gemm(m, n, k, 1.0, layout(Lie::Rows, m, k).of(&a), lb.of(&b), 0.0, lc.of_mut(&mut c), 2);
                for i in 0..m {
                    for j in 0..n {
                        assert_eq!(c[lc.at(i, j)], k as f32);
                    }
                }
            }
        }
    }
}

#[test]
fn an_empty_inner_index_leaves_beta_c() {
    let mut c = [1.0_f64, 2.0, 3.0, 4.0, 5.0, 6.0];
    let empty = Matrix::new(&[], 0, 0, 1);
    gemm(2, 3, 0, f64::INFINITY, empty, empty, 2.0, MatrixMut::new(&mut c, 0, 3, 1), 1);
    assert_eq!(c, [2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
}

#[test]
fn nan_and_infinity_of_one_row_stay_in_their_row() {
    for [m, n, k] in SHAPES.into_iter().filter(|s| s[0] > 1) {
        for b_lie in [Lie::Rows, Lie::Columns] {
            let mut a = vec![1.0_f32; m * k];
            a[k - 1] = f32::NAN;
            let lb = layout(b_lie, k, n);
            let b = vec![1.0; lb.length];
            let mut c = vec![0.0; m * n];
            gemm(
                m,
                n,
                k,
                1.0,
                layout(Lie::Rows, m, k).of(&a),
                lb.of(&b),
                0.0,
                MatrixMut::new(&mut c, 0, n as isize, 1),
                1,
            );
            assert!(c[..n].iter().all(|x| x.is_nan()));
            assert!(c[n..].iter().all(|&x| x == k as f32));
        }
    }
}

#[test]
#[should_panic(expected = "B reaches outside its memory")]
fn an_operand_too_short_is_refused() {
    let (a, b, mut c) = ([0.0_f32; 6], [0.0_f32; 5], [0.0_f32; 4]);
    gemm(
        2,
        2,
        3,
        1.0,
        Matrix::new(&a, 0, 3, 1),
        Matrix::new(&b, 0, 2, 1),
        0.0,
        MatrixMut::new(&mut c, 0, 2, 1),
        1,
    );
}

#[test]
#[should_panic(expected = "A reaches outside its memory")]
fn strides_that_overflow_are_refused() {
    let mut c = [0.0_f32; 4];
    let a = Matrix::new(&[0.0_f32; 4], 0, isize::MAX, 2);
    gemm(2, 2, 2, 1.0, a, Matrix::new(&[0.0; 4], 0, 2, 1), 0.0, MatrixMut::new(&mut c, 0, 2, 1), 1);
}

#[test]
#[should_panic(expected = "two elements of C share memory")]
fn a_result_that_overlaps_itself_is_refused() {
    let (a, mut c) = ([0.0_f32; 4], [0.0_f32; 4]);
    gemm(
        2,
        2,
        2,
        1.0,
        Matrix::new(&a, 0, 2, 1),
        Matrix::new(&a, 0, 2, 1),
        0.0,
        MatrixMut::new(&mut c, 0, 1, 1),
        1,
    );
}

#[test]
fn a_dot_product_follows_its_strides() {
    let a: Vec<f64> = (0..1000).map(f64::from).collect();
    let expected: f64 = (0..300).map(|i| f64::from(3 * i) * f64::from(999 - 2 * i)).sum();
    assert_eq!(dot(300, Vector::new(&a, 0, 3), Vector::new(&a, 999, -2)), expected);
    assert_eq!(dot(0, Vector::new(&a, 0, 1), Vector::new(&a, 0, 1)).to_bits(), 0.0_f64.to_bits());
    assert_eq!(dot(5, Vector::new(&[2_i64], 0, 0), Vector::new(&[3_i64], 0, 0)), 30);
}

#[test]
fn a_batch_is_its_products_one_by_one() {
    let batch = [3, 5];
    for [m, n, k] in [[4, 4, 4], [7, 33, 20], [60, 50, 70]] {
        // B is shared along the first axis, A along the second.
        let a: Vec<f32> = numbers(3 * m * k, 1).iter().map(|&x| x as f32).collect();
        let b: Vec<f32> = numbers(5 * k * n, 2).iter().map(|&x| x as f32).collect();
        let (a_steps, b_steps) = ([(m * k) as isize, 0], [0, (k * n) as isize]);
        let c_steps = [(5 * m * n) as isize, (m * n) as isize];
        let mut expected = vec![0.0; 15 * m * n];
        for (index, c) in expected.chunks_mut(m * n).enumerate() {
            let a = Matrix::new(&a, index / 5 * m * k, k as isize, 1);
            let b = Matrix::new(&b, index % 5 * k * n, 1, k as isize);
            gemm(m, n, k, 1.0, a, b, 0.0, MatrixMut::new(c, 0, n as isize, 1), 1);
        }
        for threads in [1, 2, 16, 40] {
            let mut c = vec![f32::NAN; 15 * m * n];
            let a = (Matrix::new(&a, 0, k as isize, 1), &a_steps[..]);
            let b = (Matrix::new(&b, 0, 1, k as isize), &b_steps[..]);
            let to = (MatrixMut::new(&mut c, 0, n as isize, 1), &c_steps[..]);
            gemm_batched(&batch, m, n, k, 1.0, a, b, 0.0, to, threads);
            assert!(c == expected, "{m} x {n} x {k} on {threads} threads");
        }
    }
}

#[test]
#[should_panic(expected = "two elements of C share memory")]
fn a_batch_whose_results_overlap_is_refused() {
    let (a, mut c) = ([0.0_f32; 8], [0.0_f32; 8]);
    let operand = (Matrix::new(&a, 0, 2, 1), &[4][..]);
    let to = (MatrixMut::new(&mut c, 0, 2, 1), &[3][..]);
    gemm_batched(&[2], 2, 2, 2, 1.0, operand, operand, 0.0, to, 1);
}
