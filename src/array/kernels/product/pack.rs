//! Copies of A and B in the order in which tiles read them, and the memory those copies live in.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;

use super::register::{Element, Kernel, Register};
use super::tile::{ACROSS, DEPTH, prefetch};

/// `to[j * to_row + i] = from[i * from_row + j]` for `i < rows`, `j < cols`.
struct Transpose<T> {
    from: *const T,
    from_row: isize,
    rows: usize,
    cols: usize,
    to: *mut T,
    to_row: usize,
}

impl<R: Register> Kernel<R> for Transpose<R::Element> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: whoever made `self` vouches for both matrices; every index below is within rows x cols.
        unsafe {
            let (whole_rows, whole_cols) =
                (self.rows - self.rows % R::SQUARE, self.cols - self.cols % R::SQUARE);
            // Two squares of a row at a time, so that lines are read whole, and then those below, so that they are written
            // whole.
            for pair in (0..whole_cols).step_by(2 * R::SQUARE) {
                for i in (0..whole_rows).step_by(R::SQUARE) {
                    let from = self.from.offset(i as isize * self.from_row);
                    for j in (pair..whole_cols.min(pair + 2 * R::SQUARE)).step_by(R::SQUARE) {
                        R::transpose(
                            from.add(j),
                            self.from_row,
                            self.to.add(j * self.to_row + i),
                            self.to_row,
                        );
                    }
                }
            }
            for i in 0..self.rows {
                let from = self.from.offset(i as isize * self.from_row);
                let first = if i < whole_rows { whole_cols } else { 0 };
                for j in first..self.cols {
                    *self.to.add(j * self.to_row + i) = *from.add(j);
                }
            }
        }
    }
}

/// Rows that lie apart in registers, two at a time, into rows that lie close together.
struct Panel<T> {
    from: *const T,
    from_row: isize,
    rows: usize,
    to: *mut T,
}

impl<R: Register> Kernel<R> for Panel<R::Element> {
    #[inline(always)]
    unsafe fn run(self) {
        // SAFETY: whoever made `self` vouches for so many rows of `ACROSS` registers on both sides.
        unsafe {
            for i in 0..self.rows {
                let from = self.from.offset(i as isize * self.from_row);
                let to = self.to.add(i * ACROSS * R::LANES);
                for v in 0..ACROSS {
                    // What lies beside is the next panel's.
                    prefetch(from.wrapping_add((ACROSS + v) * R::LANES));
                    R::load(from.add(v * R::LANES)).store(to.add(v * R::LANES));
                }
            }
        }
    }
}

/// Rows of A, at most `R::ROWS`, side by side: `to[step * R::ROWS + i] = from[i * from_row + step * from_col]`.
struct Steps<T> {
    from: *const T,
    from_row: isize,
    from_col: isize,
    rows: usize,
    depth: usize,
    to: *mut T,
}

impl<R: Register> Kernel<R> for Steps<R::Element> {
    #[inline(always)]
    unsafe fn run(self) {
        let Self { from, from_row, from_col, rows, depth, to } = self;
        // SAFETY: whoever made `self` vouches for rows x depth elements of A, and for depth x R::ROWS at `to`.
        unsafe {
            if from_row == 1 {
                for step in 0..depth {
                    let from = from.offset(step as isize * from_col);
                    for first in (0..rows).step_by(R::LANES) {
                        let at = step * R::ROWS + first;
                        let count = R::LANES.min(rows - first);
                        let x = R::load_first(from.add(first), count);
                        // What a whole register writes too much, the next steps write over.
                        if at + R::LANES <= depth * R::ROWS {
                            x.store(to.add(at));
                        } else {
                            x.store_first(to.add(at), count);
                        }
                    }
                }
                return;
            }
            let side = R::SQUARE_OF_FEW;
            let mut turned = 0;
            if from_col == 1 && rows >= side {
                turned = depth - depth % side;
                // The last square of rows reaches up to the last row, and may turn some a second time.
                for top in (0..rows).step_by(side).map(|top| top.min(rows - side)) {
                    let from = from.offset(top as isize * from_row);
                    for step in (0..turned).step_by(side) {
                        R::transpose_few(from.add(step), from_row, to.add(step * R::ROWS + top), R::ROWS);
                    }
                }
            }
            for i in 0..rows {
                let from = from.offset(i as isize * from_row);
                for step in turned..depth {
                    *to.add(step * R::ROWS + i) = *from.offset(step as isize * from_col);
                }
            }
        }
    }
}

/// Elements from one packed group of rows of A to the next.
pub const fn group<R: Register>() -> usize {
    R::ROWS * DEPTH
}

/// Packs rows of A, at most `R::ROWS`, along at most [`DEPTH`] steps of the inner index, for [`packed`](super::tile::packed) tiles.
///
/// # Safety
/// As [`copy`], with room for a [`group`].
pub unsafe fn steps<R: Register>(
    (from, from_row, from_col): (*const R::Element, isize, isize),
    (rows, depth): (usize, usize),
    to: *mut R::Element,
) {
    debug_assert!(rows <= R::ROWS && depth <= DEPTH);
    // SAFETY: the caller's promise.
    unsafe { R::enter(Steps { from, from_row, from_col, rows, depth, to }) }
}

/// Copies `rows` by `cols` elements of B into a panel, with zeros beside them up to two registers.
///
/// # Safety
/// As [`copy`]; and the panel has room for so many rows of two registers.
pub unsafe fn panel<R: Register>(
    (from, from_row, from_col): (*const R::Element, isize, isize),
    (rows, cols): (usize, usize),
    to: *mut R::Element,
) {
    let width = ACROSS * R::LANES;
    // SAFETY: the caller's promise.
    unsafe {
        if from_col == 1 && cols == width {
            return R::enter(Panel { from, from_row, rows, to });
        }
        copy::<R>((from, from_row, from_col), (rows, cols), (to, width));
        zero_beyond(to, rows, cols, width);
    }
}

/// Copies `rows` by `cols` elements into rows `to_row` apart: by whole rows, by turned squares or one by one, as the
/// source's strides allow.
///
/// # Safety
/// The machine has `R`'s instructions; `from` and `to` are valid for the copied elements and do not overlap.
pub unsafe fn copy<R: Register>(
    (from, from_row, from_col): (*const R::Element, isize, isize),
    (rows, cols): (usize, usize),
    (to, to_row): (*mut R::Element, usize),
) {
    // SAFETY: the caller's promise; every index is within rows x cols.
    unsafe {
        if from_col == 1 {
            for i in 0..rows {
                std::ptr::copy_nonoverlapping(from.offset(i as isize * from_row), to.add(i * to_row), cols);
            }
        } else if from_row == 1 {
            R::enter(Transpose { from, from_row: from_col, rows: cols, cols: rows, to, to_row });
        } else {
            for i in 0..rows {
                for j in 0..cols {
                    *to.add(i * to_row + j) = *from.offset(i as isize * from_row + j as isize * from_col);
                }
            }
        }
    }
}

/// Writes zeros in columns `cols..width` of `rows` rows, `width` apart: for registers that reach past the matrix.
///
/// # Safety
/// `to` is valid for `rows * width` elements.
unsafe fn zero_beyond<T: Element>(to: *mut T, rows: usize, cols: usize, width: usize) {
    for i in 0..rows {
        for j in cols..width {
            // SAFETY: i < rows and j < width.
            unsafe { *to.add(i * width + j) = T::ZERO };
        }
    }
}

/// The unit of packing memory: a cache line, so that registers of packed B never straddle two.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "only its size and alignment matter")] [u8; 64]);

/// Bytes that a thread keeps between products; what is longer goes back.
pub const KEPT: usize = 4 << 20;

/// A thread's packing memory, and what it is known to begin with.
#[derive(Default)]
struct Kept {
    memory: Vec<MaybeUninit<Line>>,
    contents: Option<Contents>,
}

/// Rows of A, or columns of B, all of them along the whole inner index, of one product in parts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Contents {
    product: u64,
    rows: usize,
}

/// Names for the rows of A of one product in parts; no other product has them.
#[derive(Clone, Copy)]
pub struct Naming(u64);

impl Naming {
    /// The names of one more product.
    pub fn new() -> Self {
        static PRODUCTS: AtomicU64 = AtomicU64::new(0);
        // Relaxed: only that no two are the same matters.
        Self(PRODUCTS.fetch_add(1, Ordering::Relaxed))
    }

    /// The name of those rows that so many others come before.
    pub fn rows(self, before: usize) -> Contents {
        Contents { product: self.0, rows: before }
    }
}

thread_local! {
    static MEMORY: Cell<Kept> = const { Cell::new(Kept { memory: Vec::new(), contents: None }) };
    static TURNED: Cell<Kept> = const { Cell::new(Kept { memory: Vec::new(), contents: None }) };
}

/// Calls `body` with uninitialised memory for `count` elements, aligned to a cache line and kept by the thread.
pub fn with_scratch<T, O>(count: usize, body: impl FnOnce(*mut T) -> O) -> O {
    with_contents(count, None, |memory, _| body(memory))
}

/// As [`with_scratch`], beside whatever `body` packs.
pub fn with_turned<T, O>(count: usize, body: impl FnOnce(*mut T) -> O) -> O {
    with_kept(&TURNED, count, None, |memory, _| body(memory))
}

/// As [`with_scratch`]; after the call the memory begins with `contents`, and the body hears whether it does so before,
/// because the thread's last call was for the same.
pub fn with_contents<T, O>(
    count: usize,
    contents: Option<Contents>,
    body: impl FnOnce(*mut T, bool) -> O,
) -> O {
    with_kept(&MEMORY, count, contents, body)
}

fn with_kept<T, O>(
    place: &'static LocalKey<Cell<Kept>>,
    count: usize,
    contents: Option<Contents>,
    body: impl FnOnce(*mut T, bool) -> O,
) -> O {
    let lines = (count * size_of::<T>()).div_ceil(64);
    // Taken, not borrowed: a product that starts inside `body` finds an empty vector and makes its own.
    let mut kept = place.take();
    if kept.memory.len() < lines {
        kept.contents = None;
        kept.memory.clear();
        kept.memory.reserve_exact(lines);
        // SAFETY: the capacity was just reserved, and MaybeUninit needs no initialisation.
        unsafe { kept.memory.set_len(lines) };
    }
    let is_there = contents.is_some() && kept.contents == contents;
    let result = body(kept.memory.as_mut_ptr().cast(), is_there);
    if size_of_val(&kept.memory[..]) <= KEPT {
        kept.contents = contents;
        place.set(kept);
    }
    result
}
