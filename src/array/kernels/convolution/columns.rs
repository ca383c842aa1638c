//! Columns: for each tap of each channel a row of what it reads at the positions of a tile, and the way back.

use std::ops::Range;

use smallvec::SmallVec;

use super::{Geometry, Number};
use crate::array::kernels::product::Matrix;

/// A run of positions along the last axis.
struct Run {
    image: usize,
    /// The positions along the first two axes.
    outer: [usize; 2],
    /// The positions along the last.
    inner: Range<usize>,
    /// Where the run begins in a row.
    at: usize,
}

/// A tile: some consecutive output positions of a batch, for one group of channels.
pub struct Tile<'a> {
    geometry: &'a Geometry,
    group: usize,
    range: Range<usize>,
    runs: SmallVec<[Run; 32]>,
}

fn runs(g: &Geometry, range: Range<usize>) -> SmallVec<[Run; 32]> {
    let [_, height, width] = g.output;
    let mut runs = SmallVec::new();
    let mut at = range.start;
    while at < range.end {
        let (line, from) = (at / width, at % width);
        let length = (width - from).min(range.end - at);
        let (slab, row) = (line / height, line % height);
        runs.push(Run {
            image: slab / g.output[0],
            outer: [slab % g.output[0], row],
            inner: from..from + length,
            at: at - range.start,
        });
        at += length;
    }
    runs
}

impl<'a> Tile<'a> {
    pub fn new(geometry: &'a Geometry, group: usize, range: Range<usize>) -> Self {
        // A pointwise tile within an image is read where it lies and needs no runs.
        let runs = if geometry.is_pointwise() { SmallVec::new() } else { runs(geometry, range.clone()) };
        Self { geometry, group, range, runs }
    }
}

/// The matrix of a tile's columns: in `cols`, or in `x` itself where the window is one position.
pub fn columns<'a, T: Number>(tile: &Tile<'_>, x: &'a [T], cols: &'a mut [T]) -> Matrix<'a, T> {
    let g = tile.geometry;
    let n = tile.range.len();
    let channels = g.channels_per_group();
    let plane = g.plane();
    if g.is_pointwise() {
        let (image, from) = (tile.range.start / plane, tile.range.start % plane);
        if from + n <= plane {
            return Matrix::new(
                x,
                (image * g.channels + tile.group * channels) * plane + from,
                plane as isize,
                1,
            );
        }
        for (c, mut row) in cols.chunks_exact_mut(n).enumerate() {
            for (image, from, length) in g.spans(tile.range.clone()) {
                let at = (image * g.channels + tile.group * channels + c) * plane + from;
                let (part, rest) = row.split_at_mut(length);
                part.copy_from_slice(&x[at..at + length]);
                row = rest;
            }
        }
        return Matrix::new(cols, 0, n as isize, 1);
    }
    let [_, height, width] = g.input;
    let taps = g.taps();
    for (index, row) in cols.chunks_exact_mut(n).enumerate() {
        let (c, tap) = (index / taps, index % taps);
        let k = g.tap(tap);
        let inside = g.inside(2, k[2]);
        let stride = g.stride[2];
        for run in &tile.runs {
            let length = run.inner.len();
            let row = &mut row[run.at..run.at + length];
            let (Some(d), Some(h)) = (g.read(0, run.outer[0], k[0]), g.read(1, run.outer[1], k[1])) else {
                row.fill(T::ZERO);
                continue;
            };
            let first = inside.start.clamp(run.inner.start, run.inner.end);
            let last = inside.end.clamp(first, run.inner.end);
            let (before, count) = (first - run.inner.start, last - first);
            row[..before].fill(T::ZERO);
            row[before + count..].fill(T::ZERO);
            if count == 0 {
                continue;
            }
            let channel = run.image * g.channels + tile.group * channels + c;
            let line = ((channel * g.input[0] + d) * height + h) * width;
            let start = line + (first * stride + k[2] * g.dilation[2]).wrapping_add_signed(-g.padding[2]);
            let row = &mut row[before..before + count];
            if stride == 1 {
                row.copy_from_slice(&x[start..start + count]);
            } else {
                let line = &x[start..=start + (count - 1) * stride];
                for (y, x) in row.iter_mut().zip(line.iter().step_by(stride)) {
                    *y = *x;
                }
            }
        }
    }
    Matrix::new(cols, 0, n as isize, 1)
}

/// Adds columns of gradients, of positions `range` of one image, to where they were read: `dx` is the rows' channels.
pub fn scatter<T: Number>(g: &Geometry, range: Range<usize>, cols: &[T], dx: &mut [T]) {
    let n = range.len();
    let runs = runs(g, range);
    let [_, height, width] = g.input;
    let taps = g.taps();
    let stride = g.stride[2];
    for (index, row) in cols.chunks_exact(n).enumerate() {
        let (c, tap) = (index / taps, index % taps);
        let k = g.tap(tap);
        let inside = g.inside(2, k[2]);
        for run in &runs {
            let (Some(d), Some(h)) = (g.read(0, run.outer[0], k[0]), g.read(1, run.outer[1], k[1])) else {
                continue;
            };
            let first = inside.start.clamp(run.inner.start, run.inner.end);
            let last = inside.end.clamp(first, run.inner.end);
            if first == last {
                continue;
            }
            let start = ((c * g.input[0] + d) * height + h) * width
                + (first * stride + k[2] * g.dilation[2]).wrapping_add_signed(-g.padding[2]);
            let at = run.at + first - run.inner.start;
            let line = &mut dx[start..=start + (last - first - 1) * stride];
            for (x, &g) in line.iter_mut().step_by(stride).zip(&row[at..at + (last - first)]) {
                *x += g;
            }
        }
    }
}
