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

/// A is not packed for at most so many columns of C, in panels.
const FEW_PANELS: usize = 8;

/// Rows of A further apart are packed for fewer panels too, unless the register reads them as well: more of them would
/// fall on the same sets of the first-level cache.
const NEAR_ROWS: usize = 1 << 10;

/// A page of memory: rows of B further apart are copied into a panel first, not while a tile reads them.
const PAGE: usize = 4 << 10;

/// Bytes of A, or of B, along the whole inner index, that a thread keeps packed for the next part of the same product.
const KEPT_WHOLE: usize = 2 << 20;
// With less room beside the other, they would never be found again.
const _: () = assert!(KEPT_WHOLE + BLOCK_B <= pack::KEPT);

/// Bytes of C that are computed turned before they are turned back.
const TURNED_C: usize = 256 << 10;

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
                        b_packed: std::ptr::null_mut(),
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
    all_of_a::<R>(rows.div_ceil(R::ROWS), depth) <= KEPT_WHOLE / size_of::<R::Element>()
}

/// Elements of the panels of so many columns of B, along the whole inner index.
fn all_of_b<R: Register>(cols: usize, depth: usize) -> usize {
    cols.next_multiple_of(ACROSS * R::LANES).saturating_mul(depth.next_multiple_of(DEPTH))
}

/// Whether a thread keeps so many columns of B packed for its next part.
pub fn keeps_cols<R: Register>(cols: usize, depth: usize) -> bool {
    all_of_b::<R>(cols, depth) <= KEPT_WHOLE / size_of::<R::Element>()
}

/// Whether a product of so many columns packs its A, which lies anyhow.
pub fn packs_a<R: Register>(cols: usize, (a_row, a_col): (isize, isize)) -> bool {
    let near = a_row.unsigned_abs().saturating_mul(size_of::<R::Element>()) <= NEAR_ROWS;
    a_col != 1 || cols > FEW_PANELS * ACROSS * R::LANES || !(near || R::READS_FAR_ROWS)
}

/// What a thread keeps packed of a large product for its next part, and by which name it finds that again.
#[derive(Clone, Copy)]
pub enum Keeps {
    /// The rows of A, if they are packed.
    Rows(Contents),
    /// The columns of B.
    Columns(Contents),
    /// Nothing.
    Nothing,
}

/// A large product: B packed by panels of two registers, A by groups of rows, of which all panels meet a block while it
/// is near; or A where it lies, if its rows are contiguous and meet few panels. What `keeps` names is packed once for all
/// parts that follow on this thread.
///
/// # Safety
/// The machine has `R`'s instructions and the problem's matrices are valid. Needs contiguous columns of C. Two problems
/// of which the named matrix is not the same in every respect have different names for it.
pub unsafe fn packed<R: Register>(p: &Problem<R::Element>, keeps: Keeps) {
    debug_assert!(p.c_col == 1);
    let size = size_of::<R::Element>();
    let width = ACROSS * R::LANES;
    let group = pack::group::<R>();
    let groups = Groups::of(p.m, R::ROWS);
    let most_groups = BLOCK_A / size / group;
    // Where all of A is one block, a panel is done with when that has met it.
    let most_cols = if groups.count <= most_groups { width } else { BLOCK_B / size / DEPTH / width * width };
    let packs_a = packs_a::<R>(p.n, (p.a_row, p.a_col));
    let keeps = match keeps {
        Keeps::Rows(_) if !packs_a || !keeps_rows::<R>(p.m, p.k) => Keeps::Nothing,
        Keeps::Columns(_) if !keeps_cols::<R>(p.n, p.k) => Keeps::Nothing,
        _ => keeps,
    };
    let a_room = match keeps {
        _ if !packs_a => 0,
        Keeps::Rows(_) => all_of_a::<R>(groups.count, p.k),
        _ => groups.count.min(most_groups) * group,
    };
    let b_room = match keeps {
        Keeps::Columns(_) => all_of_b::<R>(p.n, p.k),
        _ => p.n.min(most_cols).next_multiple_of(width) * DEPTH,
    };
    // What is kept begins the memory.
    let (contents, a_place, b_place) = match keeps {
        Keeps::Rows(contents) => (Some(contents), 0, a_room),
        Keeps::Columns(contents) => (Some(contents), b_room, 0),
        Keeps::Nothing => (None, 0, a_room),
    };
    pack::with_contents(a_room + b_room, contents, |memory: *mut R::Element, is_there| {
        for first in (0..p.k).step_by(DEPTH) {
            for left in (0..p.n).step_by(most_cols) {
                let before = match keeps {
                    Keeps::Columns(_) => first * p.n.next_multiple_of(width) + left * DEPTH,
                    _ => 0,
                };
                // SAFETY: rows first.. and columns left.. of B are within k x n, and their copy within the memory.
                let block = unsafe {
                    Block {
                        cols: most_cols.min(p.n - left),
                        depth: DEPTH.min(p.k - first),
                        beta: if first == 0 { p.beta } else { R::Element::ONE },
                        from: p.b.offset(first as isize * p.b_row + left as isize * p.b_col),
                        b: memory.add(b_place + before),
                        is_packed: matches!(keeps, Keeps::Columns(_)) && is_there,
                    }
                };
                for_each_group(groups.count, most_groups, |top, count| {
                    // SAFETY: the rows of the groups and columns first.. of A are within m x k, their copies within the
                    // memory, the tiles of C within m x n.
                    unsafe {
                        let a = p.a.offset(first as isize * p.a_col);
                        let c = p.c.add(left);
                        if !packs_a {
                            return block.compute::<R>(p, groups, top..top + count, Rows::InPlace(a), c);
                        }
                        // A block's place, and whether it is there: a kept one since the first part, and all of A, if
                        // it is one block, since the first columns.
                        let (place, is_packed) = match keeps {
                            Keeps::Rows(_) => (first / DEPTH * groups.count + top, is_there || left > 0),
                            _ => (0, left > 0 && groups.count <= most_groups),
                        };
                        let to = memory.add(a_place + place * group);
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

/// A large product as that of its transposed: B where it lies, and of C, a block of columns at a time, what is then turned.
/// `rows` names the rows of A, which become columns: they are packed once for all parts.
///
/// # Safety
/// As [`packed`]; and the rows of C do not overlap.
pub unsafe fn turned<R: Register>(p: &Problem<R::Element>, rows: Contents) {
    let most = (TURNED_C / size_of::<R::Element>() / p.m).max(1);
    for_each_group(p.n, most, |left, cols| {
        pack::with_turned(cols * p.m, |c: *mut R::Element| {
            // SAFETY: the columns are within the problem's; the memory has room for as many rows of m elements.
            unsafe {
                let part = p.part(0..p.m, left..left + cols);
                if p.beta != R::Element::ZERO {
                    pack::copy::<R>((part.c, 1, part.c_row), (cols, p.m), (c, p.m));
                }
                let turned = Problem { c, c_row: p.m as isize, c_col: 1, ..part.transposed() };
                packed::<R>(&turned, Keeps::Columns(rows));
                pack::copy::<R>((c, 1, p.m as isize), (p.m, cols), (part.c, part.c_row as usize));
            }
        });
    });
}

/// A block of B, packed in panels when the first block of A meets it, and then met by the others.
struct Block<T> {
    cols: usize,
    depth: usize,
    beta: T,
    /// Where it lies in B.
    from: *const T,
    /// Where its panels are, or are to be.
    b: *mut T,
    is_packed: bool,
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

    /// Computes, or adds to, some groups of rows of C, whose first row begins at `c`, from the block and as many groups of
    /// rows of A. The first groups find the block as it lies in B, and pack it.
    ///
    /// # Safety
    /// The block is within B, and there is room for its panels; A is as `a` says; the rows of C have the block's columns.
    unsafe fn compute<R: Register<Element = T>>(
        &self,
        p: &Problem<T>,
        groups: Groups,
        some: Range<usize>,
        a: Rows<T>,
        c: *mut T,
    ) {
        let width = ACROSS * R::LANES;
        let packs = !self.is_packed && some.start == 0;
        let near_rows = p.b_col == 1 && p.b_row.unsigned_abs().saturating_mul(size_of::<T>()) < PAGE;
        for (j, cols) in self.panels(width) {
            let wide = cols.div_ceil(R::LANES);
            // A copy of its own costs more than the first of several tiles loses by it.
            let packs_beside = R::PACKS_BESIDE && packs && near_rows && wide == ACROSS && groups.count > 1;
            // SAFETY: the caller's promise; a panel has room for DEPTH rows of the whole width.
            unsafe {
                let (from, panel) = (self.from.offset(j as isize * p.b_col), self.b.add(j * DEPTH));
                if packs && !packs_beside {
                    pack::panel::<R>((from, p.b_row, p.b_col), (self.depth, cols), panel);
                }
                for i in some.clone() {
                    let (row, rows) = groups.group(i);
                    let (a, a_row, a_col) = match a {
                        Rows::InPlace(a) => (a.offset(row as isize * p.a_row), p.a_row, 1),
                        Rows::Packed(a) => {
                            (a.add((i - some.start) * pack::group::<R>()), 1, R::ROWS as isize)
                        }
                    };
                    let tile = Tile {
                        depth: self.depth,
                        alpha: p.alpha,
                        a,
                        a_row,
                        a_col,
                        b: panel,
                        b_row: width as isize,
                        b_packed: panel,
                        b_starts: std::ptr::null(),
                        beta: self.beta,
                        c: c.offset(row as isize * p.c_row).add(j),
                        c_row: p.c_row,
                        last: cols - (wide - 1) * R::LANES,
                    };
                    if packs_beside && i == 0 {
                        tile::packing::<R>(rows, &Tile { b: from, b_row: p.b_row, ..tile });
                    } else if a_col == 1 {
                        tile::direct::<R>(rows, wide, &tile);
                    } else {
                        tile::packed::<R>(rows, wide, &tile);
                    }
                }
            }
        }
    }
}
