//! Positions by rank along an axis: medians, modes, and the order of whole lines. NaN ranks above all numbers.

// Equal values are what a mode counts.
#![allow(clippy::float_cmp)]

use std::cmp::Ordering;

use crate::array::kernels::softmax::extents;
use crate::array::{Array, Element, pool};
use crate::error::Result;
use crate::with_element;

/// Elements in a task.
const GROUP: usize = 8 * 1024;

#[allow(clippy::eq_op)] // only NaN differs from itself
fn is_nan<T: Element>(x: T) -> bool {
    x != x
}

/// By value, NaN last; never `Equal` but for equals.
fn by_value<T: Element>(a: T, b: T) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| is_nan(a).cmp(&is_nan(b)))
}

/// A pointer that tasks write through, each to lines of its own.
struct Places(*mut i64);
// SAFETY: see `lines`.
unsafe impl Sync for Places {}

impl Places {
    fn write(&self, at: usize, value: i64) {
        // SAFETY: `lines` calls with places of the output that belong to one line each.
        unsafe { self.0.add(at).write(value) };
    }
}

/// Calls `answer(line, out)` for each line along an axis; `out` has room for the `width` positions it answers with.
fn lines<T: Element>(
    x: &Array,
    axis: usize,
    width: usize,
    answer: impl Fn(&[T], &mut Vec<usize>) + Sync,
) -> Result<Array> {
    let x = x.contiguous()?;
    let (outer, length, inner) = extents(x.shape(), axis);
    let y = Array::empty(&[outer, width, inner], crate::array::DType::I64)?;
    // SAFETY: kernels only read `x`.
    let numbers = unsafe { x.as_slice::<T>() }.unwrap_or_default();
    let places = Places(y.pointer().cast());
    let group = (GROUP / length.max(1)).max(1);
    let work = |index: usize| {
        let (mut line, mut out) = (Vec::with_capacity(length), Vec::with_capacity(length));
        for unit in index * group..(outer * inner).min((index + 1) * group) {
            let (o, i) = (unit / inner, unit % inner);
            line.clear();
            line.extend((0..length).map(|k| numbers[(o * length + k) * inner + i]));
            out.clear();
            answer(&line, &mut out);
            for (k, &position) in out.iter().take(width).enumerate() {
                places.write((o * width + k) * inner + i, position as i64);
            }
        }
    };
    pool::for_each((outer * inner).div_ceil(group), &work);
    Ok(y)
}

fn ordered<T: Element>(line: &[T], order: &mut Vec<usize>) {
    order.extend(0..line.len());
    order.sort_by(|&a, &b| by_value(line[a], line[b]));
}

/// Where the lower median of each line stands: of all numbers, or NaN if there is one; or (`skip_nan`) of the numbers.
/// The result has the shape (lines before, 1, lines beside).
pub fn median(x: &Array, axis: usize, skip_nan: bool) -> Result<Array> {
    with_element!(x.dtype(), T => lines::<T>(x, axis, 1, |line, out| {
        let numbers = line.iter().filter(|x| !is_nan(**x)).count();
        if numbers < line.len() && (!skip_nan || numbers == 0) {
            out.extend(line.iter().position(|x| is_nan(*x)));
            return;
        }
        out.extend(0..line.len());
        let rank = |&a: &usize, &b: &usize| by_value(line[a], line[b]).then(a.cmp(&b));
        let middle = *out.select_nth_unstable_by((numbers - 1) / 2, rank).1;
        out[0] = middle;
    }))
}

/// Where the most frequent value of each line stands last; of equally frequent ones the smallest.
/// The result has the shape (lines before, 1, lines beside).
pub fn mode(x: &Array, axis: usize) -> Result<Array> {
    with_element!(x.dtype(), T => lines::<T>(x, axis, 1, |line, out| {
        ordered(line, out);
        let (mut best, mut most, mut run) = (0, 0, 0);
        for k in 0..out.len() {
            run += 1;
            let last = k + 1 == out.len() || line[out[k]] != line[out[k + 1]];
            if last {
                if run > most {
                    (best, most) = (out[k], run);
                }
                run = 0;
            }
        }
        out[0] = best;
    }))
}

/// The order of each line, and how many of its elements are numbers: (before, length + 1, beside), the count last.
pub fn order(x: &Array, axis: usize) -> Result<Array> {
    let (_, length, _) = extents(x.shape(), axis);
    with_element!(x.dtype(), T => lines::<T>(x, axis, length + 1, |line, out| {
        ordered(line, out);
        out.push(line.iter().filter(|x| !is_nan(**x)).count());
    }))
}
