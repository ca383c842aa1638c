//! Blocks of an array read or written at given positions: what lies behind indexing by tensors.
//!
//! Positions may repeat. A write is then done in the order of the positions, for every number of threads: work is cut
//! along the axes that are not indexed, where no two pieces meet.

use smallvec::SmallVec;

use crate::array::kernels::combine::{Combine, Combined};
use crate::array::kernels::walk::walk;
use crate::array::{Array, Element, pool};
use crate::with_element;

/// Elements in a parallel piece.
const PIECE: usize = 16 * 1024;

/// Columns of a block in a parallel piece of a write: a few cache lines.
const COLUMNS: usize = 64;

/// Extents and strides of some axes.
#[derive(Default)]
struct Axes {
    shape: SmallVec<[usize; 6]>,
    strides: SmallVec<[isize; 6]>,
}

impl Axes {
    /// These axes of an array, neighbours merged where one stride steps through both.
    fn of(x: &Array, axes: impl Iterator<Item = usize>) -> Self {
        let mut merged = Self::default();
        for axis in axes {
            let (extent, stride) = (x.shape()[axis], x.strides()[axis]);
            if extent == 1 {
                continue;
            }
            match (merged.shape.last_mut(), merged.strides.last_mut()) {
                (Some(n), Some(s)) if *s == stride * extent as isize => {
                    *n *= extent;
                    *s = stride;
                }
                _ => {
                    merged.shape.push(extent);
                    merged.strides.push(stride);
                }
            }
        }
        merged
    }

    fn numel(&self) -> usize {
        self.shape.iter().product()
    }

    fn offset(&self, mut flat: usize) -> isize {
        let mut offset = 0;
        for (&n, &s) in self.shape.iter().zip(&self.strides).rev() {
            offset += (flat % n) as isize * s;
            flat /= n;
        }
        offset
    }

    /// The one step between neighbours, if there is only one.
    fn step(&self) -> Option<isize> {
        match &self.strides[..] {
            [] => Some(1),
            [step] => Some(*step),
            _ => None,
        }
    }
}

/// An array seen as (outer axes, positions, inner axes).
struct Blocks {
    outer: Axes,
    inner: Axes,
    /// Where each position's block starts.
    offsets: Vec<isize>,
}

impl Blocks {
    /// `positions` count row-major along `axes`; the axes before `outer_end` that are not indexed are outer.
    fn new(x: &Array, axes: &[usize], outer_end: usize, positions: &[usize]) -> Self {
        let free = |from: usize, to: usize| (from..to).filter(|a| !axes.contains(a));
        // Merged only among themselves: a position counts along all of them in this order.
        let indexed = Axes::of(x, axes.iter().copied());
        let offsets = match indexed.step() {
            Some(step) => positions.iter().map(|&p| p as isize * step).collect(),
            None => positions.iter().map(|&p| indexed.offset(p)).collect(),
        };
        Self {
            outer: Axes::of(x, free(0, outer_end)),
            inner: Axes::of(x, free(outer_end, x.ndim())),
            offsets,
        }
    }
}

/// A pointer that is handed to threads which touch disjoint elements.
#[derive(Clone, Copy)]
pub(crate) struct Shared(pub *mut u8);
// SAFETY: the kernels below cut their work so that no two threads write the same element.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    pub fn at<T>(self, index: isize) -> *mut T {
        self.0.cast::<T>().wrapping_offset(index)
    }
}

macro_rules! with_size {
    ($size:expr, $T:ident => $body:expr) => {
        match $size {
            1 => {
                type $T = u8;
                $body
            }
            2 => {
                type $T = u16;
                $body
            }
            4 => {
                type $T = u32;
                $body
            }
            _ => {
                type $T = u64;
                $body
            }
        }
    };
}
pub(crate) use with_size;

/// Fills `y`, row-major and of shape (outer, positions, inner), with the blocks of `x` at `positions`.
///
/// `positions` count row-major along `axes` and lie within their extents.
pub fn read(x: &Array, axes: &[usize], outer_end: usize, positions: &[usize], y: &Array) {
    debug_assert!(y.is_contiguous() && x.dtype() == y.dtype());
    if y.numel() == 0 {
        return;
    }
    with_size!(x.dtype().size(), T => {
        let blocks = Blocks::new(x, axes, outer_end, positions);
        let (source, target) = (Shared(x.pointer()), Shared(y.pointer()));
        let (width, count) = (blocks.inner.numel(), positions.len());
        let rows = blocks.outer.numel() * count;
        let piece = (PIECE / width).max(1);
        let body = |i: usize| {
            let (mut row, end) = (i * piece, rows.min((i + 1) * piece));
            while row < end {
                let base = blocks.outer.offset(row / count);
                let first = row % count;
                let last = count.min(first + end - row);
                let mut to: *mut T = target.at((row * width) as isize);
                for &offset in &blocks.offsets[first..last] {
                    let from: *const T = source.at(base + offset);
                    // SAFETY: positions lie within their axes, so `from` and its inner axes lie within `x`; `to` has room
                    // for a block, and the rows of this piece are nobody else's.
                    unsafe {
                        match blocks.inner.step() {
                            Some(_) if width == 1 => to.write(from.read()),
                            Some(1) => std::ptr::copy_nonoverlapping(from, to, width),
                            _ => {
                                let mut at = to;
                                walk(&blocks.inner.shape, &blocks.inner.strides, 0, width, |offset, step, n| {
                                    for k in 0..n as isize {
                                        at.write(from.offset(offset + k * step).read());
                                        at = at.add(1);
                                    }
                                });
                            }
                        }
                    }
                    to = to.wrapping_add(width);
                }
                row += last - first;
            }
        };
        pool::for_each(rows.div_ceil(piece), &body);
    });
}

/// Combines `values`, row-major and of shape (outer, positions, inner), into the blocks of `y` at `positions`.
///
/// Where positions repeat, values arrive in the order of the positions.
pub fn write(y: &Array, axes: &[usize], outer_end: usize, positions: &[usize], values: &Array, how: Combine) {
    debug_assert!(values.is_contiguous() && values.dtype() == y.dtype());
    if values.numel() == 0 {
        return;
    }
    with_element!(y.dtype(), T => {
        let blocks = Blocks::new(y, axes, outer_end, positions);
        match how {
            Combine::Replace => write_blocks::<T>(&blocks, y, values, |_, new| new),
            Combine::Add => write_blocks::<T>(&blocks, y, values, Combined::add),
            how => write_blocks::<T>(&blocks, y, values, |old, new| old.combine(how, new)),
        }
    });
}

fn write_blocks<T: Element>(blocks: &Blocks, y: &Array, values: &Array, combine: impl Fn(T, T) -> T + Sync) {
    let (source, target) = (Shared(values.pointer()), Shared(y.pointer()));
    let (width, count, outer) = (blocks.inner.numel(), blocks.offsets.len(), blocks.outer.numel());
    // Columns `from..to` of the blocks of one place along the outer axes, in the order of the positions.
    let columns = |place: usize, from: usize, to: usize| {
        let base = blocks.outer.offset(place);
        for (p, &offset) in blocks.offsets.iter().enumerate() {
            let new: *const T = source.at(((place * count + p) * width + from) as isize);
            let old: *mut T = target.at(base + offset);
            // SAFETY: as in `read`; the columns from `from` to `to` of this place are written by this call alone.
            unsafe {
                if let Some(step) = blocks.inner.step() {
                    let old = old.offset(from as isize * step);
                    for k in 0..(to - from) as isize {
                        let place = old.offset(k * step);
                        place.write(combine(place.read(), new.offset(k).read()));
                    }
                } else {
                    let mut at = new;
                    walk(&blocks.inner.shape, &blocks.inner.strides, from, to - from, |offset, step, n| {
                        for k in 0..n as isize {
                            let place = old.offset(offset + k * step);
                            place.write(combine(place.read(), at.read()));
                            at = at.add(1);
                        }
                    });
                }
            }
        }
    };
    if outer > 1 {
        let piece = (PIECE / (width * count)).max(1);
        pool::for_each(outer.div_ceil(piece), &|i| {
            (i * piece..outer.min((i + 1) * piece)).for_each(|place| columns(place, 0, width));
        });
    } else if width * count > PIECE {
        pool::for_each(width.div_ceil(COLUMNS), &|i| columns(0, i * COLUMNS, width.min((i + 1) * COLUMNS)));
    } else {
        columns(0, 0, width);
    }
}

/// The row-major positions of the elements that are not zero.
pub fn nonzero(x: &Array) -> Vec<usize> {
    let n = x.numel();
    let mut found = Vec::new();
    with_element!(x.dtype(), T => {
        let zero = <T as Element>::ZERO;
        if n > 0 {
            let first = x.pointer().cast::<T>();
            let mut at = 0;
            walk(x.shape(), x.strides(), 0, n, |offset, step, n| {
                for k in 0..n as isize {
                    // SAFETY: the walk stays on elements of `x`.
                    if unsafe { first.offset(offset + k * step).read() } != zero {
                        found.push(at + k as usize);
                    }
                }
                at += n;
            });
        }
    });
    found
}
