//! Convolution with windows of 3 by 3 that step by one, in fewer products: Winograd's minimal filtering.
//!
//! Note [Minimal filtering]: two lines of two outputs read a tile of 4 x 4 inputs, and cost 36 products with the window's
//! nine weights. Winograd (1980) found sixteen enough: with the tile `d` and the weights `w` as matrices, the outputs are
//! `A' ((G w G') . (B' d B)) A`, the product in the middle being one of elements, and the matrices around it holding ones,
//! minus ones and halves only. The weights are transformed once. The sum over channels is taken before the outer `A`s, so
//! the middle is sixteen products of matrices, one for each place in a tile, `[outputs, channels]` by `[channels, tiles]`.
//!
//! What is added up is not what the windows would add up. No number reaches an output whose window does not read it, but a
//! result's rounding is relative to the window's largest number times its largest weight, where that of its own sum is
//! relative to its nine products. A mask's zeros would let something through: weights of zero are not computed with so.
//! An infinity comes out as NaN, for it meets itself with the other sign, and in the weight's gradient it reaches sums that do
//! not read it. So an image in whose outputs there is one is computed again, window by window.
//! What was measured is in `docs/decisions/0006-minimal-filtering.md`.
//!
//! Every output is the same chain of operations wherever its tile is computed: cuts and threads play no part in its bits.

mod blocks;
mod transform;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{CHUNKS, Geometry, PARTIAL_ELEMENTS, abreast};
use crate::array::kernels::product::lanes::enter;
use crate::array::kernels::product::{Lines, MOST_ROWS, Matrix, MatrixMut, copy_matrix, gemm, gemm_gathered};
use crate::array::kernels::scratch::{Cached, Shared, with_scratch};
use crate::array::pool;
use blocks::{Block, LINE, Part, Planes, tiles};
use transform::{Gradients, Inputs, LANES, Outputs, PLACES, SIDE, STEP, Sums, Tiles, WINDOW, Windows};

/// What it costs to transform a register of tiles of one channel, in products.
const TRANSFORM_COST: usize = 1100;

/// Fewer tiles in all do not pay for transforming the weights, nor for transforming their gradient back and adding it up.
const FEW_TILES: usize = 32;
const FEW_SUMMED: usize = 128;

/// Weights of less magnitude are not transformed: 2^-100.
const LEAST: f32 = 7.888_609e-31;

/// Numbers of a block's transformed inputs, and of its products: together they stay in the second-level cache, with
/// up to some two hundred channels; with more, [`NARROW`] tiles take what they take.
const INPUTS: usize = 96 << 10;
const PRODUCTS: usize = 64 << 10;

/// Tiles of a block, at least; and of one of a weight's gradient, whose sums are read and written for each block.
const NARROW: usize = 32;
const LONG: usize = 96;

/// Whether a convolution is computed here.
pub fn serve(g: &Geometry) -> bool {
    is_cheaper(g, abreast::cost(g)) && g.batch * tiles(g).iter().product::<usize>() >= FEW_TILES
}

/// Whether a weight's gradient is.
pub fn serve_weights(g: &Geometry) -> bool {
    let abreast = abreast::cost(g).filter(|_| abreast::serve_weights(g));
    is_cheaper(g, abreast) && g.batch * tiles(g).iter().product::<usize>() >= FEW_SUMMED
}

/// Whether it costs no more than by windows, or than `abreast`, the cost of images side by side, if they can be.
fn is_cheaper(g: &Geometry, abreast: Option<usize>) -> bool {
    let flat = g.kernel[0] == 1 && [g.input[0], g.output[0]] == [1; 2] && g.padding[0] == 0;
    let plain = g.kernel[1..] == [WINDOW; 2] && g.stride[1..] == [1; 2] && g.dilation[1..] == [1; 2];
    let (channels, outputs) = (g.channels_per_group(), g.outputs_per_group());
    let [lines, columns] = tiles(g);
    let transforms = lines * columns.div_ceil(LANES) * (channels + outputs);
    let by_tiles = PLACES * lines * columns * channels * outputs + TRANSFORM_COST * transforms;
    // By windows, ends of lines leave registers partly empty, or positions between lines are computed that nobody reads.
    let [_, height, width] = g.output;
    let apart = height * width.next_multiple_of(LINE);
    let beyond = (height * (width + WINDOW - 1)).next_multiple_of(LINE);
    let by_windows = apart.min(beyond) * g.rows() * outputs;
    flat && plain && by_tiles <= abreast.map_or(by_windows, |cost| cost.min(by_windows))
}

/// y = x convolved with w, plus the bias: see [`super::forward`].
pub fn forward(g: &Geometry, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let Some(filters) = Filters::new(g, w) else {
        return super::forward_by_windows(g, x, w, bias, y);
    };
    let failed = filter(g, x, &filters, bias, y);
    if !failed.is_empty() {
        by_windows(g, &failed, x, w, bias, y);
    }
}

/// dx, from the gradient `g` of the output: see [`super::input_grad`].
pub fn input_grad(geo: &Geometry, g: &[f32], w: &[f32], dx: &mut [f32]) {
    let turned = geo.turned();
    let Some(filters) = Filters::new(geo, w) else {
        return super::forward_by_windows(&turned, g, &super::turned_weight(geo, w), None, dx);
    };
    let failed = filter(&turned, g, &filters.turned(), None, dx);
    if !failed.is_empty() {
        by_windows(&turned, &failed, g, &super::turned_weight(geo, w), None, dx);
    }
}

/// Computes some images again.
pub(super) fn by_windows(
    g: &Geometry,
    images: &[usize],
    x: &[f32],
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let (from, to) = (g.channels * g.plane(), g.outputs * g.positions());
    for image in images {
        let (x, y) = (&x[image * from..][..from], &mut y[image * to..][..to]);
        super::forward_by_windows(&Geometry { batch: 1, ..*g }, x, w, bias, y);
    }
}

/// Computes a convolution, and says which images have an output that is not finite.
fn filter(g: &Geometry, x: &[f32], filters: &Filters, bias: Option<&[f32]>, y: &mut [f32]) -> Vec<usize> {
    let most = (INPUTS / (PLACES * g.channels_per_group())).max(NARROW);
    let blocks = Block::all(g, NARROW, most);
    // Output channels that are computed together fill the largest register tile, unless they are all.
    let together =
        PRODUCTS / (PLACES * blocks.iter().map(Block::tiles).max().unwrap_or(1)) / MOST_ROWS * MOST_ROWS;
    let together = together.min(g.outputs_per_group()).max(MOST_ROWS);
    let failed: Vec<AtomicBool> = (0..g.batch).map(|_| AtomicBool::new(false)).collect();
    let all = Shared(y.as_mut_ptr());
    pool::for_each_if(g.is_large(), g.groups * blocks.len(), &|task| {
        let (group, block) = (task / blocks.len(), &blocks[task % blocks.len()]);
        let forward = Forward { g, group, x, filters, bias, y: &all, failed: &failed };
        forward.block(block, together);
    });
    (0..g.batch).filter(|&image| failed[image].load(Ordering::Relaxed)).collect()
}

/// A convolution, of one group.
struct Forward<'a> {
    g: &'a Geometry,
    group: usize,
    x: &'a [f32],
    filters: &'a Filters,
    bias: Option<&'a [f32]>,
    y: &'a Shared<f32>,
    /// The images with an output that is not finite.
    failed: &'a [AtomicBool],
}

impl Forward<'_> {
    /// Computes the outputs of a block's tiles, `together` channels at once.
    fn block(&self, block: &Block, together: usize) {
        let (g, group) = (self.g, self.group);
        let (channels, outputs) = (g.channels_per_group(), g.outputs_per_group());
        let planes = Planes::inputs(g, group, self.x);
        let sizes = [block.copied(SIDE), PLACES * block.place(channels), PLACES * block.place(together)];
        let starts: Vec<usize> = (0..channels).map(|channel| channel * block.channel()).collect();
        let lines = Lines::one(block.tiles());
        with_scratch(sizes.iter().sum(), |scratch: &mut [f32]| {
            let (copy, rest) = scratch.split_at_mut(sizes[0]);
            let (inputs, products) = rest.split_at_mut(sizes[1]);
            // SAFETY: registers reach no further than the tiles' room.
            block.transform(g, &planes, copy, inputs, |tiles| unsafe { enter::<f32, _>(Inputs(tiles)) });
            for first in (0..outputs).step_by(together) {
                let count = together.min(outputs - first);
                for place in 0..PLACES {
                    let weights = self.filters.of(group, place).from_row(first);
                    let (b, c) = (
                        &inputs[place * block.place(channels)..],
                        &mut products[place * block.place(together)..],
                    );
                    // SAFETY: there is room for so many channels' rows of tiles.
                    unsafe {
                        let c = c.as_mut_ptr();
                        gemm_gathered(count, lines, weights, b, &starts, 0.0, c, block.channel());
                    }
                }
                self.write(block, first..first + count, block.place(together), products);
            }
        });
    }

    /// Writes the outputs of a block's tiles in some channels, from their products.
    fn write(&self, block: &Block, outputs: Range<usize>, place: usize, products: &[f32]) {
        let g = self.g;
        let (height, width) = (g.output[1], g.output[2]);
        let beside = STEP * block.columns.start;
        for Part { image, lines, before } in block.parts(g) {
            let rows = STEP * lines.start..height.min(STEP * lines.end);
            let mut zero = 0.0;
            for (row, output) in outputs.clone().enumerate() {
                let output = self.group * g.outputs_per_group() + output;
                let start = (image * g.outputs + output) * g.positions() + rows.start * width + beside;
                let results = Outputs {
                    products: &products[row * block.channel() + before..],
                    place,
                    columns: block.columns.len(),
                    bias: self.bias.map_or(0.0, |bias| bias[output]),
                    // SAFETY: the first output of the part is there, and these tiles' outputs are this task's alone.
                    y: unsafe { self.y.at(start) },
                    rows: rows.len(),
                    width,
                    valid: (width - beside).min(STEP * block.columns.len()),
                    zero: &mut zero,
                };
                // SAFETY: as above, and the products of these tiles can be read.
                unsafe { enter::<f32, _>(results) };
            }
            if zero != 0.0 {
                self.failed[image].store(true, Ordering::Relaxed);
            }
        }
    }
}

/// dw, from the input and the gradient `g` of the output: see [`super::weight_grad`].
///
/// The adjoint of what [`forward`] does: sixteen products `[outputs, tiles]` by `[tiles, channels]`, added up over all tiles and
/// transformed back.
pub fn weight_grad(geo: &Geometry, x: &[f32], g: &[f32], dw: &mut [f32]) {
    let (channels, outputs) = (geo.channels_per_group(), geo.outputs_per_group());
    let most = ((INPUTS + PRODUCTS) / (PLACES * (channels + outputs))).max(LONG);
    let blocks = Block::all(geo, LONG, most);
    let windows = geo.outputs * channels;
    let size = PLACES * windows;
    let chunks = blocks.len().min(CHUNKS).min((PARTIAL_ELEMENTS / size).max(2));
    let per_chunk = blocks.len().div_ceil(chunks);
    let mut partial = Cached::filled(0.0, size * chunks);
    let all = Shared(partial.as_mut_ptr());
    pool::for_each_if(geo.is_large(), chunks * geo.groups, &|task| {
        let (chunk, group) = (task / geo.groups, task % geo.groups);
        for block in blocks.iter().skip(chunk * per_chunk).take(per_chunk) {
            let first = chunk * size + group * outputs * channels;
            // SAFETY: this group's part of each place of this chunk's sum is this task's alone.
            let sum = |place| unsafe { all.slice(first + place * windows, outputs * channels) };
            block.add_products(geo, group, x, g, sum);
        }
    });
    let dw_all = Shared(dw.as_mut_ptr());
    for_each_run(windows, &|first, count| {
        let taps = geo.taps();
        with_scratch((PLACES + taps) * count, |scratch: &mut [f32]| {
            let (sum, of_tap) = scratch.split_at_mut(PLACES * count);
            for (place, sum) in sum.chunks_exact_mut(count).enumerate() {
                sum.fill(0.0);
                for part in partial.chunks_exact(size) {
                    sum.iter_mut().zip(&part[place * windows + first..]).for_each(|(sum, part)| *sum += part);
                }
            }
            // SAFETY: there is room for so many windows' taps.
            unsafe { enter::<f32, _>(Sums { from: sum, place: count, count, taps: of_tap }) };
            // SAFETY: these windows are this task's alone.
            let dw = unsafe { dw_all.slice(first * taps, count * taps) };
            copy_matrix(count, taps, Matrix::new(of_tap, 0, 1, count as isize), dw, taps);
        });
    });
    if !super::are_finite(dw) {
        super::weight_grad_by_windows(geo, x, g, dw);
    }
}

/// Calls `body(first, count)` for runs of so many windows, on all threads where there are many.
fn for_each_run(windows: usize, body: &(dyn Fn(usize, usize) + Sync)) {
    const TOGETHER: usize = 512;
    pool::for_each_if(windows >= 16 * TOGETHER, windows.div_ceil(TOGETHER), &|task| {
        let first = task * TOGETHER;
        body(first, TOGETHER.min(windows - first));
    });
}

/// The transformed weights: for each place of a tile, those of all channels of all outputs.
struct Filters {
    numbers: Cached<f32>,
    /// Numbers from one place to the next, from one group to the next in it, and from one output to the next.
    place: usize,
    group: usize,
    output: usize,
    is_turned: bool,
}

/// Whether no weight is zero or less than [`LEAST`].
pub(super) fn are_large(weights: &[f32]) -> bool {
    !weights.iter().fold(false, |found, w| found | (w.abs() < LEAST))
}

impl Filters {
    /// None where a weight is zero, or so small that half of it could lose digits: an output must not depend on what a
    /// weight of zero keeps from it, by rounding either.
    fn new(g: &Geometry, w: &[f32]) -> Option<Self> {
        let (windows, taps) = (g.outputs * g.channels_per_group(), g.taps());
        let channels = g.channels_per_group();
        // Read the other way about, outputs that lie a power of two apart would fall on the same sets of the cache.
        let gap = if channels.is_multiple_of(LINE) { LINE } else { 0 };
        let output = channels + gap;
        let place = g.outputs * output;
        let mut numbers = Cached::filled(0.0, PLACES * place);
        let is_small = AtomicBool::new(false);
        let all = Shared(numbers.as_mut_ptr());
        for_each_run(windows, &|first, count| {
            with_scratch(taps * count, |of_tap: &mut [f32]| {
                copy_matrix(taps, count, Matrix::new(w, first * taps, 1, taps as isize), of_tap, count);
                if !are_large(of_tap) {
                    is_small.store(true, Ordering::Relaxed);
                }
                // SAFETY: these windows' places are this task's alone.
                unsafe {
                    enter::<f32, _>(Windows {
                        taps: of_tap,
                        first,
                        count,
                        channels,
                        gap,
                        to: all.at(0),
                        place,
                    })
                };
            });
        });
        let filters = Self { numbers, place, group: place / g.groups, output, is_turned: false };
        (!is_small.into_inner()).then_some(filters)
    }

    /// Those of the windows turned about, with outputs for channels: the same numbers.
    fn turned(self) -> Self {
        Self { is_turned: true, ..self }
    }

    /// The weights of a place, `[outputs, channels]` of one group.
    fn of(&self, group: usize, place: usize) -> Matrix<'_, f32> {
        /// A window turned about has its first and its last place exchanged.
        const TURNED: [usize; SIDE] = [3, 1, 2, 0];
        let start = |place| place * self.place + group * self.group;
        if self.is_turned {
            let place = TURNED[place / SIDE] * SIDE + TURNED[place % SIDE];
            return Matrix::new(&self.numbers, start(place), 1, self.output as isize);
        }
        Matrix::new(&self.numbers, start(place), self.output as isize, 1)
    }
}

impl Block {
    /// Adds to each place's sum, `[outputs, channels]`, the products of the output's gradient with the input over the tiles.
    fn add_products<'s>(
        &self,
        geo: &Geometry,
        group: usize,
        x: &[f32],
        g: &[f32],
        sum: impl Fn(usize) -> &'s mut [f32],
    ) {
        let (channels, outputs) = (geo.channels_per_group(), geo.outputs_per_group());
        let sizes = [self.copied(SIDE), PLACES * self.place(channels), PLACES * self.place(outputs)];
        with_scratch(sizes.iter().sum(), |scratch: &mut [f32]| {
            let (copy, rest) = scratch.split_at_mut(sizes[0]);
            let (inputs, gradients) = rest.split_at_mut(sizes[1]);
            let planes = Planes::inputs(geo, group, x);
            // SAFETY: registers reach no further than the tiles' room.
            let transform = |tiles: Tiles<'_>| unsafe { enter::<f32, _>(Inputs(tiles)) };
            self.transform(geo, &planes, copy, inputs, transform);
            let planes = Planes::gradients(geo, group, g);
            // SAFETY: as above.
            let transform = |tiles: Tiles<'_>| unsafe { enter::<f32, _>(Gradients(tiles)) };
            self.transform(geo, &planes, copy, gradients, transform);
            let row = self.channel() as isize;
            for place in 0..PLACES {
                let a = Matrix::new(gradients, place * self.place(outputs), row, 1);
                let b = Matrix::new(inputs, place * self.place(channels), 1, row);
                let c = MatrixMut::new(sum(place), 0, channels as isize, 1);
                gemm(outputs, channels, self.tiles(), 1.0, a, b, 1.0, c, 1);
            }
        });
    }
}
