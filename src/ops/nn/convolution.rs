//! Convolutions, and their adjoints as ops: each is the others' derivative (see Note [One convolution, three products]).

mod call;

use smallvec::{SmallVec, smallvec};

use crate::array::kernels::convolution as kernel;
use crate::array::{Array, DType, Dims};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{add, sum_to, zeros_like};
use crate::graph::{Keep, Operand, Tensor, record_with_work};
use crate::ops::nn::{shaped, tied};
use call::{Call, Sizes};

/// Zeros around the input of a convolution.
#[derive(Clone, Copy, Debug)]
pub enum Padding<'a> {
    /// As many on both sides: one number, or one for each axis.
    Each(&'a [isize]),
    /// As many as give the output the input's extents; an odd one goes behind.
    Same,
    /// None.
    Valid,
}

/// The cross-correlation of `x`, `[batch, channels, length]` or without batch, with `weight`,
/// `[outputs, channels / groups, size]`.
pub fn conv1d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[isize],
    padding: Padding<'_>,
    dilation: &[isize],
    groups: isize,
) -> Result<Tensor> {
    Call { axes: 1, x, weight, bias, stride, dilation, groups }.convolve(padding)
}

/// The cross-correlation of `x`, `[batch, channels, height, width]` or without batch, with `weight`,
/// `[outputs, channels / groups, height, width]`.
///
/// `bias` has one element for each output channel. `stride`, `dilation` and `padding` are one number, or one for each
/// axis. Computed in `f32`, `f64` or integers, all operands of one dtype.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[isize],
    padding: Padding<'_>,
    dilation: &[isize],
    groups: isize,
) -> Result<Tensor> {
    Call { axes: 2, x, weight, bias, stride, dilation, groups }.convolve(padding)
}

/// [`conv2d`] with depth: `x` is `[batch, channels, depth, height, width]`.
pub fn conv3d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[isize],
    padding: Padding<'_>,
    dilation: &[isize],
    groups: isize,
) -> Result<Tensor> {
    Call { axes: 3, x, weight, bias, stride, dilation, groups }.convolve(padding)
}

/// The adjoint of [`conv1d`], [`conv2d`] or [`conv3d`] (by `axes`) in its input, as an op of its own: `weight` is
/// `[channels, outputs / groups, ..kernel]`.
///
/// `output_padding` adds positions behind the output, which the extents alone leave open for strides above 1.
#[expect(clippy::too_many_arguments, reason = "PyTorch's")]
pub fn conv_transpose(
    axes: usize,
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: &[isize],
    padding: &[isize],
    output_padding: &[isize],
    groups: isize,
    dilation: &[isize],
) -> Result<Tensor> {
    Call { axes, x, weight, bias, stride, dilation, groups }.transpose(padding, output_padding)
}

/// A new array of a shape, written by a kernel; zeros where there is nothing to add up.
macro_rules! computed {
    ($x:expr, $shape:expr, |$y:ident| $call:expr) => {{
        let (x, shape) = (&$x, $shape);
        if x.numel() == 0 || shape.contains(&0) {
            Array::zeros(&shape, x.dtype())?
        } else {
            let out = Array::empty(&shape, x.dtype())?;
            macro_rules! with {
                ($t:ty) => {{
                    // SAFETY: fresh, and nobody else has seen it.
                    let $y: &mut [$t] = unsafe { out.as_mut_slice() }.unwrap_or_default();
                    $call;
                }};
            }
            match x.dtype() {
                DType::F32 => with!(f32),
                DType::F64 => with!(f64),
                DType::I64 => with!(i64),
                other => return Err(Error::unsupported("slow_conv2d_cpu", other)),
            }
            out
        }
    }};
}

/// The elements of a contiguous array for the length of a kernel's call.
fn elements<T: crate::array::Element>(x: &Array) -> &[T] {
    // SAFETY: the kernels only read it; concurrent writers get what Note [Writes to shared storage] says.
    unsafe { x.as_slice::<T>() }.unwrap_or_default()
}

/// y = sum over taps of w x, plus b.
///
/// dx = input_grad(g, w), dw = weight_grad(x, g), db = g summed over all but channels.
fn convolution(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, sizes: Sizes) -> Result<Tensor> {
    let (xs, ws) = (x.array().contiguous()?, w.array().contiguous()?);
    let bs = bias.map(|b| b.array().contiguous()).transpose()?;
    let y = computed!(xs, sizes.output_shape(), |y| kernel::forward(
        &sizes.geometry,
        elements(&xs),
        elements(&ws),
        bs.as_ref().map(elements),
        y
    ));
    let mut inputs: SmallVec<[&Tensor; 3]> = smallvec![x, w];
    inputs.extend(bias);
    let biased = bias.is_some();
    record_with_work(
        "ConvolutionBackward0",
        sizes.work(),
        &inputs,
        y,
        &[Keep::Input(0), Keep::Input(1)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None; 2 + usize::from(biased)]) };
            let mut grads = smallvec![
                cx.needs(0).then(|| input_grad(g, &cx.saved(1)?, sizes)).transpose()?,
                cx.needs(1).then(|| weight_grad(&cx.saved(0)?, g, sizes)).transpose()?,
            ];
            if biased {
                grads.push(cx.needs(2).then(|| tied(channel_sum(g)?, || cx.saved(0))).transpose()?);
            }
            Ok(grads)
        },
        |cx| {
            let from_x = cx.tangent(0).map(|t| convolution(&t, cx.input(1), None, sizes)).transpose()?;
            let from_w = cx.tangent(1).map(|t| convolution(cx.input(0), &t, None, sizes)).transpose()?;
            let from_b = bias.and_then(Tensor::tangent).map(|t| per_channel(&t, sizes.axes)).transpose()?;
            total([from_x, from_w, from_b], cx.output())
        },
    )
}

/// The sum of what is there, in the shape of `like`.
fn total(parts: impl IntoIterator<Item = Option<Tensor>>, like: &Tensor) -> Result<Tensor> {
    let mut sum = zeros_like(like)?;
    for part in parts.into_iter().flatten() {
        sum = add(Operand::Tensor(&sum), Operand::Tensor(&part))?;
    }
    Ok(sum)
}

/// One number for each channel, in the shape in which it broadcasts.
fn per_channel(x: &Tensor, axes: usize) -> Result<Tensor> {
    let mut shape: Dims = smallvec![1; axes + 2];
    shape[1] = x.numel();
    shaped(x, &shape)
}

/// The sum over all axes but the second.
fn channel_sum(g: &Tensor) -> Result<Tensor> {
    let channels = g.shape()[1];
    let mut shape: Dims = smallvec![1; g.ndim()];
    shape[1] = channels;
    shaped(&sum_to(g, &shape)?, &[channels])
}

/// dx of a convolution, an op of `g` and `w`.
///
/// With `h` the gradient of dx: dg = convolution(h, w), dw = weight_grad(h, g).
fn input_grad(g: &Tensor, w: &Tensor, sizes: Sizes) -> Result<Tensor> {
    named_input_grad("ConvolutionBackwardBackward0", g, w, None, sizes)
}

/// [`input_grad`] under a name; as a convolution of its own it may have a bias, db = h summed over all but channels.
fn named_input_grad(
    name: &'static str,
    g: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    sizes: Sizes,
) -> Result<Tensor> {
    let (gs, ws) = (g.array().contiguous()?, w.array().contiguous()?);
    let y = computed!(gs, sizes.input_shape(), |y| kernel::input_grad(
        &sizes.geometry,
        elements(&gs),
        elements(&ws),
        y
    ));
    let mut inputs: SmallVec<[&Tensor; 3]> = smallvec![g, w];
    inputs.extend(bias);
    let biased = bias.is_some();
    let y = match bias {
        Some(bias) => add(&Tensor::new(y), &per_channel(&bias.detach(), sizes.axes)?)?.array(),
        None => y,
    };
    record_with_work(
        name,
        sizes.work(),
        &inputs,
        y,
        &[Keep::Input(0), Keep::Input(1)],
        move |cx| {
            let Some(h) = cx.grad(0) else { return Ok(smallvec![None; 2 + usize::from(biased)]) };
            let mut grads = smallvec![
                cx.needs(0).then(|| convolution(h, &cx.saved(1)?, None, sizes)).transpose()?,
                cx.needs(1).then(|| weight_grad(h, &cx.saved(0)?, sizes)).transpose()?,
            ];
            if biased {
                grads.push(cx.needs(2).then(|| tied(channel_sum(h)?, || cx.saved(0))).transpose()?);
            }
            Ok(grads)
        },
        |cx| {
            let from_g = cx.tangent(0).map(|t| input_grad(&t, cx.input(1), sizes)).transpose()?;
            let from_w = cx.tangent(1).map(|t| input_grad(cx.input(0), &t, sizes)).transpose()?;
            let from_b = bias.and_then(Tensor::tangent).map(|t| per_channel(&t, sizes.axes)).transpose()?;
            total([from_g, from_w, from_b], cx.output())
        },
    )
}

/// dw of a convolution, an op of `x` and `g`.
///
/// With `h` the gradient of dw: dx = input_grad(g, h), dg = convolution(x, h).
fn weight_grad(x: &Tensor, g: &Tensor, sizes: Sizes) -> Result<Tensor> {
    let (xs, gs) = (x.array().contiguous()?, g.array().contiguous()?);
    let y = computed!(xs, sizes.weight_shape(), |y| kernel::weight_grad(
        &sizes.geometry,
        elements(&xs),
        elements(&gs),
        y
    ));
    record_with_work(
        "ConvolutionBackwardBackward0",
        sizes.work(),
        &[x, g],
        y,
        &[Keep::Input(0), Keep::Input(1)],
        move |cx| {
            let Some(h) = cx.grad(0) else { return Ok(smallvec![None, None]) };
            Ok(smallvec![
                cx.needs(0).then(|| input_grad(&cx.saved(1)?, h, sizes)).transpose()?,
                cx.needs(1).then(|| convolution(&cx.saved(0)?, h, None, sizes)).transpose()?,
            ])
        },
        |cx| {
            let from_x = cx.tangent(0).map(|t| weight_grad(&t, cx.input(1), sizes)).transpose()?;
            let from_g = cx.tangent(1).map(|t| weight_grad(cx.input(0), &t, sizes)).transpose()?;
            total([from_x, from_g], cx.output())
        },
    )
}

/// Checks of every way a convolution is computed.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "conv1d",
        |s| Ok(vec![s.normal(&[2, 2, 7])?, s.normal(&[3, 2, 3])?, s.normal(&[3])?]),
        |x| Ok(vec![conv1d(&x[0], &x[1], Some(&x[2]), &[2], Padding::Each(&[1]), &[2], 1)?]),
    ),
    Check::new(
        "conv2d",
        |s| Ok(vec![s.normal(&[2, 4, 4, 3])?, s.normal(&[6, 2, 2, 3])?, s.normal(&[6])?]),
        |x| Ok(vec![conv2d(&x[0], &x[1], Some(&x[2]), &[1], Padding::Each(&[1, 2]), &[1], 2)?]),
    ),
    Check::new(
        "conv2d, strided",
        |s| Ok(vec![s.normal(&[1, 2, 5, 4])?, s.normal(&[3, 2, 3, 2])?]),
        |x| Ok(vec![conv2d(&x[0], &x[1], None, &[2, 3], Padding::Each(&[1, 0]), &[1], 1)?]),
    ),
    Check::new(
        "conv2d, same",
        |s| Ok(vec![s.normal(&[2, 4, 3])?, s.normal(&[2, 2, 2, 4])?]),
        |x| Ok(vec![conv2d(&x[0], &x[1], None, &[1], Padding::Same, &[1], 1)?]),
    ),
    Check::new(
        "conv2d, pointwise",
        |s| Ok(vec![s.normal(&[2, 3, 2, 2])?, s.normal(&[4, 3, 1, 1])?]),
        |x| Ok(vec![conv2d(&x[0], &x[1], None, &[1], Padding::Valid, &[1], 1)?]),
    ),
    Check::new(
        "conv2d, depthwise",
        |s| Ok(vec![s.normal(&[2, 2, 4, 4])?, s.normal(&[4, 1, 3, 2])?, s.normal(&[4])?]),
        |x| Ok(vec![conv2d(&x[0], &x[1], Some(&x[2]), &[1, 2], Padding::Each(&[1]), &[1], 2)?]),
    ),
    Check::new(
        "conv3d",
        |s| Ok(vec![s.normal(&[1, 2, 3, 3, 3])?, s.normal(&[2, 2, 2, 2, 2])?]),
        |x| Ok(vec![conv3d(&x[0], &x[1], None, &[2, 1, 1], Padding::Each(&[1]), &[1], 1)?]),
    ),
    Check::new(
        "conv_transpose2d",
        |s| Ok(vec![s.normal(&[2, 4, 2, 3])?, s.normal(&[4, 2, 3, 2])?, s.normal(&[4])?]),
        |x| Ok(vec![conv_transpose(2, &x[0], &x[1], Some(&x[2]), &[2], &[1, 0], &[1], 2, &[1])?]),
    ),
];
