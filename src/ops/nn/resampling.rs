//! Padding and interpolation: linear maps along single axes.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::array::kernels::axis_map::{self, AxisMap};
use crate::array::kernels::copy;
use crate::array::{Array, Dims, Scalar};
use crate::error::{Error, Kind, Result};
use crate::gradcheck::Check;
use crate::graph::{Tensor, linear};
use crate::ops::nn::linear_tied;

/// A map along an axis; linear, with the transposed map for its adjoint.
fn mapped(x: &Tensor, map: &Arc<AxisMap>, axis: usize, name: &'static str) -> Result<Tensor> {
    let y = axis_map::apply(map, &x.array().contiguous()?, axis)?;
    let (again, back) = (map.clone(), std::sync::OnceLock::new());
    let forward = map.clone();
    let adjoint = move |g: &Tensor| mapped(g, back.get_or_init(|| Arc::new(again.transposed())), axis, name);
    let itself = move |t: &Tensor| mapped(t, &forward, axis, name);
    if name.contains("Pad") || name.contains("Pool") {
        linear_tied(name, x, y, adjoint, itself)
    } else {
        linear(name, x, y, adjoint, itself)
    }
}

/// What stands beyond the ends of a padded axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Beyond {
    /// A number.
    Constant(Scalar),
    /// The inside, mirrored at the last element.
    Reflect,
    /// The last element.
    Replicate,
    /// The other end.
    Circular,
}

/// More elements at the ends of the last axes: `sizes` holds two numbers for each, the last axis first. Negative numbers
/// take elements away.
pub fn pad(x: &Tensor, sizes: &[isize], beyond: Beyond) -> Result<Tensor> {
    let n = x.ndim();
    if sizes.len() % 2 != 0 {
        return Err(Error::runtime("Padding length must be divisible by 2"));
    }
    if sizes.len() / 2 > n {
        return Err(Error::runtime(format!(
            "Padding length should be less than or equal to two times the input dimension but got padding length {} and \
             input of dimension {n}",
            sizes.len()
        )));
    }
    let pairs: SmallVec<[(isize, isize); 6]> = sizes.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    if let Beyond::Constant(value) = beyond {
        return constant_pad(x, &pairs, value);
    }
    if pairs.len() + 1 != n && pairs.len() + 2 != n || pairs.len() > 3 {
        return Err(Error::not_implemented(format!(
            "Padding size {} is not supported for {n}D input tensor.",
            sizes.len()
        )));
    }
    let (name, axes) = match beyond {
        Beyond::Reflect => (
            ["ReflectionPad1DBackward0", "ReflectionPad2DBackward0", "ReflectionPad3DBackward0"],
            pairs.len(),
        ),
        Beyond::Replicate => (
            ["ReplicationPad1DBackward0", "ReplicationPad2DBackward0", "ReplicationPad3DBackward0"],
            pairs.len(),
        ),
        _ => (["CopySlices"; 3], pairs.len()),
    };
    let mut y = x.clone();
    for (i, &(before, after)) in pairs.iter().enumerate() {
        if (before, after) == (0, 0) && pairs.len() > 1 {
            continue;
        }
        let axis = n - 1 - i;
        let map = pad_map(&x.shape(), axis, before, after, beyond)?;
        y = mapped(&y, &Arc::new(map), axis, name[axes - 1])?;
    }
    Ok(y)
}

fn pad_map(shape: &[usize], axis: usize, before: isize, after: isize, beyond: Beyond) -> Result<AxisMap> {
    let n = shape[axis] as isize;
    let total = n as i128 + before as i128 + after as i128;
    match beyond {
        Beyond::Reflect if before >= n || after >= n => {
            return Err(Error::runtime(format!(
                "Padding size should be less than the corresponding input dimension, but got: padding ({before}, {after}) \
                 at dimension {axis} of input {shape:?}"
            )));
        }
        Beyond::Circular if before > n || after > n => {
            return Err(Error::runtime("Padding value causes wrapping around more than once."));
        }
        _ => {}
    }
    if total < 1 || n == 0 {
        return Err(Error::runtime(format!(
            "input (size: {n}) is too small at dimension {axis}. Calculated output size: {total}"
        )));
    }
    if total > isize::MAX as i128 {
        return Err(Kind::SizeOverflow { shape: shape.into() }.into());
    }
    let from = |p: isize| match beyond {
        Beyond::Reflect if p < 0 => -p,
        Beyond::Reflect if p >= n => 2 * (n - 1) - p,
        Beyond::Circular => p.rem_euclid(n),
        _ => p.clamp(0, n - 1),
    };
    AxisMap::choosing(n as usize, (0..total as isize).map(|p| from(p - before) as usize))
}

/// A number around x; its adjoint takes the same away, its tangent has zeros there.
fn constant_pad(x: &Tensor, pairs: &[(isize, isize)], value: Scalar) -> Result<Tensor> {
    let array = x.array();
    let n = array.ndim();
    let mut shape: Dims = array.shape().into();
    for (i, &(before, after)) in pairs.iter().enumerate() {
        let axis = n - 1 - i;
        let extent = shape[axis] as i128 + before as i128 + after as i128;
        if extent > isize::MAX as i128 {
            return Err(Kind::SizeOverflow { shape }.into());
        }
        shape[axis] = usize::try_from(extent).map_err(|_| {
            Error::runtime(format!(
                "The input size {}, plus negative padding {before} and {after} resulted in a negative output size, which \
                 is invalid. Check dimension {axis} of your input.",
                array.shape()[axis]
            ))
        })?;
    }
    let y = Array::full(&shape, value, array.dtype())?;
    let (mut source, mut target) = (array, y.clone());
    for (i, &(before, _)) in pairs.iter().enumerate() {
        let axis = n - 1 - i;
        // The part that both have: from `skip` of x, at `lead` of y.
        let (skip, lead) = ((-before).max(0) as usize, before.max(0) as usize);
        let count = source.shape()[axis].saturating_sub(skip).min(target.shape()[axis].saturating_sub(lead));
        source = source.slice(axis, skip, count, 1)?;
        target = target.slice(axis, lead, count, 1)?;
    }
    copy::copy(&source, &target);
    let back: SmallVec<[(isize, isize); 6]> =
        pairs.iter().map(|&(before, after)| (-before, -after)).collect();
    let again: SmallVec<[(isize, isize); 6]> = pairs.into();
    linear(
        "ConstantPadNdBackward0",
        x,
        y,
        move |g| constant_pad(g, &back, Scalar::Int(0)),
        move |t| constant_pad(t, &again, Scalar::Int(0)),
    )
}

/// How [`interpolate`] reads between elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resampling {
    /// The element before.
    Nearest,
    /// The element whose middle is nearest.
    NearestExact,
    /// A line between neighbours along each axis.
    Linear,
    /// A cubic through four neighbours along each axis (Keys, 1981, with a = -0.75).
    Cubic,
    /// The mean of what falls into each output.
    Area,
}

/// Resamples all axes after the first two to `size`. `scales`, where known, say how positions are mapped; else the ratio
/// of the extents does. `align_corners`: the outermost elements stay where they are.
pub fn interpolate(
    x: &Tensor,
    size: &[usize],
    scales: &[Option<f64>],
    how: Resampling,
    align_corners: bool,
) -> Result<Tensor> {
    let mut y = x.clone();
    let axes = size.len();
    let name = match (how, axes) {
        (Resampling::Nearest, 1) => "UpsampleNearest1DBackward0",
        (Resampling::Nearest, 2) => "UpsampleNearest2DBackward0",
        (Resampling::Nearest, _) => "UpsampleNearest3DBackward0",
        (Resampling::NearestExact, 1) => "UpsampleNearestExact1DBackward0",
        (Resampling::NearestExact, 2) => "UpsampleNearestExact2DBackward0",
        (Resampling::NearestExact, _) => "UpsampleNearestExact3DBackward0",
        (Resampling::Linear, 1) => "UpsampleLinear1DBackward0",
        (Resampling::Linear, 2) => "UpsampleBilinear2DBackward0",
        (Resampling::Linear, _) => "UpsampleTrilinear3DBackward0",
        (Resampling::Cubic, _) => "UpsampleBicubic2DBackward0",
        (Resampling::Area, _) => "AdaptiveAvgPool2DBackward0",
    };
    for i in (0..axes).rev() {
        let axis = x.ndim() - axes + i;
        let (n, m) = (x.shape()[axis], size[i]);
        if n == 0 || m == 0 {
            return Err(Error::runtime(format!(
                "Input and output sizes should be greater than 0, but got input ({n}) output ({m})"
            )));
        }
        let map = resample_map(n, m, scales.get(i).copied().flatten(), how, align_corners)?;
        y = mapped(&y, &Arc::new(map), axis, name)?;
    }
    Ok(y)
}

fn resample_map(n: usize, m: usize, scale: Option<f64>, how: Resampling, align: bool) -> Result<AxisMap> {
    let ratio = match scale {
        Some(scale) if scale > 0.0 => 1.0 / scale,
        _ => n as f64 / m as f64,
    };
    let last = n - 1;
    // Where the middle of output `p` lies among the middles of inputs.
    let place = |p: usize| match (align, m) {
        (true, 1) => 0.0,
        (true, _) => p as f64 * (n - 1) as f64 / (m - 1) as f64,
        (false, _) => ratio * (p as f64 + 0.5) - 0.5,
    };
    match how {
        Resampling::Nearest => AxisMap::choosing(n, (0..m).map(|p| ((p as f64 * ratio) as usize).min(last))),
        Resampling::NearestExact => {
            AxisMap::choosing(n, (0..m).map(|p| (((p as f64 + 0.5) * ratio) as usize).min(last)))
        }
        Resampling::Linear => AxisMap::new(
            n,
            (0..m).map(|p| {
                let at = place(p).max(0.0);
                let low = (at as usize).min(last);
                let weight = (at - low as f64).min(1.0);
                [(low, 1.0 - weight), ((low + 1).min(last), weight)]
            }),
        ),
        Resampling::Cubic => AxisMap::new(
            n,
            (0..m).map(|p| {
                let at = place(p);
                let low = at.floor();
                let t = at - low;
                std::array::from_fn::<_, 4, _>(|k| {
                    let from = (low as isize + k as isize - 1).clamp(0, last as isize) as usize;
                    (from, cubic((t + 1.0 - k as f64).abs()))
                })
            }),
        ),
        Resampling::Area => AxisMap::new(
            n,
            (0..m).map(|p| {
                let (start, end) = (p * n / m, ((p + 1) * n).div_ceil(m));
                (start..end).map(move |from| (from, 1.0 / (end - start) as f64))
            }),
        ),
    }
}

/// Keys' kernel at a distance.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.75;
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "pad",
        |s| Ok(vec![s.normal(&[2, 3])?]),
        |x| Ok(vec![pad(&x[0], &[1, -1, 0, 2], Beyond::Constant(Scalar::Float(0.5)))?]),
    ),
    Check::new(
        "pad, reflected",
        |s| Ok(vec![s.normal(&[2, 3, 4])?]),
        |x| Ok(vec![pad(&x[0], &[2, 1, 1, 0], Beyond::Reflect)?, pad(&x[0], &[2, 1], Beyond::Circular)?]),
    ),
    Check::new(
        "interpolate",
        |s| Ok(vec![s.normal(&[1, 1, 3, 4])?]),
        |x| {
            let y = interpolate(&x[0], &[5, 3], &[], Resampling::Linear, false)?;
            Ok(vec![y, interpolate(&x[0], &[5, 6], &[], Resampling::Cubic, true)?])
        },
    ),
];
