//! Normalization: each group of elements is brought to mean 0 and variance 1, then scaled and shifted.

use smallvec::smallvec;

use crate::array::{DType, Dims};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{sum_to, to_dtype};
use crate::graph::{Keep, Operand, Tensor, mode, record};
use crate::ops;
use crate::ops::nn::shaped;

/// The mean over the axes in which `to` has extent 1 and `x` has not.
fn mean_to(x: &Tensor, to: &[usize]) -> Result<Tensor> {
    let count = x.numel() as f64 / to.iter().product::<usize>() as f64;
    ops::mul(&sum_to(x, to)?, 1.0 / count)
}

/// (x - mean) and 1 / sqrt(variance + eps), over groups whose statistics have the shape `to`.
fn centred(x: &Tensor, to: &[usize], eps: f64) -> Result<(Tensor, Tensor)> {
    let centred = ops::sub(x, &mean_to(x, to)?)?;
    let variance = mean_to(&ops::mul(&centred, &centred)?, to)?;
    let scale = ops::rsqrt(&ops::add(&variance, eps)?)?;
    Ok((centred, scale))
}

/// z = (x - mean) / sqrt(variance + eps), statistics of shape `to`.
///
/// dx = s (g - mean(g) - z mean(g z)) with s = 1 / sqrt(variance + eps); the same map is its forward mode, being its own
/// adjoint.
fn standardized(name: &'static str, x: &Tensor, to: &[usize], eps: f64) -> Result<Tensor> {
    let y = {
        let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
        let (centred, scale) = centred(x, to, eps)?;
        ops::mul(&centred, &scale)?.array()
    };
    let to = Dims::from_slice(to);
    let again = to.clone();
    record(
        name,
        &[x],
        y,
        &[Keep::Input(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            Ok(smallvec![Some(projected(g, &cx.saved(0)?, &to, eps)?)])
        },
        |cx| match cx.tangent(0) {
            Some(t) => projected(&t, cx.input(0), &again, eps),
            None => crate::graph::vector_space::zeros_like(cx.output()),
        },
    )
}

fn projected(g: &Tensor, x: &Tensor, to: &[usize], eps: f64) -> Result<Tensor> {
    let (centred, scale) = centred(x, to, eps)?;
    let z = ops::mul(&centred, &scale)?;
    let along = ops::mul(&z, &mean_to(&ops::mul(g, &z)?, to)?)?;
    ops::mul(&ops::sub(&ops::sub(g, &mean_to(g, to)?)?, &along)?, &scale)
}

/// w z + b, of parameters that broadcast.
fn affine(z: Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, shape: &[usize]) -> Result<Tensor> {
    let z = match weight {
        Some(weight) => ops::mul(&z, &shaped(weight, shape)?)?,
        None => z,
    };
    match bias {
        Some(bias) => ops::add(Operand::Tensor(&z), Operand::Tensor(&shaped(bias, shape)?)),
        None => Ok(z),
    }
}

fn check_float(op: &str, x: &Tensor) -> Result<()> {
    if x.dtype().is_floating() { Ok(()) } else { Err(Error::unsupported(op, x.dtype())) }
}

/// The shape with extent 1 where statistics are taken over the last axes, checked against `normalized`.
fn over_last(x: &Tensor, normalized: &[isize], weight: Option<&Tensor>) -> Result<(Dims, Dims)> {
    let shape = x.shape();
    let named: Dims = normalized.iter().map(|&n| n.max(0) as usize).collect();
    if named.is_empty() {
        return Err(Error::runtime(format!(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got \
             normalized_shape = {named:?}"
        )));
    }
    if let Some(weight) = weight.filter(|w| w.shape() != named) {
        return Err(Error::runtime(format!(
            "Expected weight to be of same shape as normalized_shape, but got weight of shape {:?} and normalized_shape = \
             {named:?}",
            &weight.shape()[..]
        )));
    }
    if !shape.ends_with(&named) {
        let rest: Vec<String> = named.iter().map(ToString::to_string).collect();
        return Err(Error::runtime(format!(
            "Given normalized_shape={named:?}, expected input with shape [*, {}], but got input of size{:?}",
            rest.join(", "),
            &shape[..]
        )));
    }
    let mut to = shape.clone();
    for n in to.iter_mut().skip(shape.len() - named.len()) {
        *n = 1;
    }
    Ok((to, named))
}

/// Normalizes over the last axes, whose extents are `normalized`; `weight` and `bias` have that shape.
pub fn layer_norm(
    x: &Tensor,
    normalized: &[isize],
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    check_float("LayerNormKernelImpl", x)?;
    let (to, named) = over_last(x, normalized, weight)?;
    affine(standardized("NativeLayerNormBackward0", x, &to, eps)?, weight, bias, &named)
}

/// x / sqrt(mean of squares + eps) over the last axes, times `weight`; `eps` is the dtype's epsilon if not given.
pub fn rms_norm(
    x: &Tensor,
    normalized: &[isize],
    weight: Option<&Tensor>,
    eps: Option<f64>,
) -> Result<Tensor> {
    let (to, named) = over_last(x, normalized, weight)?;
    let eps = eps.unwrap_or(if x.dtype() == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) });
    let squares = mean_to(&ops::mul(x, x)?, &to)?;
    affine(ops::mul(x, &ops::rsqrt(&ops::add(&squares, eps)?)?)?, weight, None, &named)
}

/// Normalizes each group of channels of each image, then scales and shifts each channel.
pub fn group_norm(
    x: &Tensor,
    groups: isize,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    eps: f64,
) -> Result<Tensor> {
    check_float("GroupNormKernelImpl", x)?;
    let shape = x.shape();
    if shape.len() < 2 {
        return Err(Error::runtime(format!(
            "Expected at least 2 dimensions for input tensor but received {}",
            shape.len()
        )));
    }
    if groups <= 0 || shape[1] % groups as usize != 0 {
        return Err(Error::runtime(format!(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape {:?} and \
             num_groups={groups}",
            &shape[..]
        )));
    }
    let rest = shape[2..].iter().product::<usize>() * shape[1] / groups as usize;
    let grouped = shaped(x, &[shape[0], groups as usize, rest])?;
    let z = standardized("NativeGroupNormBackward0", &grouped, &[shape[0], groups as usize, 1], eps)?;
    affine(shaped(&z, &shape)?, weight, bias, &channels(&shape))
}

/// The shape in which one number for each channel broadcasts.
fn channels(shape: &[usize]) -> Dims {
    let mut channels: Dims = smallvec![1; shape.len()];
    channels[1] = shape[1];
    channels
}

/// Statistics of a batch that are carried along.
#[derive(Clone, Copy)]
pub struct Running<'a> {
    /// The mean of each channel.
    pub mean: &'a Tensor,
    /// The variance of each channel.
    pub variance: &'a Tensor,
}

impl Running<'_> {
    /// Moves the statistics toward a batch's, whose variance is unbiased.
    fn follow(&self, x: &Tensor, to: &[usize], momentum: f64) -> Result<()> {
        let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
        let mean = mean_to(x, to)?;
        let centred = ops::sub(x, &mean)?;
        let count = x.numel() as f64 / to.iter().product::<usize>() as f64;
        let squares = sum_to(&ops::mul(&centred, &centred)?, to)?;
        let variance = ops::mul(&squares, 1.0 / (count - 1.0))?;
        for (kept, new) in [(self.mean, mean), (self.variance, variance)] {
            let new = shaped(&new, &kept.shape())?;
            let moved = ops::add(&ops::mul(kept, 1.0 - momentum)?, &ops::mul(&new, momentum)?)?;
            ops::copy_(kept, &moved)?;
        }
        Ok(())
    }
}

/// Normalizes each channel (axis 1) by the statistics of the batch while `training`, else by the running ones.
///
/// In training the running statistics, where given, are moved toward the batch's by `momentum`, in place.
#[expect(clippy::too_many_arguments, reason = "PyTorch's")]
pub fn batch_norm(
    x: &Tensor,
    running: Option<Running<'_>>,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    training: bool,
    momentum: f64,
    eps: f64,
) -> Result<Tensor> {
    check_float("batch_norm", x)?;
    let shape = x.shape();
    if shape.len() < 2 {
        return Err(Error::runtime(format!(
            "batch_norm: expected at least 2 dimensions, got {}",
            shape.len()
        )));
    }
    let count = shape[1];
    let named = [
        ("running_mean", running.map(|r| r.mean)),
        ("running_var", running.map(|r| r.variance)),
        ("weight", weight),
        ("bias", bias),
    ];
    for (name, given) in named {
        if let Some(given) = given.filter(|t| t.numel() != count) {
            return Err(Error::runtime(format!(
                "{name} should contain {count} elements not {}",
                given.numel()
            )));
        }
    }
    let to = channels(&shape);
    if training {
        let z = standardized("NativeBatchNormBackward0", x, &to, eps)?;
        if let Some(running) = running {
            running.follow(&x.detach(), &to, momentum)?;
        }
        return affine(z, weight, bias, &to);
    }
    let Some(running) = running else {
        return Err(Error::runtime(
            "Expected running_mean and running_var to be defined when training=False",
        ));
    };
    let scale = ops::rsqrt(&ops::add(&to_dtype(running.variance, x.dtype())?, eps)?)?;
    let centred = ops::sub(x, &shaped(running.mean, &to)?)?;
    affine(ops::mul(&centred, &shaped(&scale, &to)?)?, weight, bias, &to)
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "layer_norm",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[3])?, s.normal(&[3])?]),
        |x| Ok(vec![layer_norm(&x[0], &[3], Some(&x[1]), Some(&x[2]), 0.1)?]),
    ),
    Check::new(
        "rms_norm",
        |s| Ok(vec![s.normal(&[2, 3])?, s.normal(&[3])?]),
        |x| Ok(vec![rms_norm(&x[0], &[3], Some(&x[1]), Some(0.1))?]),
    ),
    Check::new(
        "group_norm",
        |s| Ok(vec![s.normal(&[2, 4, 2])?, s.normal(&[4])?, s.normal(&[4])?]),
        |x| Ok(vec![group_norm(&x[0], 2, Some(&x[1]), Some(&x[2]), 0.1)?]),
    ),
    Check::new(
        "batch_norm",
        |s| Ok(vec![s.normal(&[3, 2, 2])?, s.normal(&[2])?, s.normal(&[2])?]),
        |x| Ok(vec![batch_norm(&x[0], None, Some(&x[1]), Some(&x[2]), true, 0.1, 0.1)?]),
    ),
];
