//! Products by inner products: for rows of A and columns of B that both lie contiguous along the inner index.
//!
//! Each element of C is summed in a cache line's worth of lanes, whatever the width of the machine's registers, and
//! the lanes are folded in halves at the end: its bits depend on neither the tile, the threads nor the registers.

use super::problem::Problem;
use super::register::{Element, Kernel, Register};

/// Inner products in tiles of `SIDE` by `SIDE` elements of C, each summed in `WIDE` registers.
struct Inner<'p, T, const SIDE: usize, const WIDE: usize>(&'p Problem<T>);

impl<R: Register, const SIDE: usize, const WIDE: usize> Kernel<R> for Inner<'_, R::Element, SIDE, WIDE> {
    #[inline(always)]
    unsafe fn run(self) {
        let p = self.0;
        let (whole_m, whole_n) = (p.m - p.m % SIDE, p.n - p.n % SIDE);
        // Columns of B outermost: a group of them stays in the first-level cache while the rows of A pass by.
        // SAFETY: the tiles cover m x n once, each within it.
        unsafe {
            for j in (0..whole_n).step_by(SIDE) {
                for i in (0..whole_m).step_by(SIDE) {
                    tile::<R, SIDE, SIDE, WIDE>(p, i, j);
                }
                for i in whole_m..p.m {
                    tile::<R, 1, SIDE, WIDE>(p, i, j);
                }
            }
            for j in whole_n..p.n {
                for i in 0..p.m {
                    tile::<R, 1, 1, WIDE>(p, i, j);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn tile<R: Register, const ROWS: usize, const COLS: usize, const WIDE: usize>(
    p: &Problem<R::Element>,
    i: usize,
    j: usize,
) {
    let lanes = R::LANES * WIDE;
    // SAFETY: the caller's promise: rows i.. and columns j.. of the tile are within m x n, and the inner index runs
    // to k. Both operands are contiguous along it.
    unsafe {
        let a = p.a.offset(i as isize * p.a_row);
        let b = p.b.offset(j as isize * p.b_col);
        let mut sums = [[[R::splat(R::Element::ZERO); WIDE]; COLS]; ROWS];
        let mut at = 0;
        while at + lanes <= p.k {
            for v in 0..WIDE {
                let mut cols = [R::splat(R::Element::ZERO); COLS];
                for s in 0..COLS {
                    cols[s] = R::load(b.offset(s as isize * p.b_col).add(at + v * R::LANES));
                }
                for r in 0..ROWS {
                    let x = R::load(a.offset(r as isize * p.a_row).add(at + v * R::LANES));
                    for s in 0..COLS {
                        sums[r][s][v] = sums[r][s][v].multiply_add(x, cols[s]);
                    }
                }
            }
            at += lanes;
        }
        for v in 0..WIDE {
            let start = at + v * R::LANES;
            if start < p.k {
                let count = R::LANES.min(p.k - start);
                for r in 0..ROWS {
                    let x = R::load_first(a.offset(r as isize * p.a_row).add(start), count);
                    for s in 0..COLS {
                        let y = R::load_first(b.offset(s as isize * p.b_col).add(start), count);
                        sums[r][s][v] = sums[r][s][v].multiply_add(x, y);
                    }
                }
            }
        }
        // Through memory the halves would wait for one another.
        let one = R::splat(R::Element::ONE);
        for r in 0..ROWS {
            for s in 0..COLS {
                let mut registers = sums[r][s];
                let mut width = WIDE;
                while width > 1 {
                    width /= 2;
                    for v in 0..width {
                        registers[v] = registers[v].multiply_add(registers[v + width], one);
                    }
                }
                let sum = registers[0].folded().times(p.alpha);
                let c = p.c.offset((i + r) as isize * p.c_row).add(j + s);
                *c = if p.beta == R::Element::ZERO { sum } else { sum.multiply_add(p.beta, *c) };
            }
        }
    }
}

/// A product by inner products. Needs A's rows, B's columns and C's columns contiguous.
///
/// # Safety
/// The machine has `R`'s instructions and the problem's matrices are valid.
pub unsafe fn products<R: Register>(p: &Problem<R::Element>) {
    debug_assert!(p.a_col == 1 && p.b_row == 1 && p.c_col == 1);
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match R::LINE {
            1 => R::enter(Inner::<_, 4, 1>(p)),
            2 => R::enter(Inner::<_, 2, 2>(p)),
            _ => R::enter(Inner::<_, 2, 4>(p)),
        }
    }
}
