//! Wide windows that step by two, over few channels, by minimal filtering of their phases.
//!
//! Note [Filtered phases]: a window that steps by two is four that step by one: its even and odd taps, down and across, over the
//! even and odd positions of the input. Each of them is filtered: of two outputs along an axis, five products stand for
//! the eight of four taps, four for the six of three. So two by two outputs of a window of seven by seven take 81 products
//! for each channel, where they have 196. Points are 0, 1, -1, 2 as far as there are taps, and infinity: then no number
//! reaches an output whose window does not read it. What `winograd.rs` says of small weights and of infinities holds here too.
//!
//! With few channels the sums of products are short: so they are made, added up over places and phases and transformed
//! back in registers, a tile in each lane.

// Without inlining registers travel through memory.
#![allow(clippy::inline_always)]
#![allow(clippy::needless_range_loop, reason = "one index walks registers and places of a tile at once")]

use std::sync::atomic::{AtomicBool, Ordering};

use super::Geometry;
use super::winograd::{are_large, by_windows};
use crate::array::kernels::product::lanes::enter_widest;
use crate::array::kernels::product::{Kernel, Register};
use crate::array::kernels::scratch::{Cached, Shared, with_scratch};
use crate::array::pool;

/// Outputs of a tile along an axis; positions from one window to the next, which is also how many phases there are.
const TILE: usize = 2;
const STEP: usize = 2;

/// Input positions from one tile to the next.
const APART: usize = TILE * STEP;

/// The most taps that a phase has along an axis, and places of its tile.
const TAPS: usize = 4;
const SIDE: usize = TAPS + TILE - 1;

/// Output channels whose weights lie side by side.
const TOGETHER: usize = 4;

/// More channels are better summed as products of matrices, and fewer outputs do not pay for transforming the input.
const MOST_CHANNELS: usize = 4;
const FEWEST_OUTPUTS: usize = 16;

/// Columns of the output below which registers are mostly empty, and above which a band of lines is too long for a cache.
const FEWEST_COLUMNS: usize = 24;
const MOST_COLUMNS: usize = 8192;

/// Lines of tiles in a task: their inputs are copied together.
const BAND: usize = 4;

/// Lanes of the widest register.
const MOST_LANES: usize = 16;

/// A body for each place of an axis with so many taps, two at least, as a constant: a loop would keep registers in memory.
macro_rules! for_each_place {
    ($place:ident of $taps:ident $body:block) => {
        for_each_place!(@ $place true $body 0 1 2);
        for_each_place!(@ $place (3 <= $taps) $body 3);
        for_each_place!(@ $place (4 <= $taps) $body 4);
    };
    (@ $place:ident $is_there:tt $body:block $($number:literal)*) => {
        $(
            if $is_there {
                const $place: usize = $number;
                $body
            }
        )*
    };
}

/// Whether a convolution is computed here.
pub fn serve(g: &Geometry) -> bool {
    let flat = [g.input[0], g.output[0], g.kernel[0]] == [1; 3] && g.padding[0] == 0;
    let plain = g.stride[1..] == [STEP; 2] && g.dilation[1..] == [1; 2] && g.groups == 1;
    let window = matches!(g.kernel[1..], [5, 5] | [7, 7]);
    let thin = g.channels <= MOST_CHANNELS && g.outputs >= FEWEST_OUTPUTS;
    let inside = g.padding[1] >= 0 && g.padding[2] >= 0;
    let wide = (FEWEST_COLUMNS..=MOST_COLUMNS).contains(&g.output[2]) && g.output[1] >= TILE;
    flat && plain && window && thin && inside && wide
}

/// y = x convolved with w, plus the bias: see [`super::forward`].
pub fn forward(g: &Geometry, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    if !are_large(w) {
        return super::forward_by_windows(g, x, w, bias, y);
    }
    let weights = match g.kernel[1] {
        5 => transformed::<5>(g, w),
        _ => transformed::<7>(g, w),
    };
    let failed: Vec<AtomicBool> = (0..g.batch).map(|_| AtomicBool::new(false)).collect();
    let all = Shared(y.as_mut_ptr());
    let bands = g.output[1].div_ceil(TILE * BAND);
    pool::for_each_if(g.is_large(), g.batch * bands, &|task| {
        let (image, band) = (task / bands, task % bands);
        let first = band * BAND;
        let lines = first..(first + BAND).min(g.output[1].div_ceil(TILE));
        let band = Band { g, image, lines, x, weights: &weights, bias, y: &all, failed: &failed[image] };
        match g.kernel[1] {
            5 => band.compute::<3, 2>(),
            _ => band.compute::<4, 3>(),
        }
    });
    let failed: Vec<usize> = (0..g.batch).filter(|&image| failed[image].load(Ordering::Relaxed)).collect();
    if !failed.is_empty() {
        by_windows(g, &failed, x, w, bias, y);
    }
}

/// The taps of a phase of a window.
const fn taps_of(window: usize, phase: usize) -> usize {
    (window - phase).div_ceil(STEP)
}

/// Places of the tiles of all phases.
const fn places_of(window: usize) -> usize {
    let side = window + STEP * (TILE - 1);
    side * side
}

/// The taps of a phase at each of its places: the values of the polynomial of its taps, over what its products there are
/// multiplied with.
fn filtered(taps: [f64; TAPS], count: usize) -> [f64; SIDE] {
    let [a, b, c, d] = taps;
    let (even, odd) = (a + c, b + d);
    match count {
        2 => [-a, a + b, b, 0.0, 0.0],
        3 => [-a, 0.5 * (even + b), 0.5 * (even - b), c, 0.0],
        _ => [
            0.5 * a,
            -0.5 * (even + odd),
            -(even - odd) / 6.0,
            (a + 2.0 * (b + 2.0 * (c + 2.0 * d))) / 6.0,
            d,
        ],
    }
}

/// The weights at all places: for each [`TOGETHER`] outputs, for each place and channel those of the outputs. Places
/// are numbered by phase down, then line, then both phases across side by side: as a matrix of `WINDOW + STEP` columns.
fn transformed<const WINDOW: usize>(g: &Geometry, w: &[f32]) -> Cached<f32> {
    let places = places_of(WINDOW);
    let mut weights = Cached::filled(0.0, g.outputs.next_multiple_of(TOGETHER) * places * g.channels);
    for (number, window) in w.chunks_exact(WINDOW * WINDOW).enumerate() {
        let (output, channel) = (number / g.channels, number % g.channels);
        let group = &mut weights[output / TOGETHER * places * g.channels * TOGETHER..];
        let mut place = 0;
        for down in 0..STEP {
            // Rows of taps filtered across, both phases side by side, and then down.
            let mut lines = [[0.0; STEP * SIDE]; TAPS];
            let rows = window.chunks_exact(WINDOW).skip(down).step_by(STEP);
            for (line, row) in lines.iter_mut().zip(rows) {
                let mut at = 0;
                for across in 0..STEP {
                    let mut taps = [0.0; TAPS];
                    for (tap, &w) in taps.iter_mut().zip(row.iter().skip(across).step_by(STEP)) {
                        *tap = w.into();
                    }
                    let count = taps_of(WINDOW, across);
                    line[at..=at + count].copy_from_slice(&filtered(taps, count)[..=count]);
                    at += count + 1;
                }
            }
            let (count, side) = (taps_of(WINDOW, down), WINDOW + STEP);
            let columns: [[f64; SIDE]; STEP * SIDE] =
                std::array::from_fn(|s| filtered(std::array::from_fn(|i| lines[i][s]), count));
            for i in 0..=count {
                for column in &columns[..side] {
                    group[(place * g.channels + channel) * TOGETHER + output % TOGETHER] = column[i] as f32;
                    place += 1;
                }
            }
        }
    }
    weights
}

/// Some lines of tiles of an image.
struct Band<'a> {
    g: &'a Geometry,
    image: usize,
    lines: std::ops::Range<usize>,
    x: &'a [f32],
    weights: &'a [f32],
    bias: Option<&'a [f32]>,
    y: &'a Shared<f32>,
    failed: &'a AtomicBool,
}

impl Band<'_> {
    /// Computes the band, of a window with so many even and odd taps along an axis.
    fn compute<const EVEN: usize, const ODD: usize>(&self) {
        let g = self.g;
        let window = EVEN + ODD;
        let tiles = g.output[2].div_ceil(TILE);
        // Registers that reach beyond the last tile read zeros.
        let length = tiles.next_multiple_of(MOST_LANES) + MOST_LANES;
        let rows = (self.lines.len() - 1) * APART + window + STEP * (TILE - 1);
        let copy = g.channels * rows * APART * length;
        let inputs = places_of(window) * g.channels * tiles.next_multiple_of(MOST_LANES);
        with_scratch(copy + inputs + APART * length, |scratch: &mut [f32]| {
            let (copy, rest) = scratch.split_at_mut(copy);
            let (inputs, line) = rest.split_at_mut(inputs);
            // SAFETY: there is room for what registers of any width reach; these lines of the output are this task's alone.
            unsafe {
                enter_widest::<f32, _>(Lines::<EVEN, ODD> { band: self, length, rows, copy, inputs, line });
            }
        });
    }
}

/// The lines of a band, and room for what is made of them.
struct Lines<'a, const EVEN: usize, const ODD: usize> {
    band: &'a Band<'a>,
    /// Numbers of each residue of a row of the input.
    length: usize,
    /// Rows of the input.
    rows: usize,
    /// `[channel, row, residue of the column, length]`.
    copy: &'a mut [f32],
    /// For each register of tiles, `[place, channel, lane]`.
    inputs: &'a mut [f32],
    /// A row of the input.
    line: &'a mut [f32],
}

impl<R: Register<Element = f32>, const EVEN: usize, const ODD: usize> Kernel<R> for Lines<'_, EVEN, ODD> {
    #[inline(always)]
    unsafe fn run(mut self) {
        let (band, g) = (self.band, self.band.g);
        let tiles = g.output[2].div_ceil(TILE);
        let places = places_of(EVEN + ODD);
        let block = places * g.channels * R::LANES;
        // SAFETY: the caller's promise; so below.
        unsafe {
            self.copy_rows::<R>();
            let mut zero = R::splat(0.0);
            for line in band.lines.clone() {
                for first in (0..tiles).step_by(R::LANES) {
                    let to = self.inputs.as_mut_ptr().add(first / R::LANES * block);
                    let at = (line - band.lines.start, first);
                    let beside = (EVEN + 1) * g.channels * R::LANES;
                    let below = (EVEN + 1) * (EVEN + ODD + STEP) * g.channels * R::LANES;
                    self.transform::<R, EVEN, EVEN>(at, [0, 0], to);
                    self.transform::<R, EVEN, ODD>(at, [0, 1], to.add(beside));
                    self.transform::<R, ODD, EVEN>(at, [1, 0], to.add(below));
                    self.transform::<R, ODD, ODD>(at, [1, 1], to.add(below + beside));
                }
                for output in (0..g.outputs).step_by(TOGETHER) {
                    let weights = band.weights.as_ptr().add(output * places * g.channels);
                    for first in (0..tiles).step_by(R::LANES) {
                        let inputs = self.inputs.as_ptr().add(first / R::LANES * block);
                        if R::LANES == MOST_LANES {
                            zero = zero.plus(self.outputs::<R, 4>(inputs, weights, [output, line, first]));
                        } else {
                            for part in (0..TOGETHER.min(g.outputs - output)).step_by(2) {
                                let (weights, output) = (weights.add(part), output + part);
                                zero =
                                    zero.plus(self.outputs::<R, 2>(inputs, weights, [output, line, first]));
                            }
                        }
                    }
                }
            }
            if zero.folded() != 0.0 {
                band.failed.store(true, Ordering::Relaxed);
            }
        }
    }
}

impl<const EVEN: usize, const ODD: usize> Lines<'_, EVEN, ODD> {
    /// Copies the rows that the band reads, with zeros around the image, each cut into the residues of its columns.
    #[inline(always)]
    unsafe fn copy_rows<R: Register<Element = f32>>(&mut self) {
        let (band, g) = (self.band, self.band.g);
        let [_, height, width] = g.input;
        // Where a row lies in the padded one, and how much of it.
        let before = (g.padding[2] as usize).min(self.line.len());
        let count = width.min(self.line.len() - before);
        self.line.fill(0.0);
        for (number, to) in self.copy.chunks_exact_mut(APART * self.length).enumerate() {
            let (channel, row) = (number / self.rows, number % self.rows);
            let row = (band.lines.start * APART + row) as isize - g.padding[1];
            if !(0..height as isize).contains(&row) {
                to.fill(0.0);
                continue;
            }
            let start = ((band.image * g.channels + channel) * height + row as usize) * width;
            self.line[before..before + count].copy_from_slice(&band.x[start..start + count]);
            for at in (0..self.length).step_by(R::LANES) {
                // SAFETY: the caller's promise; a residue has whole registers, and a line has four times as many numbers.
                unsafe {
                    let from = self.line.as_ptr().add(APART * at);
                    let load = |i: usize| R::load(from.add(i * R::LANES));
                    let (even, odd) = load(0).parted(load(1));
                    let (more_even, more_odd) = load(2).parted(load(3));
                    let ((r0, r2), (r1, r3)) = (even.parted(more_even), odd.parted(more_odd));
                    for (residue, register) in [r0, r1, r2, r3].into_iter().enumerate() {
                        register.store(to.as_mut_ptr().add(residue * self.length + at));
                    }
                }
            }
        }
    }

    /// A phase's inputs of a register of tiles, the `first` and its neighbours on a line of the band, transformed.
    #[inline(always)]
    unsafe fn transform<R: Register<Element = f32>, const TALL: usize, const WIDE: usize>(
        &self,
        (line, first): (usize, usize),
        [down, across]: [usize; 2],
        to: *mut f32,
    ) {
        let channels = self.band.g.channels;
        // SAFETY: the caller's promise: rows of the copy, and places of a tile.
        unsafe {
            for channel in 0..channels {
                let mut tile = [[R::splat(0.0); SIDE]; SIDE];
                for_each_place!(I of TALL {
                    let row = channel * self.rows + line * APART + down + I * STEP;
                    let mut numbers = [R::splat(0.0); SIDE];
                    for_each_place!(S of WIDE {
                        let column = across + S * STEP;
                        let residue = (row * APART + column % APART) * self.length;
                        numbers[S] = R::load(self.copy.as_ptr().add(residue + first + column / APART));
                    });
                    tile[I] = turned(numbers, WIDE);
                });
                let to = to.add(channel * R::LANES);
                for_each_place!(S of WIDE {
                    let column = turned([tile[0][S], tile[1][S], tile[2][S], tile[3][S], tile[4][S]], TALL);
                    for_each_place!(I of TALL {
                        column[I].store(to.add((I * (EVEN + ODD + STEP) + S) * channels * R::LANES));
                    });
                });
            }
        }
    }

    /// Adds a phase of lines to `N` output channels of a register of tiles, or begins with it; inputs and weights go on.
    #[inline(always)]
    unsafe fn add_lines<R: Register<Element = f32>, const N: usize, const TALL: usize, const BEGINS: bool>(
        &self,
        inputs: &mut *const f32,
        weights: &mut *const f32,
        y: &mut [[[R; TILE]; TILE]; N],
    ) {
        // SAFETY: the caller's promise: inputs and weights of all places.
        unsafe {
            for_each_place!(I of TALL {
                let mut line = [[R::splat(0.0); TILE]; N];
                for_each_place!(S of EVEN {
                    let products = self.products::<R, N>(inputs, weights);
                    for n in 0..N {
                        line[n] = gathered::<R, true>(line[n], products[n], S, EVEN);
                    }
                });
                for_each_place!(S of ODD {
                    let products = self.products::<R, N>(inputs, weights);
                    for n in 0..N {
                        line[n] = gathered::<R, false>(line[n], products[n], S, ODD);
                    }
                });
                for n in 0..N {
                    for b in 0..TILE {
                        [y[n][0][b], y[n][1][b]] =
                            gathered::<R, BEGINS>([y[n][0][b], y[n][1][b]], line[n][b], I, TALL);
                    }
                }
            });
        }
    }

    /// The products of a place, summed over channels, for `N` output channels; inputs and weights go on.
    #[inline(always)]
    unsafe fn products<R: Register<Element = f32>, const N: usize>(
        &self,
        inputs: &mut *const f32,
        weights: &mut *const f32,
    ) -> [R; N] {
        // SAFETY: the caller's promise: inputs and weights of the place.
        unsafe {
            let mut products = [R::splat(0.0); N];
            for _ in 0..self.band.g.channels {
                let x = R::load(*inputs);
                for n in 0..N {
                    products[n] = products[n].multiply_add(R::splat(*weights.add(n)), x);
                }
                *inputs = inputs.add(R::LANES);
                *weights = weights.add(TOGETHER);
            }
            products
        }
    }

    /// Computes and writes `N` output channels of a register of tiles; zeros are returned, or NaN where an output is not finite.
    #[inline(always)]
    unsafe fn outputs<R: Register<Element = f32>, const N: usize>(
        &self,
        mut inputs: *const f32,
        mut weights: *const f32,
        [output, line, first]: [usize; 3],
    ) -> R {
        let (band, g) = (self.band, self.band.g);
        let (height, width) = (g.output[1], g.output[2]);
        // SAFETY: the caller's promise: transformed inputs and weights of all places; outputs that exist are written.
        unsafe {
            let mut y = [[[R::splat(0.0); TILE]; TILE]; N];
            self.add_lines::<R, N, EVEN, true>(&mut inputs, &mut weights, &mut y);
            self.add_lines::<R, N, ODD, false>(&mut inputs, &mut weights, &mut y);
            let mut zero = R::splat(0.0);
            for n in 0..N.min(g.outputs - output) {
                let channel = output + n;
                let shift = R::splat(band.bias.map_or(0.0, |bias| bias[channel]));
                for a in 0..TILE.min(height - TILE * line) {
                    let at = (band.image * g.outputs + channel) * g.positions()
                        + (TILE * line + a) * width
                        + TILE * first;
                    let (left, right) = y[n][a][0].plus(shift).interleaved(y[n][a][1].plus(shift));
                    for (part, numbers) in [left, right].into_iter().enumerate() {
                        // Only outputs are looked at: what else is in a register depends on its length.
                        let valid = (width - TILE * first).saturating_sub(part * R::LANES);
                        let looked_at = if valid >= R::LANES {
                            numbers.store(band.y.at(at + part * R::LANES));
                            numbers
                        } else if valid > 0 {
                            let to = band.y.at(at + part * R::LANES);
                            numbers.store_first(to, valid);
                            R::load_first(to, valid)
                        } else {
                            continue;
                        };
                        zero = zero.multiply_add(looked_at, R::splat(0.0));
                    }
                }
            }
            zero
        }
    }
}

/// The places of a tile along an axis with so many taps, of its numbers.
#[inline(always)]
unsafe fn turned<R: Register<Element = f32>>([a, b, c, d, e]: [R; SIDE], taps: usize) -> [R; SIDE] {
    // SAFETY: the caller's promise: the machine has the register.
    unsafe {
        let two = R::splat(2.0);
        match taps {
            2 => [b.minus(a), b, c.minus(b), d, e],
            3 => [c.minus(a), b.plus(c), c.minus(b), d.minus(b), e],
            _ => {
                let (far, near) = (d.minus(b), c.minus(a));
                let back = d.minus(c);
                [
                    far.minus(near.times(two)),
                    back.minus(b.times(two)),
                    back.plus(b.minus(c).times(two)),
                    far,
                    e.minus(c).minus(far.times(two)),
                ]
            }
        }
    }
}

/// The two outputs with what a place of an axis with so many taps adds to them, or begins them with.
#[inline(always)]
unsafe fn gathered<R: Register<Element = f32>, const BEGINS: bool>(
    [first, second]: [R; TILE],
    product: R,
    place: usize,
    taps: usize,
) -> [R; TILE] {
    // SAFETY: the caller's promise: the machine has the register.
    unsafe {
        match place {
            0 if BEGINS => [product, second],
            1 if BEGINS => [first.plus(product), product],
            0 => [first.plus(product), second],
            _ if place == taps => [first, second.plus(product)],
            1 => [first.plus(product), second.plus(product)],
            2 => [first.plus(product), second.minus(product)],
            _ => [first.plus(product), second.multiply_add(product, R::splat(2.0))],
        }
    }
}
