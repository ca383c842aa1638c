//! Reductions: arrays to arrays with some axes gone. See Note [Bits of a reduction] in `driver.rs`.

// What is compiled into loops of several instruction sets must be inlined into each of them.
// Truths are combined without branches, and special orders of a norm are exact numbers.
#![allow(clippy::inline_always, clippy::needless_bitwise_bool, clippy::float_cmp)]

pub mod driver;
pub mod extreme;
pub mod fold;
pub mod geometry;
pub mod moments;
pub mod paired;
mod registers;
pub mod sum;

use std::marker::PhantomData;

use crate::array::kernels::isa;
use crate::array::{Array, DType, Scalar, layout::Dims};
use crate::error::{Error, Result};
use crate::with_element;

use driver::{Reduction, reduce};
use extreme::{Extreme, Magnitude, Position};
use fold::Folded;
pub use geometry::AxisSet;
pub use moments::Moment;
use moments::{LogSumExp, Spread};
use sum::{Count, Float, IntegerProduct, IntegerSum, Itself, Product, Sum, Term, Truth};

/// The shape without the reduced axes, or with extent 1 there.
pub fn shape_of(x: &[usize], axes: AxisSet, keep: bool) -> Dims {
    let kept = x.iter().enumerate().filter(|(axis, _)| keep || !axes.contains(*axis));
    kept.map(|(axis, &n)| if axes.contains(axis) { 1 } else { n }).collect()
}

/// How many elements make one output.
pub fn count_of(x: &[usize], axes: AxisSet) -> usize {
    x.iter().enumerate().filter(|(axis, _)| axes.contains(*axis)).map(|(_, &n)| n).product()
}

fn reduced<R: Reduction>(reduction: &R, x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
    let y = Array::empty(&shape_of(x.shape(), axes, keep), <R::Out as crate::array::Element>::DTYPE)?;
    reduce(reduction, x, axes, &y);
    Ok(y)
}

/// The sum of `term(x)` over the axes, put through `end`, in the type `T`.
fn sum_of<T: Float>(
    x: &Array,
    axes: AxisSet,
    keep: bool,
    term: impl Term<T>,
    end: impl Fn(f64) -> f64 + Sync,
) -> Result<Array> {
    reduced(&Folded(Sum { term, end, of: PhantomData }), x, axes, keep)
}

/// Runs an expression with `T` bound to the type of a float dtype.
macro_rules! with_float {
    ($op:literal, $dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $T = f32;
                $body
            }
            DType::F64 => {
                type $T = f64;
                $body
            }
            other => Err(Error::unsupported($op, other)),
        }
    };
}

/// Sum over axes, which go. Computed in `dtype`, integers in 64 bits.
pub fn sum(x: &Array, axes: &[usize], dtype: DType) -> Result<Array> {
    sum_over(x, axes.iter().copied().collect(), false, dtype)
}

/// `sum`; with `keep` the axes stay, with extent 1.
pub fn sum_over(x: &Array, axes: AxisSet, keep: bool, dtype: DType) -> Result<Array> {
    match dtype {
        DType::F32 => sum_of::<f32>(x, axes, keep, Itself, |s| s),
        DType::F64 => sum_of::<f64>(x, axes, keep, Itself, |s| s),
        _ => reduced(&Folded(IntegerSum), x, axes, keep)?.cast(dtype),
    }
}

/// The sum of what is not NaN.
#[allow(clippy::eq_op)] // only NaN differs from itself
pub fn nansum(x: &Array, axes: AxisSet, keep: bool, dtype: DType) -> Result<Array> {
    with_float!("nansum", dtype, T => sum_of::<T>(x, axes, keep, |x| if x == x { x } else { 0.0 }, |s| s))
}

/// The arithmetic mean, in a float dtype.
pub fn mean(x: &Array, axes: AxisSet, keep: bool, dtype: DType) -> Result<Array> {
    let n = count_of(x.shape(), axes) as f64;
    with_float!("mean", dtype, T => sum_of::<T>(x, axes, keep, Itself, move |s| s / n))
}

/// Product over axes. Computed in `dtype`, integers in 64 bits.
pub fn product(x: &Array, axes: AxisSet, keep: bool, dtype: DType) -> Result<Array> {
    match dtype {
        DType::F32 => reduced(&Folded(Product::<f32>(PhantomData)), x, axes, keep),
        DType::F64 => reduced(&Folded(Product::<f64>(PhantomData)), x, axes, keep),
        _ => reduced(&Folded(IntegerProduct), x, axes, keep)?.cast(dtype),
    }
}

/// The largest over axes of at least one element; NaN if there is one.
pub fn max(x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
    with_element!(x.dtype(), T => reduced(&Folded(Extreme::<T, true>(PhantomData)), x, axes, keep))
}

/// The smallest over axes of at least one element; NaN if there is one.
pub fn min(x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
    with_element!(x.dtype(), T => reduced(&Folded(Extreme::<T, false>(PhantomData)), x, axes, keep))
}

/// The position, in row-major order over the axes, of the first largest element (or NaN), as 64-bit integers.
pub fn argmax(x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
    with_element!(x.dtype(), T => reduced(&Position::<T, true>(PhantomData), x, axes, keep))
}

/// The position of the first smallest element (or NaN).
pub fn argmin(x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
    with_element!(x.dtype(), T => reduced(&Position::<T, false>(PhantomData), x, axes, keep))
}

/// Variance or standard deviation.
pub fn spread(x: &Array, axes: AxisSet, keep: bool, moment: Moment, correction: f64) -> Result<Array> {
    with_float!("std", x.dtype(), T => reduced(&Spread::<T> { moment, correction, of: PhantomData }, x, axes, keep))
}

/// The logarithm of the sum of exponentials.
pub fn logsumexp(x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
    with_float!("logsumexp", x.dtype(), T => if isa::fuses() {
        reduced(&LogSumExp::<T, true>(PhantomData), x, axes, keep)
    } else {
        reduced(&LogSumExp::<T, false>(PhantomData), x, axes, keep)
    })
}

/// Whether any element differs from zero.
pub fn any(x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
    reduced(&Folded(Truth::<true>), x, axes, keep)
}

/// Whether all elements differ from zero.
pub fn all(x: &Array, axes: AxisSet, keep: bool) -> Result<Array> {
    reduced(&Folded(Truth::<false>), x, axes, keep)
}

/// How many elements differ from zero.
pub fn count_nonzero(x: &Array, axes: AxisSet) -> Result<Array> {
    reduced(&Folded(Count), x, axes, false)
}

/// The p-norm over axes, of an empty set zero; `p` may be infinite.
pub fn norm(x: &Array, axes: AxisSet, keep: bool, p: f64, dtype: DType) -> Result<Array> {
    use crate::array::kernels::real::Real;
    with_float!("linalg_vector_norm", dtype, T => {
        if p == 2.0 {
            sum_of::<T>(x, axes, keep, |x| x * x, f64::sqrt)
        } else if p == 1.0 {
            sum_of::<T>(x, axes, keep, |x: T| Real::abs(x), |s| s)
        } else if p == 0.0 {
            sum_of::<T>(x, axes, keep, |x| if x == 0.0 { 0.0 } else { 1.0 }, |s| s)
        } else if p == f64::INFINITY {
            reduced(&Folded(Magnitude::<T, true>(Extreme(PhantomData))), x, axes, keep)
        } else if p == f64::NEG_INFINITY {
            reduced(&Folded(Magnitude::<T, false>(Extreme(PhantomData))), x, axes, keep)
        } else {
            let power = p as T;
            sum_of::<T>(x, axes, keep, move |x: T| Real::pow(Real::abs(x), power), move |s| s.powf(1.0 / p))
        }
    })
}

/// The identity element of an empty reduction's fill, for callers that answer without a loop.
pub fn constant(x: &[usize], axes: AxisSet, keep: bool, value: Scalar, dtype: DType) -> Result<Array> {
    Array::full(&shape_of(x, axes, keep), value, dtype)
}
