//! Elements chosen along one axis by an index of the same rank.

use crate::array::kernels::combine::{Combine, Combined};
use crate::array::kernels::index::{Shared, with_size};
use crate::array::kernels::tile::walk;
use crate::array::{Array, Strides, pool};
use crate::error::Result;
use crate::with_element;

/// Elements in a parallel piece.
const PIECE: usize = 16 * 1024;

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
    let (strides, along) = (without(x, axis), stride(x, axis));
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
