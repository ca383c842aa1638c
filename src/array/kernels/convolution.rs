//! Convolution and its two adjoints, as products of matrices over parts of the output positions.
//!
//! Note [One convolution, three products]: a convolution is the trilinear form `sum g y(x, w)`. Its value with respect to
//! `g` is the convolution itself, with respect to `x` the input's gradient, with respect to `w` the weight's. The three
//! functions here share one [`Geometry`], and each is the derivative of the others.
//!
//! Sums are cut by the geometry alone, so that bits do not depend on the number of threads; what is shared out by it is computed
//! the same wherever it falls.

mod abreast;
mod columns;
mod direct;
mod geometry;
mod phased;
mod strips;
mod windows;
mod winograd;

use std::ops::{Add, AddAssign, Mul};
use std::sync::atomic::{AtomicBool, Ordering};

pub use geometry::Geometry;

use crate::array::kernels::product::lanes::Laned;
use crate::array::kernels::product::{Matrix, MatrixMut, Product, gemm};
use crate::array::kernels::scratch::{Cached, Shared, with_scratch};
use crate::array::pool;
use columns::{Tile, columns};

/// Dtypes that convolutions are computed in.
pub trait Number: Product + Laned + Add<Output = Self> + Mul<Output = Self> + AddAssign {
    /// Minimal filtering, where the dtype is computed so: `f64` is asked for by those who want its digits.
    const FILTERING: Option<Filtering<Self>> = None;
}
impl Number for f32 {
    const FILTERING: Option<Filtering<Self>> = Some(Filtering {
        stepping: phased::forward,
        forward: winograd::forward,
        input_grad: winograd::input_grad,
        weight_grad: winograd::weight_grad,
    });
}
impl Number for f64 {}
impl Number for i64 {}

/// [`forward`], [`input_grad`] and [`weight_grad`] of a dtype; and [`forward`] of windows that step by two.
pub struct Filtering<T> {
    stepping: fn(&Geometry, &[T], &[T], Option<&[T]>, &mut [T]),
    forward: fn(&Geometry, &[T], &[T], Option<&[T]>, &mut [T]),
    input_grad: fn(&Geometry, &[T], &[T], &mut [T]),
    weight_grad: fn(&Geometry, &[T], &[T], &mut [T]),
}

/// Bytes of a tile of columns: with the tile of the output it stays in the second-level cache.
const TILE_BYTES: usize = 192 << 10;

/// The most partial sums of a weight's gradient, which is also how many threads can make them.
const CHUNKS: usize = 16;

/// Elements of partial sums together, beyond which there are fewer of them.
const PARTIAL_ELEMENTS: usize = 1 << 23;

fn tile_width<T>(rows: usize) -> usize {
    (TILE_BYTES / size_of::<T>() / rows.max(1)).clamp(32, 1024) / 16 * 16
}

/// y = x convolved with w, plus the bias of each output channel.
///
/// `x` is `[batch, channels, ..input]`, `w` `[outputs, channels / groups, ..kernel]`, `y` `[batch, outputs, ..output]`, all
/// contiguous.
pub fn forward<T: Number>(geometry: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) {
    let g = geometry.collapsed();
    if strips::serve(&g) {
        return strips::forward(&g, x, w, bias, y);
    }
    if let Some(filtering) = T::FILTERING {
        if phased::serve(&g) {
            return (filtering.stepping)(&g, x, w, bias, y);
        }
        if winograd::serve(&g) {
            return (filtering.forward)(&g, x, w, bias, y);
        }
    }
    if abreast::serve(&g) {
        return abreast::forward(&g, x, w, bias, y);
    }
    forward_by_windows(&g, x, w, bias, y);
}

/// [`forward`] with every window's own products.
fn forward_by_windows<T: Number>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) {
    if windows::serve(g) {
        return windows::forward(g, x, w, bias, y);
    }
    let (rows, outputs, positions) = (g.rows(), g.outputs_per_group(), g.positions());
    let total = g.batch * positions;
    let width = if g.is_pointwise() && positions >= 64 { positions.min(1024) } else { tile_width::<T>(rows) };
    // A pointwise tile that stays within an image is read where it lies.
    let tiles = Tiles::new(g, width);
    let y_all = Shared(y.as_mut_ptr());
    pool::for_each_if(g.is_large(), g.groups * tiles.count, &|task| {
        let (group, range) = (task / tiles.count, tiles.range(task % tiles.count));
        let n = range.len();
        debug_assert!(range.end <= total);
        with_scratch(rows * n + outputs * n, |scratch: &mut [T]| {
            let (cols, c) = scratch.split_at_mut(rows * n);
            let tile = Tile::new(g, group, range.clone());
            let b = columns(&tile, x, cols);
            let a = Matrix::new(w, group * outputs * rows, rows as isize, 1);
            gemm(outputs, n, rows, T::ONE, a, b, T::ZERO, MatrixMut::new(c, 0, n as isize, 1), 1);
            for (o, row) in c.chunks_exact(n).enumerate() {
                let o = group * outputs + o;
                let shift = bias.map(|bias| bias[o]);
                let mut row = row;
                for (image, from, length) in g.spans(range.clone()) {
                    // SAFETY: this output channel's positions of the tile are this task's alone.
                    let target = unsafe { y_all.slice((image * g.outputs + o) * positions + from, length) };
                    let (part, rest) = row.split_at(length);
                    row = rest;
                    match shift {
                        Some(shift) => {
                            for (y, &value) in target.iter_mut().zip(part) {
                                *y = value + shift;
                            }
                        }
                        None => target.copy_from_slice(part),
                    }
                }
            }
        });
    });
}

/// dx, from the gradient `g` of the output: the adjoint of [`forward`] in `x`.
pub fn input_grad<T: Number>(geometry: &Geometry, g: &[T], w: &[T], dx: &mut [T]) {
    let geo = geometry.collapsed();
    if !are_finite(w) {
        // Zeros around the gradient do not keep an infinite weight away: only what a tap reads is added.
        return scattered_input_grad(&geo, g, w, dx);
    }
    if geo.is_depthwise() && geo.stride != [1; 3] {
        return direct::input_grad(&geo, g, w, dx);
    }
    if geo.stride == [1; 3] {
        // Also a convolution: of g with the weight turned about, in channels and in space.
        let turned = geo.turned();
        if let Some(filtering) = T::FILTERING
            && winograd::serve(&turned)
        {
            return (filtering.input_grad)(&geo, g, w, dx);
        }
        let cost = abreast::cost(&turned).unwrap_or(usize::MAX).min(windows::cost(&turned));
        if geo.is_depthwise() || geo.is_pointwise() || cost <= scattering_cost(&geo) {
            return forward(&turned, g, &turned_weight(&geo, w), None, dx);
        }
    }
    if abreast::serve_steps(&geo) {
        return abreast::input_grad(&geo, g, w, dx);
    }
    scattered_input_grad(&geo, g, w, dx);
}

/// The weights turned about, in channels and in space: `[channels, outputs / groups, ..kernel]`.
fn turned_weight<T: Number>(geo: &Geometry, w: &[T]) -> Cached<T> {
    /// Outputs whose weights are written one after the other: of each, a stream is read.
    const TOGETHER: usize = 16;
    let (inputs, outputs, taps) = (geo.channels_per_group(), geo.outputs_per_group(), geo.taps());
    let mut turned = Cached::filled(T::ZERO, w.len());
    let all = Shared(turned.as_mut_ptr());
    let blocks = outputs.div_ceil(TOGETHER);
    pool::for_each_if(w.len() >= 1 << 17, geo.groups * blocks, &|task| {
        let (group, first) = (task / blocks, task % blocks * TOGETHER);
        for c in 0..inputs {
            for o in first..outputs.min(first + TOGETHER) {
                let from = ((group * outputs + o) * inputs + c) * taps;
                // SAFETY: these outputs' windows are this task's alone.
                let to = unsafe { all.slice(((group * inputs + c) * outputs + o) * taps, taps) };
                to.iter_mut().zip(w[from..from + taps].iter().rev()).for_each(|(to, &w)| *to = w);
            }
        }
    });
    turned
}

/// What [`scattered_input_grad`] costs for each image and group, in products.
fn scattering_cost(geo: &Geometry) -> usize {
    /// What it costs to make a number and to add it where it was read.
    const SCATTERED: usize = 40;
    geo.positions() * geo.rows() * (geo.outputs_per_group() + SCATTERED)
}

/// Where windows step over positions, or reach far beyond the input: columns of gradients, added back to where they were read.
fn scattered_input_grad<T: Number>(geo: &Geometry, g: &[T], w: &[T], dx: &mut [T]) {
    let (inputs, outputs, taps, positions) =
        (geo.channels_per_group(), geo.outputs_per_group(), geo.taps(), geo.positions());
    let plane = geo.plane();
    let block = (128 / taps).clamp(1, inputs.max(1));
    let blocks = inputs.div_ceil(block);
    let width = tile_width::<T>(block * taps);
    let all = Shared(dx.as_mut_ptr());
    pool::for_each_if(geo.is_large(), geo.batch * geo.groups * blocks, &|task| {
        let (image, group, first) =
            (task / (geo.groups * blocks), task / blocks % geo.groups, task % blocks * block);
        let count = block.min(inputs - first);
        let start = (image * geo.channels + group * inputs + first) * plane;
        // SAFETY: these channels of this image are this task's alone.
        let dx = unsafe { all.slice(start, count * plane) };
        dx.fill(T::ZERO);
        let rows = count * taps;
        let mut from = 0;
        while from < positions {
            let n = width.min(positions - from);
            with_scratch(rows * n, |cols: &mut [T]| {
                let a =
                    Matrix::new(w, (group * outputs * inputs + first) * taps, 1, (inputs * taps) as isize);
                let b = Matrix::new(
                    g,
                    (image * geo.outputs + group * outputs) * positions + from,
                    positions as isize,
                    1,
                );
                gemm(rows, n, outputs, T::ONE, a, b, T::ZERO, MatrixMut::new(cols, 0, n as isize, 1), 1);
                columns::scatter(geo, from..from + n, cols, dx);
            });
            from += n;
        }
    });
}

/// dw, from the input and the gradient `g` of the output: the adjoint of [`forward`] in `w`.
///
/// Positions are cut into chunks whose sums are added in order.
pub fn weight_grad<T: Number>(geometry: &Geometry, x: &[T], g: &[T], dw: &mut [T]) {
    let geo = geometry.collapsed();
    if strips::serve_weights(&geo) {
        return strips::weight_grad(&geo, x, g, dw);
    }
    if let Some(filtering) = T::FILTERING
        && winograd::serve_weights(&geo)
    {
        return (filtering.weight_grad)(&geo, x, g, dw);
    }
    if abreast::serve_weights(&geo) {
        return abreast::weight_grad(&geo, x, g, dw);
    }
    weight_grad_by_windows(&geo, x, g, dw);
}

/// [`weight_grad`] with every window's own products.
fn weight_grad_by_windows<T: Number>(geo: &Geometry, x: &[T], g: &[T], dw: &mut [T]) {
    if windows::serve_weights(geo) {
        windows::weight_grad(geo, x, g, dw);
        // What lies between lines meets gradients of zero, which do not keep an infinity away: it is read by columns alone.
        if are_finite(dw) {
            return;
        }
    }
    dw.fill(T::ZERO);
    let (rows, outputs, positions) = (geo.rows(), geo.outputs_per_group(), geo.positions());
    let tiles = Tiles::new(geo, tile_width::<T>(rows + outputs).min(512));
    let size = dw.len();
    let chunks = tiles.count.min(CHUNKS).min((PARTIAL_ELEMENTS / size.max(1)).max(2)).max(1);
    let per_chunk = tiles.count.div_ceil(chunks);
    let mut partial = Cached::filled(T::ZERO, size * chunks);
    let all = Shared(partial.as_mut_ptr());
    pool::for_each_if(geo.is_large(), chunks * geo.groups, &|task| {
        let (chunk, group) = (task / geo.groups, task % geo.groups);
        // SAFETY: this group's rows of this chunk's sum are this task's alone.
        let sum = unsafe { all.slice(chunk * size + group * outputs * rows, outputs * rows) };
        for index in chunk * per_chunk..tiles.count.min((chunk + 1) * per_chunk) {
            let range = tiles.range(index);
            let n = range.len();
            with_scratch(rows * n + outputs * n, |scratch: &mut [T]| {
                let (cols, grads) = scratch.split_at_mut(rows * n);
                let tile = Tile::new(geo, group, range.clone());
                let b = columns(&tile, x, cols).transposed();
                let within = range.start / positions == (range.end - 1) / positions;
                let a = if within {
                    let (image, from) = (range.start / positions, range.start % positions);
                    let offset = (image * geo.outputs + group * outputs) * positions + from;
                    Matrix::new(g, offset, positions as isize, 1)
                } else {
                    for (o, mut row) in grads.chunks_exact_mut(n).enumerate() {
                        for (image, from, length) in geo.spans(range.clone()) {
                            let at = (image * geo.outputs + group * outputs + o) * positions + from;
                            let (part, rest) = row.split_at_mut(length);
                            part.copy_from_slice(&g[at..at + length]);
                            row = rest;
                        }
                    }
                    Matrix::new(grads, 0, n as isize, 1)
                };
                gemm(outputs, rows, n, T::ONE, a, b, T::ONE, MatrixMut::new(sum, 0, rows as isize, 1), 1);
            });
        }
    });
    for sum in partial.chunks_exact(size.max(1)) {
        for (dw, &part) in dw.iter_mut().zip(sum) {
            *dw += part;
        }
    }
}

/// Numbers that are looked at by a task, and without a branch.
const LOOKED_AT: usize = 1 << 16;
const TOGETHER: usize = 256;

/// Whether no number is infinite or NaN.
fn are_finite<T: Number>(numbers: &[T]) -> bool {
    let found = AtomicBool::new(false);
    pool::for_each_if(numbers.len() > 4 * LOOKED_AT, numbers.len().div_ceil(LOOKED_AT), &|task| {
        let some = &numbers[task * LOOKED_AT..numbers.len().min((task + 1) * LOOKED_AT)];
        let count = |few: &[T]| few.iter().map(|&x| u32::from(x * T::ZERO != T::ZERO)).sum::<u32>();
        if some.chunks(TOGETHER).any(|few| count(few) > 0) {
            found.store(true, Ordering::Relaxed);
        }
    });
    !found.into_inner()
}

/// Windows as columns: `y` is `[batch, rows, positions]`, for a geometry of one group.
pub fn unfold<T: Number>(g: &Geometry, x: &[T], y: &mut [T]) {
    let (rows, positions) = (g.rows(), g.positions());
    let all = Shared(y.as_mut_ptr());
    pool::for_each(g.batch, &|image| {
        // SAFETY: this image's columns are this task's alone.
        let y = unsafe { all.slice(image * rows * positions, rows * positions) };
        if g.is_pointwise() {
            return y.copy_from_slice(&x[image * rows * positions..][..rows * positions]);
        }
        columns(&Tile::new(g, 0, image * positions..(image + 1) * positions), x, y);
    });
}

/// The adjoint of [`unfold`]: columns added to zeros where they were read.
pub fn fold<T: Number>(g: &Geometry, x: &[T], y: &mut [T]) {
    let (rows, positions, plane) = (g.rows(), g.positions(), g.channels * g.plane());
    let all = Shared(y.as_mut_ptr());
    pool::for_each(g.batch, &|image| {
        // SAFETY: this image is this task's alone.
        let y = unsafe { all.slice(image * plane, plane) };
        y.fill(T::ZERO);
        columns::scatter(g, 0..positions, &x[image * rows * positions..][..rows * positions], y);
    });
}

/// How all output positions of a batch, in order, are cut into tiles.
struct Tiles {
    total: usize,
    positions: usize,
    width: usize,
    /// Tiles of one image where tiles do not cross images, else 0.
    per_image: usize,
    count: usize,
}

impl Tiles {
    fn new(g: &Geometry, width: usize) -> Self {
        let positions = g.positions();
        let total = g.batch * positions;
        let per_image = if positions >= 64 { positions.div_ceil(width) } else { 0 };
        let count = if per_image > 0 { per_image * g.batch } else { total.div_ceil(width) };
        // Equal tiles: no sliver at the end of an image.
        let width = if per_image > 0 { positions.div_ceil(per_image) } else { width };
        Self { total, positions, width, per_image, count }
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        if self.per_image == 0 {
            return index * self.width..self.total.min((index + 1) * self.width);
        }
        let (image, part) = (index / self.per_image, index % self.per_image);
        let start = image * self.positions;
        start + part * self.width..start + self.positions.min((part + 1) * self.width)
    }
}
