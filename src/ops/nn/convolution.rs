//! Convolutions, and their adjoints as ops: each is the others' derivative (see Note [One convolution, three products]).

use smallvec::{SmallVec, smallvec};

use crate::array::kernels::convolution::{self as kernel, Geometry};
use crate::array::{Array, DType, Dims};
use crate::error::{Error, Kind, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::{add, sum_to, zeros_like};
use crate::graph::{Keep, Operand, Tensor, record_with_work};
use crate::ops::nn::{shaped, three, tied, times};

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

/// What all convolutions are given.
struct Call<'a> {
    axes: usize,
    x: &'a Tensor,
    weight: &'a Tensor,
    bias: Option<&'a Tensor>,
    stride: &'a [isize],
    dilation: &'a [isize],
    groups: isize,
}

type Steps = SmallVec<[usize; 3]>;

/// The largest extent: places beside an input are counted below zero too.
const MOST: usize = isize::MAX as usize;

impl Call<'_> {
    fn name(&self, transposed: bool) -> String {
        format!("conv{}{}d", if transposed { "_transpose" } else { "" }, self.axes)
    }

    /// Numbers for each axis, none below `least`.
    fn steps(&self, given: &[isize], what: &str, least: isize) -> Result<Steps> {
        let axes = self.axes;
        if given.len() != 1 && given.len() != axes {
            return Err(Error::runtime(format!(
                "expected {what} to be a single integer value or a list of {axes} values to match the convolution \
                 dimensions, but got {what}={given:?}"
            )));
        }
        if given.iter().any(|&n| n < least) {
            let kind = if least == 0 { "negative" } else { "non-positive" };
            return Err(Error::runtime(format!("{kind} {what} is not supported")));
        }
        Ok((0..axes).map(|i| given[if given.len() == 1 { 0 } else { i }] as usize).collect())
    }

    fn check(&self, transposed: bool) -> Result<()> {
        let (axes, x, w) = (self.axes, self.x.shape(), self.weight.shape());
        if self.groups <= 0 {
            return Err(Error::runtime("non-positive groups is not supported"));
        }
        if x.len() != axes + 1 && x.len() != axes + 2 {
            return Err(Error::runtime(format!(
                "Expected {}D (unbatched) or {}D (batched) input to {}, but got input of size: {:?}",
                axes + 1,
                axes + 2,
                self.name(transposed),
                &x[..]
            )));
        }
        if w.len() != axes + 2 {
            return Err(Error::runtime(format!(
                "Expected {}-dimensional input for {}-dimensional weight {:?}, but got {}-dimensional input of size {:?} \
                 instead",
                w.len(),
                w.len(),
                &w[..],
                axes + 2,
                self.batched_shape()
            )));
        }
        let dtype = self.x.dtype();
        if let Some(bias) = self.bias.filter(|bias| bias.dtype() != dtype) {
            return Err(Error::runtime(format!(
                "Input type ({}) and bias type ({}) should be the same",
                dtype.c_name().to_lowercase(),
                bias.dtype().c_name().to_lowercase()
            )));
        }
        if self.weight.dtype() != dtype {
            return Err(Error::runtime(format!(
                "expected scalar type {} but found {}",
                dtype.scalar_name(),
                self.weight.dtype().scalar_name()
            )));
        }
        self.check_channels(transposed)
    }

    fn check_channels(&self, transposed: bool) -> Result<()> {
        let (x, w, groups) = (self.batched_shape(), self.weight.shape(), self.groups as usize);
        if w[0] < groups {
            return Err(Error::runtime(format!(
                "Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size {:?} \
                 instead",
                &w[..]
            )));
        }
        if w[0] % groups != 0 {
            return Err(Error::runtime(format!(
                "Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size \
                 [{:?}] instead",
                &w[..]
            )));
        }
        let channels = if transposed { w[0] } else { w[1] * groups };
        if x[1] != channels {
            let given = if transposed { "transposed=1".to_owned() } else { format!("groups={groups}") };
            return Err(Error::runtime(format!(
                "Given {given}, weight of size {:?}, expected input{:?} to have {channels} channels, but got {} channels \
                 instead",
                &w[..],
                &x[..],
                x[1]
            )));
        }
        let outputs = if transposed { w[1] * groups } else { w[0] };
        match self.bias.map(Tensor::shape) {
            Some(bias) if bias[..] != [outputs] => Err(Error::runtime(format!(
                "Given {}weight of size {:?}, expected bias to be 1-dimensional with {outputs} elements, but got bias of \
                 size {:?} instead",
                if transposed { "transposed=1, " } else { "" },
                &w[..],
                &bias[..]
            ))),
            _ => Ok(()),
        }
    }

    fn batched_shape(&self) -> Dims {
        let mut shape = self.x.shape();
        if shape.len() == self.axes + 1 {
            shape.insert(0, 1);
        }
        shape
    }

    fn batched(&self) -> Result<Tensor> {
        let shape = self.batched_shape();
        if shape.len() == self.x.ndim() { Ok(self.x.clone()) } else { shaped(self.x, &shape) }
    }

    /// The result without a batch where the input has none.
    fn like_input(&self, y: Tensor) -> Result<Tensor> {
        if self.x.ndim() == self.axes + 2 { Ok(y) } else { shaped(&y, &y.shape()[1..]) }
    }

    fn convolve(&self, padding: Padding<'_>) -> Result<Tensor> {
        self.check(false)?;
        let axes = self.axes;
        let stride = self.steps(self.stride, "stride", 1)?;
        let dilation = self.steps(self.dilation, "dilation", 1)?;
        let (x, w) = (self.batched_shape(), self.weight.shape());
        let reach: Steps = w[2..]
            .iter()
            .zip(&dilation)
            .map(|(&k, &d)| d.saturating_mul(k.saturating_sub(1)).min(MOST))
            .collect();
        // Zeros on both sides together, and how many of them stand before.
        let (padded, before): (Steps, Steps) = match padding {
            Padding::Each(given) => {
                let each = self.steps(given, "padding", 0)?;
                (each.iter().map(|&p| p.saturating_mul(2)).collect(), each)
            }
            Padding::Valid => (smallvec![0; axes], smallvec![0; axes]),
            Padding::Same if stride.iter().any(|&s| s != 1) => {
                return Err(Error::runtime("padding='same' is not supported for strided convolutions"));
            }
            Padding::Same => (reach.clone(), reach.iter().map(|&r| r / 2).collect()),
        };
        let sizes: Steps = x[2..].iter().zip(&padded).map(|(&n, &p)| n.saturating_add(p)).collect();
        if sizes.iter().any(|&n| n > MOST) {
            return Err(Kind::SizeOverflow { shape: sizes.into_iter().collect() }.into());
        }
        if sizes.iter().zip(&reach).any(|(&n, &r)| n < r + 1) || w[2..].contains(&0) {
            let kernel: Steps = reach.iter().map(|&r| r + 1).collect();
            return Err(Error::runtime(format!(
                "Calculated padded input size per channel: ({}). Kernel size: ({}). Kernel size can't be greater than \
                 actual input size",
                times(&sizes),
                times(&kernel)
            )));
        }
        let output: Steps = (0..axes).map(|i| (sizes[i] - reach[i] - 1) / stride[i] + 1).collect();
        let geometry = Geometry {
            batch: x[0],
            groups: self.groups as usize,
            channels: x[1],
            outputs: w[0],
            input: three(&x[2..]),
            output: three(&output),
            kernel: three(&w[2..]),
            stride: three(&within(&stride, &sizes)),
            padding: signed(&before),
            dilation: three(&within(&dilation, &sizes)),
        };
        let y = convolution(&self.batched()?, self.weight, self.bias, Sizes { geometry, axes })?;
        self.like_input(y)
    }

    fn transpose(&self, padding: &[isize], output_padding: &[isize]) -> Result<Tensor> {
        self.check(true)?;
        let axes = self.axes;
        let stride = self.steps(self.stride, "stride", 1)?;
        let dilation = self.steps(self.dilation, "dilation", 1)?;
        let padding = self.steps(padding, "padding", 0)?;
        let behind = self.steps(output_padding, "output_padding", 0)?;
        if (0..axes).any(|i| behind[i] >= stride[i] && behind[i] >= dilation[i]) {
            let named = |what: &str, numbers: &Steps| {
                let names = &["depth", "height", "width"][3 - axes..];
                let parts: Vec<String> =
                    names.iter().zip(numbers).map(|(name, n)| format!("{what}_{name}: {n}")).collect();
                parts.join(" ")
            };
            return Err(Error::runtime(format!(
                "output padding must be smaller than either stride or dilation, but got {} {} {}",
                named("output_padding", &behind),
                named("stride", &stride),
                named("dilation", &dilation)
            )));
        }
        let (x, w) = (self.batched_shape(), self.weight.shape());
        // What windows cover, and what is left of it without the padding.
        let (mut covered, mut output) = (Steps::new(), Steps::new());
        for i in 0..axes {
            let (n, k) = (x[i + 2] as i128, w[i + 2] as i128);
            let whole = (n - 1) * stride[i] as i128 + dilation[i] as i128 * (k - 1) + behind[i] as i128 + 1;
            let size = whole - 2 * padding[i] as i128;
            if size <= 0 || n == 0 {
                return Err(Error::runtime(format!(
                    "Given input size per channel: ({}). Calculated output size per channel: ({size}). Output size is too \
                     small",
                    times(&x[2..])
                )));
            }
            if whole > MOST as i128 {
                return Err(Error::runtime(format!(
                    "Given input size per channel: ({}). Calculated output size per channel: ({size}). Output size is too \
                     big",
                    times(&x[2..])
                )));
            }
            covered.push(whole as usize);
            output.push(size as usize);
        }
        let groups = self.groups as usize;
        let geometry = Geometry {
            batch: x[0],
            groups,
            channels: w[1] * groups,
            outputs: w[0],
            input: three(&output),
            output: three(&x[2..]),
            kernel: three(&w[2..]),
            stride: three(&within(&stride, &covered)),
            padding: signed(&padding),
            dilation: three(&within(&dilation, &covered)),
        };
        let sizes = Sizes { geometry, axes };
        let y = named_input_grad("ConvolutionBackward0", &self.batched()?, self.weight, self.bias, sizes)?;
        self.like_input(y)
    }
}

/// Steps no longer than the extents they lead through: beyond those, no second position or tap is left to reach.
fn within(steps: &Steps, extents: &Steps) -> Steps {
    steps.iter().zip(extents).map(|(&step, &extent)| step.min(extent)).collect()
}

fn signed(numbers: &[usize]) -> [isize; 3] {
    let mut three = [0; 3];
    for (three, &n) in three[3 - numbers.len()..].iter_mut().zip(numbers) {
        *three = n as isize;
    }
    three
}

/// A geometry and how many of its axes the tensors have.
#[derive(Clone, Copy)]
struct Sizes {
    geometry: Geometry,
    axes: usize,
}

impl Sizes {
    fn shape(&self, first: usize, second: usize, extents: [usize; 3]) -> Dims {
        let mut shape: Dims = smallvec![first, second];
        shape.extend_from_slice(&extents[3 - self.axes..]);
        shape
    }

    fn input_shape(&self) -> Dims {
        self.shape(self.geometry.batch, self.geometry.channels, self.geometry.input)
    }

    fn output_shape(&self) -> Dims {
        self.shape(self.geometry.batch, self.geometry.outputs, self.geometry.output)
    }

    fn weight_shape(&self) -> Dims {
        self.shape(self.geometry.outputs, self.geometry.channels_per_group(), self.geometry.kernel)
    }

    /// Two more products of the same size, in passes over elements.
    fn work(&self) -> u64 {
        let g = &self.geometry;
        (g.batch * g.positions() * g.outputs * g.rows() / 2) as u64
    }
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
