//! Convolution on a padded copy of an image, in which every tap of every channel reads one run of memory.
//!
//! Note [Windows as runs]: let the lines of a padded image lie one after the other, each as long as a line of the output
//! and what the window reaches beyond it. Then tap `(a, b)` reads, for the output position `(h, w)`, `a` lines and `b`
//! elements further on than tap `(0, 0)` does: for all positions together a run that begins at the tap's own place. So a
//! convolution is a product of matrices whose B is never made, its rows being runs of the copy. At the end of each line
//! some columns come out that belong to no position; they are left behind. Where windows step over positions, the copy
//! holds the positions of each residue, a *phase*, by themselves, and all of this is true within a phase. Where what is
//! left behind is much, each column of taps has a phase of its own, whose lines end with the output's: see [`Lined`].

mod depthwise;

use super::geometry::Geometry;
use super::{CHUNKS, Number, PARTIAL_ELEMENTS};
use crate::array::kernels::product::{Lines, Matrix, MatrixMut, SLACK, gemm, gemm_gathered};
use crate::array::kernels::scratch::{Cached, Shared, with_scratch};
use crate::array::pool;

/// What it costs to make one column of a matrix instead, in output channels of its product.
const COLUMN_COST: usize = 20;

/// Below so many positions the sums of a weight's gradient are too short to pay for reading and writing the result.
const FEW_POSITIONS: usize = 128;

/// Columns of a band: with as many outputs as are computed at once they stay in the second-level cache.
const COLUMNS: usize = 1024;

/// Columns of a band where there are fewer than [`FEW`] images and groups to share out.
const NARROW_COLUMNS: usize = 256;
const FEW: usize = 16;

/// Output channels computed at once; a multiple of the rows of every register tile.
const OUTPUTS: usize = 24;

/// With so many channels (or outputs), a weight's gradient is computed with them side by side in a register.
const LANES: usize = 8;

/// Fewer weights of an output channel than this do not pay for turning its gradient.
const TURNED: usize = 32;

/// What it costs to copy an element once more, in products; and the widest window that is copied for each column of taps.
const COPIED_COST: usize = 12;
const WIDEST: usize = 7;

/// Elements up to which a padded copy of a channel is always made, and beyond which it must not be this much larger than
/// what it is a copy of: long steps through much padding read little but zeros.
const COPIED: usize = 1 << 20;
const SPARSE: usize = 8;

/// How long the lines of a copy are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lined {
    /// What the window reaches beyond a line of the output is part of it: one copy for all columns of taps.
    Beyond,
    /// As long as a line of the output, so that the output's lines come out joined: a copy for each column of taps.
    Joined,
}

impl Lined {
    /// How an output is best computed: joined lines fill every register, for which more is copied.
    fn of(g: &Geometry) -> Self {
        let ([depth, height, width], outputs) = (g.output, g.outputs_per_group());
        let [_, down, _] = Windows::extent_of(g, Self::Joined);
        let apart = depth * height * width.next_multiple_of(LANES);
        let beyond = Windows::columns_of(g, Self::Beyond).next_multiple_of(LANES);
        let joined = depth * (height * width).next_multiple_of(LANES);
        let saved = apart.min(beyond).saturating_sub(joined) * outputs * g.taps();
        let copied = (g.kernel[2] - 1) * (depth * down * width);
        if g.kernel[2] <= WIDEST && saved > copied * COPIED_COST { Self::Joined } else { Self::Beyond }
    }
}

/// Where a padded copy of one group of an image has what.
struct Windows {
    /// Extents of a phase.
    extent: [usize; 3],
    /// Elements of a channel: all its phases.
    size: usize,
    /// Where each tap of each channel begins.
    starts: Vec<usize>,
    /// Columns: as long as a tap's run.
    columns: usize,
    /// The blocks of a channel that are copied, one for each phase that reads inside the input.
    blocks: Vec<Block>,
}

/// What a phase of the copy holds of the input: the places along each axis, which are a stride apart in the input.
struct Block {
    /// The first place in the copy.
    to: usize,
    /// The first place in the input.
    from: usize,
    extent: [usize; 3],
}

impl Windows {
    /// The extents of a phase of the copy.
    fn extent_of(g: &Geometry, lined: Lined) -> [usize; 3] {
        let reach = |i: usize| (g.kernel[i] - 1) * g.dilation[i] / g.stride[i];
        std::array::from_fn(|i| g.output[i] + if is_split(lined, i) { 0 } else { reach(i) })
    }

    /// How long a tap's run is.
    fn columns_of(g: &Geometry, lined: Lined) -> usize {
        let [_, height, width] = Self::extent_of(g, lined);
        ((g.output[0] - 1) * height + g.output[1] - 1) * width + g.output[2]
    }

    fn phases_of(g: &Geometry, lined: Lined) -> [usize; 3] {
        std::array::from_fn(|i| match g.kernel[i] {
            1 => 1,
            taps if is_split(lined, i) => taps,
            _ => g.stride[i],
        })
    }

    /// Whether the copy is worth its memory.
    fn is_dense(g: &Geometry) -> bool {
        let (extent, phases) = (Self::extent_of(g, Lined::Beyond), Self::phases_of(g, Lined::Beyond));
        let factors = extent.into_iter().chain(phases);
        factors.fold(1, usize::saturating_mul) <= COPIED.max(g.plane().saturating_mul(SPARSE))
    }

    fn new(g: &Geometry, lined: Lined) -> Self {
        let phases = Self::phases_of(g, lined);
        let extent = Self::extent_of(g, lined);
        let plane: usize = extent.iter().product();
        let size = plane * phases.iter().product::<usize>();
        let line = |at: [usize; 3]| (at[0] * extent[1] + at[1]) * extent[2] + at[2];
        let tap = |k: [usize; 3]| {
            let reach = |i: usize| k[i] * g.dilation[i];
            let phase: [usize; 3] =
                std::array::from_fn(|i| if is_split(lined, i) { k[i] } else { reach(i) % g.stride[i] });
            let phase = (phase[0] * phases[1] + phase[1]) * phases[2] + phase[2];
            let place = |i: usize| if is_split(lined, i) { 0 } else { reach(i) / g.stride[i] };
            phase * plane + line(std::array::from_fn(place))
        };
        let taps: Vec<usize> = (0..g.taps()).map(|t| tap(g.tap(t))).collect();
        let starts =
            (0..g.channels_per_group()).flat_map(|c| taps.iter().map(move |t| c * size + t)).collect();
        Self { extent, size, starts, columns: Self::columns_of(g, lined), blocks: Self::blocks_of(g, lined) }
    }

    /// What each of a channel's phases reads inside the input.
    fn blocks_of(g: &Geometry, lined: Lined) -> Vec<Block> {
        let (phases, extent) = (Self::phases_of(g, lined), Self::extent_of(g, lined));
        let (plane, [_, height, width]) = (extent.iter().product::<usize>(), g.input);
        let block = |number: usize| {
            let phase =
                [number / (phases[1] * phases[2]), number / phases[2] % phases[1], number % phases[2]];
            let reach = |i: usize| if is_split(lined, i) { phase[i] * g.dilation[i] } else { phase[i] };
            let [depth, down, across] = std::array::from_fn(|i| g.reads(i, reach(i), extent[i]));
            let places = [&depth, &down, &across].map(|reads| reads.places.len());
            // What reads beside the input only has no first place in it.
            (!places.contains(&0)).then(|| {
                let line = depth.places.start * extent[1] + down.places.start;
                let to = number * plane + line * extent[2] + across.places.start;
                let from = (depth.first * height + down.first) * width + across.first;
                Block { to, from, extent: places }
            })
        };
        (0..phases.iter().product()).filter_map(block).collect()
    }

    /// Elements of the copy.
    fn length(&self, g: &Geometry) -> usize {
        g.channels_per_group() * self.size + SLACK
    }

    /// Copies one group of an image, with zeros where a window reaches beside it.
    fn fill<T: Number>(&self, g: &Geometry, image: usize, group: usize, x: &[T], copy: &mut [T]) {
        copy.fill(T::ZERO);
        self.refill(g, image, group, x, copy);
    }

    /// Copies one group of an image into a copy of another, or of nothing, which has the zeros already.
    fn refill<T: Number>(&self, g: &Geometry, image: usize, group: usize, x: &[T], copy: &mut [T]) {
        let (channels, plane) = (g.channels_per_group(), g.plane());
        let copy = &mut copy[..channels * self.size];
        let first = (image * g.channels + group * channels) * plane;
        let (to_line, from_line) = (self.extent[2], g.stride[1] * g.input[2]);
        let (to_depth, from_depth) = (self.extent[1] * to_line, g.stride[0] * g.input[1] * g.input[2]);
        for (copy, x) in copy.chunks_exact_mut(self.size).zip(x[first..].chunks_exact(plane)) {
            for &Block { to, from, extent: [depth, down, across] } in &self.blocks {
                for d in 0..depth {
                    let (mut to, mut from) = (to + d * to_depth, from + d * from_depth);
                    for _ in 0..down {
                        let copy = &mut copy[to..to + across];
                        if g.stride[2] == 1 {
                            copy_line(copy, &x[from..from + across]);
                        } else {
                            copy.iter_mut()
                                .zip(x[from..].iter().step_by(g.stride[2]))
                                .for_each(|(y, x)| *y = *x);
                        }
                        (to, from) = (to + to_line, from + from_line);
                    }
                }
            }
        }
    }

    /// Calls `body(column, position)` for each line: where it begins among the columns, and where in the output.
    fn each_line(&self, band: &Band, whole: &Geometry, mut body: impl FnMut(usize, usize)) {
        let [depth, height, _] = band.geometry.output;
        for d in 0..depth {
            for h in 0..height {
                body((d * self.extent[1] + h) * self.extent[2], band.position(whole, d, h));
            }
        }
    }
}

/// Whether each tap of an axis has a phase of its own.
fn is_split(lined: Lined, axis: usize) -> bool {
    lined == Lined::Joined && axis == 2
}

/// Copies a line: a short one in pieces that may overlap, for a call would take longer.
#[inline]
fn copy_line<T: Number>(to: &mut [T], from: &[T]) {
    const PIECE: usize = 8;
    if let (Some(first), Some(last)) = (from.first_chunk::<PIECE>(), from.last_chunk::<PIECE>())
        && let n @ ..=32 = to.len()
    {
        let mut put = |at: usize, piece: &[T; PIECE]| to[at..at + PIECE].copy_from_slice(piece);
        put(0, first);
        for at in [PIECE, 2 * PIECE] {
            if let Some(piece) = from[at.min(n)..].first_chunk() {
                put(at, piece);
            }
        }
        return put(n - PIECE, last);
    }
    to.copy_from_slice(from);
}

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

/// Whether a weight's gradient is.
pub fn serve_weights(g: &Geometry) -> bool {
    !g.is_pointwise() && (g.is_depthwise() || g.positions() >= FEW_POSITIONS) && Windows::is_dense(g)
}

/// A part of the output along its first axis that has more than one position.
struct Band {
    geometry: Geometry,
    /// Its first position.
    first: [usize; 3],
    lined: Lined,
    windows: Windows,
}

/// Bands, cut by the geometry alone. What they are plays no part in the bits of an output, each being one chain.
fn bands(g: &Geometry, lined: Lined) -> Vec<Band> {
    let axis = (0..3).find(|&i| g.output[i] > 1).unwrap_or(2);
    let behind: usize = Windows::extent_of(g, lined)[axis + 1..].iter().product();
    let columns = if g.batch * g.groups < FEW { NARROW_COLUMNS } else { COLUMNS };
    let count = g.output[axis].div_ceil((columns / behind).max(1));
    let length = g.output[axis].div_ceil(count);
    let band = |start: usize| {
        let mut geometry = *g;
        let mut first = [0; 3];
        first[axis] = start;
        geometry.output[axis] = length.min(g.output[axis] - start);
        geometry.padding[axis] -= (start * g.stride[axis]) as isize;
        Band { geometry, first, lined, windows: Windows::new(&geometry, lined) }
    };
    (0..g.output[axis]).step_by(length).map(band).collect()
}

/// Products of numbers in a task, at least.
const TASK_PRODUCTS: usize = 1 << 16;

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
    pool::for_each_if(g.is_large(), tasks * bands.len(), &|task| {
        let (task, band) = (task / bands.len(), &bands[task % bands.len()]);
        let planes = task * together..planes.min((task + 1) * together);
        let length = band.windows.length(&band.geometry);
        let columns = if band.is_written_by_line() { 0 } else { band.windows.columns };
        with_scratch(length + outputs.min(OUTPUTS) * columns, |scratch: &mut [T]| {
            let (copy, c) = scratch.split_at_mut(length);
            copy.fill(T::ZERO);
            for plane in planes {
                let (image, group) = (plane / g.groups, plane % g.groups);
                band.windows.refill(&band.geometry, image, group, x, copy);
                let weights = Matrix::new(w, group * outputs * rows, rows as isize, 1);
                // SAFETY: the positions of this band of these output channels are this task's alone.
                let y = unsafe { all.at((image * g.outputs + group * outputs) * positions) };
                let bias = bias.map(|bias| &bias[group * outputs..]);
                // SAFETY: as above.
                unsafe { band.outputs(g, weights, copy, c, bias, y) };
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

    /// The band's positions of a group's output channels, from a copy of its input, `c` being room for columns.
    ///
    /// # Safety
    /// At `y` begin the output channels, whose positions in this band are the caller's alone.
    unsafe fn outputs<T: Number>(
        &self,
        whole: &Geometry,
        weights: Matrix<'_, T>,
        copy: &[T],
        c: &mut [T],
        bias: Option<&[T]>,
        y: *mut T,
    ) {
        let (outputs, positions, windows) = (whole.outputs_per_group(), whole.positions(), &self.windows);
        let [depth, height, width] = self.geometry.output;
        if self.is_written_by_line() {
            let [_, down, across] = windows.extent;
            let lines = match self.lined {
                Lined::Beyond => {
                    Lines { count: height, length: width, b_step: across, c_step: whole.output[2] }
                }
                Lined::Joined => Lines { count: 1, length: height * width, b_step: 0, c_step: 0 },
            };
            for d in 0..depth {
                let copy = &copy[d * down * across..];
                // SAFETY: the lines of this depth are positions of the band.
                unsafe {
                    let y = y.add(self.position(whole, d, 0));
                    gemm_gathered(outputs, lines, weights, copy, &windows.starts, y, positions);
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
        let lines = Lines { count: 1, length: n, b_step: 0, c_step: 0 };
        for from in (0..outputs).step_by(OUTPUTS) {
            let count = OUTPUTS.min(outputs - from);
            // SAFETY: there is room for so many rows of columns.
            unsafe {
                gemm_gathered(count, lines, weights.from_row(from), copy, &windows.starts, c.as_mut_ptr(), n);
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

    /// Where in a whole output channel a line of the band begins.
    fn position(&self, whole: &Geometry, depth: usize, height: usize) -> usize {
        let [d, h, w] = [self.first[0] + depth, self.first[1] + height, self.first[2]];
        (d * whole.output[1] + h) * whole.output[2] + w
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
            let side = match (by_channel, by_output) {
                (true, _) => channels * windows.size,
                (_, true) => outputs * n,
                _ => 0,
            };
            with_scratch(length + outputs * n + side, |scratch: &mut [T]| {
                let (copy, rest) = scratch.split_at_mut(length);
                let (grads, side) = rest.split_at_mut(outputs * n);
                windows.fill(&band.geometry, image, group, x, copy);
                columns_of_gradient(geo, band, (image, group), g, grads);
                if by_channel {
                    transpose(copy, windows.size, side);
                    let a = Matrix::new(grads, 0, n as isize, 1);
                    for (tap, &start) in windows.starts[..taps].iter().enumerate() {
                        let b = Matrix::new(side, start * channels, channels as isize, 1);
                        let c = MatrixMut::new(sum, tap * outputs * channels, channels as isize, 1);
                        gemm(outputs, channels, n, T::ONE, a, b, T::ONE, c, 1);
                    }
                    return;
                }
                let b = if by_output {
                    transpose(grads, n, side);
                    Matrix::new(side, 0, outputs as isize, 1)
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
        for i in start..length.min(start + PIECE) {
            let target = &mut y[i * rows..(i + 1) * rows];
            for (c, y) in target.iter_mut().enumerate() {
                *y = x[c * length + i];
            }
        }
    }
}
