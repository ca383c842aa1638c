//! Functions of neural networks, under their names and signatures in `nn.functional`.

use arcgrad::ops::nn::{self, Beyond, Padding, Pool, Reduction, Resampling, Running};
use arcgrad::{Scalar, Tensor};
use pyo3::prelude::*;
use smallvec::SmallVec;

use crate::bindings;
use crate::dispatch::Args;
use crate::error::raise;

type Convolution = for<'a> fn(
    &'a Tensor,
    &'a Tensor,
    Option<&'a Tensor>,
    &'a [isize],
    Padding<'a>,
    &'a [isize],
    isize,
) -> arcgrad::Result<Tensor>;

/// A convolution with its padding in numbers.
fn convolve(a: &Args<'_, '_>, op: Convolution) -> PyResult<arcgrad::Result<Tensor>> {
    let (stride, padding, dilation) = (a.ints(3)?, a.ints(4)?, a.ints(5)?);
    let call = |x, w, b, groups| op(x, w, b, &stride, Padding::Each(&padding), &dilation, groups);
    Ok(a.call(call, (a.tensor(0)?, a.tensor(1)?, a.optional_tensor(2)?, a.index(6)?)))
}

/// A convolution with its padding in a word.
fn convolve_padded(a: &Args<'_, '_>, op: Convolution) -> PyResult<arcgrad::Result<Tensor>> {
    let (stride, word, dilation) = (a.ints(3)?, a.str(4)?, a.ints(5)?);
    let padding = match word.as_str() {
        "same" => Padding::Same,
        "valid" => Padding::Valid,
        other => {
            return Err(pyo3::exceptions::PyRuntimeError::new_err(format!(
                "Invalid padding string: '{other}'"
            )));
        }
    };
    let call = |x, w, b, groups| op(x, w, b, &stride, padding, &dilation, groups);
    Ok(a.call(call, (a.tensor(0)?, a.tensor(1)?, a.optional_tensor(2)?, a.index(6)?)))
}

fn transpose(a: &Args<'_, '_>, axes: usize) -> PyResult<arcgrad::Result<Tensor>> {
    let (stride, padding, behind, dilation) = (a.ints(3)?, a.ints(4)?, a.ints(5)?, a.ints(7)?);
    let call =
        |x, w, b, groups| nn::conv_transpose(axes, x, w, b, &stride, &padding, &behind, groups, &dilation);
    Ok(a.call(call, (a.tensor(0)?, a.tensor(1)?, a.optional_tensor(2)?, a.index(6)?)))
}

/// Maxima, and their positions where they are asked for.
fn max_pool(a: &Args<'_, '_>, axes: usize) -> PyResult<Py<PyAny>> {
    let (kernel, stride) = (a.ints(1)?, a.optional_ints(2)?.unwrap_or_default());
    let (padding, dilation) = (a.ints(3)?, a.ints(4)?);
    let pool = Pool {
        axes,
        kernel: &kernel,
        stride: &stride,
        padding: &padding,
        dilation: &dilation,
        ceil_mode: a.flag(5)?,
    };
    let both = a.call(|x| nn::max_pool(x, pool), (a.tensor(0)?,));
    one_or_both(a, both, a.flag(6)?)
}

fn one_or_both(
    a: &Args<'_, '_>,
    both: arcgrad::Result<(Tensor, Tensor)>,
    wanted: bool,
) -> PyResult<Py<PyAny>> {
    use crate::convert::Answer;
    if wanted { both.object(a.py()) } else { both.map(|(y, _)| y).object(a.py()) }
}

fn avg_pool(a: &Args<'_, '_>, axes: usize, divisor: Option<i64>) -> PyResult<arcgrad::Result<Tensor>> {
    let (kernel, stride) = (a.ints(1)?, a.optional_ints(2)?.unwrap_or_default());
    let padding = a.ints(3)?;
    let pool = Pool {
        axes,
        kernel: &kernel,
        stride: &stride,
        padding: &padding,
        dilation: &[1],
        ceil_mode: a.flag(4)?,
    };
    let count = a.flag(5)?;
    Ok(a.call(|x| nn::avg_pool(x, pool, count, divisor), (a.tensor(0)?,)))
}

/// Extents of which some may be `None`: those stay as they are.
fn extents(a: &Args<'_, '_>, i: usize) -> PyResult<SmallVec<[Option<isize>; 3]>> {
    let Some(object) = a.get(i) else { return Ok(SmallVec::from_slice(&[None])) };
    if let Ok(one) = object.extract::<isize>() {
        return Ok(SmallVec::from_slice(&[Some(one)]));
    }
    object.try_iter()?.map(|n| n?.extract::<Option<isize>>()).collect()
}

/// Two numbers: one for both, or one each.
fn pair(a: &Args<'_, '_>, i: usize) -> PyResult<[isize; 2]> {
    match a.ints(i)?[..] {
        [one] => Ok([one; 2]),
        [first, second] => Ok([first, second]),
        _ => Err(pyo3::exceptions::PyRuntimeError::new_err("It is expected that a size equals to 2")),
    }
}

fn reduction(a: &Args<'_, '_>, i: usize) -> PyResult<Reduction> {
    reduction_after(a, i, None)
}

/// The reduction, or what the two older arguments from `old` mean where one of them is given.
fn reduction_after(a: &Args<'_, '_>, i: usize, old: Option<usize>) -> PyResult<Reduction> {
    if let Some(old) = old {
        let (average, reduce) = (a.optional_flag(old)?, a.optional_flag(old + 1)?);
        if average.is_some() || reduce.is_some() {
            return Ok(match (average, reduce) {
                (_, Some(false)) => Reduction::None,
                (Some(false), _) => Reduction::Sum,
                _ => Reduction::Mean,
            });
        }
    }
    Reduction::named(&a.str(i)?).map_err(|e| raise(&e))
}

/// Extents from `size` or from `scale_factor`, the factors, and how to interpolate.
fn interpolate(a: &Args<'_, '_>) -> PyResult<arcgrad::Result<Tensor>> {
    let x = a.tensor(0)?;
    let axes = x.ndim().saturating_sub(2);
    let wrong = |message: String| pyo3::exceptions::PyValueError::new_err(message);
    let factors: Option<Vec<f64>> = match a.get(2) {
        None => None,
        Some(object) => Some(match object.extract::<f64>() {
            Ok(one) => vec![one; axes],
            Err(_) => object.extract::<Vec<f64>>()?,
        }),
    };
    let word = a.str(3)?;
    let how = match (word.as_str(), axes) {
        ("nearest", _) => Resampling::Nearest,
        ("nearest-exact", _) => Resampling::NearestExact,
        ("area", _) => Resampling::Area,
        ("linear", 1) | ("bilinear", 2) | ("trilinear", 3) => Resampling::Linear,
        ("bicubic", 2) => Resampling::Cubic,
        (other, _) => {
            return Err(pyo3::exceptions::PyNotImplementedError::new_err(format!(
                "Input Error: Only 3D, 4D and 5D input Tensors supported (got {}D) for the modes: nearest | linear | \
                 bilinear | bicubic | trilinear | area | nearest-exact (got {other})",
                x.ndim()
            )));
        }
    };
    let given = a.get(1).is_some();
    let shape = x.shape();
    let size: Vec<usize> = match (&factors, given) {
        (Some(_), true) => {
            return Err(wrong("only one of size or scale_factor should be defined".to_owned()));
        }
        (None, false) => return Err(wrong("either size or scale_factor should be defined".to_owned())),
        (None, true) => {
            let size = a.ints(1)?;
            (0..axes)
                .map(|i| size[if size.len() == 1 { 0 } else { i.min(size.len() - 1) }].max(0) as usize)
                .collect()
        }
        (Some(factors), false) => {
            if factors.len() != axes {
                return Err(wrong(format!(
                    "Input and scale_factor must have the same number of spatial dimensions, but got input with spatial \
                     dimensions of {:?} and scale_factor of shape {factors:?}.",
                    &shape[2..]
                )));
            }
            (0..axes).map(|i| (shape[i + 2] as f64 * factors[i]).floor() as usize).collect()
        }
    };
    let recompute = a.optional_flag(5)?.unwrap_or(false);
    let scales: Vec<Option<f64>> = match factors {
        Some(factors) if !recompute => factors.into_iter().map(Some).collect(),
        _ => Vec::new(),
    };
    let align = a.optional_flag(4)?.unwrap_or(false);
    Ok(a.call(|x| nn::interpolate(x, &size, &scales, how, align), (x,)))
}

bindings! {
    /// The cross-correlation of (batch, channels, length) with (out channels, channels / groups, size).
    function conv1d {
        "(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, int[] padding=0, int[] dilation=1, int groups=1) -> Tensor"
            => |a| convolve(a, nn::conv1d)?,
        "(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, str padding='valid', int[] dilation=1, int groups=1) -> Tensor"
            => |a| convolve_padded(a, nn::conv1d)?
    }
    /// The cross-correlation of (batch, channels, height, width) with (out channels, channels / groups, height, width).
    function conv2d {
        "(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, int[] padding=0, int[] dilation=1, int groups=1) -> Tensor"
            => |a| convolve(a, nn::conv2d)?,
        "(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, str padding='valid', int[] dilation=1, int groups=1) -> Tensor"
            => |a| convolve_padded(a, nn::conv2d)?
    }
    /// The cross-correlation over depth, height and width.
    function conv3d {
        "(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, int[] padding=0, int[] dilation=1, int groups=1) -> Tensor"
            => |a| convolve(a, nn::conv3d)?,
        "(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, str padding='valid', int[] dilation=1, int groups=1) -> Tensor"
            => |a| convolve_padded(a, nn::conv3d)?
    }
    /// The adjoint of `conv1d` in its input.
    function conv_transpose1d {
        "(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, int[] padding=0, int[] output_padding=0, int groups=1, int[] dilation=1) -> Tensor"
            => |a| transpose(a, 1)?
    }
    /// The adjoint of `conv2d` in its input.
    function conv_transpose2d {
        "(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, int[] padding=0, int[] output_padding=0, int groups=1, int[] dilation=1) -> Tensor"
            => |a| transpose(a, 2)?
    }
    /// The adjoint of `conv3d` in its input.
    function conv_transpose3d {
        "(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=1, int[] padding=0, int[] output_padding=0, int groups=1, int[] dilation=1) -> Tensor"
            => |a| transpose(a, 3)?
    }
    /// The largest element of each window along the last axis; with `return_indices`, also its position.
    function max_pool1d {
        "(Tensor input, int[] kernel_size, int[]? stride=None, int[] padding=0, int[] dilation=1, bool ceil_mode=False, bool return_indices=False) -> Tensor"
            => |a| max_pool(a, 1)?
    }
    /// The largest element of each window over the last two axes; with `return_indices`, also its position.
    function max_pool2d {
        "(Tensor input, int[] kernel_size, int[]? stride=None, int[] padding=0, int[] dilation=1, bool ceil_mode=False, bool return_indices=False) -> Tensor"
            => |a| max_pool(a, 2)?
    }
    /// The largest element of each window over the last three axes; with `return_indices`, also its position.
    function max_pool3d {
        "(Tensor input, int[] kernel_size, int[]? stride=None, int[] padding=0, int[] dilation=1, bool ceil_mode=False, bool return_indices=False) -> Tensor"
            => |a| max_pool(a, 3)?
    }
    /// The mean of each window along the last axis.
    function avg_pool1d {
        "(Tensor input, int[] kernel_size, int[]? stride=None, int[] padding=0, bool ceil_mode=False, bool count_include_pad=True) -> Tensor"
            => |a| avg_pool(a, 1, None)?
    }
    /// The mean of each window over the last two axes.
    function avg_pool2d {
        "(Tensor input, int[] kernel_size, int[]? stride=None, int[] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor"
            => |a| avg_pool(a, 2, a.optional_int(6)?)?
    }
    /// The mean of each window over the last three axes.
    function avg_pool3d {
        "(Tensor input, int[] kernel_size, int[]? stride=None, int[] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None) -> Tensor"
            => |a| avg_pool(a, 3, a.optional_int(6)?)?
    }
    /// Means of as many windows as the output shall have.
    function adaptive_avg_pool1d {
        "(Tensor input, Any? output_size) -> Tensor" => |a| {
            let size = extents(a, 1)?;
            a.call(|x| nn::adaptive_avg_pool(x, 1, &size), (a.tensor(0)?,))
        }
    }
    /// Means of as many windows as the output shall have; None keeps an axis.
    function adaptive_avg_pool2d {
        "(Tensor input, Any? output_size) -> Tensor" => |a| {
            let size = extents(a, 1)?;
            a.call(|x| nn::adaptive_avg_pool(x, 2, &size), (a.tensor(0)?,))
        }
    }
    /// Means of as many windows as the output shall have; None keeps an axis.
    function adaptive_avg_pool3d {
        "(Tensor input, Any? output_size) -> Tensor" => |a| {
            let size = extents(a, 1)?;
            a.call(|x| nn::adaptive_avg_pool(x, 3, &size), (a.tensor(0)?,))
        }
    }
    /// Maxima of as many windows as the output shall have.
    function adaptive_max_pool1d {
        "(Tensor input, Any? output_size, bool return_indices=False) -> Tensor" => |a| {
            let size = extents(a, 1)?;
            let both = a.call(|x| nn::adaptive_max_pool(x, 1, &size), (a.tensor(0)?,));
            one_or_both(a, both, a.flag(2)?)?
        }
    }
    /// Maxima of as many windows as the output shall have; None keeps an axis.
    function adaptive_max_pool2d {
        "(Tensor input, Any? output_size, bool return_indices=False) -> Tensor" => |a| {
            let size = extents(a, 1)?;
            let both = a.call(|x| nn::adaptive_max_pool(x, 2, &size), (a.tensor(0)?,));
            one_or_both(a, both, a.flag(2)?)?
        }
    }
    /// Maxima of as many windows as the output shall have; None keeps an axis.
    function adaptive_max_pool3d {
        "(Tensor input, Any? output_size, bool return_indices=False) -> Tensor" => |a| {
            let size = extents(a, 1)?;
            let both = a.call(|x| nn::adaptive_max_pool(x, 3, &size), (a.tensor(0)?,));
            one_or_both(a, both, a.flag(2)?)?
        }
    }
    /// More elements at the ends of the last axes: two numbers for each, the last axis first.
    function pad {
        "(Tensor input, int[] pad, str mode='constant', Scalar? value=None) -> Tensor" => |a| {
            let sizes = a.ints(1)?;
            let mode = a.str(2)?;
            let value = a.optional_scalar(3)?.unwrap_or(Scalar::Int(0));
            let beyond = match mode.as_str() {
                "constant" => Beyond::Constant(value),
                "reflect" => Beyond::Reflect,
                "replicate" => Beyond::Replicate,
                "circular" => Beyond::Circular,
                other => {
                    return Err(pyo3::exceptions::PyNotImplementedError::new_err(format!(
                        "Unrecognised padding mode {other}"
                    )));
                }
            };
            a.call(|x| nn::pad(x, &sizes, beyond), (a.tensor(0)?,))
        }
    }
    /// Resamples to `size`, or by `scale_factor`.
    function interpolate {
        "(Tensor input, int[]? size=None, Any? scale_factor=None, str mode='nearest', bool? align_corners=None, bool? recompute_scale_factor=None, bool antialias=False) -> Tensor"
            => |a| interpolate(a)?
    }
    /// The cross entropy between a target and the sigmoid of the input, exact for any input.
    function binary_cross_entropy_with_logits {
        "(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, bool? reduce=None, str reduction='mean', Tensor? pos_weight=None) -> Tensor" => |a| {
            let how = reduction_after(a, 5, Some(3))?;
            let (weight, pos_weight) = (a.optional_tensor(2)?, a.optional_tensor(6)?);
            a.call(|x, t| nn::binary_cross_entropy_with_logits(x, t, weight, pos_weight, how), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// The cross entropy between probabilities.
    function binary_cross_entropy {
        "(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, bool? reduce=None, str reduction='mean') -> Tensor" => |a| {
            let how = reduction_after(a, 5, Some(3))?;
            let weight = a.optional_tensor(2)?;
            a.call(|x, t| nn::binary_cross_entropy(x, t, weight, how), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// The negative log-probability of each target's class.
    function nll_loss {
        "(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, int ignore_index=-100, bool? reduce=None, str reduction='mean') -> Tensor" => |a| {
            let how = class_reduction(a)?;
            let (weight, ignored) = (a.optional_tensor(2)?, a.int(4)?);
            a.call(|x, t| nn::nll_loss(x, t, weight, ignored, how), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// The cross entropy between a target and the softmax of the input over its classes.
    function cross_entropy {
        "(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, int ignore_index=-100, bool? reduce=None, str reduction='mean', float label_smoothing=0.0) -> Tensor" => |a| {
            let how = class_reduction(a)?;
            let (weight, ignored, smoothing) = (a.optional_tensor(2)?, a.int(4)?, a.float(7)?);
            a.call(|x, t| nn::cross_entropy(x, t, weight, how, ignored, smoothing), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// The square of the difference, reduced.
    function mse_loss {
        "(Tensor input, Tensor target, str reduction='mean') -> Tensor" => |a| {
            let how = reduction(a, 2)?;
            a.call(|x, t| nn::mse_loss(x, t, how), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// The absolute difference, reduced.
    function l1_loss {
        "(Tensor input, Tensor target, str reduction='mean') -> Tensor" => |a| {
            let how = reduction(a, 2)?;
            a.call(|x, t| nn::l1_loss(x, t, how), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// The absolute difference, a parabola within `beta`, reduced.
    function smooth_l1_loss {
        "(Tensor input, Tensor target, str reduction='mean', float beta=1.0) -> Tensor" => |a| {
            let (how, beta) = (reduction(a, 2)?, a.float(3)?);
            a.call(|x, t| nn::smooth_l1_loss(x, t, how, beta), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// Half the square of the difference, straight beyond `delta`, reduced.
    function huber_loss {
        "(Tensor input, Tensor target, str reduction='mean', float delta=1.0) -> Tensor" => |a| {
            let (how, delta) = (reduction(a, 2)?, a.float(3)?);
            a.call(|x, t| nn::huber_loss(x, t, how, delta), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// log(1 + exp(-target input)), reduced.
    function soft_margin_loss {
        "(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str reduction='mean') -> Tensor" => |a| {
            let how = reduction_after(a, 4, Some(2))?;
            a.call(|x, t| nn::soft_margin_loss(x, t, how), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// Normalizes over the last axes, whose extents are `normalized_shape`.
    function layer_norm {
        "(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-5) -> Tensor" => |a| {
            let (shape, weight, bias, eps) = (a.ints(1)?, a.optional_tensor(2)?, a.optional_tensor(3)?, a.float(4)?);
            a.call(|x| nn::layer_norm(x, &shape, weight, bias, eps), (a.tensor(0)?,))
        }
    }
    /// Divides by the root of the mean of squares over the last axes.
    function rms_norm {
        "(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor" => |a| {
            let (shape, weight, eps) = (a.ints(1)?, a.optional_tensor(2)?, a.optional_float(3)?);
            a.call(|x| nn::rms_norm(x, &shape, weight, eps), (a.tensor(0)?,))
        }
    }
    /// Normalizes each group of channels.
    function group_norm {
        "(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-5) -> Tensor" => |a| {
            let (groups, weight, bias, eps) = (a.index(1)?, a.optional_tensor(2)?, a.optional_tensor(3)?, a.float(4)?);
            a.call(|x| nn::group_norm(x, groups, weight, bias, eps), (a.tensor(0)?,))
        }
    }
    /// Normalizes each channel, by the batch's statistics in training.
    function batch_norm {
        "(Tensor input, Tensor? running_mean, Tensor? running_var, Tensor? weight=None, Tensor? bias=None, bool training=False, float momentum=0.1, float eps=1e-5) -> Tensor" => |a| {
            let running = match (a.optional_tensor(1)?, a.optional_tensor(2)?) {
                (Some(mean), Some(variance)) => Some(Running { mean, variance }),
                _ => None,
            };
            let (weight, bias) = (a.optional_tensor(3)?, a.optional_tensor(4)?);
            let (training, momentum, eps) = (a.flag(5)?, a.float(6)?, a.float(7)?);
            a.call(|x| nn::batch_norm(x, running, weight, bias, training, momentum, eps), (a.tensor(0)?,))
        }
    }
    /// Values weighted by how well their keys answer a query.
    function _attention {
        "(Tensor query, Tensor key, Tensor value, bool is_causal, float scale) -> Tensor"
            => |a| a.call(nn::attention, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, a.flag(3)?, a.float(4)?))
    }
    /// The rows of a table that integers name.
    function embedding {
        "(Tensor input, Tensor weight, int? padding_idx=None) -> Tensor" => |a| {
            let padding = a.optional_index(2)?;
            a.call(|indices, weight| nn::embedding(weight, indices, padding), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// Channels in groups of r * r become squares of r by r pixels.
    function pixel_shuffle {
        "(Tensor input, int upscale_factor) -> Tensor" => |a| a.call(nn::pixel_shuffle, (a.tensor(0)?, a.index(1)?))
    }
    /// Squares of r by r pixels become channels.
    function pixel_unshuffle {
        "(Tensor input, int downscale_factor) -> Tensor" => |a| a.call(nn::pixel_unshuffle, (a.tensor(0)?, a.index(1)?))
    }
    /// The first channel of each group, then the second of each, and so on.
    function channel_shuffle {
        "(Tensor input, int groups) -> Tensor" => |a| a.call(nn::channel_shuffle, (a.tensor(0)?, a.index(1)?))
    }
    /// Windows as columns.
    function im2col {
        "(Tensor input, int[] kernel_size, int[] dilation=1, int[] padding=0, int[] stride=1) -> Tensor" => |a| {
            let (kernel, dilation, padding, stride) = (pair(a, 1)?, pair(a, 2)?, pair(a, 3)?, pair(a, 4)?);
            a.call(|x| nn::im2col(x, kernel, dilation, padding, stride), (a.tensor(0)?,))
        }
    }
    /// Columns added up where their windows lie.
    function fold {
        "(Tensor input, int[] output_size, int[] kernel_size, int[] dilation=1, int[] padding=0, int[] stride=1) -> Tensor" => |a| {
            let (output, kernel) = (pair(a, 1)?, pair(a, 2)?);
            let (dilation, padding, stride) = (pair(a, 3)?, pair(a, 4)?, pair(a, 5)?);
            a.call(|x| nn::col2im(x, output, kernel, dilation, padding, stride), (a.tensor(0)?,))
        }
    }
    /// In training, zero with probability p, the rest scaled by 1 / (1 - p).
    function dropout {
        "(Tensor input, float p=0.5, bool training=True) -> Tensor" => |a| {
            a.call(nn::dropout, (a.tensor(0)?, a.float(1)?, a.flag(2)?))
        }
    }
    /// `dropout` of whole channels.
    function feature_dropout {
        "(Tensor input, float p, bool training) -> Tensor" => |a| {
            a.call(nn::feature_dropout, (a.tensor(0)?, a.float(1)?, a.flag(2)?))
        }
    }
    /// Dropout that keeps mean and variance of a SELU's output.
    function alpha_dropout {
        "(Tensor input, float p=0.5, bool training=False) -> Tensor" => |a| {
            a.call(nn::alpha_dropout, (a.tensor(0)?, a.float(1)?, a.flag(2)?))
        }
    }
    /// `alpha_dropout` of whole channels.
    function feature_alpha_dropout {
        "(Tensor input, float p=0.5, bool training=False) -> Tensor" => |a| {
            a.call(nn::feature_alpha_dropout, (a.tensor(0)?, a.float(1)?, a.flag(2)?))
        }
    }
    /// The first half along an axis times the sigmoid of the second.
    function glu {
        "(Tensor input, int dim=-1) -> Tensor" => |a| a.call(nn::glu, (a.tensor(0)?, a.index(1)?))
    }
    /// x where positive, else w x.
    both prelu {
        "(Tensor input, Tensor weight) -> Tensor" => |a| a.call(nn::prelu, (a.tensor(0)?, a.tensor(1)?))
    }
    /// x where positive, else a x with a random a in training.
    function rrelu {
        "(Tensor input, float lower=0.125, float upper=0.3333333333333333, bool training=False) -> Tensor" => |a| {
            a.call(nn::rrelu, (a.tensor(0)?, a.float(1)?, a.float(2)?, a.flag(3)?))
        }
    }
    /// `elu` with the constants of self-normalizing networks.
    function selu { "(Tensor input) -> Tensor" => |a| a.call(nn::selu, (a.tensor(0)?,)) }
    /// x where positive, else alpha (exp(x / alpha) - 1).
    function celu {
        "(Tensor input, float alpha=1.0) -> Tensor" => |a| a.call(nn::celu, (a.tensor(0)?, a.float(1)?))
    }
    /// x within 0 and 6.
    function relu6 { "(Tensor input) -> Tensor" => |a| a.call(nn::relu6, (a.tensor(0)?,)) }
    /// x / (1 + |x|).
    function softsign { "(Tensor input) -> Tensor" => |a| a.call(nn::softsign, (a.tensor(0)?,)) }
    /// x - tanh(x).
    function tanhshrink { "(Tensor input) -> Tensor" => |a| a.call(nn::tanhshrink, (a.tensor(0)?,)) }
}

/// The reduction of a loss against classes, whose older arguments stand apart.
fn class_reduction(a: &Args<'_, '_>) -> PyResult<Reduction> {
    let (average, reduce) = (a.optional_flag(3)?, a.optional_flag(5)?);
    if average.is_none() && reduce.is_none() {
        return reduction(a, 6);
    }
    Ok(match (average, reduce) {
        (_, Some(false)) => Reduction::None,
        (Some(false), _) => Reduction::Sum,
        _ => Reduction::Mean,
    })
}
