//! How the operands of an element-wise call are brought to its tiles, where they do not all lie in order.

use std::mem::MaybeUninit;

use smallvec::SmallVec;

use super::{Call, MAX_INPUTS, Source, Spread, TILE, spread};
use crate::array::kernels::copy::{self, Run};
use crate::array::kernels::staging::{self, Staged, Way};
use crate::array::kernels::walk::{Line, broadcast_strides, walk};
use crate::array::{Array, DType, Scalar};

/// Room for a tile of one operand.
type Buffer = Spread<TILE>;

const EMPTY: Buffer = [MaybeUninit::uninit(); TILE];

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

impl Feed {
    /// Whether elements are read, or written, where they lie, or are one number.
    fn is_in_order(&self) -> bool {
        matches!(self, Feed::Direct { .. } | Feed::Lines { .. } | Feed::Constant { .. })
    }

    /// Where an element lies that is the call's `at`-th, and has this place on a line; None where they do not lie in order.
    #[inline]
    fn place(&self, at: usize, line: &Line<'_>, column: usize) -> Option<*mut u8> {
        match self {
            Feed::Direct { first, size } => Some(first.wrapping_add(at * size)),
            Feed::Lines { first, size, strides } => {
                Some(first.wrapping_offset((line.offset(strides) + column as isize) * *size as isize))
            }
            _ => None,
        }
    }
}

/// Shorter lines are gathered: tiles that end with them would be too many.
const LONG_LINE: usize = 128;

/// What was found out about a call's operands, for all of its chunks.
pub struct Plan {
    tile: Staged,
    inputs: SmallVec<[Feed; 4]>,
    output: Feed,
    compute: DType,
    /// The axes that gathering walks, adjacent ones merged where every operand allows it.
    shape: SmallVec<[usize; 6]>,
    /// The length of a line, if tiles must end with them.
    line: Option<usize>,
    /// Whether every operand lies in order, or in order along lines, or is one number.
    is_in_order: bool,
}

// SAFETY: the pointers lead into arrays that the caller of `run` holds for the whole call.
unsafe impl Sync for Plan {}

impl Plan {
    /// Looks at the operands; `is_aliased` says that an input lies in the output.
    pub fn new(call: &Call<'_>, is_aliased: bool) -> Self {
        let &Call { compute, inputs, result, output, .. } = call;
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
        let way = if is_aliased {
            Way::Aside
        } else if staging::past_cache_pays(touched(inputs, output)) {
            Way::PastCache
        } else {
            Way::Straight
        };
        let mut plan = Self {
            tile: call.staged(way),
            inputs: inputs.iter().map(feed_input).collect(),
            output: feed_output,
            compute,
            shape: output.shape().into(),
            line: None,
            is_in_order: false,
        };
        plan.merge_axes();
        plan.find_repeated();
        plan.find_lines(inputs);
        plan.find_written_lines(output, result);
        plan.is_in_order = plan.inputs.iter().chain([&plan.output]).all(Feed::is_in_order);
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
    pub fn chunk(&self, start: usize, end: usize) {
        if self.is_in_order {
            self.lines(start, end)
        } else {
            self.range(start, end)
        }
        self.tile.settle();
    }

    /// Elements `start..end` of the output, a line at a time, or at once if there are no lines.
    fn lines(&self, start: usize, end: usize) {
        let mut buffers = [EMPTY; MAX_INPUTS];
        let mut pointers = [std::ptr::null(); MAX_INPUTS];
        self.spread_constants(&mut buffers, &mut pointers, TILE.min(end - start));
        let length = self.line.unwrap_or(end);
        let outer = if self.line.is_some() { &self.shape[..self.shape.len() - 1] } else { &[] };
        let mut line = Line::of(outer, start / length);
        let (mut at, mut column) = (start, start % length);
        while at < end {
            let n = (length - column).min(end - at);
            for (pointer, feed) in pointers.iter_mut().zip(&self.inputs) {
                if let Some(place) = feed.place(at, &line, column) {
                    *pointer = place.cast_const();
                }
            }
            let Some(output) = self.output.place(at, &line, column) else {
                unreachable!("an output in order has a place")
            };
            // SAFETY: every operand holds `n` elements from there on, or is one number; the output apart, or as `way` allows.
            unsafe { self.tile.run(&pointers, output, n) };
            (at, column) = (at + n, 0);
            line.advance(|_, _| ());
        }
    }

    /// Fills the buffers of the inputs that are one number.
    fn spread_constants(
        &self,
        buffers: &mut [Buffer; MAX_INPUTS],
        pointers: &mut [*const u8; MAX_INPUTS],
        n: usize,
    ) {
        for (i, feed) in self.inputs.iter().enumerate() {
            if let Feed::Constant { value } = feed {
                pointers[i] = spread(&mut buffers[i], self.compute, *value, n);
            }
        }
    }

    /// Elements `start..end` of the output, tile by tile.
    fn range(&self, start: usize, end: usize) {
        let mut buffers = [EMPTY; MAX_INPUTS];
        let mut written = EMPTY;
        let mut pointers = [std::ptr::null(); MAX_INPUTS];
        let mut filled_from = [None; MAX_INPUTS];
        let longest = TILE.min(end - start).min(self.line.unwrap_or(TILE));
        self.spread_constants(&mut buffers, &mut pointers, longest);
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

/// The bytes of memory that a call reads and writes.
fn touched(inputs: &[Source<'_>], output: &Array) -> usize {
    let bytes = |x: &Array| x.layout().extent() * x.dtype().size();
    let read = |input: &Source<'_>| match input {
        Source::Array(x) => bytes(x),
        Source::Scalar(_) => 0,
    };
    inputs.iter().map(read).fold(bytes(output), usize::saturating_add)
}
