//! Copies that bring elements into order: broadcast, sliced or transposed ones to the places of a contiguous array.

use smallvec::SmallVec;

use crate::array::kernels::index::{Shared, with_size};
use crate::array::kernels::walk::{broadcast_strides, walk};
use crate::array::kernels::{fill, staging};
use crate::array::{Array, pool};

/// Elements in a parallel piece.
const PIECE: usize = 16 * 1024;

/// Below this many elements nobody is woken.
const PARALLEL: usize = 8 * PIECE;

/// The edge of the blocks in which a matrix is turned: so many lines stay in the first-level cache, even where they are a
/// power of two apart and share its places.
const EDGE: usize = 8;

type Lengths = SmallVec<[usize; 6]>;
type Steps = SmallVec<[isize; 6]>;

/// Copies `x`, broadcast to `y`'s shape, into contiguous `y` of its dtype. The two must not overlap.
pub fn into_order(x: &Array, y: &Array) {
    debug_assert!(x.dtype() == y.dtype() && y.is_contiguous());
    let n = y.numel();
    if n == 0 {
        return;
    }
    if n < PARALLEL && x.numel() == n && x.is_contiguous() {
        // SAFETY: both are `n` elements in order, and apart.
        return unsafe { std::ptr::copy_nonoverlapping(x.pointer(), y.pointer(), n * x.dtype().size()) };
    }
    let (shape, strides) = merged(y.shape(), &broadcast_strides(x, y.shape()));
    with_size!(x.dtype().size(), T => match turned_axis(&shape, &strides) {
        Some(axis) => in_blocks::<T>(x, y, &shape, &strides, axis),
        None => in_runs::<T>(x, y, &shape, &strides),
    });
}

/// The same walk with neighbouring axes merged where one step of the outer is all steps of the inner.
fn merged(shape: &[usize], strides: &[isize]) -> (Lengths, Steps) {
    let (mut lengths, mut steps) = (Lengths::new(), Steps::new());
    for (&length, &step) in shape.iter().zip(strides).filter(|(length, _)| **length != 1) {
        match (lengths.last_mut(), steps.last_mut()) {
            (Some(outer), Some(outer_step)) if *outer_step == step * length as isize => {
                *outer *= length;
                *outer_step = step;
            }
            _ => {
                lengths.push(length);
                steps.push(step);
            }
        }
    }
    (lengths, steps)
}

/// The axis along which the source lies in order, where that is not the last and both are long enough for blocks.
fn turned_axis(shape: &[usize], strides: &[isize]) -> Option<usize> {
    let (&last, outer) = strides.split_last()?;
    let axis = outer.iter().position(|&step| step == 1)?;
    (last.unsigned_abs() > 1 && shape[axis] >= EDGE && shape[outer.len()] >= EDGE).then_some(axis)
}

fn in_runs<T: Copy>(x: &Array, y: &Array, shape: &[usize], strides: &[isize]) {
    let n = y.numel();
    let past = staging::past_cache_pays((x.layout().extent() + n) * size_of::<T>());
    let (source, target) = (Shared(x.pointer()), Shared(y.pointer()));
    let piece = |start: usize, end: usize| {
        let mut place = target.at::<T>(start as isize);
        walk(shape, strides, start, end - start, |offset, step, count| {
            let from = source.at::<T>(offset).cast_const();
            // SAFETY: the walk stays on elements of `x`, the places are those of this piece in `y`, and the two are apart.
            unsafe {
                match step {
                    1 if past => staging::copy_past_cache(from.cast(), place.cast(), count * size_of::<T>()),
                    1 => std::ptr::copy_nonoverlapping(from, place, count),
                    0 => fill::fill_run(place, count, from.read()),
                    _ => (0..count).for_each(|i| place.add(i).write(from.offset(i as isize * step).read())),
                }
            }
            place = place.wrapping_add(count);
        });
        if past {
            staging::settle();
        }
    };
    if n < PARALLEL {
        return piece(0, n);
    }
    pool::for_each(n.div_ceil(PIECE), &|i| piece(i * PIECE, n.min((i + 1) * PIECE)));
}

fn in_blocks<T: Copy>(x: &Array, y: &Array, shape: &[usize], strides: &[isize], axis: usize) {
    let last = shape.len() - 1;
    let (rows, columns, step) = (shape[axis], shape[last], strides[last]);
    let row_step: usize = shape[axis + 1..].iter().product();
    let bands = rows.div_ceil(EDGE);
    let (source, target) = (Shared(x.pointer()), Shared(y.pointer()));
    let outer: usize = y.numel() / (rows * columns);
    let band = |unit: usize| {
        let first = unit % bands * EDGE;
        // Where the other axes' position lies in both.
        let (mut rest, mut from, mut to) = (unit / bands, first as isize, (first * row_step) as isize);
        let mut place = columns as isize;
        for k in (0..last).rev() {
            if k != axis {
                let at = (rest % shape[k]) as isize;
                rest /= shape[k];
                from += at * strides[k];
                to += at * place;
            }
            place *= shape[k] as isize;
        }
        let height = EDGE.min(rows - first);
        for column in (0..columns).step_by(EDGE) {
            let width = EDGE.min(columns - column);
            let from = source.at::<T>(from + column as isize * step).cast_const();
            let to = target.at::<T>(to + column as isize);
            // SAFETY: `width` runs of `height` elements of `x`, and their places in `y`, which are this band's alone.
            unsafe {
                if height == EDGE && width == EDGE {
                    turn(from, step, to, row_step, EDGE, EDGE);
                } else {
                    turn(from, step, to, row_step, height, width);
                }
            }
        }
    };
    let units = outer * bands;
    if y.numel() < PARALLEL {
        return (0..units).for_each(band);
    }
    let group = (PIECE / (EDGE * columns)).max(1);
    pool::for_each(units.div_ceil(group), &|i| (i * group..units.min((i + 1) * group)).for_each(band));
}

/// Writes `width` runs of `height` elements, `step` apart, as `height` runs of `width`, `row_step` apart.
///
/// # Safety
/// All of them can be read and written, none is in both, and neither length is above [`EDGE`].
#[inline(always)]
#[allow(clippy::inline_always, reason = "the lengths of a whole block must be constants")]
unsafe fn turn<T: Copy>(
    from: *const T,
    step: isize,
    to: *mut T,
    row_step: usize,
    height: usize,
    width: usize,
) {
    for j in 0..width {
        for i in 0..height {
            // SAFETY: by the caller's word.
            unsafe { to.add(i * row_step + j).write(from.offset(j as isize * step).add(i).read()) };
        }
    }
}
