//! Rows brought to mean 0 and variance 1, scaled and shifted, and the gradients of that.

// What is compiled into loops of several instruction sets must be inlined into each of them.
#![allow(clippy::inline_always)]

pub mod channels;

use std::marker::PhantomData;

use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::driver::Reduction;
use crate::array::kernels::reduce::moments::{Moment, Spread};
use crate::array::kernels::reduce::paired;
use crate::array::kernels::reduce::sum::Float;
use crate::array::kernels::scratch::Cached;
use crate::array::{Array, DType, pool};
use crate::error::{Error, Result};

/// Elements in a task of the forward pass.
const GROUP: usize = 16 * 1024;

/// The most partial sums of the parameters' gradients.
const CHUNKS: usize = 32;

/// Fewer elements than this make no partial sum of their own.
const LEAST_CHUNK: usize = 4096;

/// Below this many elements nobody is woken.
const PARALLEL: usize = 2 * GROUP;

/// What the gradients are wanted of.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// The numbers that are normalized.
    pub input: bool,
    /// The factors.
    pub weight: bool,
    /// The shifts.
    pub bias: bool,
}

/// Memory for `n` elements of each row, or for one row of parameters.
struct Rows<T> {
    x: *const T,
    /// Null where there are none.
    weight: *const T,
    bias: *const T,
    count: usize,
    length: usize,
    eps: f64,
}

impl<T: Float> Rows<T> {
    /// # Safety
    /// The row is one of `count`, or the first of a parameter that is there.
    #[inline(always)]
    unsafe fn row(&self, first: *const T, row: usize) -> &[T] {
        // SAFETY: by the caller's word; the arrays are contiguous and held by the functions below.
        unsafe { std::slice::from_raw_parts(first.add(row * self.length), self.length) }
    }

    #[inline(always)]
    fn parameter(&self, first: *const T) -> Option<&[T]> {
        // SAFETY: parameters have one row.
        (!first.is_null()).then(|| unsafe { self.row(first, 0) })
    }

    /// The mean of a row, and one by its standard deviation.
    #[inline(always)]
    fn statistics(&self, x: &[T]) -> (T, T) {
        let moments = Spread::<T> { moment: Moment::Variance, correction: 0.0, of: PhantomData }.run(x, 0);
        (T::of(moments.mean()), T::of(1.0 / (moments.variance(0.0) + self.eps).sqrt()))
    }
}

struct Forward<T> {
    rows: Rows<T>,
    y: *mut T,
    group: usize,
}

// SAFETY: tasks read the operands, and each writes to rows of `y` of its own.
unsafe impl<T> Sync for Forward<T> {}

impl<T: Float> Task for Forward<T> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, index: usize) {
        let rows = &self.rows;
        let n = rows.length;
        let (weight, bias) = (rows.parameter(rows.weight), rows.parameter(rows.bias));
        for row in index * self.group..rows.count.min((index + 1) * self.group) {
            // SAFETY: the row is there, in `x` and in `y`, which was just made.
            let (x, y) =
                unsafe { (rows.row(rows.x, row), std::slice::from_raw_parts_mut(self.y.add(row * n), n)) };
            let (mean, scale) = rows.statistics(x);
            match (weight, bias) {
                (Some(w), Some(b)) => (0..n).for_each(|j| y[j] = (x[j] - mean) * scale * w[j] + b[j]),
                (Some(w), None) => (0..n).for_each(|j| y[j] = (x[j] - mean) * scale * w[j]),
                (None, Some(b)) => (0..n).for_each(|j| y[j] = (x[j] - mean) * scale + b[j]),
                (None, None) => (0..n).for_each(|j| y[j] = (x[j] - mean) * scale),
            }
        }
    }
}

struct Backward<T> {
    rows: Rows<T>,
    g: *const T,
    /// Null where it is not wanted.
    dx: *mut T,
    /// A row for each chunk; null where they are not wanted.
    dw: *mut T,
    db: *mut T,
    chunk: usize,
}

// SAFETY: tasks read the operands, and each writes to rows of `dx`, `dw` and `db` of its own.
unsafe impl<T> Sync for Backward<T> {}

impl<T: Float> Task for Backward<T> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, index: usize) {
        let rows = &self.rows;
        let n = rows.length;
        let weight = rows.parameter(rows.weight);
        let own = |first: *mut T, row: usize| {
            // SAFETY: each row is there, and this task's alone.
            (!first.is_null()).then(|| unsafe { std::slice::from_raw_parts_mut(first.add(row * n), n) })
        };
        let (mut dw, mut db) = (own(self.dw, index), own(self.db, index));
        for row in index * self.chunk..rows.count.min((index + 1) * self.chunk) {
            // SAFETY: the row is there.
            let (x, g) = unsafe { (rows.row(rows.x, row), rows.row(self.g, row)) };
            let (mean, scale) = rows.statistics(x);
            let z = move |x: T| (x - mean) * scale;
            if let Some(dw) = &mut dw {
                (0..n).for_each(|j| dw[j] = dw[j] + g[j] * z(x[j]));
            }
            if let Some(db) = &mut db {
                (0..n).for_each(|j| db[j] = db[j] + g[j]);
            }
            if let Some(dx) = own(self.dx, row) {
                match weight {
                    Some(w) => projected([x, g, w], dx, scale, z, |g, w| g * w),
                    None => projected([x, g, g], dx, scale, z, |g, _| g),
                }
            }
        }
    }
}

/// dx = s (h - mean(h) - z mean(h z)) of a row.
#[inline(always)]
fn projected<T: Float>(
    [x, g, w]: [&[T]; 3],
    dx: &mut [T],
    scale: T,
    z: impl Fn(T) -> T + Copy,
    h: impl Fn(T, T) -> T + Copy,
) {
    let n = dx.len();
    let sums = paired::sums([x, g, w], move |[x, g, w]| {
        let h = h(g, w);
        [h, h * z(x)]
    });
    let [shift, along] = sums.map(|sum| T::of(sum / n as f64));
    (0..n).for_each(|j| dx[j] = scale * (h(g[j], w[j]) - shift - z(x[j]) * along));
}

fn run_all<T: Task<Answer = ()> + Sync>(task: &T, count: usize, elements: usize) {
    if elements < PARALLEL {
        (0..count).for_each(|i| leveled(task, i));
    } else {
        pool::for_each(count, &|i| leveled(task, i));
    }
}

fn rows<T: Float>(
    x: &Array,
    length: usize,
    weight: Option<&Array>,
    bias: Option<&Array>,
    eps: f64,
) -> Rows<T> {
    let first = |x: Option<&Array>| x.map_or(std::ptr::null(), |x| x.pointer().cast::<T>().cast_const());
    let count = x.numel().checked_div(length).unwrap_or(0);
    Rows { x: first(Some(x)), weight: first(weight), bias: first(bias), count, length, eps }
}

fn forward_of<T: Float>(rows: Rows<T>, y: &Array) {
    let group = (GROUP / rows.length.max(1)).max(1);
    let tasks = rows.count.div_ceil(group);
    run_all(&Forward { rows, y: y.pointer().cast(), group }, tasks, y.numel());
}

/// (x - mean) / sqrt(variance + eps) times `weight` plus `bias`, over rows of `length` elements, as which contiguous `x`
/// is seen. Parameters are contiguous, of `x`'s dtype, and have `length` elements.
pub fn forward(
    x: &Array,
    length: usize,
    weight: Option<&Array>,
    bias: Option<&Array>,
    eps: f64,
) -> Result<Array> {
    let y = x.empty_like(x.dtype())?;
    match x.dtype() {
        DType::F32 => forward_of::<f32>(rows(x, length, weight, bias, eps), &y),
        DType::F64 => forward_of::<f64>(rows(x, length, weight, bias, eps), &y),
        other => return Err(Error::unsupported("LayerNormKernelImpl", other)),
    }
    Ok(y)
}

/// Gradients of the input, the weight and the bias, those that are wanted.
pub type Gradients = [Option<Array>; 3];

fn backward_of<T: Float>(rows: Rows<T>, g: &Array, wanted: Wanted) -> Result<Gradients> {
    let n = rows.length;
    let chunk = rows.count.div_ceil(CHUNKS).max(LEAST_CHUNK.div_ceil(n.max(1)));
    let chunks = rows.count.div_ceil(chunk);
    let dx = wanted.input.then(|| g.empty_like(T::DTYPE)).transpose()?;
    let partial = |wanted: bool| wanted.then(|| Cached::filled(<T as Real>::ZERO, chunks * n));
    let (mut dw, mut db) = (partial(wanted.weight), partial(wanted.bias));
    let place = |sums: &mut Option<Cached<T>>| sums.as_mut().map_or(std::ptr::null_mut(), |s| s.as_mut_ptr());
    let task = Backward {
        rows,
        g: g.pointer().cast::<T>().cast_const(),
        dx: dx.as_ref().map_or(std::ptr::null_mut(), |dx| dx.pointer().cast()),
        dw: place(&mut dw),
        db: place(&mut db),
        chunk,
    };
    run_all(&task, chunks, g.numel());
    // Chunks are cut by shape alone and added in their order: the bits do not depend on who made which.
    let total = |sums: Option<Cached<T>>| {
        let Some(sums) = sums else { return Ok(None) };
        let mut total = vec![0.0; n];
        for sum in sums.chunks_exact(n.max(1)) {
            total.iter_mut().zip(sum).for_each(|(total, &part)| *total += Real::to_f64(part));
        }
        Array::from_slice(&total.into_iter().map(T::of).collect::<Vec<T>>(), &[n]).map(Some)
    };
    Ok([dx, total(dw)?, total(db)?])
}

/// The gradients of [`forward`], from the gradient `g` of its output.
///
/// With z what the weight is multiplied with, h = w g and means over a row, dx = s (h - mean(h) - z mean(h z)),
/// dw = sum(g z), db = sum(g).
pub fn backward(
    g: &Array,
    x: &Array,
    length: usize,
    weight: Option<&Array>,
    eps: f64,
    wanted: Wanted,
) -> Result<Gradients> {
    match x.dtype() {
        DType::F32 => backward_of::<f32>(rows(x, length, weight, None, eps), g, wanted),
        DType::F64 => backward_of::<f64>(rows(x, length, weight, None, eps), g, wanted),
        other => Err(Error::unsupported("LayerNormKernelImpl", other)),
    }
}
