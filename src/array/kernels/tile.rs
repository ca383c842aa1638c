//! The element-wise driver: brings strided, mixed-dtype, broadcast operands to a kernel as short contiguous slices.
//!
//! A kernel is compiled for contiguous tiles of its compute dtype only. Whatever is not contiguous, of another dtype,
//! a scalar, or the memory that is being written, is gathered into a tile-sized buffer in the first-level cache. So an
//! op needs one loop per dtype and instruction set, and no temporary arrays.

use std::mem::MaybeUninit;

use smallvec::SmallVec;

use crate::array::kernels::copy::{self, Run};
use crate::array::kernels::fill;
use crate::array::kernels::staging::{self, Staged, Way};
use crate::array::{Array, DType, Element, Scalar, pool};
use crate::with_element;

/// Elements in a tile: 4 KiB of doubles, so that a few operands share the first-level cache.
pub const TILE: usize = 512;

/// Elements in a parallel chunk; a constant, so that how work is cut does not depend on the number of threads.
const CHUNK: usize = 32 * TILE;

/// Below this many elements nobody is woken.
const PARALLEL: usize = 4 * CHUNK;

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

type Buffer = [MaybeUninit<u64>; TILE];

const EMPTY: Buffer = [MaybeUninit::uninit(); TILE];

/// Runs `tile` over all elements of `output`.
///
/// Inputs are converted to `compute`; what the tile writes is of dtype `result`, converted to the output's. Every input
/// must broadcast to the output's shape. The output may be one of the inputs.
pub fn run(tile: Tile, compute: DType, inputs: &[Source<'_>], result: DType, output: &Array) {
    if inputs.iter().any(|x| matches!(x, Source::Array(x) if overlap(x, output))) {
        run_planned(tile, compute, inputs, result, output, true);
    } else {
        run_fresh(tile, compute, inputs, result, output);
    }
}

/// [`run`] into an array that was just made, so that no input can lie in it.
#[inline]
pub fn run_fresh(tile: Tile, compute: DType, inputs: &[Source<'_>], result: DType, output: &Array) {
    let mut constants = no_constants::<SMALL>();
    if let Some(pointers) = in_order(compute, inputs, result, output, &mut constants) {
        // SAFETY: every pointer leads to `n` contiguous elements of `compute`, the target to `n` of `result`, no overlap.
        unsafe { tile(&pointers, output.pointer(), output.numel()) };
        return;
    }
    run_planned(tile, compute, inputs, result, output, false);
}

/// The path of everything else: some more that is small and in order, and then whatever needs a plan.
#[inline(never)]
fn run_planned(
    tile: Tile,
    compute: DType,
    inputs: &[Source<'_>],
    result: DType,
    output: &Array,
    aliased: bool,
) {
    let n = output.numel();
    if n == 0 {
        return;
    }
    let mut constants = no_constants::<TILE>();
    if let Some(pointers) = in_order(compute, inputs, result, output, &mut constants) {
        let way = if aliased { Way::Aside } else { Way::Straight };
        let tile = Staged { tile, width: compute.size(), result_width: result.size(), way };
        // SAFETY: as in `run_fresh`, but that inputs may be the output.
        unsafe { tile.run(&pointers, output.pointer(), n) };
        return;
    }
    let plan = Plan::new(tile, compute, inputs, result, output, aliased);
    if n < PARALLEL {
        plan.chunk(0, n);
        return;
    }
    pool::for_each(n.div_ceil(CHUNK), &|i| plan.chunk(i * CHUNK, n.min((i + 1) * CHUNK)));
}

/// The bytes of memory that a call reads and writes.
fn touched(inputs: &[Source<'_>], output: &Array) -> usize {
    let bytes = |x: &Array| x.layout().extent() * x.dtype().size();
    let read = |input: &Source<'_>| match input {
        Source::Array(x) => bytes(x),
        Source::Scalar(_) => 0,
    };
    inputs.iter().map(read).fold(bytes(output), usize::saturating_add)
}

/// Elements up to which a scalar operand is spread on the stack where a call is to cost next to nothing.
const SMALL: usize = 64;

/// Room for two scalar operands.
type Constants<const MOST: usize> = [[MaybeUninit<u64>; MOST]; 2];

const fn no_constants<const MOST: usize>() -> Constants<MOST> {
    [[MaybeUninit::uninit(); MOST]; 2]
}

/// Where the operands of a small call begin, if all are contiguous and of the right dtype; scalars are spread, over `MOST`
/// elements at most.
#[inline]
fn in_order<const MOST: usize>(
    compute: DType,
    inputs: &[Source<'_>],
    result: DType,
    output: &Array,
    constants: &mut Constants<MOST>,
) -> Option<[*const u8; MAX_INPUTS]> {
    let n = output.numel();
    if n >= PARALLEL || !output.is_contiguous() || output.dtype() != result {
        return None;
    }
    let mut pointers = [std::ptr::null(); MAX_INPUTS];
    let mut used = 0;
    for (pointer, input) in pointers.iter_mut().zip(inputs) {
        match input {
            Source::Array(x) if x.dtype() == compute && x.is_contiguous() && x.numel() == n => {
                *pointer = x.pointer();
            }
            Source::Scalar(value) if n <= MOST && used < constants.len() => {
                let buffer = constants[used].as_mut_ptr();
                // SAFETY: a buffer holds `MOST` elements of eight bytes, and `n` is at most that.
                unsafe { fill_raw(buffer.cast(), compute, *value, n) };
                *pointer = buffer.cast_const().cast();
                used += 1;
            }
            _ => return None,
        }
    }
    Some(pointers)
}

/// Writes `n` copies of a number.
///
/// # Safety
/// `target` must be valid and aligned for `n` elements of `dtype`.
#[inline]
unsafe fn fill_raw(target: *mut u8, dtype: DType, value: Scalar, n: usize) {
    with_element!(dtype, T => {
        // SAFETY: by the caller's word.
        unsafe { fill::fill_run::<T>(target.cast(), n, T::from_scalar(value)) };
    });
}

pub(super) fn overlap(x: &Array, y: &Array) -> bool {
    let (a, b) = (x.pointer() as usize, y.pointer() as usize);
    a < b + y.layout().extent() * y.dtype().size() && b < a + x.layout().extent() * x.dtype().size()
}

fn fill_buffer(buffer: &mut Buffer, dtype: DType, value: Scalar, n: usize) {
    debug_assert!(n <= TILE);
    // SAFETY: a buffer holds `TILE` elements of eight bytes, and `n` is at most that.
    unsafe { fill_raw(buffer.as_mut_ptr().cast(), dtype, value, n) };
}

/// How one operand's elements come to (or leave) a tile.
enum Feed {
    /// They lie in order: the tile is a window on the array.
    Direct { first: *mut u8, size: usize },
    /// One number, in every place of a buffer filled once.
    Constant { value: Scalar },
    /// Along strides, converting: through a buffer.
    Gather { first: *mut u8, size: usize, strides: SmallVec<[isize; 6]>, run: Run },
    /// Of the right dtype and in order along the last axis: a tile that stays within a line is a window on it.
    Lines { first: *mut u8, size: usize, strides: SmallVec<[isize; 6]> },
    /// One element all along each line, or everywhere: in a buffer that is filled again when another's turn comes.
    Repeated { first: *mut u8, size: usize, strides: SmallVec<[isize; 6]>, run: Run },
}

/// Shorter lines are gathered: tiles that end with them would be too many.
const LONG_LINE: usize = 128;

struct Plan {
    tile: Staged,
    inputs: SmallVec<[Feed; 4]>,
    output: Feed,
    compute: DType,
    /// The axes that gathering walks, adjacent ones merged where every operand allows it.
    shape: SmallVec<[usize; 6]>,
    /// The length of a line, if tiles must end with them.
    line: Option<usize>,
}

// SAFETY: the pointers lead into arrays that the caller of `run` holds for the whole call.
unsafe impl Sync for Plan {}

impl Plan {
    fn new(
        tile: Tile,
        compute: DType,
        inputs: &[Source<'_>],
        result: DType,
        output: &Array,
        aliased: bool,
    ) -> Self {
        let direct =
            |x: &Array, dtype: DType| x.dtype() == dtype && x.is_contiguous() && x.numel() == output.numel();
        let feed_input = |input: &Source<'_>| match input {
            Source::Scalar(value) => Feed::Constant { value: *value },
            Source::Array(x) if direct(x, compute) => {
                Feed::Direct { first: x.pointer(), size: x.dtype().size() }
            }
            Source::Array(x) => Feed::Gather {
                first: x.pointer(),
                size: x.dtype().size(),
                strides: broadcast_strides(x, output.shape()),
                run: copy::run_between(x.dtype(), compute),
            },
        };
        let feed_output = if direct(output, result) {
            Feed::Direct { first: output.pointer(), size: output.dtype().size() }
        } else {
            Feed::Gather {
                first: output.pointer(),
                size: output.dtype().size(),
                strides: output.strides().into(),
                run: copy::run_between(result, output.dtype()),
            }
        };
        // A kernel's slices never alias.
        let way = if aliased {
            Way::Aside
        } else if staging::past_cache_pays(touched(inputs, output)) {
            Way::PastCache
        } else {
            Way::Straight
        };
        let mut plan = Self {
            tile: Staged { tile, width: compute.size(), result_width: result.size(), way },
            inputs: inputs.iter().map(feed_input).collect(),
            output: feed_output,
            compute,
            shape: output.shape().into(),
            line: None,
        };
        plan.merge_axes();
        plan.find_repeated();
        plan.find_lines(inputs);
        plan.find_written_lines(output, result);
        plan
    }

    /// Finds the inputs that have one element in every place, or in every place of a line.
    fn find_repeated(&mut self) {
        let Some(&length) = self.shape.last() else { return };
        for feed in &mut self.inputs {
            if let Feed::Gather { first, size, strides, run } = feed {
                let is_same_everywhere = strides.iter().all(|&s| s == 0);
                if is_same_everywhere || (length >= LONG_LINE && strides.last() == Some(&0)) {
                    if !is_same_everywhere {
                        self.line = Some(length);
                    }
                    *feed = Feed::Repeated {
                        first: *first,
                        size: *size,
                        strides: std::mem::take(strides),
                        run: *run,
                    };
                }
            }
        }
    }

    /// Finds the inputs that can be read where they lie, a line at a time.
    fn find_lines(&mut self, inputs: &[Source<'_>]) {
        let Some(&length) = self.shape.last().filter(|&&n| n >= LONG_LINE) else { return };
        for (feed, input) in self.inputs.iter_mut().zip(inputs) {
            if let (Feed::Gather { first, size, strides, .. }, Source::Array(x)) = (&mut *feed, input)
                && x.dtype() == self.compute
                && strides.last() == Some(&1)
            {
                *feed = Feed::Lines { first: *first, size: *size, strides: std::mem::take(strides) };
                self.line = Some(length);
            }
        }
    }

    /// Finds whether the output can be written where it lies, a line at a time.
    fn find_written_lines(&mut self, output: &Array, result: DType) {
        let Some(&length) = self.shape.last().filter(|&&n| n >= LONG_LINE) else { return };
        if let Feed::Gather { first, size, strides, .. } = &mut self.output
            && output.dtype() == result
            && strides.last() == Some(&1)
        {
            self.output = Feed::Lines { first: *first, size: *size, strides: std::mem::take(strides) };
            self.line = Some(length);
        }
    }

    /// Merges neighbouring axes that every gathered operand steps through evenly.
    fn merge_axes(&mut self) {
        let mut walkers: SmallVec<[&mut SmallVec<[isize; 6]>; 5]> = self
            .inputs
            .iter_mut()
            .chain(std::iter::once(&mut self.output))
            .filter_map(|feed| match feed {
                Feed::Gather { strides, .. } => Some(strides),
                _ => None,
            })
            .collect();
        if walkers.is_empty() {
            return;
        }
        let mut kept = 0;
        for axis in 0..self.shape.len() {
            let extent = self.shape[axis];
            if extent == 1 {
                continue;
            }
            let fits = kept > 0
                && walkers.iter().all(|strides| strides[kept - 1] == strides[axis] * extent as isize);
            if fits {
                self.shape[kept - 1] *= extent;
                walkers.iter_mut().for_each(|strides| strides[kept - 1] = strides[axis]);
            } else {
                self.shape[kept] = extent;
                walkers.iter_mut().for_each(|strides| strides[kept] = strides[axis]);
                kept += 1;
            }
        }
        self.shape.truncate(kept);
        walkers.iter_mut().for_each(|strides| strides.truncate(kept));
    }

    /// Elements `start..end` of the output, for any thread to read.
    fn chunk(&self, start: usize, end: usize) {
        if !self.range_in_order(start, end) {
            self.range(start, end);
        }
        self.tile.settle();
    }

    /// Elements `start..end` as one long tile, where every operand lies in order and none needs a buffer.
    fn range_in_order(&self, start: usize, end: usize) -> bool {
        let place = |feed: &Feed| match feed {
            Feed::Direct { first, size } => Some(first.wrapping_add(start * size)),
            _ => None,
        };
        let mut pointers = [std::ptr::null(); MAX_INPUTS];
        for (pointer, feed) in pointers.iter_mut().zip(&self.inputs) {
            let Some(place) = place(feed) else { return false };
            *pointer = place.cast_const();
        }
        let Some(output) = place(&self.output) else { return false };
        // SAFETY: all inputs hold `end - start` elements of `compute` from there on; so does the output, apart from them.
        unsafe { self.tile.run(&pointers, output, end - start) };
        true
    }

    /// Elements `start..end` of the output, tile by tile.
    fn range(&self, start: usize, end: usize) {
        let mut buffers = [EMPTY; MAX_INPUTS];
        let mut written = EMPTY;
        let mut pointers = [std::ptr::null(); MAX_INPUTS];
        let mut filled_from = [None; MAX_INPUTS];
        let longest = TILE.min(end - start).min(self.line.unwrap_or(TILE));
        for (i, feed) in self.inputs.iter().enumerate() {
            if let Feed::Constant { value } = feed {
                fill_buffer(&mut buffers[i], self.compute, *value, longest);
                pointers[i] = buffers[i].as_ptr().cast();
            }
        }
        let mut at = start;
        while at < end {
            let n = longest.min(end - at).min(self.line.map_or(TILE, |line| line - at % line));
            for (i, feed) in self.inputs.iter().enumerate() {
                match feed {
                    Feed::Constant { .. } => {}
                    Feed::Direct { first, size } => pointers[i] = first.wrapping_add(at * size),
                    Feed::Lines { first, size, strides } => self.walk(strides, at, n, |offset, _, _| {
                        pointers[i] = first.wrapping_offset(offset * *size as isize);
                    }),
                    Feed::Repeated { first, size, strides, run } => {
                        self.walk(strides, at, n, |offset, _, _| {
                            if filled_from[i] != Some(offset) {
                                let target = buffers[i].as_mut_ptr().cast::<u8>();
                                // SAFETY: one element of the array is read; the buffer has room for a tile.
                                unsafe {
                                    run(first.wrapping_offset(offset * *size as isize), 0, target, 1, longest)
                                };
                                (pointers[i], filled_from[i]) = (target, Some(offset));
                            }
                        })
                    }
                    Feed::Gather { first, size, strides, run } => {
                        let mut target = buffers[i].as_mut_ptr().cast::<u8>();
                        pointers[i] = target;
                        self.walk(strides, at, n, |offset, step, n| {
                            // SAFETY: the walk stays on elements of the array; the buffer has room for the tile.
                            unsafe {
                                run(first.wrapping_offset(offset * *size as isize), step, target, 1, n)
                            };
                            target = target.wrapping_add(n * self.compute.size());
                        });
                    }
                }
            }
            match &self.output {
                Feed::Direct { first, size } => {
                    // SAFETY: all inputs hold `n` elements of `compute`; the window is inside the output, apart from them.
                    unsafe { self.tile.run(&pointers, first.wrapping_add(at * size), n) };
                }
                Feed::Gather { first, size, strides, run } => {
                    // SAFETY: as above; the buffer is nobody else's.
                    unsafe { (self.tile.tile)(&pointers, written.as_mut_ptr().cast(), n) };
                    let mut source = written.as_ptr().cast::<u8>();
                    self.walk(strides, at, n, |offset, step, n| {
                        // SAFETY: the walk stays on elements of the output; the buffer holds the tile.
                        unsafe { run(source, 1, first.wrapping_offset(offset * *size as isize), step, n) };
                        source = source.wrapping_add(n * self.tile.result_width);
                    });
                }
                Feed::Lines { first, size, strides } => self.walk(strides, at, n, |offset, _, _| {
                    // SAFETY: as for an output that lies in order; the line holds `n` more elements from here on.
                    unsafe { self.tile.run(&pointers, first.wrapping_offset(offset * *size as isize), n) };
                }),
                Feed::Constant { .. } | Feed::Repeated { .. } => {
                    unreachable!("an output has places of its own")
                }
            }
            at += n;
        }
    }

    /// Calls `visit(offset, step, n)` for the runs along the last axis that make up elements `start..start + n`.
    #[inline]
    fn walk(&self, strides: &[isize], start: usize, n: usize, visit: impl FnMut(isize, isize, usize)) {
        walk(&self.shape, strides, start, n, visit);
    }
}

/// Calls `visit(offset, step, n)` for the runs along the last axis that make up elements `start..start + n`.
pub(crate) fn walk(
    shape: &[usize],
    strides: &[isize],
    start: usize,
    n: usize,
    mut visit: impl FnMut(isize, isize, usize),
) {
    let Some((&length, outer)) = shape.split_last() else {
        visit(0, 0, n);
        return;
    };
    let step = strides[outer.len()];
    // Where `start` lies along each axis.
    let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, outer.len());
    let mut rest = start / length;
    let mut column = start % length;
    let mut offset = column as isize * step;
    for axis in (0..outer.len()).rev() {
        index[axis] = rest % outer[axis];
        rest /= outer[axis];
        offset += index[axis] as isize * strides[axis];
    }
    let mut left = n;
    loop {
        let count = left.min(length - column);
        visit(offset, step, count);
        left -= count;
        if left == 0 {
            return;
        }
        offset -= column as isize * step;
        column = 0;
        for axis in (0..outer.len()).rev() {
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < outer[axis] {
                break;
            }
            offset -= outer[axis] as isize * strides[axis];
            index[axis] = 0;
        }
    }
}

/// The strides of `x` along the axes of a shape it broadcasts to.
pub(super) fn broadcast_strides(x: &Array, shape: &[usize]) -> SmallVec<[isize; 6]> {
    let skip = shape.len() - x.ndim();
    let mut strides: SmallVec<[isize; 6]> = SmallVec::from_elem(0, shape.len());
    for (i, (&n, &s)) in x.shape().iter().zip(x.strides()).enumerate() {
        strides[skip + i] = if n == 1 { 0 } else { s };
    }
    strides
}

/// Calls `visit(first, step, n)` for runs that together cover every element of `y` once.
pub fn each_run(y: &Array, mut visit: impl FnMut(*mut u8, isize, usize)) {
    let size = y.dtype().size() as isize;
    if y.numel() > 0 {
        walk(y.shape(), y.strides(), 0, y.numel(), |offset, step, n| {
            visit(y.pointer().wrapping_offset(offset * size), step, n);
        });
    }
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
    run(tile, y.dtype(), &[x], y.dtype(), y);
}
