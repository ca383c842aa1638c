//! Channels and positions exchanged: shuffles of pixels and channels, and windows as columns.

use smallvec::SmallVec;

use crate::array::kernels::convolution::{self as kernel, Geometry};
use crate::array::{Array, DType, Dims, layout};
use crate::error::{Error, Kind, Result};
use crate::gradcheck::Check;
use crate::graph::vector_space::to_dtype;
use crate::graph::{Tensor, linear};
use crate::ops;
use crate::ops::nn::{shaped, three};

/// Channels in groups of `r * r` become squares of `r` by `r` pixels.
pub fn pixel_shuffle(x: &Tensor, r: isize) -> Result<Tensor> {
    let (lead, [c, h, w], r) = image("pixel_shuffle", x, r)?;
    let Some(square) = r.checked_mul(r) else {
        return Err(Error::value(format!(
            "upscale factor is too large, (upscale_factor)^2 overflowed: upscale_factor={r}"
        )));
    };
    if c % square != 0 {
        return Err(Error::runtime(format!(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but \
             input.size(-3)={c} is not divisible by {square}"
        )));
    }
    let parts = joined(&lead, &[c / square, r, r, h, w]);
    let order = exchanged(lead.len(), [0, 3, 1, 4, 2]);
    shaped(&ops::permute(&shaped(x, &parts)?, &order)?, &joined(&lead, &[c / square, h * r, w * r]))
}

/// Squares of `r` by `r` pixels become channels: the inverse of [`pixel_shuffle`].
pub fn pixel_unshuffle(x: &Tensor, r: isize) -> Result<Tensor> {
    let (lead, [c, h, w], r) = image("pixel_unshuffle", x, r)?;
    for (name, n) in [("height", h), ("width", w)] {
        if n % r != 0 {
            return Err(Error::runtime(format!(
                "pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({})={n} is not \
                 divisible by {r}",
                if name == "height" { -2 } else { -1 }
            )));
        }
    }
    let parts = joined(&lead, &[c, h / r, r, w / r, r]);
    let order = exchanged(lead.len(), [0, 2, 4, 1, 3]);
    shaped(&ops::permute(&shaped(x, &parts)?, &order)?, &joined(&lead, &[c * r * r, h / r, w / r]))
}

/// The first channel of each group, then the second of each, and so on.
pub fn channel_shuffle(x: &Tensor, groups: isize) -> Result<Tensor> {
    let shape = x.shape();
    if shape.len() < 3 {
        return Err(Error::runtime(format!(
            "channel_shuffle expects input with > 2 dims, but got input with sizes {:?}",
            &shape[..]
        )));
    }
    let g = usize::try_from(groups).ok().filter(|&g| g > 0 && shape[1] % g == 0);
    let g = g.ok_or_else(|| {
        Error::runtime(format!(
            "Number of channels must be divisible by groups. Got {} channels and {groups} groups.",
            shape[1]
        ))
    })?;
    let parts: Dims = [&[shape[0], g, shape[1] / g], &shape[2..]].concat().into();
    shaped(&ops::transpose(&shaped(x, &parts)?, 1, 2)?, &shape)
}

fn image(op: &str, x: &Tensor, r: isize) -> Result<(Dims, [usize; 3], usize)> {
    let shape = x.shape();
    if shape.len() < 3 {
        return Err(Error::runtime(format!(
            "{op} expects input to have at least 3 dimensions, but got input with {} dimension(s)",
            shape.len()
        )));
    }
    let r = usize::try_from(r).ok().filter(|&r| r > 0);
    let r = r.ok_or_else(|| Error::runtime(format!("{op} expects a positive factor")))?;
    let (lead, last) = shape.split_at(shape.len() - 3);
    Ok((lead.into(), [last[0], last[1], last[2]], r))
}

fn joined(lead: &[usize], rest: &[usize]) -> Dims {
    lead.iter().chain(rest).copied().collect()
}

fn exchanged(lead: usize, order: [usize; 5]) -> SmallVec<[isize; 8]> {
    (0..lead).chain(order.map(|axis| axis + lead)).map(|axis| axis as isize).collect()
}

/// Windows over `[batch, channels, height, width]` (or without batch) as columns: `[batch, channels * taps, windows]`.
pub fn im2col(
    x: &Tensor,
    kernel: [isize; 2],
    dilation: [isize; 2],
    padding: [isize; 2],
    stride: [isize; 2],
) -> Result<Tensor> {
    let shape = x.shape();
    if shape.len() != 3 && shape.len() != 4 {
        return Err(Error::runtime(format!(
            "Expected 3D or 4D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for input, \
             but got: {:?}",
            &shape[..]
        )));
    }
    let batched = if shape.len() == 3 { joined(&[1], &shape) } else { shape.clone() };
    let g = windows(batched[0], batched[1], [batched[2], batched[3]], kernel, dilation, padding, stride)?;
    let y = gathered(&shaped(x, &batched)?, g)?;
    if shape.len() == 3 { shaped(&y, &y.shape()[1..]) } else { Ok(y) }
}

/// Columns added up where their windows lie: the adjoint of [`im2col`], into `[batch, channels, ..output]`.
pub fn col2im(
    x: &Tensor,
    output: [isize; 2],
    kernel: [isize; 2],
    dilation: [isize; 2],
    padding: [isize; 2],
    stride: [isize; 2],
) -> Result<Tensor> {
    let shape = x.shape();
    if shape.len() != 2 && shape.len() != 3 {
        return Err(Error::runtime(format!(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for input, \
             but got: {:?}",
            &shape[..]
        )));
    }
    let batched = if shape.len() == 2 { joined(&[1], &shape) } else { shape.clone() };
    let taps = kernel[0].saturating_mul(kernel[1]).max(1) as usize;
    if batched[1] % taps != 0 {
        return Err(Error::runtime(format!(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got \
             input.size(1)={} and kernel_size=({}, {}).",
            batched[1], kernel[0], kernel[1]
        )));
    }
    let extents = output.map(|n| n.max(0) as usize);
    let g = windows(batched[0], batched[1] / taps, extents, kernel, dilation, padding, stride)?;
    if g.positions() != batched[2] {
        return Err(Error::runtime(format!(
            "Given output_size=({}, {}), kernel_size=({}, {}), dilation=({}, {}), padding=({}, {}), stride=({}, {}), \
             expected size of input's dimension 2 to match the calculated number of sliding blocks {} * {} = {}, but got \
             input.size(2)={}.",
            output[0],
            output[1],
            kernel[0],
            kernel[1],
            dilation[0],
            dilation[1],
            padding[0],
            padding[1],
            stride[0],
            stride[1],
            g.output[1],
            g.output[2],
            g.positions(),
            batched[2]
        )));
    }
    let y = scattered(&shaped(x, &batched)?, g)?;
    if shape.len() == 2 { shaped(&y, &y.shape()[1..]) } else { Ok(y) }
}

fn windows(
    batch: usize,
    channels: usize,
    extents: [usize; 2],
    kernel: [isize; 2],
    dilation: [isize; 2],
    padding: [isize; 2],
    stride: [isize; 2],
) -> Result<Geometry> {
    let all = |what: &str, given: [isize; 2], least: isize| {
        if given.iter().all(|&n| n >= least) {
            return Ok(given.map(|n| n as usize));
        }
        Err(Error::runtime(format!("{what} should be greater than {}, but got {given:?}", least - 1)))
    };
    let (kernel, dilation) = (all("kernel size", kernel, 1)?, all("dilation", dilation, 1)?);
    let (zeros, stride) = (all("padding", padding, 0)?, all("stride", stride, 1)?);
    let (mut padded, mut output) = ([0; 2], [0; 2]);
    for i in 0..2 {
        let reach = dilation[i].saturating_mul(kernel[i] - 1).saturating_add(1);
        padded[i] = extents[i].saturating_add(zeros[i].saturating_mul(2));
        if padded[i] > isize::MAX as usize {
            return Err(Kind::SizeOverflow { shape: padded.as_slice().into() }.into());
        }
        let room = padded[i].checked_sub(reach);
        let room = room.ok_or_else(|| {
            Error::runtime(format!(
                "Given input with spatial size ({}, {}), kernel_size={kernel:?}, dilation={dilation:?}, \
                 padding={padding:?}, calculated shape of the array of sliding blocks is too small (non-positive)",
                extents[0], extents[1]
            ))
        })?;
        output[i] = room / stride[i] + 1;
    }
    // Rows and columns of the result, before anything multiplies them.
    layout::numel(&[&[batch, channels], &kernel[..], &output[..]].concat())?;
    let within = |steps: [usize; 2]| three(&[steps[0].min(padded[0]), steps[1].min(padded[1])]);
    Ok(Geometry {
        batch,
        groups: 1,
        channels,
        outputs: 1,
        input: three(&extents),
        output: three(&output),
        kernel: three(&kernel),
        stride: within(stride),
        padding: [0, padding[0], padding[1]],
        dilation: within(dilation),
    })
}

/// Linear, with [`scattered`] for its adjoint.
fn gathered(x: &Tensor, g: Geometry) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return as_numbers(x, |x| gathered(x, g));
    }
    let x_array = x.array().contiguous()?;
    let y = Array::zeros(&[g.batch, g.rows(), g.positions()], x_array.dtype())?;
    each_dtype("im2col_out_cpu", &x_array, &y, &|x, y| kernel::unfold(&g, x, y), &|x, y| {
        kernel::unfold(&g, x, y)
    })?;
    linear("Im2ColBackward0", x, y, move |h| scattered(h, g), move |t| gathered(t, g))
}

/// Linear, with [`gathered`] for its adjoint.
fn scattered(x: &Tensor, g: Geometry) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return as_numbers(x, |x| scattered(x, g));
    }
    let x_array = x.array().contiguous()?;
    let y = Array::zeros(&[g.batch, g.channels, g.input[1], g.input[2]], x_array.dtype())?;
    each_dtype("col2im_out_cpu", &x_array, &y, &|x, y| kernel::fold(&g, x, y), &|x, y| {
        kernel::fold(&g, x, y)
    })?;
    linear("Col2ImBackward0", x, y, move |h| gathered(h, g), move |t| scattered(t, g))
}

/// Of truth values, as zeros and ones: a sum is true where a term is.
fn as_numbers(x: &Tensor, of: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    to_dtype(&of(&to_dtype(x, DType::F32)?)?, DType::Bool)
}

fn each_dtype(
    op: &'static str,
    x: &Array,
    y: &Array,
    single: &dyn Fn(&[f32], &mut [f32]),
    double: &dyn Fn(&[f64], &mut [f64]),
) -> Result<()> {
    // SAFETY: `y` is fresh, and `x` only read (Note [Writes to shared storage]).
    unsafe {
        match x.dtype() {
            DType::F32 => single(x.as_slice().unwrap_or_default(), y.as_mut_slice().unwrap_or_default()),
            DType::F64 => double(x.as_slice().unwrap_or_default(), y.as_mut_slice().unwrap_or_default()),
            other => return Err(Error::unsupported(op, other)),
        }
    }
    Ok(())
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "pixel_shuffle",
        |s| Ok(vec![s.normal(&[4, 2, 2])?]),
        |x| Ok(vec![pixel_shuffle(&x[0], 2)?, pixel_unshuffle(&x[0], 2)?]),
    ),
    Check::new(
        "im2col",
        |s| Ok(vec![s.normal(&[2, 2, 4, 3])?]),
        |x| Ok(vec![im2col(&x[0], [2, 3], [1, 1], [1, 1], [2, 1])?]),
    ),
    Check::new(
        "col2im",
        |s| Ok(vec![s.normal(&[8, 4])?]),
        |x| Ok(vec![col2im(&x[0], [3, 3], [2, 2], [1, 1], [0, 0], [1, 1])?]),
    ),
];
