//! One value everywhere.

use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::tile::Source;
use crate::array::kernels::walk::each_run;
use crate::array::kernels::{copy, tile};
use crate::array::{Array, Scalar};
use crate::with_element;

/// Elements up to which other threads are of no use.
const MOST: usize = 64 * 1024;

/// Writes `value`, converted to the array's dtype, into every element.
pub fn fill(y: &Array, value: Scalar) {
    if y.is_contiguous() && y.numel() > MOST {
        return tile::identity(Source::Scalar(value), y);
    }
    with_element!(y.dtype(), T => {
        let value = <T as crate::array::Element>::from_scalar(value);
        let n = y.numel();
        if y.is_contiguous() {
            // SAFETY: contiguous, so there are `n` elements from `pointer` on.
            unsafe { fill_run::<T>(y.pointer().cast(), n, value) };
        } else {
            let run = copy::run_between(y.dtype(), y.dtype());
            each_run(y, |target, step, n| {
                // SAFETY: the run lies inside `y`, and `value` on the stack outlives the call.
                unsafe { run(std::ptr::from_ref(&value).cast(), 0, target, step, n) };
            });
        }
    });
}

/// Writes `n` copies.
///
/// # Safety
/// `target` must be valid for `n` elements.
#[inline]
pub unsafe fn fill_run<T: Copy>(target: *mut T, n: usize, value: T) {
    for i in 0..n {
        // SAFETY: by the caller's word.
        unsafe { target.add(i).write(value) };
    }
}

struct Fill<T> {
    target: *mut T,
    n: usize,
    value: T,
}

impl<T: Copy> Task for Fill<T> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, _: usize) {
        // SAFETY: by the word of `fill_long_run`'s caller.
        unsafe { fill_run(self.target, self.n, self.value) };
    }
}

/// [`fill_run`] in the widest registers there are, which repays its call from some hundred elements on.
///
/// # Safety
/// As there.
pub unsafe fn fill_long_run<T: Copy>(target: *mut T, n: usize, value: T) {
    leveled(&Fill { target, n, value }, 0);
}
