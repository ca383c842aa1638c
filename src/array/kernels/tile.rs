//! The element-wise driver: brings strided, mixed-dtype, broadcast operands to a kernel as short contiguous slices.
//!
//! A kernel is compiled for contiguous tiles of its compute dtype only. What lies in order, or in order along long lines, is
//! read there. Whatever else there is, of other strides or another dtype, a scalar, or the memory that is being written, goes
//! through a tile-sized buffer in the first-level cache. So an op needs one loop per dtype and instruction set, and no
//! temporary arrays.

mod plan;

use std::mem::MaybeUninit;

use crate::array::kernels::fill;
use crate::array::kernels::staging::{Staged, Way};
use crate::array::{Array, DType, Element, Scalar, pool};
use crate::with_element;
use plan::Plan;

/// Elements in a tile: 4 KiB of doubles, so that a few operands share the first-level cache.
pub const TILE: usize = 512;

/// Elements in a parallel chunk; a constant, so that how work is cut does not depend on the number of threads.
const CHUNK: usize = 32 * TILE;

/// Below this many elements nobody is woken.
const PARALLEL: usize = 4 * CHUNK;

/// Elements up to which a scalar operand is spread on the stack where a call is to cost next to nothing.
const SMALL: usize = 64;

/// The most operands a kernel takes.
pub const MAX_INPUTS: usize = 6;

/// A kernel over one tile: `n` elements from each input, `n` to the output, all contiguous; the output overlaps no input.
pub type Tile = unsafe fn(inputs: &[*const u8; MAX_INPUTS], output: *mut u8, n: usize);

/// An operand of an element-wise kernel.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// An array, broadcast to the output's shape.
    Array(&'a Array),
    /// One number for every element.
    Scalar(Scalar),
}

/// An element-wise call: a tile, to be run over all elements of an output.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The kernel.
    pub tile: Tile,
    /// What the inputs are converted to.
    pub compute: DType,
    /// Every one must broadcast to the output's shape.
    pub inputs: &'a [Source<'a>],
    /// What the kernel writes, to be converted to the output's dtype.
    pub result: DType,
    /// Where the elements go; an input of the same memory must be the same places in the same order.
    pub output: &'a Array,
}

/// One number after the other, as many as a tile that reads them may have.
type Spread<const N: usize> = [MaybeUninit<u64>; N];

/// Room for two scalar operands.
type Constants<const N: usize> = [Spread<N>; 2];

const fn no_constants<const N: usize>() -> Constants<N> {
    [[MaybeUninit::uninit(); N]; 2]
}

impl Call<'_> {
    /// Computes the output, which may be one of the inputs.
    pub fn run(&self) {
        let is_aliased = self.inputs.iter().any(|x| matches!(x, Source::Array(x) if x.overlaps(self.output)));
        if is_aliased { self.run_planned(true) } else { self.run_fresh() }
    }

    /// [`run`](Call::run) into an array that was just made, so that no input can lie in it.
    #[inline]
    pub fn run_fresh(&self) {
        let mut constants = no_constants::<SMALL>();
        if let Some(first) = self.in_order(&mut constants, SMALL) {
            // SAFETY: `n` contiguous elements of `compute` lie behind every pointer, as many of `result` at the target, apart.
            unsafe { (self.tile)(&first, self.output.pointer(), self.output.numel()) };
            return;
        }
        self.run_planned(false);
    }

    /// The path of everything else: some more that is small and in order, and then whatever needs a plan.
    #[inline(never)]
    fn run_planned(&self, is_aliased: bool) {
        let n = self.output.numel();
        if n == 0 {
            return;
        }
        let mut constants = no_constants::<TILE>();
        if let Some(first) = self.in_order(&mut constants, PARALLEL) {
            // A kernel's slices never alias.
            let tile = self.staged(if is_aliased { Way::Aside } else { Way::Straight });
            // SAFETY: as in `run_fresh`, but that inputs may be the output, and numbers are spread over a tile.
            unsafe { tile.run(&first, self.output.pointer(), n) };
            return;
        }
        let plan = Plan::new(self, is_aliased);
        if n < PARALLEL {
            plan.chunk(0, n);
            return;
        }
        pool::for_each(n.div_ceil(CHUNK), &|i| plan.chunk(i * CHUNK, n.min((i + 1) * CHUNK)));
    }

    /// The tile, for inputs that lie in order: a number goes nowhere, and is spread over a tile.
    fn staged(&self, way: Way) -> Staged {
        let (mut widths, mut most) = ([0; MAX_INPUTS], usize::MAX);
        for (width, input) in widths.iter_mut().zip(self.inputs) {
            match input {
                Source::Array(_) => *width = self.compute.size(),
                Source::Scalar(_) => most = TILE,
            }
        }
        Staged { tile: self.tile, widths, most, result_width: self.result.size(), way }
    }

    /// Where the inputs of a call on one thread begin, if all operands are contiguous and of the right dtype; scalars are
    /// spread for an output of at most `most` elements.
    #[inline]
    fn in_order<const N: usize>(
        &self,
        constants: &mut Constants<N>,
        most: usize,
    ) -> Option<[*const u8; MAX_INPUTS]> {
        let n = self.output.numel();
        if n >= PARALLEL || !self.output.is_contiguous() || self.output.dtype() != self.result {
            return None;
        }
        let mut first = [std::ptr::null(); MAX_INPUTS];
        let mut used = 0;
        for (first, input) in first.iter_mut().zip(self.inputs) {
            *first = match input {
                Source::Array(x) if x.dtype() == self.compute && x.is_contiguous() && x.numel() == n => {
                    x.pointer()
                }
                Source::Scalar(value) if n <= most && used < constants.len() => {
                    used += 1;
                    spread(&mut constants[used - 1], self.compute, *value, n.min(N))
                }
                _ => return None,
            }
        }
        Some(first)
    }
}

/// Writes `n` copies of a number, and says where they begin.
#[inline]
fn spread<const N: usize>(room: &mut Spread<N>, dtype: DType, value: Scalar, n: usize) -> *const u8 {
    debug_assert!(n <= N);
    let first = room.as_mut_ptr();
    with_element!(dtype, T => {
        // SAFETY: there is room for `N` elements of eight bytes, and `n` is at most that.
        unsafe { fill::fill_run::<T>(first.cast(), n, T::from_scalar(value)) };
    });
    first.cast_const().cast()
}

/// Copies `x`, broadcast and converted, into `y`; right also when they overlap exactly or not at all.
pub fn identity(x: Source<'_>, y: &Array) {
    unsafe fn bytes<const SIZE: usize>(inputs: &[*const u8; MAX_INPUTS], output: *mut u8, n: usize) {
        // SAFETY: by the contract of `Tile`, both sides have `n` elements of SIZE bytes and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(inputs[0], output, n * SIZE) };
    }
    let tile: Tile = match y.dtype().size() {
        1 => bytes::<1>,
        2 => bytes::<2>,
        4 => bytes::<4>,
        _ => bytes::<8>,
    };
    Call { tile, compute: y.dtype(), inputs: &[x], result: y.dtype(), output: y }.run();
}
