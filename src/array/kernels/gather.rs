//! Elements chosen along one axis by an index of the same rank.

use crate::array::kernels::combine::{Combine, Combined};
use crate::array::kernels::index::{Shared, with_size};
use crate::array::kernels::walk::walk;
use crate::array::{Array, Strides, pool};
use crate::error::Result;
use crate::with_element;

/// Elements in a parallel piece.
const PIECE: usize = 16 * 1024;

/// Columns that one task scatters.
const COLUMNS: usize = 64;

/// With fewer columns than this, lines are gathered into runs.
const FEWEST_COLUMNS: usize = 16;

/// The strides with which a walk over another array's places stays at the start of `axis`.
fn without(x: &Array, axis: usize) -> Strides {
    let mut strides: Strides = x.strides().into();
    if let Some(stride) = strides.get_mut(axis) {
        *stride = 0;
    }
    strides
}

fn stride(x: &Array, axis: usize) -> isize {
    x.strides().get(axis).copied().unwrap_or(0)
}

/// y[..., i, ...] = x[..., index[..., i, ...], ...]: `y` and `index` (i64) are row-major and of one shape.
///
/// Every index lies within the axis, and no other extent of `index` is larger than that of `x`.
pub fn gather(x: &Array, axis: usize, index: &Array, y: &Array) {
    debug_assert!(y.is_contiguous() && index.is_contiguous());
    let n = y.numel();
    if n == 0 {
        return;
    }
    let (mut strides, along) = (without(x, axis), stride(x, axis));
    // A scalar stands for one dimension.
    strides.resize(y.ndim(), 0);
    with_size!(x.dtype().size(), T => {
        let (source, indices, target) = (Shared(x.pointer()), Shared(index.pointer()), Shared(y.pointer()));
        pool::for_each(n.div_ceil(PIECE), &|piece| {
            let start = piece * PIECE;
            let mut at = start as isize;
            walk(y.shape(), &strides, start, PIECE.min(n - start), |offset, step, n| {
                for k in 0..n as isize {
                    // SAFETY: by the contract above, the element read is one of `x`; `at` runs through this piece.
                    unsafe {
                        let i = indices.at::<i64>(at).read() as isize;
                        target.at::<T>(at).write(source.at::<T>(offset + k * step + i * along).read());
                    }
                    at += 1;
                }
            });
        });
    });
}

/// Combines src[..., i, ...] into y[..., index[..., i, ...], ...], in ascending order of i.
///
/// `index` (i64) and `src` are of one shape. Every index lies within the axis, and no other extent of `index` is larger
/// than that of `y`. Lines along the axis never meet, so they may go to several threads.
pub fn scatter(y: &Array, axis: usize, index: &Array, src: &Array, how: Combine) -> Result<()> {
    let n = index.numel();
    if n == 0 {
        return Ok(());
    }
    if axis + 1 < index.ndim() && index.shape().last().is_some_and(|&columns| columns >= FEWEST_COLUMNS) {
        return scatter_rows(y, axis, index, src, how);
    }
    // The axis last, so that a line is a run.
    let mut order: smallvec::SmallVec<[usize; 6]> = (0..index.ndim()).filter(|&a| a != axis).collect();
    if index.ndim() > 0 {
        order.push(axis);
    }
    let index = index.permute(&order)?.contiguous()?;
    let src = src.permute(&order)?.contiguous()?;
    let along = stride(y, axis);
    let (outer, length) = match index.shape().split_last() {
        Some((&length, outer)) => (outer, length),
        None => (index.shape(), 1),
    };
    let strides: Strides = order.iter().take(outer.len()).map(|&a| y.strides()[a]).collect();
    let lines = n / length;
    let piece = (PIECE / length).max(1);
    with_element!(y.dtype(), T => {
        let (target, indices, source) = (Shared(y.pointer()), Shared(index.pointer()), Shared(src.pointer()));
        pool::for_each(lines.div_ceil(piece), &|p| {
            let start = p * piece;
            let mut at = (start * length) as isize;
            walk(outer, &strides, start, piece.min(lines - start), |offset, step, n| {
                for line in 0..n as isize {
                    let base = offset + line * step;
                    for _ in 0..length {
                        // SAFETY: by the contract above, the place is an element of `y`, and of this line alone.
                        unsafe {
                            let place = target.at::<T>(base + indices.at::<i64>(at).read() as isize * along);
                            place.write(place.read().combine(how, source.at::<T>(at).read()));
                        }
                        at += 1;
                    }
                }
            });
        });
    });
    Ok(())
}

/// [`scatter`] along an axis that is not the last: row after row, so that memory is read in order. Tasks share out columns,
/// in each of which rows come in their order.
fn scatter_rows(y: &Array, axis: usize, index: &Array, src: &Array, how: Combine) -> Result<()> {
    let (index, src) = (index.contiguous()?, src.contiguous()?);
    let Some((&columns, outer)) = index.shape().split_last() else { return Ok(()) };
    let along = stride(y, axis);
    let strides = without(y, axis);
    let (strides, column) = (&strides[..outer.len()], y.strides()[outer.len()]);
    let rows: usize = outer.iter().product();
    with_element!(y.dtype(), T => {
        let (target, indices, source) = (Shared(y.pointer()), Shared(index.pointer()), Shared(src.pointer()));
        let block = |block: usize| {
            let own = block * COLUMNS..columns.min((block + 1) * COLUMNS);
            let mut row = 0;
            walk(outer, strides, 0, rows, |offset, step, n| {
                for k in 0..n as isize {
                    for c in own.clone() {
                        let at = (row * columns + c) as isize;
                        let base = offset + k * step + c as isize * column;
                        // SAFETY: by the contract of `scatter`, the place is an element of `y`, and of this column alone.
                        unsafe {
                            let place = target.at::<T>(base + indices.at::<i64>(at).read() as isize * along);
                            place.write(place.read().combine(how, source.at::<T>(at).read()));
                        }
                    }
                    row += 1;
                }
            });
        };
        let blocks = columns.div_ceil(COLUMNS);
        if rows * columns < PIECE { (0..blocks).for_each(block) } else { pool::for_each(blocks, &block) }
    });
    Ok(())
}
