//! Products by tiles: small ones where the matrices lie, large ones from packed blocks.

use std::ops::Range;

use super::pack::{self, Contents};
use super::problem::Problem;
use super::register::{Element, Register};
use super::tile::{self, ACROSS, DEPTH, Tile};

/// Bytes of A packed at once: half of a small second-level cache, for all panels of B to pass by.
const BLOCK_A: usize = 256 << 10;

/// Bytes of B packed at once, for all blocks of A to pass by: they come from the third-level cache, once for each.
const BLOCK_B: usize = 2 << 20;

/// A is not packed for fewer columns of C, in panels, if its rows are no further apart than this: more of them would
/// fall on the same sets of the first-level cache.
const FEW_PANELS: usize = 8;
const NEAR_ROWS: usize = 1 << 10;

/// Bytes of A, along the whole inner index, that a thread keeps packed for the next part of the same rows.
const KEPT_A: usize = 2 << 20;
// With less room beside B, no rows would ever be found again.
const _: () = assert!(KEPT_A + BLOCK_B <= pack::KEPT);

/// Elements of B that a small product may copy to the stack.
const STACKED: usize = 512;

/// `0..count`, not empty, in the fewest groups of at most so many, as even as can be.
#[derive(Clone, Copy)]
struct Groups {
    count: usize,
    length: usize,
    longer: usize,
}

impl Groups {
    #[inline]
    fn of(count: usize, most: usize) -> Self {
        let groups = count.div_ceil(most);
        Self { count: groups, length: count / groups, longer: count % groups }
    }

    /// Where a group starts, and the last one ends.
    #[inline]
    fn start(self, group: usize) -> usize {
        group * self.length + group.min(self.longer)
    }

    /// Where a group starts, and its length.
    #[inline]
    fn group(self, group: usize) -> (usize, usize) {
        (self.start(group), self.length + usize::from(group < self.longer))
    }
}

/// Cuts `0..count` into the fewest groups of at most `most`, as even as can be; calls `body(start, length)` for each.
#[inline]
pub fn for_each_group(count: usize, most: usize, mut body: impl FnMut(usize, usize)) {
    if count <= most {
        return body(0, count);
    }
    let groups = Groups::of(count, most);
    for group in 0..groups.count {
        let (start, length) = groups.group(group);
        body(start, length);
    }
}

/// A product with B read where it lies. Needs contiguous columns of B and C.
///
/// # Safety
/// The machine has `R`'s instructions and the problem's matrices are valid.
#[inline]
pub unsafe fn in_place<R: Register>(p: &Problem<R::Element>) {
    debug_assert!(p.b_col == 1 && p.c_col == 1);
    let width = ACROSS * R::LANES;
    let mut first = 0;
    while first < p.k {
        let depth = DEPTH.min(p.k - first);
        let beta = if first == 0 { p.beta } else { R::Element::ONE };
        for j in (0..p.n).step_by(width) {
            let cols = width.min(p.n - j);
            let wide = cols.div_ceil(R::LANES);
            for_each_group(p.m, R::ROWS, |i, rows| {
                // SAFETY: the tile is within the problem's m x n x k, which the caller vouches for.
                unsafe {
                    let tile = Tile {
                        depth,
                        alpha: p.alpha,
                        a: p.a.offset(i as isize * p.a_row + first as isize * p.a_col),
                        a_row: p.a_row,
                        a_col: p.a_col,
                        b: p.b.offset(first as isize * p.b_row).add(j),
                        b_row: p.b_row,
                        b_starts: std::ptr::null(),
                        beta,
                        c: p.c.offset(i as isize * p.c_row).add(j),
                        c_row: p.c_row,
                        last: cols - (wide - 1) * R::LANES,
                    };
                    tile::direct::<R>(rows, wide, &tile);
                }
            });
        }
        first += depth;
    }
}

/// A product with all of B copied first, to the stack if it is small enough: for a small B of any strides.
///
/// # Safety
/// As [`in_place`], for any strides of B.
pub unsafe fn with_copied_b<R: Register>(p: &Problem<R::Element>) {
    let copied = |to: *mut R::Element| {
        // SAFETY: `to` has room for k x n elements, and B is valid.
        unsafe {
            pack::copy::<R>((p.b, p.b_row, p.b_col), (p.k, p.n), (to, p.n));
            in_place::<R>(&Problem { b: to, b_row: p.n as isize, b_col: 1, ..*p });
        }
    };
    if p.k * p.n <= STACKED {
        let mut stack = [const { std::mem::MaybeUninit::<R::Element>::uninit() }; STACKED];
        copied(stack.as_mut_ptr().cast());
    } else {
        pack::with_scratch(p.k * p.n, copied);
    }
}

/// Elements of so many packed groups of rows of A, along the whole inner index.
fn all_of_a<R: Register>(groups: usize, depth: usize) -> usize {
    groups.saturating_mul(pack::group::<R>()).saturating_mul(depth.div_ceil(DEPTH))
}

/// Whether a thread keeps so many rows of A packed for its next part.
pub fn keeps_rows<R: Register>(rows: usize, depth: usize) -> bool {
    all_of_a::<R>(rows.div_ceil(R::ROWS), depth) <= KEPT_A / size_of::<R::Element>()
}

/// A large product: B packed by panels of two registers, A by groups of rows, of which all panels meet a block while it
/// is near. `rows` names the rows of A, if other products of the same rows may follow on this thread: it packs A once for
/// them all.
///
/// # Safety
/// The machine has `R`'s instructions and the problem's matrices are valid. Needs contiguous columns of C. Two problems
/// of which A is not the same in every respect have different names for their rows.
pub unsafe fn packed<R: Register>(p: &Problem<R::Element>, rows: Option<Contents>) {
    debug_assert!(p.c_col == 1);
    let size = size_of::<R::Element>();
    let width = ACROSS * R::LANES;
    let group = pack::group::<R>();
    let groups = Groups::of(p.m, R::ROWS);
    let most_groups = BLOCK_A / size / group;
    // Where all of A is one block, a panel is done with when that has met it.
    let most_cols = if groups.count <= most_groups { width } else { BLOCK_B / size / DEPTH / width * width };
    let packs_a =
        p.a_col != 1 || p.n > FEW_PANELS * width || p.a_row.unsigned_abs().saturating_mul(size) > NEAR_ROWS;
    let rows = rows.filter(|_| packs_a && keeps_rows::<R>(p.m, p.k));
    let a_room = match rows {
        Some(_) => all_of_a::<R>(groups.count, p.k),
        None if packs_a => groups.count.min(most_groups) * group,
        None => 0,
    };
    let b_room = p.n.min(most_cols).next_multiple_of(width) * DEPTH;
    pack::with_contents(a_room + b_room, rows, |a_packed: *mut R::Element, is_there| {
        // SAFETY: the scratch has a_room + b_room elements.
        let b_packed = unsafe { a_packed.add(a_room) };
        for first in (0..p.k).step_by(DEPTH) {
            for left in (0..p.n).step_by(most_cols) {
                let block = Block {
                    cols: most_cols.min(p.n - left),
                    depth: DEPTH.min(p.k - first),
                    beta: if first == 0 { p.beta } else { R::Element::ONE },
                    b: b_packed,
                };
                // SAFETY: rows first.. and columns left.. of B are within k x n, and the copy within the scratch.
                unsafe {
                    block.pack_b::<R>(p.b.offset(first as isize * p.b_row + left as isize * p.b_col), p);
                }
                for_each_group(groups.count, most_groups, |top, count| {
                    // SAFETY: the rows of the groups and columns first.. of A are within m x k, their copies within the
                    // scratch, the tiles of C within m x n.
                    unsafe {
                        let a = p.a.offset(first as isize * p.a_col);
                        let c = p.c.add(left);
                        if !packs_a {
                            return block.compute::<R>(p, groups, top..top + count, Rows::InPlace(a), c);
                        }
                        // A block's place, and whether it is there: a kept one since the first part, and all of A, if
                        // it is one block, since the first columns.
                        let (place, is_packed) = match rows {
                            Some(_) => (first / DEPTH * groups.count + top, is_there || left > 0),
                            None => (0, left > 0 && groups.count <= most_groups),
                        };
                        let to = a_packed.add(place * group);
                        if !is_packed {
                            for i in top..top + count {
                                let (row, count) = groups.group(i);
                                let from = (a.offset(row as isize * p.a_row), p.a_row, p.a_col);
                                pack::steps::<R>(from, (count, block.depth), to.add((i - top) * group));
                            }
                        }
                        block.compute::<R>(p, groups, top..top + count, Rows::Packed(to), c);
                    }
                });
            }
        }
    });
}

/// A block of B, packed in panels, that blocks of A meet, one after the other.
struct Block<T> {
    cols: usize,
    depth: usize,
    beta: T,
    b: *mut T,
}

/// A block of A along the block of B.
#[derive(Clone, Copy)]
enum Rows<T> {
    /// Where it lies: the place of A's first row.
    InPlace(*const T),
    /// Packed: the place of the block's first group.
    Packed(*const T),
}

impl<T: Element> Block<T> {
    /// The panels: their first columns, and how many columns they have.
    fn panels(&self, width: usize) -> impl Iterator<Item = (usize, usize)> {
        let cols = self.cols;
        (0..cols).step_by(width).map(move |j| (j, width.min(cols - j)))
    }

    /// Packs the block of B that begins at `from`.
    ///
    /// # Safety
    /// The block is within B, and there is room for it.
    unsafe fn pack_b<R: Register<Element = T>>(&self, from: *const T, p: &Problem<T>) {
        let width = ACROSS * R::LANES;
        for (j, cols) in self.panels(width) {
            // SAFETY: the caller's promise; a panel has room for DEPTH rows of the whole width.
            unsafe {
                let from = from.offset(j as isize * p.b_col);
                pack::panel::<R>((from, p.b_row, p.b_col), (self.depth, cols), self.b.add(j * DEPTH));
            }
        }
    }

    /// Computes, or adds to, some groups of rows of C, whose first row begins at `c`, from the packed block and as many
    /// groups of rows of A.
    ///
    /// # Safety
    /// The block is packed; A is as `a` says; the rows of C have the block's columns.
    unsafe fn compute<R: Register<Element = T>>(
        &self,
        p: &Problem<T>,
        groups: Groups,
        some: Range<usize>,
        a: Rows<T>,
        c: *mut T,
    ) {
        let width = ACROSS * R::LANES;
        for (j, cols) in self.panels(width) {
            let wide = cols.div_ceil(R::LANES);
            for i in some.clone() {
                let (row, rows) = groups.group(i);
                // SAFETY: the caller's promise.
                unsafe {
                    let (a, tile_of): (_, unsafe fn(usize, usize, &Tile<T>)) = match a {
                        Rows::InPlace(a) => (a.offset(row as isize * p.a_row), tile::direct::<R>),
                        Rows::Packed(a) => (a.add((i - some.start) * pack::group::<R>()), tile::packed::<R>),
                    };
                    let tile = Tile {
                        depth: self.depth,
                        alpha: p.alpha,
                        a,
                        a_row: p.a_row,
                        a_col: 1,
                        b: self.b.add(j * DEPTH),
                        b_row: width as isize,
                        b_starts: std::ptr::null(),
                        beta: self.beta,
                        c: c.offset(row as isize * p.c_row).add(j),
                        c_row: p.c_row,
                        last: cols - (wide - 1) * R::LANES,
                    };
                    tile_of(rows, wide, &tile);
                }
            }
        }
    }
}
