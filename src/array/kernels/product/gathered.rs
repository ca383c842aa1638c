//! Products whose B is not a matrix but rows that lie anywhere, overlapping too: the windows of a convolution.

use std::ops::Range;

use super::outer::for_each_group;
use super::register::{Element, InstructionSet, Register};
use super::tile::{self, ACROSS, Tile};
use super::{Matrix, Product, within};

/// The columns of B and C, in lines at even distances.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// How many lines.
    pub count: usize,
    /// Columns of a line, one after the other.
    pub length: usize,
    /// Elements from a line of B to the next.
    pub b_step: usize,
    /// Elements from a line of C to the next.
    pub c_step: usize,
}

impl Lines {
    /// One line.
    pub fn one(length: usize) -> Self {
        Self { count: 1, length, b_step: 0, c_step: 0 }
    }
}

/// Elements that [`gemm_gathered`] may read, and not use, beyond the end of each line of B: one less than a register.
pub const SLACK: usize = 15;

/// `C = A B + beta C` for A of `m` by `starts.len()`, on this thread. Row `k` of B begins at `b[starts[k]]`, row `i` of C
/// `i * c_row` elements after `c`; both have the columns of `lines`. With `beta == 0`, C is written but never read.
///
/// # Safety
/// Each element of C can be written, is no other element of C, of A or of B, and belongs to this call alone.
///
/// # Panics
/// If A reaches outside its slice, or a line of B with its [`SLACK`] does.
#[expect(
    clippy::too_many_arguments,
    reason = "gemm's arguments, with lines and starts for the columns and rows of B"
)]
pub unsafe fn gemm_gathered<T: Product>(
    m: usize,
    lines: Lines,
    a: Matrix<'_, T>,
    b: &[T],
    starts: &[usize],
    beta: T,
    c: *mut T,
    c_row: usize,
) {
    assert!(
        within(a.data.len(), a.offset, [m, starts.len()], [a.row_stride, a.col_stride]),
        "A reaches outside its memory"
    );
    if m == 0 || lines.count == 0 || lines.length == 0 {
        return;
    }
    let last = (lines.count - 1) * lines.b_step + lines.length + SLACK;
    assert!(starts.iter().all(|start| start + last <= b.len()), "B reaches outside its memory");
    let product = Gathered {
        m,
        lines,
        a: a.data.as_ptr().wrapping_add(a.offset),
        a_row: a.row_stride,
        a_col: a.col_stride,
        b: b.as_ptr(),
        starts,
        beta,
        c,
        c_row: c_row as isize,
    };
    // SAFETY: what is read was checked; of C the caller vouches.
    unsafe { T::compute_gathered(&product) }
}

/// `C = A B + beta C`: row `k` of B is what begins `starts[k]` elements after `b`. Strides are in elements.
pub struct Gathered<'s, T> {
    pub m: usize,
    pub lines: Lines,
    pub a: *const T,
    pub a_row: isize,
    pub a_col: isize,
    pub b: *const T,
    pub starts: &'s [usize],
    pub beta: T,
    pub c: *mut T,
    pub c_row: isize,
}

impl<T: Element> Gathered<'_, T> {
    /// Computes it, in registers `R`, and what is left of each line in `End` where that has room for it. Every element of
    /// C is one chain of multiply-adds, cut nowhere.
    ///
    /// # Safety
    /// The machine has `R`'s instructions, which have `End` too; A is `m` by as many as there are starts, C has `m` rows of
    /// the lines and overlaps neither A nor B, and whole registers of each line of B can be read, up to [`SLACK`]
    /// elements beyond its end.
    pub unsafe fn compute<R: Register<Element = T>, End: Register<Element = T>>(&self) {
        let width = ACROSS * R::LANES;
        let whole = self.lines.length / width * width;
        let mut left = whole..self.lines.length;
        // SAFETY: the columns are a line's; all else is the caller's promise.
        unsafe {
            self.columns::<R, R::Instructions>(R::ROWS, 0..whole);
            // Two registers of which the second would be half empty become one, and one that is half as wide.
            if (R::LANES + 1..=R::LANES + End::LANES).contains(&left.len()) {
                self.columns::<R, R::Instructions>(R::ROWS_ALONE, left.start..left.start + R::LANES);
                left.start += R::LANES;
            }
            match left.len() {
                n if n <= End::LANES => self.columns::<End, R::Instructions>(End::ROWS_ALONE, left),
                n if n <= R::LANES => self.columns::<R, R::Instructions>(R::ROWS_ALONE, left),
                _ => self.columns::<R, R::Instructions>(R::ROWS, left),
            }
        }
    }

    /// Some columns of all lines, in tiles of at most so many rows.
    ///
    /// # Safety
    /// As [`compute`](Self::compute), and the machine has `I`, which has `R`.
    unsafe fn columns<R: Register<Element = T>, I: InstructionSet>(
        &self,
        most_rows: usize,
        columns: Range<usize>,
    ) {
        let Lines { count, b_step, c_step, .. } = self.lines;
        for_each_group(self.m, most_rows, |i, rows| {
            for line in 0..count {
                for j in columns.clone().step_by(ACROSS * R::LANES) {
                    let cols = (ACROSS * R::LANES).min(columns.end - j);
                    let wide = cols.div_ceil(R::LANES);
                    // SAFETY: the tile is within a line of B and of C, which the caller vouches for.
                    unsafe {
                        let tile = Tile {
                            depth: self.starts.len(),
                            alpha: T::ONE,
                            a: self.a.offset(i as isize * self.a_row),
                            a_row: self.a_row,
                            a_col: self.a_col,
                            b: self.b.add(line * b_step + j),
                            b_row: 0,
                            b_packed: std::ptr::null_mut(),
                            b_starts: self.starts.as_ptr(),
                            beta: self.beta,
                            c: self.c.offset(i as isize * self.c_row).add(line * c_step + j),
                            c_row: self.c_row,
                            last: cols - (wide - 1) * R::LANES,
                        };
                        tile::gathered::<R, I>(rows, wide, &tile);
                    }
                }
            }
        });
    }
}
