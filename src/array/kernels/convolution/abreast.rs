//! Convolutions of small images, with the images of a batch side by side.
//!
//! Note [Images abreast]: what is computed at once lies along the last axis, and the lines of a small image leave most of a
//! register empty. With the images of a batch side by side, innermost (channels, height, width, batch), registers are full
//! whatever an image's size. Then a convolution over two axes is one over three, of which the last is the images and has
//! windows of one. So the operands are turned, the convolution over three axes is computed by what is there for it, and its
//! result is turned back. An output is the same chain of operations as by windows of its own.

use super::{Geometry, Number, scattered_input_grad, windows};
use crate::array::kernels::product::{Matrix, copy_matrix};
use crate::array::kernels::scratch::{Cached, Shared};
use crate::array::pool;

/// The most images side by side: with a line of them every register is full.
const SIDE: usize = 16;

/// Fewer images do not pay for turning them.
const FEW: usize = 4;

/// Positions of a small image; of the lines of a larger one little is left empty.
const SMALL: usize = 256;

/// Numbers in the padded copy of as many images as are side by side, at most: one that no cache holds gains nothing.
const COPIED: usize = 1 << 20;

/// What it costs to turn a number, in products.
const TURN_COST: usize = 16;

/// Numbers that are turned at once: they stay in the third-level cache.
const TOGETHER: usize = 1 << 21;

/// What a convolution costs for each image and group, in products, if it can be computed here.
pub fn cost(g: &Geometry) -> Option<usize> {
    let flat = [g.input[0], g.output[0], g.kernel[0]] == [1; 3] && g.padding[0] == 0;
    let small = g.positions().max(g.plane()) <= SMALL && g.batch >= FEW;
    if !flat || !small || g.is_pointwise() || g.is_depthwise() {
        return None;
    }
    let copied = windows::copied(&side_by_side(g, 1, SIDE));
    if copied.saturating_mul(g.channels_per_group()) > COPIED {
        return None;
    }
    let (channels, outputs, positions) = (g.channels_per_group(), g.outputs_per_group(), g.positions());
    Some(positions * outputs * g.rows() + TURN_COST * (channels * g.plane() + outputs * positions))
}

/// Whether a convolution is computed here: if every image by itself costs more.
pub fn serve(g: &Geometry) -> bool {
    cost(g).is_some_and(|cost| cost < windows::cost(g))
}

/// Whether a weight's gradient is: images whose positions are too few by themselves, with channels for a register.
pub fn serve_weights(g: &Geometry) -> bool {
    g.channels_per_group() >= windows::LANES && !windows::serve_weights(g) && cost(g).is_some()
}

/// Whether an input's gradient is, where it is scattered: the positions of a line are too few by themselves.
pub fn serve_steps(g: &Geometry) -> bool {
    g.output[2] < g.batch.min(SIDE) && cost(g).is_some()
}

/// Some images, and the geometry in which they lie side by side.
struct Part {
    first: usize,
    geometry: Geometry,
}

/// A geometry of so many rows of images, side by side.
fn side_by_side(g: &Geometry, rows: usize, side: usize) -> Geometry {
    let beside = |[_, height, width]: [usize; 3], last| [height, width, last];
    Geometry {
        batch: rows,
        input: beside(g.input, side),
        output: beside(g.output, side),
        kernel: beside(g.kernel, 1),
        stride: beside(g.stride, 1),
        padding: [g.padding[1], g.padding[2], 0],
        dilation: beside(g.dilation, 1),
        ..*g
    }
}

impl Part {
    /// The parts of a batch, cut by the geometry alone.
    fn all(g: &Geometry) -> Vec<Self> {
        let numbers = SIDE * (g.channels * g.plane() + g.outputs * g.positions());
        let together = (TOGETHER / numbers.max(1)).max(1);
        // Too few for a row of their own share the last whole one.
        let rest = g.batch % SIDE;
        let shared = (1..FEW).contains(&rest) && g.batch > SIDE;
        let whole = g.batch / SIDE - usize::from(shared);
        let rows = (0..whole).step_by(together).map(|row| (row * SIDE, together.min(whole - row), SIDE));
        let (first, left) = (whole * SIDE, g.batch - whole * SIDE);
        let half = if shared { left / 2 } else { 0 };
        let others = [(first, 1, left - half), (first + left - half, 1, half)];
        rows.chain(others.into_iter().filter(|&(_, _, side)| side > 0))
            .map(|(first, rows, side)| Part { first, geometry: side_by_side(g, rows, side) })
            .collect()
    }

    fn side(&self) -> usize {
        self.geometry.input[2]
    }

    /// This part of an operand that has `size` numbers for each image, turned.
    fn turn<T: Number>(&self, x: &[T], size: usize) -> Cached<T> {
        let (rows, side) = (self.geometry.batch, self.side());
        let mut to = Cached::filled(T::ZERO, rows * side * size);
        let all = Shared(to.as_mut_ptr());
        pool::for_each_if(self.geometry.is_large(), rows, &|row| {
            let from = Matrix::new(x, (self.first + row * side) * size, 1, size as isize);
            // SAFETY: this row's numbers are this task's alone.
            copy_matrix(size, side, from, unsafe { all.slice(row * side * size, side * size) }, side);
        });
        to
    }

    /// This part of a result that has `size` numbers for each image, turned back.
    fn turn_back<T: Number>(&self, y: &[T], size: usize, to: &mut [T]) {
        let (rows, side) = (self.geometry.batch, self.side());
        let all = Shared(to.as_mut_ptr());
        pool::for_each_if(self.geometry.is_large(), rows, &|row| {
            let from = Matrix::new(y, row * side * size, 1, side as isize);
            let first = (self.first + row * side) * size;
            // SAFETY: these images' numbers are this task's alone.
            copy_matrix(side, size, from, unsafe { all.slice(first, side * size) }, size);
        });
    }

    /// Room for a result that has `size` numbers for each image.
    fn room<T: Number>(&self, size: usize) -> Cached<T> {
        Cached::filled(T::ZERO, self.geometry.batch * self.side() * size)
    }
}

/// y = x convolved with w, plus the bias: see [`super::forward`].
pub fn forward<T: Number>(g: &Geometry, x: &[T], w: &[T], bias: Option<&[T]>, y: &mut [T]) {
    let (from, to) = (g.channels * g.plane(), g.outputs * g.positions());
    for part in Part::all(g) {
        let x = part.turn(x, from);
        let mut result = part.room(to);
        windows::forward(&part.geometry, &x, w, bias, &mut result);
        part.turn_back(&result, to, y);
    }
}

/// dx, where it is scattered, from the gradient `g` of the output: see [`super::input_grad`].
pub fn input_grad<T: Number>(geo: &Geometry, g: &[T], w: &[T], dx: &mut [T]) {
    let (from, to) = (geo.outputs * geo.positions(), geo.channels * geo.plane());
    for part in Part::all(geo) {
        let g = part.turn(g, from);
        let mut result = part.room(to);
        scattered_input_grad(&part.geometry, &g, w, &mut result);
        part.turn_back(&result, to, dx);
    }
}

/// dw, from the input and the gradient `g` of the output: see [`super::weight_grad`].
pub fn weight_grad<T: Number>(geo: &Geometry, x: &[T], g: &[T], dw: &mut [T]) {
    let (inputs, outputs) = (geo.channels * geo.plane(), geo.outputs * geo.positions());
    dw.fill(T::ZERO);
    let mut sum = Cached::filled(T::ZERO, dw.len());
    for part in Part::all(geo) {
        let (x, g) = (part.turn(x, inputs), part.turn(g, outputs));
        windows::weight_grad(&part.geometry, &x, &g, &mut sum);
        dw.iter_mut().zip(sum.iter()).for_each(|(dw, &sum)| *dw += sum);
    }
}
