//! Products by tiles: small ones where the matrices lie, large ones from packed blocks.

use super::pack;
use super::problem::Problem;
use super::register::{Element, Register};
use super::tile::{self, ACROSS, DEPTH, PACKED_ROW, Tile};

/// Rows of A packed at once: with f32, about a megabyte, which the second-level cache streams.
const BLOCK_ROWS: usize = 1020;

/// Elements of B that a small product may copy to the stack.
const STACKED: usize = 512;

/// Cuts `0..count` into the fewest groups of at most `most`, as even as can be; calls `body(start, length)` for each.
#[inline]
pub fn for_each_group(count: usize, most: usize, mut body: impl FnMut(usize, usize)) {
    if count <= most {
        return body(0, count);
    }
    let groups = count.div_ceil(most);
    let (length, longer) = (count / groups, count % groups);
    let mut start = 0;
    for group in 0..groups {
        let length = length + usize::from(group < longer);
        body(start, length);
        start += length;
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

/// A large product: A packed by blocks of rows, B by panels of two registers, each element once per block of rows.
///
/// # Safety
/// The machine has `R`'s instructions and the problem's matrices are valid. Needs contiguous columns of C.
pub unsafe fn packed<R: Register>(p: &Problem<R::Element>) {
    debug_assert!(p.c_col == 1);
    let width = ACROSS * R::LANES;
    let a_room = p.m.min(BLOCK_ROWS) * PACKED_ROW;
    pack::with_scratch(a_room + DEPTH * width, |a_packed: *mut R::Element| {
        // SAFETY: the scratch has a_room + DEPTH * width elements.
        let b_packed = unsafe { a_packed.add(a_room) };
        for top in (0..p.m).step_by(BLOCK_ROWS) {
            let block_rows = BLOCK_ROWS.min(p.m - top);
            for first in (0..p.k).step_by(DEPTH) {
                let depth = DEPTH.min(p.k - first);
                let beta = if first == 0 { p.beta } else { R::Element::ONE };
                // SAFETY: rows top.. and columns first.. of A are within m x k, and the copy within the scratch.
                unsafe {
                    let a = p.a.offset(top as isize * p.a_row + first as isize * p.a_col);
                    pack::copy::<R>((a, p.a_row, p.a_col), (block_rows, depth), (a_packed, PACKED_ROW));
                }
                for j in (0..p.n).step_by(width) {
                    let cols = width.min(p.n - j);
                    let wide = cols.div_ceil(R::LANES);
                    // SAFETY: rows first.. and columns j.. of B are within k x n, and the copy within the scratch.
                    unsafe {
                        let b = p.b.offset(first as isize * p.b_row + j as isize * p.b_col);
                        pack::copy::<R>((b, p.b_row, p.b_col), (depth, cols), (b_packed, width));
                        pack::zero_beyond(b_packed, depth, cols, width);
                    }
                    for_each_group(block_rows, R::ROWS, |i, rows| {
                        // SAFETY: the packed blocks were written above; the tile of C is within m x n.
                        unsafe {
                            let tile = Tile {
                                depth,
                                alpha: p.alpha,
                                a: a_packed.add(i * PACKED_ROW),
                                a_row: PACKED_ROW as isize,
                                a_col: 1,
                                b: b_packed,
                                b_row: width as isize,
                                b_starts: std::ptr::null(),
                                beta,
                                c: p.c.offset((top + i) as isize * p.c_row).add(j),
                                c_row: p.c_row,
                                last: cols - (wide - 1) * R::LANES,
                            };
                            tile::packed::<R>(rows, wide, &tile);
                        }
                    });
                }
            }
        }
    });
}
