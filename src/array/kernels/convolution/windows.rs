//! Convolution on a padded copy of an image, in which every tap of every channel reads one run of memory.
//!
//! How the copy is laid out, and why, is Note [Windows as runs] (`padded.rs`).

mod depthwise;
mod padded;

pub(super) use padded::copy_line;
use padded::{Band, Lined, Windows, bands};

use super::geometry::Geometry;
use super::{CHUNKS, Number, PARTIAL_ELEMENTS};
use crate::array::kernels::product::{
    DEPTH, Lines, Matrix, MatrixMut, SLACK, copy_matrix, gemm, gemm_gathered,
};
use crate::array::kernels::scratch::{Cached, Shared, with_scratch};
use crate::array::pool;

/// What it costs to make one column of a matrix instead, in output channels of its product.
const COLUMN_COST: usize = 20;

/// Below so many positions the sums of a weight's gradient are too short to pay for reading and writing the result.
const FEW_POSITIONS: usize = 128;

/// Output channels computed at once; a multiple of the rows of every register tile.
const OUTPUTS: usize = 24;

/// With so many channels (or outputs), a weight's gradient is computed with them side by side in a register.
pub const LANES: usize = 8;

/// From one output's gradient to the next where they are copied: a cache line more than a block, so that they do not
/// fall on the same cache set.
const GRADIENT_ROW: usize = DEPTH + 16;

/// Fewer weights of an output channel than this do not pay for turning its gradient.
const TURNED: usize = 32;

/// Whether a convolution is computed here, and not as a product with columns that are made, across images.
///
/// A window of one position needs neither. Of a small image many columns are left behind.
pub fn serve(g: &Geometry) -> bool {
    if !Windows::is_dense(g) {
        return false;
    }
    let computed = Windows::columns_of(g, Lined::Beyond).next_multiple_of(SLACK + 1);
    let outputs = g.outputs_per_group();
    !g.is_pointwise() && (g.is_depthwise() || computed * outputs <= g.positions() * (outputs + COLUMN_COST))
}

/// What a convolution costs here, or with columns that are made, for each image and group in products.
pub fn cost(g: &Geometry) -> usize {
    let (rows, outputs) = (g.rows(), g.outputs_per_group());
    if g.is_pointwise() {
        return g.positions() * outputs * rows;
    }
    if serve(g) {
        Lined::of(g).computed(g) * outputs * rows
    } else {
        g.positions() * (outputs + COLUMN_COST) * rows
    }
}

/// Numbers in the padded copy of a channel.
pub fn copied(g: &Geometry) -> usize {
    Windows::copied(g)
}

/// Whether a weight's gradient is computed here.
pub fn serve_weights(g: &Geometry) -> bool {
    !g.is_pointwise() && (g.is_depthwise() || g.positions() >= FEW_POSITIONS) && Windows::is_dense(g)
}

/// Products of numbers in a task, at least.
const TASK_PRODUCTS: usize = 1 << 16;

/// Outputs that a task has at least, where they are shared out too.
const SHARE: usize = 2 * OUTPUTS;

/// y = x convolved with w, plus the bias: see [`super::forward`].
pub fn forward<T: Number>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) {
    if g.is_depthwise() {
        return depthwise::forward(g, x, w, bias, y);
    }
    let (rows, outputs, positions) = (g.rows(), g.outputs_per_group(), g.positions());
    let bands = bands(g, Lined::of(g));
    let all = Shared(y.as_mut_ptr());
    let planes = g.batch * g.groups;
    let together = (TASK_PRODUCTS / (outputs * rows * bands[0].windows.columns)).max(1);
    let tasks = planes.div_ceil(together);
    // Where there are fewer tasks than keep the threads busy each makes some of the outputs, for which images are copied again.
    // Every output is one chain: its bits do not depend on that.
    let wanted = if g.is_large() && pool::num_threads() > 1 { 2 * pool::num_threads() } else { 1 };
    let shares = (wanted / (tasks * bands.len())).min(outputs / SHARE).max(1);
    let share = outputs.div_ceil(shares).next_multiple_of(OUTPUTS).min(outputs);
    let shares = outputs.div_ceil(share);
    pool::for_each_if(g.is_large(), tasks * bands.len() * shares, &|task| {
        let (task, first) = (task / shares, task % shares * share);
        let (task, band) = (task / bands.len(), &bands[task % bands.len()]);
        let count = share.min(outputs - first);
        let planes = task * together..planes.min((task + 1) * together);
        let length = band.windows.length(&band.geometry);
        let columns = if band.is_written_by_line() { 0 } else { band.windows.columns };
        with_scratch(length + count.min(OUTPUTS) * columns, |scratch: &mut [T]| {
            let (copy, c) = scratch.split_at_mut(length);
            copy.fill(T::ZERO);
            for plane in planes {
                let (image, group) = (plane / g.groups, plane % g.groups);
                band.windows.refill(&band.geometry, image, group, x, copy);
                let output = group * outputs + first;
                let weights = Matrix::new(w, output * rows, rows as isize, 1);
                // SAFETY: the positions of this band of these output channels are this task's alone.
                let y = unsafe { all.at((image * g.outputs + output) * positions) };
                let bias = bias.map(|bias| &bias[output..]);
                // SAFETY: as above.
                unsafe { band.outputs(g, (count, weights), copy, c, bias, y) };
            }
        });
    });
}

impl Band {
    /// Whether lines of the output are computed where they belong: unless they are not joined and their ends would leave too much of a register
    /// unused, more than the columns between lines do.
    fn is_written_by_line(&self) -> bool {
        let [depth, height, width] = self.geometry.output;
        self.lined == Lined::Joined
            || depth * height * width.next_multiple_of(LANES)
                <= self.windows.columns + self.windows.columns / 8
    }

    /// The band's positions of so many output channels of a group, from a copy of its input, `c` being room for columns.
    ///
    /// # Safety
    /// At `y` begin the output channels, whose positions in this band are the caller's alone.
    unsafe fn outputs<T: Number>(
        &self,
        whole: &Geometry,
        (outputs, weights): (usize, Matrix<'_, T>),
        copy: &[T],
        c: &mut [T],
        bias: Option<&[T]>,
        y: *mut T,
    ) {
        let (positions, windows) = (whole.positions(), &self.windows);
        let [depth, height, width] = self.geometry.output;
        if self.is_written_by_line() {
            let [_, down, across] = windows.extent;
            let lines = match self.lined {
                Lined::Beyond => {
                    Lines { count: height, length: width, b_step: across, c_step: whole.output[2] }
                }
                Lined::Joined => Lines::one(height * width),
            };
            for d in 0..depth {
                let copy = &copy[d * down * across..];
                // SAFETY: the lines of this depth are positions of the band.
                unsafe {
                    let y = y.add(self.position(whole, d, 0));
                    gemm_gathered(outputs, lines, weights, copy, &windows.starts, T::ZERO, y, positions);
                }
            }
            if let Some(bias) = bias {
                for (o, &shift) in bias.iter().enumerate().take(outputs) {
                    windows.each_line(self, whole, |_, position| {
                        // SAFETY: a line of the band.
                        let line =
                            unsafe { std::slice::from_raw_parts_mut(y.add(o * positions + position), width) };
                        for y in line {
                            *y += shift;
                        }
                    });
                }
            }
            return;
        }
        let n = windows.columns;
        let lines = Lines::one(n);
        for from in (0..outputs).step_by(OUTPUTS) {
            let count = OUTPUTS.min(outputs - from);
            // SAFETY: there is room for so many rows of columns.
            unsafe {
                let weights = weights.from_row(from);
                gemm_gathered(count, lines, weights, copy, &windows.starts, T::ZERO, c.as_mut_ptr(), n);
            }
            for (o, row) in c.chunks_exact(n).enumerate().take(count) {
                let o = from + o;
                windows.each_line(self, whole, |column, position| {
                    // SAFETY: a line of the band.
                    let line =
                        unsafe { std::slice::from_raw_parts_mut(y.add(o * positions + position), width) };
                    let row = &row[column..column + width];
                    match bias {
                        Some(bias) => line.iter_mut().zip(row).for_each(|(y, &c)| *y = c + bias[o]),
                        None => copy_line(line, row),
                    }
                });
            }
        }
    }
}

impl Band {
    /// Adds to `sum`, `[taps, outputs, channels]`, what the band's positions of an image contribute to a group's weights:
    /// `turned` is the copy of its input with the channels of a place side by side, and [`SLACK`] behind the last; `grads`
    /// is room for [`DEPTH`] positions of the gradient, a row of [`GRADIENT_ROW`] for each output.
    fn weights_by_channel<T: Number>(
        &self,
        whole: &Geometry,
        (image, group): (usize, usize),
        g: &[T],
        grads: &mut [T],
        turned: &[T],
        sum: &mut [T],
    ) {
        let (channels, outputs) = (whole.channels_per_group(), whole.outputs_per_group());
        let lines = Lines::one(channels);
        let mut places = Vec::with_capacity(self.geometry.positions());
        let width = self.geometry.output[2];
        self.windows.each_line(self, whole, |column, _| {
            places.extend((column..column + width).map(|column| column * channels));
        });
        // A band is cut along the first axis that can be cut: its positions lie one after the other.
        let first =
            (image * whole.outputs + group * outputs) * whole.positions() + self.position(whole, 0, 0);
        for (chunk, places) in places.chunks(DEPTH).enumerate() {
            for (o, row) in grads.chunks_exact_mut(GRADIENT_ROW).enumerate() {
                let from = first + o * whole.positions() + chunk * DEPTH;
                row[..places.len()].copy_from_slice(&g[from..from + places.len()]);
            }
            let a = Matrix::new(grads, 0, GRADIENT_ROW as isize, 1);
            for (sum, &start) in sum.chunks_exact_mut(outputs * channels).zip(self.windows.starts.iter()) {
                // SAFETY: the sum of a tap has so many rows, and is borrowed exclusively.
                unsafe {
                    let c = sum.as_mut_ptr();
                    gemm_gathered(
                        outputs,
                        lines,
                        a,
                        &turned[start * channels..],
                        places,
                        T::ONE,
                        c,
                        channels,
                    );
                }
            }
        }
    }
}

/// One image's gradient of the output in the places of the columns, zero between lines: `[outputs, columns]`.
fn columns_of_gradient<T: Number>(
    whole: &Geometry,
    band: &Band,
    (image, group): (usize, usize),
    g: &[T],
    out: &mut [T],
) {
    let (outputs, width) = (whole.outputs_per_group(), band.geometry.output[2]);
    out.fill(T::ZERO);
    for (o, out) in out.chunks_exact_mut(band.windows.columns).enumerate() {
        let first = (image * whole.outputs + group * outputs + o) * whole.positions();
        band.windows.each_line(band, whole, |column, position| {
            copy_line(&mut out[column..column + width], &g[first + position..][..width]);
        });
    }
}

/// dw, from the input and the gradient `g` of the output: see [`super::weight_grad`].
///
/// With channels in the lanes of a register there is a product for each tap, of outputs by channels; else one for each
/// line of taps of a channel, of taps by outputs. The inner index is the position.
pub fn weight_grad<T: Number>(geo: &Geometry, x: &[T], g: &[T], dw: &mut [T]) {
    if geo.is_depthwise() {
        return depthwise::weight_grad(geo, x, g, dw);
    }
    let (channels, outputs, taps) = (geo.channels_per_group(), geo.outputs_per_group(), geo.taps());
    let bands = bands(geo, Lined::Beyond);
    let by_channel = channels >= LANES;
    let by_output = !by_channel && outputs >= LANES && channels * taps >= TURNED;
    let (size, own) = (dw.len(), channels * outputs * taps);
    let units = geo.batch * bands.len();
    let chunks = units.min(CHUNKS).min((PARTIAL_ELEMENTS / size.max(1)).max(2)).max(1);
    let per_chunk = units.div_ceil(chunks);
    let mut partial = Cached::filled(T::ZERO, size * chunks);
    let all = Shared(partial.as_mut_ptr());
    pool::for_each_if(geo.is_large(), chunks * geo.groups, &|task| {
        let (chunk, group) = (task / geo.groups, task % geo.groups);
        // SAFETY: this group's part of this chunk's sum is this task's alone.
        let sum = unsafe { all.slice(chunk * size + group * own, own) };
        for unit in chunk * per_chunk..units.min((chunk + 1) * per_chunk) {
            let (image, band) = (unit / bands.len(), &bands[unit % bands.len()]);
            let windows = &band.windows;
            let (n, length) = (windows.columns, windows.length(&band.geometry));
            let (side, turned) = match (by_channel, by_output) {
                (true, _) => (outputs * GRADIENT_ROW, channels * windows.size + SLACK),
                (_, true) => (outputs * n, outputs * n),
                _ => (outputs * n, 0),
            };
            with_scratch(length + side + turned, |scratch: &mut [T]| {
                let (copy, rest) = scratch.split_at_mut(length);
                let (grads, turned) = rest.split_at_mut(side);
                windows.fill(&band.geometry, image, group, x, copy);
                if by_channel {
                    let room = turned.len() - SLACK;
                    transpose(copy, windows.size, &mut turned[..room]);
                    return band.weights_by_channel(geo, (image, group), g, grads, turned, sum);
                }
                columns_of_gradient(geo, band, (image, group), g, grads);
                let b = if by_output {
                    transpose(grads, n, turned);
                    Matrix::new(turned, 0, outputs as isize, 1)
                } else {
                    Matrix::new(grads, 0, 1, n as isize)
                };
                for (first, count) in lines_of_taps(geo, channels) {
                    let a = Matrix::new(copy, windows.starts[first], geo.dilation[2] as isize, 1);
                    let step = geo.stride[2].min(geo.kernel[2]) * outputs;
                    let c = MatrixMut::new(sum, first * outputs, step as isize, 1);
                    gemm(count, outputs, n, T::ONE, a, b, T::ONE, c, 1);
                }
            });
        }
    });
    let (total, others) = partial.split_at_mut(size);
    for sum in others.chunks_exact(size.max(1)) {
        total.iter_mut().zip(sum).for_each(|(total, &part)| *total += part);
    }
    // Sums are `[taps, outputs, channels]` by channel, else `[channels, taps, outputs]`.
    let [of_output, of_channel, of_tap] =
        if by_channel { [channels, 1, outputs * channels] } else { [1, taps * outputs, outputs] };
    for (dw, total) in dw.chunks_exact_mut(own).zip(total.chunks_exact(own)) {
        for (index, dw) in dw.chunks_exact_mut(taps).enumerate() {
            let first = index / channels * of_output + index % channels * of_channel;
            dw.iter_mut().enumerate().for_each(|(tap, dw)| *dw = total[first + tap * of_tap]);
        }
    }
}

/// For each channel, the taps along the last axis that read one phase: the first, by its number among all of the
/// channels' taps, and how many. Their runs begin a dilation apart, and they are a stride of taps apart.
fn lines_of_taps(g: &Geometry, channels: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = g.kernel[2];
    let stride = g.stride[2].min(width);
    let line = move |line: usize| (0..stride).map(move |k| (line * width + k, (width - k).div_ceil(stride)));
    (0..channels * g.taps() / width).flat_map(line)
}

/// Rows of `length` as columns; what lies behind the last whole row is left out.
fn transpose<T: Number>(x: &[T], length: usize, y: &mut [T]) {
    /// Elements of a row that are turned together.
    const PIECE: usize = 64;
    let rows = y.len() / length.max(1);
    for start in (0..length).step_by(PIECE) {
        let x = Matrix::new(x, start, 1, length as isize);
        copy_matrix(PIECE.min(length - start), rows, x, &mut y[start * rows..], rows);
    }
}
