//! Normalization: each group of elements is brought to mean 0 and variance 1, then scaled and shifted.

use smallvec::{SmallVec, smallvec};

use crate::array::kernels::normalization::channels::{self, Known, Normalized, Sets};
use crate::array::kernels::normalization::{self as kernel, Wanted};
use crate::array::kernels::reduce::moments::Moments;
use crate::array::layout::axis;
use crate::array::{Array, DType, Dims};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{sum_to, to_dtype, zeros_like};
use crate::graph::{Grads, Keep, Operand, Tensor, forward, mode, record};
use crate::ops;
use crate::ops::nn::{shaped, tied};

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

/// Over what elements statistics are taken, and how parameters lie.
#[derive(Clone)]
struct Grouping {
    /// The shape under which x is seen.
    seen: Dims,
    /// The shape of the statistics then.
    to: Dims,
    /// The shape in which parameters broadcast to x.
    parameters: Dims,
    eps: f64,
    /// The mean and the scale, where they are given and not the elements' own. They are constants.
    given: Option<(Tensor, Tensor)>,
    /// How whole channels make it up, where they do.
    sets: Option<Sets>,
}

impl Grouping {
    fn standardized(&self, x: &Tensor) -> Result<Tensor> {
        if let Some((mean, scale)) = &self.given {
            return ops::mul(&ops::sub(x, mean)?, scale);
        }
        let (centred, scale) = centred(&shaped(x, &self.seen)?, &self.to, self.eps)?;
        shaped(&ops::mul(&centred, &scale)?, &x.shape())
    }

    fn projected(&self, g: &Tensor, x: &Tensor) -> Result<Tensor> {
        if let Some((_, scale)) = &self.given {
            return tied(ops::mul(g, scale)?, || Ok(x.clone()));
        }
        let dx = projected(&shaped(g, &self.seen)?, &shaped(x, &self.seen)?, &self.to, self.eps)?;
        shaped(&dx, &x.shape())
    }

    fn weighted(&self, x: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
        weight.map_or_else(|| Ok(x.clone()), |w| ops::mul(x, &shaped(w, &self.parameters)?))
    }

    /// The elements of a row, if statistics are taken over the last axes and each of their elements has parameters.
    fn row(&self) -> Option<usize> {
        let outer = self.seen.len().checked_sub(self.parameters.len())?;
        let rows = self.seen[..outer] == self.to[..outer] && self.to[outer..].iter().all(|&n| n == 1);
        let whole = rows && self.seen[outer..] == self.parameters[..] && self.given.is_none();
        whole.then(|| self.parameters.iter().product())
    }

    /// Which kernel computes it of operands of `x`'s dtype, if one does.
    fn kernel(&self) -> Option<Fused> {
        self.sets.map(Fused::Channels).or_else(|| self.row().map(Fused::Rows))
    }

    /// The given statistics, one number for each channel.
    fn given(&self) -> Result<Option<[Array; 2]>> {
        let flat = |t: &Tensor| t.array().contiguous();
        self.given.as_ref().map(|(mean, scale)| Ok([flat(mean)?, flat(scale)?])).transpose()
    }

    /// The output's numbers, in one pass where there is a kernel, and then also the moments of each set of channels.
    fn value(&self, x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Result<Normalized> {
        let mut parameters = [weight, bias].into_iter().flatten();
        let kernel = self.kernel().filter(|_| parameters.all(|p| p.dtype() == x.dtype()));
        let Some(kernel) = kernel else {
            let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
            let y = affine(self.standardized(x)?, weight, bias, &self.parameters)?.array();
            return Ok(Normalized { y, moments: Vec::new() });
        };
        let x = x.array().contiguous()?;
        let weight = weight.map(|w| w.array().contiguous()).transpose()?;
        let bias = bias.map(|b| b.array().contiguous()).transpose()?;
        let (weight, bias) = (weight.as_ref(), bias.as_ref());
        match kernel {
            Fused::Rows(length) => kernel::forward(&x, length, weight, bias, self.eps)
                .map(|y| Normalized { y, moments: Vec::new() }),
            Fused::Channels(sets) => {
                let given = self.given()?;
                let known = given.as_ref().map_or(Known::Nothing, Known::Given);
                channels::forward(&x, sets, weight, bias, known, self.eps)
            }
        }
    }

    /// The gradients, in one pass, where there is a kernel and nobody differentiates them again. `found` are the moments
    /// that came with the output, or none.
    fn fused(
        &self,
        g: &Tensor,
        x: &Tensor,
        weight: Option<&Tensor>,
        found: &[Moments],
        wanted: Wanted,
    ) -> Result<Option<kernel::Gradients>> {
        let same = g.dtype() == x.dtype() && weight.is_none_or(|w| w.dtype() == x.dtype());
        let Some(kernel) = self.kernel().filter(|_| same && !forward::is_watched()) else { return Ok(None) };
        let weight = weight.map(|w| w.array().contiguous()).transpose()?;
        let (g, x, weight) = (g.array().contiguous()?, x.array().contiguous()?, weight.as_ref());
        match kernel {
            Fused::Rows(length) => kernel::backward(&g, &x, length, weight, self.eps, wanted),
            Fused::Channels(sets) => {
                let given = self.given()?;
                let known = match &given {
                    Some(given) => Known::Given(given),
                    None if found.is_empty() => Known::Nothing,
                    None => Known::Found(found),
                };
                channels::backward(&g, &x, sets, weight, known, self.eps, wanted)
            }
        }
        .map(Some)
    }

    /// Summed to the parameters' shape, which is `shape`.
    fn summed(&self, g: &Tensor, shape: &[usize]) -> Result<Tensor> {
        shaped(&sum_to(g, &self.parameters)?, shape)
    }
}

/// A kernel for a grouping.
enum Fused {
    /// Of rows of so many elements.
    Rows(usize),
    /// Of sets of channels.
    Channels(Sets),
}

/// y = w z + b, with z = (x - mean) s and s = 1 / sqrt(variance + eps).
///
/// dx = s (h - mean(h) - z mean(h z)) with h = w g, dw = sum(g z), db = sum(g); dx = s h if the statistics are given. The
/// map from h to dx is its own adjoint, so it is also the forward mode of z.
///
/// With the output come the moments of each set of channels, where a kernel found them.
fn normalization(
    name: &'static str,
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    grouping: Grouping,
) -> Result<(Tensor, Vec<Moments>)> {
    let Normalized { y, moments } = grouping.value(x, weight, bias)?;
    let mut inputs: SmallVec<[&Tensor; 3]> = smallvec![x];
    inputs.extend(weight);
    inputs.extend(bias);
    let (weight_at, bias_at) = (weight.map(|_| 1), bias.map(|_| 1 + usize::from(weight.is_some())));
    let keep: &[Keep] = if weight.is_some() { &[Keep::Input(0), Keep::Input(1)] } else { &[Keep::Input(0)] };
    let shape = weight.or(bias).map(Tensor::shape).unwrap_or_default();
    let (again, found) = (grouping.clone(), moments.clone());
    let y = record(
        name,
        &inputs,
        y,
        keep,
        move |cx| {
            let mut grads = Grads::new();
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None; cx.node().edges().len()]) };
            let x = cx.saved(0)?;
            let weight = weight_at.map(|i| cx.saved(i)).transpose()?;
            let needs = |at: Option<usize>| at.is_some_and(|i| cx.needs(i));
            let wanted = Wanted { input: cx.needs(0), weight: needs(weight_at), bias: needs(bias_at) };
            if let Some([dx, dw, db]) = grouping.fused(g, &x, weight.as_ref(), &found, wanted)? {
                let parameter = |d: Option<Array>| d.map(|d| d.view(&shape)).transpose();
                grads.push(dx.map(Tensor::new));
                for (_, d) in [(weight_at, dw), (bias_at, db)].into_iter().filter(|(at, _)| at.is_some()) {
                    grads.push(parameter(d)?.map(Tensor::new));
                }
                return Ok(grads);
            }
            let dx = || grouping.projected(&grouping.weighted(g, weight.as_ref())?, &x);
            grads.push(cx.needs(0).then(dx).transpose()?);
            if let Some(i) = weight_at {
                let dw = || grouping.summed(&ops::mul(g, &grouping.standardized(&x)?)?, &shape);
                grads.push(cx.needs(i).then(dw).transpose()?);
            }
            if let Some(i) = bias_at {
                let db = || tied(grouping.summed(g, &shape)?, || Ok(x.clone()));
                grads.push(cx.needs(i).then(db).transpose()?);
            }
            Ok(grads)
        },
        |cx| {
            let mut sum = zeros_like(cx.output())?;
            if let Some(t) = cx.tangent(0) {
                let part = again.weighted(&again.projected(&t, cx.input(0))?, weight)?;
                sum = ops::add(&sum, &part)?;
            }
            if let Some(t) = weight_at.and_then(|i| cx.tangent(i)) {
                sum = ops::add(&sum, &again.weighted(&again.standardized(cx.input(0))?, Some(&t))?)?;
            }
            if let Some(t) = bias_at.and_then(|i| cx.tangent(i)) {
                sum = ops::add(&sum, &shaped(&t, &again.parameters)?)?;
            }
            Ok(sum)
        },
    )?;
    Ok((y, moments))
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
    let grouping = Grouping { seen: x.shape(), to, parameters: named, eps, given: None, sets: None };
    Ok(normalization("NativeLayerNormBackward0", x, weight, bias, grouping)?.0)
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
    let seen: Dims = smallvec![shape[0], groups as usize, rest];
    let to: Dims = smallvec![shape[0], groups as usize, 1];
    let sets = images(&shape).map(|images| Sets::of_groups(images, groups as usize));
    let grouping = Grouping { seen, to, parameters: per_channel(&shape), eps, given: None, sets };
    Ok(normalization("NativeGroupNormBackward0", x, weight, bias, grouping)?.0)
}

/// Fewer elements of a channel than this are not worth a loop of their own.
const LEAST_SEGMENT: usize = 8;

/// Images, channels, and elements of a channel, where there are enough of these.
fn images(shape: &[usize]) -> Option<[usize; 3]> {
    let length = shape[2..].iter().product();
    (length >= LEAST_SEGMENT && shape[0] > 0 && shape[1] > 0).then(|| [shape[0], shape[1], length])
}

/// The shape in which one number for each channel broadcasts.
fn per_channel(shape: &[usize]) -> Dims {
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
    /// Moves the statistics toward a batch's, whose variance is unbiased. Of moments there is one for each channel, or
    /// none, and then they are found.
    fn follow(&self, x: &Tensor, to: &[usize], moments: &[Moments], momentum: f64) -> Result<()> {
        let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
        let (mean, variance) = if moments.is_empty() {
            let mean = mean_to(x, to)?;
            let centred = ops::sub(x, &mean)?;
            let count = x.numel() as f64 / to.iter().product::<usize>() as f64;
            let squares = sum_to(&ops::mul(&centred, &centred)?, to)?;
            (mean, ops::mul(&squares, 1.0 / (count - 1.0))?)
        } else {
            let each = |of: fn(Moments) -> f64| {
                let numbers: Vec<f64> = moments.iter().map(|&m| of(m)).collect();
                to_dtype(&Tensor::from_slice(&numbers, &[numbers.len()])?, x.dtype())
            };
            (each(Moments::mean)?, each(|m| m.variance(1.0))?)
        };
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
#[allow(clippy::too_many_arguments)] // PyTorch's
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
    if shape.len() < 2 && x.numel() == 0 {
        return ops::clone(x);
    }
    axis(1, shape.len())?;
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
    let to = per_channel(&shape);
    let sets = images(&shape).map(Sets::of_batch);
    if training {
        let grouping =
            Grouping { seen: shape, to: to.clone(), parameters: to.clone(), eps, given: None, sets };
        let (y, moments) = normalization("NativeBatchNormBackward0", x, weight, bias, grouping)?;
        if let Some(running) = running {
            running.follow(&x.detach(), &to, &moments, momentum)?;
        }
        return Ok(y);
    }
    let Some(running) = running else {
        return Err(Error::runtime(
            "Expected running_mean and running_var to be defined when training=False",
        ));
    };
    let given = {
        let _guard = mode::enter(mode::Mode { grad: false, forward: false, ..mode::get() });
        let scale = ops::rsqrt(&ops::add(&to_dtype(running.variance, x.dtype())?, eps)?)?;
        // A copy: the statistics may move on before the backward pass.
        let mean = ops::clone(&to_dtype(running.mean, x.dtype())?)?;
        Some((shaped(&mean, &to)?, shaped(&scale, &to)?))
    };
    let grouping = Grouping { seen: shape, to: to.clone(), parameters: to, eps, given, sets };
    Ok(normalization("NativeBatchNormBackward0", x, weight, bias, grouping)?.0)
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
    Check::new(
        "group_norm, whole channels",
        |s| Ok(vec![s.normal(&[2, 4, 9])?, s.normal(&[4])?, s.normal(&[4])?]),
        |x| Ok(vec![group_norm(&x[0], 2, Some(&x[1]), Some(&x[2]), 0.1)?]),
    ),
    Check::new(
        "batch_norm, whole channels",
        |s| Ok(vec![s.normal(&[2, 2, 3, 3])?, s.normal(&[2])?, s.normal(&[2])?]),
        |x| Ok(vec![batch_norm(&x[0], None, Some(&x[1]), Some(&x[2]), true, 0.1, 0.1)?]),
    ),
];
