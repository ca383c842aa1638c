//! Whole tensors compared: equal, or close within a tolerance. No derivatives.

use crate::array::{Bool, Scalar};
use crate::error::{Error, Result};
use crate::graph::{Tensor, mode};
use crate::ops;

fn all(x: &Tensor) -> Result<bool> {
    Ok(x.to_vec::<Bool>()?.iter().all(|b| b.get()))
}

/// Whether two tensors have the same shape and the same elements; NaN equals nothing.
///
/// Fails when they have different dtypes.
pub fn equal(a: &Tensor, b: &Tensor) -> Result<bool> {
    if a.dtype() != b.dtype() {
        return Err(Error::runtime(format!(
            "Expected object of data type {} but got data type {} for argument 'other' in call to equal",
            a.dtype(),
            b.dtype()
        )));
    }
    if a.shape() != b.shape() {
        return Ok(false);
    }
    let _guard = mode::no_grad();
    all(&ops::eq(a, b)?)
}

/// Whether |a - b| <= atol + rtol |b|, element by element, or both are equal; NaN is close to NaN if `equal_nan`.
///
/// Fails when the dtypes differ or a tolerance is negative.
pub fn isclose(a: &Tensor, b: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<Tensor> {
    if a.dtype() != b.dtype() {
        return Err(Error::runtime(format!(
            "{} did not match {}",
            a.dtype().scalar_name(),
            b.dtype().scalar_name()
        )));
    }
    for (name, value) in [("rtol", rtol), ("atol", atol)] {
        if value.is_nan() || value < 0.0 {
            return Err(Error::runtime(format!(
                "{name} must be greater than or equal to zero, but got {value}"
            )));
        }
    }
    let _guard = mode::no_grad();
    let mut close = ops::eq(a, b)?;
    if equal_nan && a.dtype().is_floating() {
        close = ops::logical_or(&close, &ops::logical_and(&ops::isnan(a)?, &ops::isnan(b)?)?)?;
    }
    if rtol == 0.0 && atol == 0.0 {
        return Ok(close);
    }
    // In doubles: differences of narrow or unsigned integers would wrap around.
    let (a, b) = if a.dtype().is_floating() {
        (a.clone(), b.clone())
    } else {
        (ops::to_dtype(a, crate::DType::F64)?, ops::to_dtype(b, crate::DType::F64)?)
    };
    let allowed = ops::add(&ops::abs(&ops::mul(&b, Scalar::Float(rtol))?)?, Scalar::Float(atol))?;
    let actual = ops::abs(&ops::sub(&a, &b)?)?;
    let within = ops::logical_and(&ops::isfinite(&actual)?, &ops::le(&actual, &allowed)?)?;
    ops::logical_or(&close, &within)
}

/// Whether all elements are close. See [`isclose`].
pub fn allclose(a: &Tensor, b: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<bool> {
    all(&isclose(a, b, rtol, atol, equal_nan)?)
}
