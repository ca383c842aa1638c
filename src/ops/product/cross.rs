//! The cross product of vectors in space.

use crate::array::kernels::tile::{Call, Source};
use crate::array::layout::{self, axis};
use crate::array::{Array, DType, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::Tensor;
use crate::ops::arithmetic::{addcmul, mul};
use crate::ops::product::bilinear::Bilinear;

/// The cross products of the vectors along an axis of extent 3; the other axes broadcast. Both of one dtype and of
/// equally many axes, not truths.
pub fn linalg_cross(a: &Tensor, b: &Tensor, dim: isize) -> Result<Tensor> {
    let (x, z) = (a.array(), b.array());
    if x.ndim() != z.ndim() {
        return Err(Error::runtime(format!(
            "linalg.cross: inputs must have the same number of dimensions. (The shapes are {:?} and {:?}.)",
            x.shape(),
            z.shape()
        )));
    }
    let place = axis(dim, x.ndim())?;
    let extent = |x: &Array| x.shape().get(place).copied().unwrap_or(1);
    if extent(&x) != 3 || extent(&z) != 3 {
        return Err(Error::runtime(format!(
            "linalg.cross: inputs dimension {dim} must have length 3. Got {} and {}",
            extent(&x),
            extent(&z)
        )));
    }
    if x.dtype() != z.dtype() {
        return Err(Error::runtime(format!(
            "expected scalar type {} but found {} (.to({}) converts)",
            x.dtype().scalar_name(),
            z.dtype().scalar_name(),
            x.dtype()
        )));
    }
    if x.dtype() == DType::Bool {
        return Err(Error::unsupported("cross", DType::Bool));
    }
    let shape = layout::broadcast("linalg.cross", x.shape(), z.shape())?;
    let y = compute(&x.expand(&shape)?, &z.expand(&shape)?, place)?;
    Bilinear {
        label: "LinalgCrossBackward0",
        work: 0,
        // da = b x g
        da: move |g: &Tensor, b: &Tensor| linalg_cross(b, g, place as isize),
        // db = g x a
        db: move |g: &Tensor, a: &Tensor| linalg_cross(g, a, place as isize),
        itself: move |a: &Tensor, b: &Tensor| linalg_cross(a, b, place as isize),
    }
    .record(a, b, y)
}

/// y0 = a1 b2 - a2 b1, and so on around.
fn compute(a: &Array, b: &Array, place: usize) -> Result<Array> {
    let dtype = a.dtype();
    let y = Array::empty(a.shape(), dtype)?;
    let (product, sum) = (mul::ROW.tile(dtype)?, addcmul::ROW.tile(dtype)?);
    for i in 0..3 {
        let (j, k) = ((i + 1) % 3, (i + 2) % 3);
        let target = y.select(place, i)?;
        let part = |x: &Array, i: usize| x.select(place, i);
        let (aj, ak, bj, bk) = (part(a, j)?, part(a, k)?, part(b, j)?, part(b, k)?);
        let factors = [Source::Array(&aj), Source::Array(&bk)];
        Call { tile: product, compute: dtype, inputs: &factors, result: dtype, output: &target }.run();
        let minus = Source::Scalar(Scalar::Int(-1));
        let sources = [Source::Array(&target), Source::Array(&ak), Source::Array(&bj), minus];
        Call { tile: sum, compute: dtype, inputs: &sources, result: dtype, output: &target }.run();
    }
    Ok(y)
}

/// [`linalg_cross`] along an axis, by default the first of extent 3.
pub fn cross(a: &Tensor, b: &Tensor, dim: Option<isize>) -> Result<Tensor> {
    let dim = match dim {
        Some(dim) => dim,
        None => a.shape().iter().position(|&n| n == 3).map(|i| i as isize).ok_or_else(|| {
            Error::runtime(format!("no dimension of size 3 in input (its shape is {:?})", &a.shape()[..]))
        })?,
    };
    linalg_cross(a, b, dim)
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[Check::new(
    "linalg.cross",
    |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[1, 3])?]),
    |x| Ok(vec![linalg_cross(&x[0], &x[1], -1)?]),
)];
