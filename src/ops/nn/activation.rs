//! Activation functions made of other ops.

use crate::array::Dims;
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::row::apply;
use crate::graph::{Tensor, mode};
use crate::ops::nn::shaped;
use crate::ops::random::{Distribution, default_generator, random};
use crate::ops::{self, special_cases};

/// The alpha and the scale for which self-normalizing networks keep mean 0 and variance 1 (Klambauer et al., 2017).
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// `ops::elu` with the scale and the alpha of self-normalizing networks.
pub fn selu(x: &Tensor) -> Result<Tensor> {
    ops::elu(x, SELU_ALPHA, SELU_SCALE, 1.0)
}

/// x where positive, else alpha (exp(x / alpha) - 1).
pub fn celu(x: &Tensor, alpha: f64) -> Result<Tensor> {
    if alpha == 0.0 {
        return Err(Error::runtime("ZeroDivisionError: alpha cannot be 0 for CELU"));
    }
    ops::elu(x, alpha, 1.0, 1.0 / alpha)
}

/// x within 0 and 6.
pub fn relu6(x: &Tensor) -> Result<Tensor> {
    ops::hardtanh(x, 0.0, 6.0)
}

/// x / (1 + |x|).
pub fn softsign(x: &Tensor) -> Result<Tensor> {
    ops::div(x, &ops::add(&ops::abs(x)?, 1.0)?)
}

/// x - tanh(x).
pub fn tanhshrink(x: &Tensor) -> Result<Tensor> {
    ops::sub(x, &ops::tanh(x)?)
}

/// The first half along an axis times the sigmoid of the second.
pub fn glu(x: &Tensor, dim: isize) -> Result<Tensor> {
    if x.ndim() == 0 {
        return Err(Error::runtime("glu does not support 0-dimensional tensors"));
    }
    let axis = crate::array::layout::axis(dim, x.ndim())?;
    let size = x.shape()[axis];
    if size % 2 != 0 {
        return Err(Error::runtime(format!(
            "Halving dimension must be even, but dimension {axis} is size {size}"
        )));
    }
    let half = (size / 2) as isize;
    let gate = ops::sigmoid(&ops::narrow(x, axis as isize, half, half)?)?;
    ops::mul(&ops::narrow(x, axis as isize, 0, half)?, &gate)
}

/// x where positive, else w x, with one weight for all or one for each channel (axis 1).
pub fn prelu(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let n = x.ndim();
    let weight = if weight.numel() == 1 {
        shaped(weight, &[])?
    } else {
        let channels = if n > 1 { x.shape()[1] } else { 1 };
        if weight.numel() != channels || n == 0 {
            return Err(Error::runtime(format!(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = {} and channel size = \
                 {channels}.",
                weight.numel()
            )));
        }
        let mut shape: Dims = smallvec::smallvec![1; n];
        shape[1] = channels;
        shaped(weight, &shape)?
    };
    apply(&special_cases::prelu_kernel::ROW, [x.into(), (&weight).into()])
}

/// x where positive, else a x, with a random in [lower, upper) while training and their mean otherwise.
pub fn rrelu(x: &Tensor, lower: f64, upper: f64, training: bool) -> Result<Tensor> {
    if lower > upper {
        return Err(Error::runtime("Lower bound should be less than or equal to the upper bound"));
    }
    if !training {
        return ops::leaky_relu(x, f64::midpoint(lower, upper));
    }
    // Numbers are drawn for the elements that use them only, in order.
    let array = x.array();
    let values = array.to_vec::<f64>()?;
    let count = values.iter().filter(|&&x| x <= 0.0).count();
    let slopes = {
        let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
        let uniform = Distribution::Uniform { from: lower, to: upper };
        let drawn = random(uniform, &[count], crate::DType::F64, default_generator())?.to_vec::<f64>()?;
        let mut drawn = drawn.into_iter();
        let slopes: Vec<f64> =
            values.iter().map(|&x| if x <= 0.0 { drawn.next().unwrap_or(1.0) } else { 1.0 }).collect();
        crate::graph::vector_space::to_dtype(&Tensor::from_slice(&slopes, array.shape())?, array.dtype())?
    };
    ops::mul(x, &slopes)
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new("glu", |s| Ok(vec![s.normal(&[2, 4])?]), |x| Ok(vec![glu(&x[0], 1)?])),
    Check::new("selu", |s| Ok(vec![s.normal(&[4])?]), |x| Ok(vec![selu(&x[0])?, celu(&x[0], 0.7)?])),
    Check::new(
        "prelu",
        |s| Ok(vec![s.normal(&[2, 3, 2])?, s.normal(&[3])?]),
        |x| Ok(vec![prelu(&x[0], &x[1])?]),
    ),
    Check::new("softsign", |s| Ok(vec![s.normal(&[4])?]), |x| Ok(vec![softsign(&x[0])?, tanhshrink(&x[0])?])),
];
