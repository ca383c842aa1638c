//! Copies between strided arrays, converting on the way.

use crate::array::kernels::{fill, rearrange, tile};
use crate::array::{Array, DType, Element};
use crate::with_element;

/// Copies `n` elements from one strided run to another. Strides are in elements of each side's own dtype.
pub type Run = unsafe fn(source: *const u8, step: isize, target: *mut u8, target_step: isize, n: usize);

unsafe fn run<S: Element, T: Element>(
    source: *const u8,
    step: isize,
    target: *mut u8,
    target_step: isize,
    n: usize,
) {
    let (source, target) = (source.cast::<S>(), target.cast::<T>());
    // SAFETY: the caller vouches for `n` elements along both strides; the two runs do not overlap.
    unsafe {
        if step == 1 && target_step == 1 {
            for i in 0..n {
                target.add(i).write(convert::<S, T>(source.add(i).read()));
            }
        } else if step == 0 && target_step == 1 {
            fill::fill_long_run(target, n, convert::<S, T>(source.read()));
        } else {
            for i in 0..n as isize {
                target.offset(i * target_step).write(convert::<S, T>(source.offset(i * step).read()));
            }
        }
    }
}

#[inline(always)]
fn convert<S: Element, T: Element>(x: S) -> T {
    if T::DTYPE == S::DTYPE || T::DTYPE.is_floating() || S::DTYPE.is_floating() {
        // An integer beyond 2^53 meets a double only when the result is a float anyway.
        if T::DTYPE.is_floating() || S::DTYPE.is_floating() {
            T::from_f64(x.to_f64())
        } else {
            T::from_i64(x.to_i64())
        }
    } else {
        T::from_i64(x.to_i64())
    }
}

/// The run copier for a pair of dtypes.
pub fn run_between(from: DType, to: DType) -> Run {
    with_element!(from, S => with_element!(to, T => run::<S, T> as Run))
}

/// Copies every element of `x`, broadcast to `y`'s shape, into `y`.
///
/// The two may overlap; the elements read are then those of before the call. `x` must broadcast to `y`.
pub fn copy(x: &Array, y: &Array) {
    if x.numel() == 1 && y.numel() != 1 {
        if let Ok(value) = x.item() {
            fill::fill(y, value);
        }
        return;
    }
    if x.dtype() == y.dtype() && y.is_contiguous() && !tile::overlap(x, y) {
        return rearrange::into_order(x, y);
    }
    tile::identity(x, y);
}
