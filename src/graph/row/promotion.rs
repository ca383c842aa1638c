//! Operands and the dtype that they have in common.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::array::{Array, Category, DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::tensor::Tensor;

/// An operand of a row: a tensor, or a number that costs no tensor.
#[derive(Clone, Copy)]
pub enum Operand<'a> {
    /// A tensor.
    Tensor(&'a Tensor),
    /// A number. It does not widen the result's dtype within its kind.
    Scalar(Scalar),
}

impl<'a> From<&'a Tensor> for Operand<'a> {
    #[inline]
    fn from(x: &'a Tensor) -> Self {
        Self::Tensor(x)
    }
}

impl<T: Into<Scalar>> From<T> for Operand<'_> {
    #[inline]
    fn from(x: T) -> Self {
        Self::Scalar(x.into())
    }
}

static DEFAULT_DTYPE: AtomicU8 = AtomicU8::new(DType::F32 as u8);

/// The float dtype of new tensors and of integers that become floats.
#[inline]
pub fn default_dtype() -> DType {
    // Relaxed: a plain setting.
    if DEFAULT_DTYPE.load(Ordering::Relaxed) == DType::F64 as u8 { DType::F64 } else { DType::F32 }
}

/// Sets [`default_dtype`]. Fails for anything but a float dtype.
pub fn set_default_dtype(dtype: DType) -> Result<()> {
    if !dtype.is_floating() {
        return Err(Error::type_(format!(
            "only floating-point types are supported as the default type (got {dtype})"
        )));
    }
    DEFAULT_DTYPE.store(dtype as u8, Ordering::Relaxed);
    Ok(())
}

/// The dtype that operands have in common: tensors with dimensions count before 0-d tensors, those before numbers, and
/// a later group matters only if it is of a higher category.
pub fn result_type(operands: &[Operand<'_>]) -> DType {
    let mut groups: [Option<DType>; 3] = [None; 3];
    for operand in operands {
        let (group, dtype) = match operand {
            Operand::Tensor(x) => {
                let state = x.state();
                (usize::from(state.array.ndim() == 0), state.array.dtype())
            }
            Operand::Scalar(s) => (
                2,
                match s.category() {
                    Category::Bool => DType::Bool,
                    Category::Integer => DType::I64,
                    Category::Float => default_dtype(),
                },
            ),
        };
        groups[group] = Some(groups[group].map_or(dtype, |d| d.promote(dtype)));
    }
    let combine = |high: Option<DType>, low: Option<DType>| match (high, low) {
        (Some(h), Some(l)) if l.category() > h.category() => Some(h.promote(l)),
        (Some(h), _) => Some(h),
        (None, low) => low,
    };
    combine(groups[0], combine(groups[1], groups[2])).unwrap_or_else(default_dtype)
}

#[inline]
pub(super) fn common_dtype<const N: usize>(
    operands: &[Operand<'_>; N],
    arrays: &[Option<&Array>; N],
) -> DType {
    // The usual case: tensors of one float dtype, and numbers, which cannot widen it.
    let mut only = None;
    for (x, operand) in arrays.iter().zip(operands) {
        match (x, operand) {
            (Some(x), _) => match only {
                None => only = Some(x.dtype()),
                Some(dtype) if dtype == x.dtype() => {}
                Some(_) => return result_type(operands),
            },
            (None, Operand::Scalar(_)) => {}
            (None, Operand::Tensor(_)) => return result_type(operands),
        }
    }
    match only {
        Some(dtype) if dtype.is_floating() => dtype,
        _ => result_type(operands),
    }
}
