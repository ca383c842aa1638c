//! Copies between strided arrays, converting on the way.

use crate::array::kernels::tile::Source;
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

/// Copies `x` into `lines` lines of `y`, beginning in each at element `start`, if both lie in order and it is little work.
///
/// Answers whether it was done. The elements of `x` are as many lines, which end where those of `y` do or before. The two
/// must not overlap.
pub fn into_lines(x: &Array, y: &Array, lines: usize, start: usize) -> bool {
    /// Elements up to which other threads are of no use.
    const MOST: usize = 64 * 1024;
    /// So many short pieces pay for another way than a call for each.
    const MANY: usize = 16;
    const SHORT_BYTES: usize = 64;
    let (n, size) = (x.numel(), x.dtype().size());
    if n == 0 {
        return true;
    }
    let (length, line) = (n / lines, y.numel() / lines);
    let pays = n <= MOST && (lines < MANY || length * size >= SHORT_BYTES);
    if !(pays && x.dtype() == y.dtype() && x.is_contiguous() && y.is_contiguous()) {
        return false;
    }
    assert!(start + length <= line, "a line is too long");
    debug_assert!(!x.overlaps(y));
    let (mut from, mut to) = (x.pointer().cast_const(), y.pointer().wrapping_add(start * size));
    for _ in 0..lines {
        // SAFETY: elements of a line of each, which are apart by the caller's word.
        unsafe { std::ptr::copy_nonoverlapping(from, to, length * size) };
        (from, to) = (from.wrapping_add(length * size), to.wrapping_add(line * size));
    }
    true
}

/// Copies every element of `x`, broadcast to `y`'s shape, into `y`.
///
/// `x` must broadcast to `y`; the two have all places or none in common.
pub fn copy(x: &Array, y: &Array) {
    if x.numel() == 1 && y.numel() != 1 {
        if let Ok(value) = x.item() {
            fill::fill(y, value);
        }
        return;
    }
    if x.dtype() == y.dtype() && y.is_contiguous() && !x.overlaps(y) {
        return rearrange::into_order(x, y);
    }
    tile::identity(Source::Array(x), y);
}
