//! Products of a few rows with a B too large for the caches: B is read once, in long runs, as fast as memory gives it.

use super::problem::Problem;
use super::register::{Element, Kernel, Register};
use super::tile::DEPTH;

/// Columns of C computed together: their sums stay in the first-level cache.
const COLUMNS: usize = 512;

/// Rows of B read together, each a stream that the machine prefetches.
const STREAMS: usize = 8;

/// `ROWS` rows of A, from row `first` on, with all of B.
struct Stream<'p, T, const ROWS: usize> {
    problem: &'p Problem<T>,
    first: usize,
}

impl<R: Register, const ROWS: usize> Kernel<R> for Stream<'_, R::Element, ROWS> {
    #[inline(always)]
    unsafe fn run(self) {
        let p = self.problem;
        // SAFETY: every run below is within columns 0..n of rows 0..k of B, and the same columns of C and the sums.
        unsafe {
            let mut sums = [[R::Element::ZERO; COLUMNS]; ROWS];
            for left in (0..p.n).step_by(COLUMNS) {
                let cols = COLUMNS.min(p.n - left);
                for top in (0..p.k).step_by(DEPTH) {
                    let depth = DEPTH.min(p.k - top);
                    let beta = if top == 0 { p.beta } else { R::Element::ONE };
                    let a = p.a.offset(self.first as isize * p.a_row + top as isize * p.a_col);
                    let b = p.b.offset(top as isize * p.b_row).add(left);
                    for row in &mut sums {
                        row[..cols].fill(R::Element::ZERO);
                    }
                    let whole = depth - depth % STREAMS;
                    for q in (0..whole).step_by(STREAMS) {
                        accumulate::<R, ROWS, STREAMS>(p, (a, b), q, cols, &mut sums);
                    }
                    for q in whole..depth {
                        accumulate::<R, ROWS, 1>(p, (a, b), q, cols, &mut sums);
                    }
                    for (i, row) in sums.iter().enumerate() {
                        let c = p.c.offset((self.first + i) as isize * p.c_row).add(left);
                        for (j, sum) in row[..cols].iter().enumerate() {
                            let sum = sum.times(p.alpha);
                            let c = c.add(j);
                            *c = if beta == R::Element::ZERO { sum } else { sum.multiply_add(beta, *c) };
                        }
                    }
                }
            }
        }
    }
}

/// Adds `A[.., q..q + DOWN] B[q..q + DOWN, ..cols]` to the sums, in the order of the inner index.
#[inline(always)]
unsafe fn accumulate<R: Register, const ROWS: usize, const DOWN: usize>(
    p: &Problem<R::Element>,
    (a, b): (*const R::Element, *const R::Element),
    q: usize,
    cols: usize,
    sums: &mut [[R::Element; COLUMNS]; ROWS],
) {
    // SAFETY: the caller's promise: q + DOWN rows of B from b on, cols columns of each, and as many elements of A.
    unsafe {
        let mut x = [[R::splat(R::Element::ZERO); DOWN]; ROWS];
        for i in 0..ROWS {
            for d in 0..DOWN {
                x[i][d] = R::splat(*a.offset(i as isize * p.a_row + (q + d) as isize * p.a_col));
            }
        }
        let b = b.offset(q as isize * p.b_row);
        let mut j = 0;
        while j < cols {
            let count = R::LANES.min(cols - j);
            let mut sum = [R::splat(R::Element::ZERO); ROWS];
            for i in 0..ROWS {
                // Within the row of sums even for the last, partial register: LANES divides COLUMNS.
                sum[i] = R::load(sums[i].as_ptr().add(j));
            }
            for d in 0..DOWN {
                let from = b.offset(d as isize * p.b_row).add(j);
                let y = if count == R::LANES { R::load(from) } else { R::load_first(from, count) };
                for i in 0..ROWS {
                    sum[i] = sum[i].multiply_add(x[i][d], y);
                }
            }
            for i in 0..ROWS {
                sum[i].store(sums[i].as_mut_ptr().add(j));
            }
            j += R::LANES;
        }
    }
}

/// A product with B streamed once for every two rows of A. Needs contiguous columns of B and C.
///
/// # Safety
/// The machine has `R`'s instructions and the problem's matrices are valid.
pub unsafe fn streamed<R: Register>(p: &Problem<R::Element>) {
    debug_assert!(p.b_col == 1 && p.c_col == 1);
    let mut first = 0;
    while first < p.m {
        // SAFETY: the caller's promise; rows first.. are within m.
        unsafe {
            if p.m - first >= 2 {
                R::enter(Stream::<_, 2> { problem: p, first });
                first += 2;
            } else {
                R::enter(Stream::<_, 1> { problem: p, first });
                first += 1;
            }
        }
    }
}
