//! Lines of an array in order: NaN counts as the largest value, equal values keep their order.

use std::cmp::Ordering;

use crate::array::kernels::index::Shared;
use crate::array::kernels::select;
use crate::array::kernels::walk::walk;
use crate::array::{Array, Element, pool};
use crate::error::Result;
use crate::with_element;

/// Elements in a parallel piece.
const PIECE: usize = 8 * 1024;

/// Ascending, with NaN last.
#[inline]
#[allow(clippy::eq_op)]
pub fn ascending<T: PartialOrd + Copy>(a: T, b: T) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| (a != a).cmp(&(b != b)))
}

/// Which of a line's elements are wanted, in which order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// All of them; equal ones keep their order.
    All {
        /// From the largest on.
        descending: bool,
    },
    /// The first so many.
    First {
        /// How many.
        count: usize,
        /// The largest, and from the largest on.
        largest: bool,
        /// In order; if not, only as a set.
        sorted: bool,
    },
    /// The one at this place in ascending order.
    Nth(usize),
}

impl Order {
    /// How many elements are wanted of a line of this length.
    fn count(self, length: usize) -> usize {
        match self {
            Self::All { .. } => length,
            Self::First { count, .. } => count,
            Self::Nth(_) => 1,
        }
    }
}

/// The wanted elements of each line along `axis`, and their positions, as arrays whose last axis is the line's.
pub fn sort(x: &Array, axis: usize, order: Order) -> Result<(Array, Array)> {
    let mut axes: smallvec::SmallVec<[usize; 6]> = (0..x.ndim()).filter(|&a| a != axis).collect();
    if x.ndim() > 0 {
        axes.push(axis);
    }
    let lines = x.permute(&axes)?.contiguous()?;
    let length = lines.shape().last().copied().unwrap_or(1);
    let mut shape: crate::array::Dims = lines.shape().into();
    if let Some(last) = shape.last_mut() {
        *last = order.count(length);
    }
    let (values, indices) =
        (Array::empty(&shape, x.dtype())?, Array::empty(&shape, crate::array::DType::I64)?);
    if values.numel() > 0 {
        with_element!(x.dtype(), T => sort_lines::<T>(&lines, length, order, &values, &indices));
    }
    Ok((values, indices))
}

fn sort_lines<T: Element>(lines: &Array, length: usize, order: Order, values: &Array, indices: &Array) {
    let count = lines.numel() / length;
    let piece = (PIECE / length).max(1);
    let (source, values, indices) =
        (Shared(lines.pointer()), Shared(values.pointer()), Shared(indices.pointer()));
    let k = order.count(length);
    pool::for_each(count.div_ceil(piece), &|p| {
        let mut line: Vec<(T, i64)> = Vec::with_capacity(length);
        for row in p * piece..count.min((p + 1) * piece) {
            line.clear();
            // SAFETY: `lines` is row-major, so a row is `length` elements in a run.
            line.extend(
                (0..length)
                    .map(|i| (unsafe { source.at::<T>((row * length + i) as isize).read() }, i as i64)),
            );
            arrange(&mut line, order);
            for (i, (value, index)) in line[..k].iter().enumerate() {
                let at = (row * k + i) as isize;
                // SAFETY: the outputs have `k` elements for each row, and this row is this call's alone.
                unsafe {
                    values.at::<T>(at).write(*value);
                    indices.at::<i64>(at).write(*index);
                }
            }
        }
    });
}

/// Brings the wanted elements of a line to its front.
fn arrange<T: Element>(line: &mut [(T, i64)], order: Order) {
    match order {
        Order::All { descending: false } => line.sort_by(|a, b| ascending(a.0, b.0)),
        Order::All { descending: true } => line.sort_by(|a, b| ascending(b.0, a.0)),
        Order::First { count: 0, .. } => {}
        Order::First { count, largest, sorted } => {
            let before = |a: &(T, i64), b: &(T, i64)| {
                let (a, b) = if largest { (b.0, a.0) } else { (a.0, b.0) };
                ascending(a, b) == Ordering::Less
            };
            // PyTorch's own rule for when a heap is worth it.
            if count * 64 <= line.len() {
                select::partial_sort(line, count, &before);
            } else {
                select::nth_element(line, count - 1, &before);
                if sorted {
                    select::sort(&mut line[..count - 1], &before);
                }
            }
        }
        Order::Nth(k) => {
            select::quickselect(line, k, &|a: &(T, i64), b| ascending(a.0, b.0) == Ordering::Less);
            line.swap(0, k);
        }
    }
}

/// For each element of `values`, how many elements of its sorted sequence lie before it (`right`: or are equal to it).
///
/// `sequences` is row-major with the sequence as its last axis; there is one for all values, or one for each line of
/// `values`. Both are of one dtype.
pub fn search(sequences: &Array, values: &Array, right: bool, positions: &mut [i64]) {
    let length = sequences.shape().last().copied().unwrap_or(0);
    let width = if sequences.ndim() > 1 { values.shape().last().copied().unwrap_or(1) } else { usize::MAX };
    with_element!(values.dtype(), T => {
        let first = sequences.pointer().cast::<T>().cast_const();
        let mut at = 0;
        walk_all(values, |value: *const T| {
            // SAFETY: `walk_all` visits elements of `values`.
            let value = unsafe { value.read() };
            let start = if width == usize::MAX { 0 } else { at / width * length };
            let (mut low, mut high) = (0, length);
            while low < high {
                let middle = low + (high - low) / 2;
                // SAFETY: `middle` lies within the sequence that starts at `start`.
                let found = unsafe { first.add(start + middle).read() };
                // Written so that a NaN among the values goes to the end.
                let reached = if right { found > value } else { found >= value };
                if reached { high = middle } else { low = middle + 1 }
            }
            positions[at] = low as i64;
            at += 1;
        });
    });
}

/// Visits every element in row-major order.
fn walk_all<T>(x: &Array, mut visit: impl FnMut(*const T)) {
    if x.numel() > 0 {
        let first = x.pointer().cast::<T>().cast_const();
        walk(x.shape(), x.strides(), 0, x.numel(), |offset, step, n| {
            for k in 0..n as isize {
                visit(first.wrapping_offset(offset + k * step));
            }
        });
    }
}
