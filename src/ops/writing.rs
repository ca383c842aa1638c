//! Writing one tensor, or one number, over another.

use smallvec::smallvec;

use crate::array::kernels::{copy as copying, fill as filling};
use crate::array::{Scalar, layout};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::row::read_beside;
use crate::graph::{Onto, Operand, Tensor, overwrite, vector_space};
use crate::ops::copying::clone;
use crate::ops::creation::check_fits;

/// Writes `src`, broadcast and converted, into `x`.
///
/// Fails when `src` does not broadcast to `x`'s shape, or when `x` must not be written.
pub fn copy_(x: &Tensor, src: &Tensor) -> Result<Tensor> {
    let source = src.array();
    let shape = x.shape();
    if layout::broadcast("copy_", &shape, source.shape())? != shape {
        return Err(Error::runtime(format!(
            "output with shape {shape:?} doesn't match the broadcast shape {:?}",
            layout::broadcast("copy_", &shape, source.shape())?
        )));
    }
    overwrite(
        Onto::Itself,
        "CopyBackwards",
        &[x, src],
        &[],
        |y| {
            copying::copy(&read_beside(&source, y)?, y);
            Ok(())
        },
        // y = src: dx = 0, dsrc = g.
        |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
            let nothing = cx.needs(0).then(|| vector_space::zeros_like(g)).transpose()?;
            Ok(smallvec![nothing, Some(g.clone())])
        },
        |cx| match cx.tangent(1) {
            Some(t) => clone(&vector_space::expand(
                &vector_space::to_dtype(&t, cx.output().dtype())?,
                &cx.output().shape(),
            )?),
            None => vector_space::zeros_like(cx.output()),
        },
    )
}

/// `x` with every element replaced.
pub fn fill<'a>(x: &Tensor, value: impl Into<Operand<'a>>) -> Result<Tensor> {
    filled(Onto::Copy, x, value.into(), ["FillBackward0", "FillBackward1"])
}

/// Replaces every element.
pub fn fill_<'a>(x: &Tensor, value: impl Into<Operand<'a>>) -> Result<Tensor> {
    let value = value.into();
    // The gradient of a tensor's value is a sum over positions, which must then be places.
    let onto = if matches!(value, Operand::Scalar(_)) { Onto::Throughout } else { Onto::Itself };
    filled(onto, x, value, ["FillBackward2", "FillBackward3"])
}

/// Replaces every element by zero.
pub fn zero_(x: &Tensor) -> Result<Tensor> {
    filled(Onto::Throughout, x, Operand::Scalar(Scalar::Int(0)), ["ZeroBackward0"; 2])
}

fn filled(onto: Onto, x: &Tensor, value: Operand<'_>, names: [&'static str; 2]) -> Result<Tensor> {
    match value {
        Operand::Scalar(value) => overwrite(
            onto,
            names[0],
            &[x],
            &[],
            |y| {
                check_fits(value, y.dtype())?;
                filling::fill(y, value);
                Ok(())
            },
            |cx| Ok(smallvec![cx.grad(0).map(vector_space::zeros_like).transpose()?]),
            |cx| vector_space::zeros_like(cx.output()),
        ),
        Operand::Tensor(value) => {
            if value.ndim() > 0 {
                return Err(Error::runtime(format!(
                    "fill_ only supports 0-dimension value tensor but got tensor with {} dimensions.",
                    value.ndim()
                )));
            }
            let source = value.array();
            overwrite(
                onto,
                names[1],
                &[x, value],
                &[],
                |y| {
                    filling::fill(y, source.item()?);
                    Ok(())
                },
                // y = value everywhere: dx = 0, dvalue = sum of g, which the edge takes.
                |cx| {
                    let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
                    let nothing = cx.needs(0).then(|| vector_space::zeros_like(g)).transpose()?;
                    Ok(smallvec![nothing, Some(g.clone())])
                },
                |cx| match cx.tangent(1) {
                    Some(t) => clone(&vector_space::expand(
                        &vector_space::to_dtype(&t, cx.output().dtype())?,
                        &cx.output().shape(),
                    )?),
                    None => vector_space::zeros_like(cx.output()),
                },
            )
        }
    }
}

/// The gradient checks of this file.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "copy_",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[3])?]),
        |x| Ok(vec![copy_(&clone(&x[0])?, &x[1])?]),
    ),
    Check::new("fill", |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[])?]), |x| Ok(vec![fill(&x[0], &x[1])?])),
];
