//! Convolution with windows of 3 by 3 that step by one, in fewer products: Winograd's minimal filtering.
//!
//! Note [Minimal filtering]: two lines of two outputs read a tile of 4 x 4 inputs, and cost 36 products with the window's
//! nine weights. Winograd (1980) found sixteen enough: with the tile `d` and the weights `w` as matrices, the outputs are
//! `A' ((G w G') . (B' d B)) A`, the product in the middle being one of elements, and the matrices around it holding ones,
//! minus ones and halves only. The weights are transformed once. The sum over channels is taken before the outer `A`s, so
//! the middle is sixteen products of matrices, one for each place in a tile, `[outputs, channels]` by `[channels, tiles]`.
//!
//! What is added up is not what the windows would add up: a result's rounding is relative to the largest of the tile's
//! products, where that of a window's own sum is relative to its nine. And an infinity or a NaN in one corner of a tile
//! reaches all of its outputs. So an image in whose outputs there is one is computed again, window by window.
//!
//! Every output is the same chain of operations wherever its tile is computed: cuts and threads play no part in its bits.

#![allow(clippy::needless_range_loop, reason = "one index walks registers and places of a tile at once")]

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Geometry;
use super::windows::copy_line;
use crate::array::kernels::product::lanes::{Laned, enter};
use crate::array::kernels::product::{Kernel, Lines, Matrix, Register, SLACK, copy_matrix, gemm_gathered};
use crate::array::kernels::scratch::{Cached, Shared, with_scratch};
use crate::array::pool;

/// Side of a tile of the input, of the output it serves, and of the window.
const SIDE: usize = 4;
const STEP: usize = 2;
const WINDOW: usize = 3;

/// Places in a tile.
const PLACES: usize = SIDE * SIDE;

/// Neighbouring tiles that are transformed together.
const LANES: usize = <f32 as Laned>::LANES;

/// What it costs to transform a register of tiles of one channel, in products.
const TRANSFORM_COST: usize = 900;

/// Fewer tiles in all do not pay for transforming the weights.
const FEW_TILES: usize = 32;

/// Numbers of a block's transformed inputs, and of its products: together they stay in the second-level cache.
const INPUTS: usize = 96 << 10;
const PRODUCTS: usize = 64 << 10;

/// Tiles of a block, at least, and how many blocks there should be to share out before blocks get larger.
const NARROW: usize = 32;
const SHARED_OUT: usize = 16;

/// Elements of a cache line, more than a register reaches beyond what is asked of it.
const LINE: usize = SLACK + 1;

/// Elements of a page: what lies whole pages apart falls on the same set of the cache.
const PAGE: usize = 1024;

/// Output channels that are computed together are a multiple of this, the rows of the largest register tile.
const ROWS: usize = 12;

/// Whether a convolution is computed here.
pub fn serve(g: &Geometry) -> bool {
    let flat = g.kernel[0] == 1 && [g.input[0], g.output[0]] == [1; 2] && g.padding[0] == 0;
    let plain = g.kernel[1..] == [WINDOW; 2] && g.stride[1..] == [1; 2] && g.dilation[1..] == [1; 2];
    if !flat || !plain {
        return false;
    }
    let (channels, outputs) = (g.channels_per_group(), g.outputs_per_group());
    let [lines, columns] = tiles(g);
    let transforms = lines * columns.div_ceil(LANES) * (channels + outputs);
    let by_tiles = PLACES * lines * columns * channels * outputs + TRANSFORM_COST * transforms;
    g.batch * lines * columns >= FEW_TILES && by_tiles <= g.positions() * g.rows() * outputs
}

/// Lines of tiles in an image, and tiles in a line.
fn tiles(g: &Geometry) -> [usize; 2] {
    [g.output[1].div_ceil(STEP), g.output[2].div_ceil(STEP)]
}

/// y = x convolved with w, plus the bias: see [`super::forward`].
pub fn forward(g: &Geometry, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let filters = Filters::new(g, w);
    let blocks = Block::all(g);
    let failed: Vec<AtomicBool> = (0..g.batch).map(|_| AtomicBool::new(false)).collect();
    let all = Shared(y.as_mut_ptr());
    pool::for_each_if(g.is_large(), g.groups * blocks.len(), &|task| {
        let (group, block) = (task / blocks.len(), &blocks[task % blocks.len()]);
        with_scratch(block.room(g), |scratch: &mut [f32]| {
            block.outputs(g, group, x, &filters, bias, &all, &failed, scratch);
        });
    });
    let (from, to) = (g.channels * g.plane(), g.outputs * g.positions());
    for image in (0..g.batch).filter(|&image| failed[image].load(Ordering::Relaxed)) {
        let (x, y) = (&x[image * from..][..from], &mut y[image * to..][..to]);
        super::forward_by_windows(&Geometry { batch: 1, ..*g }, x, w, bias, y);
    }
}

/// The transformed weights: for each place of a tile, those of all channels of all outputs.
struct Filters {
    numbers: Cached<f32>,
    place: usize,
}

impl Filters {
    fn new(g: &Geometry, w: &[f32]) -> Self {
        /// Windows of a task.
        const TOGETHER: usize = 1024;
        let windows = g.outputs * g.channels_per_group();
        let mut numbers = Cached::filled(0.0, PLACES * windows);
        let all = Shared(numbers.as_mut_ptr());
        pool::for_each_if(windows >= 8 * TOGETHER, windows.div_ceil(TOGETHER), &|task| {
            let first = task * TOGETHER;
            let count = TOGETHER.min(windows - first);
            with_scratch(g.taps() * count, |taps: &mut [f32]| {
                copy_matrix(g.taps(), count, Matrix::new(w, first * g.taps(), 1, g.taps() as isize), taps);
                // SAFETY: these windows' places are this task's alone.
                unsafe { enter::<f32, _>(Windows { taps, count, to: all.at(first), place: windows }) };
            });
        });
        Self { numbers, place: windows }
    }

    /// The weights of a place, `[outputs, channels]` of one group.
    fn of(&self, g: &Geometry, group: usize, place: usize) -> Matrix<'_, f32> {
        let channels = g.channels_per_group();
        let first = place * self.place + group * g.outputs_per_group() * channels;
        Matrix::new(&self.numbers, first, channels as isize, 1)
    }
}

/// `G w G'` of neighbouring windows, whose taps lie each by itself: `[taps, count]`.
struct Windows<'a> {
    taps: &'a [f32],
    count: usize,
    to: *mut f32,
    place: usize,
}

impl<R: Register<Element = f32>> Kernel<R> for Windows<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        /// `G` times a column of three.
        ///
        /// # Safety
        /// The machine has the register.
        #[inline(always)]
        unsafe fn filtered<R: Register<Element = f32>>([a, b, c]: [R; WINDOW]) -> [R; SIDE] {
            // SAFETY: the caller's promise.
            unsafe {
                let (half, outer) = (R::splat(0.5), a.plus(c));
                [a, outer.plus(b).times(half), outer.minus(b).times(half), c]
            }
        }
        for at in (0..self.count).step_by(R::LANES) {
            let count = R::LANES.min(self.count - at);
            // SAFETY: the taps of so many windows can be read, and their places written.
            unsafe {
                let mut lines = [[R::splat(0.0); WINDOW]; SIDE];
                for column in 0..WINDOW {
                    let mut taps = [R::splat(0.0); WINDOW];
                    for line in 0..WINDOW {
                        let from = (line * WINDOW + column) * self.count + at;
                        taps[line] = R::load_first(self.taps.as_ptr().add(from), count);
                    }
                    let taps = filtered(taps);
                    for line in 0..SIDE {
                        lines[line][column] = taps[line];
                    }
                }
                for line in 0..SIDE {
                    let line_of = filtered(lines[line]);
                    for column in 0..SIDE {
                        let to = self.to.add((line * SIDE + column) * self.place + at);
                        if count == R::LANES {
                            line_of[column].store(to);
                        } else {
                            line_of[column].store_first(to, count);
                        }
                    }
                }
            }
        }
    }
}

/// Some lines of tiles, counted through all images, and some of their columns.
struct Block {
    lines: Range<usize>,
    columns: Range<usize>,
    /// Output channels that are computed together.
    outputs: usize,
}

/// The lines of a block that are of one image.
struct Part {
    image: usize,
    /// Lines of tiles of the image.
    lines: Range<usize>,
    /// The block's tiles before them.
    before: usize,
}

impl Block {
    fn all(g: &Geometry) -> Vec<Self> {
        let [lines, columns] = tiles(g);
        let all_lines = g.batch * lines;
        let most = (INPUTS / (PLACES * g.channels_per_group())).max(NARROW);
        let most = (all_lines * columns * g.groups / SHARED_OUT).clamp(NARROW, most);
        let across = columns.div_ceil(columns.div_ceil(most));
        let down = (most / across).clamp(1, all_lines);
        // Of the upper half of heights that with which the fewest lanes of a product's registers are left empty.
        let empty = |down: usize| (down * across).next_multiple_of(LANES) as f64 / (down * across) as f64;
        let down =
            (down.div_ceil(2)..=down).rev().min_by(|&a, &b| empty(a).total_cmp(&empty(b))).unwrap_or(down);
        let outputs =
            (PRODUCTS / (PLACES * down * across) / ROWS * ROWS).clamp(ROWS, g.outputs_per_group().max(ROWS));
        let mut blocks = Vec::new();
        for line in (0..all_lines).step_by(down) {
            for column in (0..columns).step_by(across) {
                blocks.push(Self {
                    lines: line..all_lines.min(line + down),
                    columns: column..columns.min(column + across),
                    outputs,
                });
            }
        }
        blocks
    }

    fn tiles(&self) -> usize {
        self.lines.len() * self.columns.len()
    }

    /// Elements from a channel to the next: registers may reach beyond the tiles of one.
    fn channel(&self) -> usize {
        self.tiles().next_multiple_of(LINE) + LINE
    }

    /// Elements from a place to the next, of so many channels: whatever they are, the places do not fall on the same cache sets.
    fn place(&self, channels: usize) -> usize {
        (channels * self.channel()).next_multiple_of(PAGE) + LINE
    }

    /// Elements of a line of the padded copy.
    fn width(&self) -> usize {
        STEP * self.columns.len().max(LANES) + STEP
    }

    fn copied(&self) -> usize {
        (STEP * self.lines.len() + STEP) * self.width()
    }

    fn room(&self, g: &Geometry) -> usize {
        self.copied() + PLACES * (self.place(g.channels_per_group()) + self.place(self.outputs))
    }

    fn parts(&self, g: &Geometry) -> impl Iterator<Item = Part> {
        let [height, _] = tiles(g);
        let (Range { start, end }, columns) = (self.lines.clone(), self.columns.len());
        (start / height..end.div_ceil(height)).map(move |image| {
            let first = start.max(image * height);
            Part {
                image,
                lines: first - image * height..end.min((image + 1) * height) - image * height,
                before: (first - start) * columns,
            }
        })
    }

    /// Computes the outputs of the block's tiles, of one group.
    #[expect(clippy::too_many_arguments, reason = "a convolution's operands, and what tasks share")]
    fn outputs(
        &self,
        g: &Geometry,
        group: usize,
        x: &[f32],
        filters: &Filters,
        bias: Option<&[f32]>,
        y: &Shared<f32>,
        failed: &[AtomicBool],
        scratch: &mut [f32],
    ) {
        let (channels, outputs) = (g.channels_per_group(), g.outputs_per_group());
        let (copy, rest) = scratch.split_at_mut(self.copied());
        let (inputs, products) = rest.split_at_mut(PLACES * self.place(channels));
        self.transform(g, group, x, copy, inputs);
        let starts: Vec<usize> = (0..channels).map(|channel| channel * self.channel()).collect();
        let lines = Lines { count: 1, length: self.tiles(), b_step: 0, c_step: 0 };
        for first in (0..outputs).step_by(self.outputs) {
            let count = self.outputs.min(outputs - first);
            for place in 0..PLACES {
                let weights = filters.of(g, group, place).from_row(first);
                let (b, c) = (
                    &inputs[place * self.place(channels)..],
                    &mut products[place * self.place(self.outputs)..],
                );
                // SAFETY: there is room for so many channels' rows of tiles.
                unsafe {
                    gemm_gathered(count, lines, weights, b, &starts, 0.0, c.as_mut_ptr(), self.channel());
                }
            }
            for Part { image, lines, before } in self.parts(g) {
                let (height, width) = (g.output[1], g.output[2]);
                let rows = STEP * lines.start..height.min(STEP * lines.end);
                let beside = STEP * self.columns.start;
                let mut zero = 0.0;
                for o in 0..count {
                    let channel = group * outputs + first + o;
                    let start = (image * g.outputs + channel) * g.positions() + rows.start * width + beside;
                    let results = Outputs {
                        products: &products[o * self.channel() + before..],
                        place: self.place(self.outputs),
                        columns: self.columns.len(),
                        bias: bias.map_or(0.0, |bias| bias[channel]),
                        // SAFETY: the outputs of these tiles are this task's alone.
                        y: unsafe { y.at(start) },
                        rows: rows.len(),
                        width,
                        valid: (width - beside).min(STEP * self.columns.len()),
                        zero: &mut zero,
                    };
                    // SAFETY: as above, and the products of these tiles can be read.
                    unsafe { enter::<f32, _>(results) };
                }
                if zero != 0.0 {
                    failed[image].store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// `B' d B` of all tiles of all channels: `[places, channels, tiles]`.
    fn transform(&self, g: &Geometry, group: usize, x: &[f32], copy: &mut [f32], inputs: &mut [f32]) {
        let channels = g.channels_per_group();
        let [_, height, width] = g.input;
        let across = self.width();
        // The copy's columns that are the input's.
        let from = (STEP * self.columns.start) as isize - g.padding[2];
        let own = STEP * self.columns.len() + STEP;
        let inside =
            (-from).clamp(0, own as isize) as usize..(width as isize - from).clamp(0, own as isize) as usize;
        for Part { image, lines, before } in self.parts(g) {
            let rows = STEP * lines.len() + STEP;
            let copy = &mut copy[..rows * across];
            copy.fill(0.0);
            for channel in 0..channels {
                let x = &x[(image * g.channels + group * channels + channel) * g.plane()..][..g.plane()];
                if !inside.is_empty() {
                    let first = inside.start.wrapping_add_signed(from);
                    for (row, copy) in copy.chunks_exact_mut(across).enumerate() {
                        let line = (STEP * lines.start + row).wrapping_add_signed(-g.padding[1]);
                        if line < height {
                            copy_line(&mut copy[inside.clone()], &x[line * width + first..][..inside.len()]);
                        }
                    }
                }
                let inputs = Inputs {
                    copy,
                    across,
                    lines: lines.len(),
                    columns: self.columns.len(),
                    to: &mut inputs[channel * self.channel() + before..],
                    place: self.place(channels),
                };
                // SAFETY: the copy holds these tiles, and behind the channel's row is room for a register.
                unsafe { enter::<f32, _>(inputs) };
            }
        }
    }
}

/// Where registers of tiles begin in a line of so many. The last ends with the line; of fewer tiles than lanes there is one.
#[inline(always)]
fn registers(columns: usize, lanes: usize) -> impl Iterator<Item = usize> {
    let last = columns.saturating_sub(lanes);
    (0..columns.div_ceil(lanes)).map(move |register| last.min(register * lanes))
}

/// `B' d B` of the tiles of one channel's lines.
struct Inputs<'a> {
    /// Their padded copy, in lines of so many.
    copy: &'a [f32],
    across: usize,
    lines: usize,
    columns: usize,
    to: &'a mut [f32],
    place: usize,
}

/// `B'` times a column of four, each of so many registers.
///
/// # Safety
/// The machine has the register.
#[inline(always)]
unsafe fn transformed<R: Register<Element = f32>>([a, b, c, d]: [R; SIDE]) -> [R; SIDE] {
    // SAFETY: the caller's promise.
    unsafe { [a.minus(c), b.plus(c), c.minus(b), b.minus(d)] }
}

/// `A'` times a column of four.
///
/// # Safety
/// The machine has the register.
#[inline(always)]
unsafe fn gathered<R: Register<Element = f32>>([a, b, c, d]: [R; SIDE]) -> [R; STEP] {
    // SAFETY: the caller's promise.
    unsafe { [a.plus(b).plus(c), b.minus(c).minus(d)] }
}

impl<R: Register<Element = f32>> Kernel<R> for Inputs<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        /// A line of the input of neighbouring tiles, transformed along the line.
        ///
        /// # Safety
        /// The machine has the register, and two registers and two more numbers can be read.
        #[inline(always)]
        unsafe fn line<R: Register<Element = f32>>(from: *const f32) -> [R; SIDE] {
            // SAFETY: the caller's promise.
            unsafe {
                let (first, second) = R::load(from).parted(R::load(from.add(R::LANES)));
                let next = from.add(STEP);
                let (third, fourth) = R::load(next).parted(R::load(next.add(R::LANES)));
                transformed([first, second, third, fourth])
            }
        }
        debug_assert!(self.copy.len() >= STEP * (self.lines + 1) * self.across);
        debug_assert!(self.to.len() >= (PLACES - 1) * self.place + self.lines * self.columns + R::LANES);
        for column in registers(self.columns, R::LANES) {
            // SAFETY: the copy has two lines more than twice as many as there are of tiles, each two numbers longer than
            // its tiles and a register at least; the results lie in their rows, or where the next line's will be.
            unsafe {
                let from = self.copy.as_ptr().add(STEP * column);
                let mut above: [[R; SIDE]; STEP] = [line(from), line(from.add(self.across))];
                for at in 0..self.lines {
                    let from = from.add(STEP * (at + 1) * self.across);
                    let below: [[R; SIDE]; STEP] = [line(from), line(from.add(self.across))];
                    let to = self.to.as_mut_ptr().add(at * self.columns + column);
                    for i in 0..SIDE {
                        let places = transformed([above[0][i], above[1][i], below[0][i], below[1][i]]);
                        for k in 0..SIDE {
                            places[k].store(to.add((k * SIDE + i) * self.place));
                        }
                    }
                    above = below;
                }
            }
        }
    }
}

/// `A' m A` of the tiles of one output channel's lines, plus the bias.
struct Outputs<'a> {
    products: &'a [f32],
    place: usize,
    columns: usize,
    bias: f32,
    /// The first output, and the rows and columns of outputs from there on.
    y: *mut f32,
    rows: usize,
    width: usize,
    valid: usize,
    /// Zero, made NaN when an output is not finite.
    zero: &'a mut f32,
}

impl Outputs<'_> {
    /// Writes the outputs of a register of tiles in one row.
    ///
    /// # Safety
    /// The machine has the register; the row and the column are the caller's.
    #[inline(always)]
    unsafe fn put<R: Register<Element = f32>>(&self, row: usize, column: usize, [first, second]: [R; STEP]) {
        let count = (STEP * R::LANES).min(self.valid - column);
        // What is written beyond a row is the next one's, and written again with it: while there is one.
        let again = self.valid == self.width && self.valid <= STEP * R::LANES;
        let fits = again && row * self.width + STEP * R::LANES <= self.rows * self.width;
        // SAFETY: the caller's promise.
        unsafe {
            let (first, second) = first.interleaved(second);
            let to = self.y.add(row * self.width + column);
            if fits || count > R::LANES {
                first.store(to);
            } else {
                first.store_first(to, count);
            }
            if fits || count == STEP * R::LANES {
                second.store(to.add(R::LANES));
            } else if count > R::LANES {
                second.store_first(to.add(R::LANES), count - R::LANES);
            }
        }
    }
}

impl<R: Register<Element = f32>> Kernel<R> for Outputs<'_> {
    #[inline(always)]
    unsafe fn run(self) {
        const { assert!(R::LANES == LANES) };
        let count = self.columns.min(R::LANES);
        // SAFETY: the products of these tiles can be read, and their outputs are the caller's.
        unsafe {
            let (bias, zero) = (R::splat(self.bias), R::splat(0.0));
            let mut sum = zero;
            for line in 0..self.rows.div_ceil(STEP) {
                for column in registers(self.columns, R::LANES) {
                    let from = self.products.as_ptr().add(line * self.columns + column);
                    let mut halves = [[zero; SIDE]; STEP];
                    for i in 0..SIDE {
                        let mut places = [zero; SIDE];
                        for k in 0..SIDE {
                            places[k] = R::load_first(from.add((k * SIDE + i) * self.place), count);
                        }
                        let places = gathered(places);
                        for k in 0..STEP {
                            halves[k][i] = places[k];
                        }
                    }
                    for k in 0..STEP {
                        let [first, second] = gathered(halves[k]);
                        let outputs = [first.plus(bias), second.plus(bias)];
                        sum = sum.multiply_add(outputs[0], zero).multiply_add(outputs[1], zero);
                        if STEP * line + k < self.rows {
                            self.put(STEP * line + k, STEP * column, outputs);
                        }
                    }
                }
            }
            *self.zero += sum.folded();
        }
    }
}
