//! Medians, modes and quantiles.

use smallvec::smallvec;

use crate::array::kernels::order as kernel;
use crate::array::kernels::reduce::{self, AxisSet};
use crate::array::kernels::softmax::extents;
use crate::array::{Array, DType, Dims, Scalar};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::Tensor;
use crate::ops;

use super::extrema::{chosen, shared_among_equals};
use super::one;
use super::spread::pick;

/// The median of all elements: the lower of two; NaN if there is one, and of nothing.
pub fn median(x: &Tensor) -> Result<Tensor> {
    median_of_all(x, false, "MedianBackward0")
}

/// The median of what is not NaN.
pub fn nanmedian(x: &Tensor) -> Result<Tensor> {
    median_of_all(x, true, "NanmedianBackward0")
}

fn median_of_all(x: &Tensor, skip_nan: bool, name: &'static str) -> Result<Tensor> {
    let array = x.array();
    let axes = AxisSet::all(array.ndim());
    let y = if array.numel() == 0 {
        Array::scalar(Scalar::Float(f64::NAN), array.dtype())?
    } else {
        let flat = array.contiguous()?.view(&[array.numel()])?;
        let position = kernel::median(&flat, 0, skip_nan)?.item()?.to_i64();
        flat.select(0, position as usize)?.copied()?
    };
    shared_among_equals(name, x, y, axes, false, true)
}

fn of_axis(
    x: &Tensor,
    dim: isize,
    keepdim: bool,
    (op, name): (&str, &'static str),
    positions: impl FnOnce(&Array, usize) -> Result<Array>,
) -> Result<(Tensor, Tensor)> {
    let array = x.array();
    let (axis, axes) = one(dim, array.ndim())?;
    if array.shape().get(axis) == Some(&0) {
        return Err(Error::index(format!("{op}(): Expected reduction dim {axis} to have non-zero size.")));
    }
    let positions = positions(&array, axis)?.view(&reduce::shape_of(array.shape(), axes, keepdim))?;
    chosen(name, x, positions, axis)
}

/// The median along an axis, the lower of two, and where it stands.
pub fn median_dim(x: &Tensor, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
    of_axis(x, dim, keepdim, ("median", "MedianBackward1"), |x, axis| kernel::median(x, axis, false))
}

/// The median along an axis of what is not NaN, and where it stands.
pub fn nanmedian_dim(x: &Tensor, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
    of_axis(x, dim, keepdim, ("nanmedian", "NanmedianBackward1"), |x, axis| kernel::median(x, axis, true))
}

/// The most frequent value along an axis, of equally frequent ones the smallest, and where it stands last.
pub fn mode(x: &Tensor, dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
    of_axis(x, dim, keepdim, ("mode", "ModeBackward0"), kernel::mode)
}

/// What a quantile between two elements is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interpolation {
    /// On the line between them.
    Linear,
    /// The lower.
    Lower,
    /// The higher.
    Higher,
    /// Half way.
    Midpoint,
    /// The nearer; of two equally near the one of even rank.
    Nearest,
}

impl Interpolation {
    /// By PyTorch's name.
    pub fn named(name: &str) -> Result<Self> {
        Ok(match name {
            "linear" => Self::Linear,
            "lower" => Self::Lower,
            "higher" => Self::Higher,
            "midpoint" => Self::Midpoint,
            "nearest" => Self::Nearest,
            _ => {
                return Err(Error::runtime(format!(
                    "quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {name}"
                )));
            }
        })
    }
}

/// The quantiles `q` (numbers in 0..=1) along an axis, or of all elements for `None`. With `several` the result has
/// one more axis, the first, with a place for each of `q`. NaN ranks last and is the answer of its line, or (`skip_nan`) left out.
pub fn quantile(
    x: &Tensor,
    q: &[f64],
    several: bool,
    dim: Option<isize>,
    keepdim: bool,
    interpolation: Interpolation,
    skip_nan: bool,
) -> Result<Tensor> {
    if !x.dtype().is_floating() {
        return Err(Error::runtime("quantile() input tensor must be either float or double dtype"));
    }
    if x.numel() == 0 {
        return Err(Error::runtime("quantile() input tensor must be non-empty"));
    }
    if let Some(wrong) = q.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        return Err(Error::runtime(if several {
            "quantile() q values must be in the range [0, 1]".to_owned()
        } else {
            format!("quantile() q must be in the range [0, 1] but got {wrong}")
        }));
    }
    let (shape, ndim) = (x.shape(), x.ndim());
    let (source, axis, axes) = match dim {
        Some(dim) => {
            let (axis, axes) = one(dim, ndim)?;
            (x.clone(), axis, axes)
        }
        None => (ops::reshape(x, &[-1])?, 0, AxisSet::all(ndim)),
    };
    let array = source.array();
    let (outer, length, inner) = extents(array.shape(), axis);
    let order = kernel::order(&array, axis)?.to_vec::<i64>()?;
    let count = q.len();
    let places = outer * count * inner;
    let (mut low, mut high, mut weight) = (vec![0_i64; places], vec![0_i64; places], vec![0.0_f64; places]);
    for o in 0..outer {
        for i in 0..inner {
            let ranked = |rank: usize| order[(o * (length + 1) + rank) * inner + i];
            let numbers = ranked(length) as usize;
            for (k, &q) in q.iter().enumerate() {
                let place = (o * count + k) * inner + i;
                let rank = if numbers == length || (skip_nan && numbers > 0) {
                    rank_of(q, numbers, x.dtype() == DType::F32)
                } else {
                    // The line's answer is NaN, which ranks last.
                    (length - 1) as f64
                };
                let (below, above, part) = match interpolation {
                    Interpolation::Linear => (rank.floor(), rank.ceil(), rank - rank.floor()),
                    Interpolation::Midpoint => (rank.floor(), rank.ceil(), 0.5),
                    Interpolation::Lower => (rank.floor(), rank.floor(), 0.0),
                    Interpolation::Higher => (rank.ceil(), rank.ceil(), 0.0),
                    Interpolation::Nearest => (rank.round_ties_even(), rank.round_ties_even(), 0.0),
                };
                (low[place], high[place], weight[place]) =
                    (ranked(below as usize), ranked(above as usize), part);
            }
        }
    }
    let picks: Dims = smallvec![outer, q.len(), inner];
    let value = |positions: &[i64]| pick(&source, &Array::from_slice(positions, &picks)?, axis, &picks);
    let mut y = value(&low)?;
    if matches!(interpolation, Interpolation::Linear | Interpolation::Midpoint) {
        let weight = Tensor::new(Array::from_slice(&weight, &picks)?.cast(x.dtype())?);
        y = ops::lerp(&y, &value(&high)?, &weight)?;
    }
    // (before, q, beside) to (q, the kept axes)
    let y = ops::movedim(&y, &[1], &[0])?;
    let kept = reduce::shape_of(&shape, axes, keepdim);
    let mut to: Vec<isize> = if several { vec![q.len() as isize] } else { vec![] };
    to.extend(kept.iter().map(|&n| n as isize));
    ops::reshape(&y, &to)
}

/// The rank of a quantile among `n`, rounded as the tensor's dtype rounds it.
fn rank_of(q: f64, n: usize, single: bool) -> f64 {
    if single { f64::from(q as f32 * (n - 1) as f32) } else { q * (n - 1) as f64 }
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new("median", |s| Ok(vec![s.distinct(&[3, 3])?]), |x| Ok(vec![median(&x[0])?])),
    Check::new(
        "median of an axis",
        |s| Ok(vec![s.distinct(&[3, 4])?]),
        |x| Ok(vec![median_dim(&x[0], 1, true)?.0]),
    ),
    Check::new("mode", |s| Ok(vec![s.distinct(&[3, 4])?]), |x| Ok(vec![mode(&x[0], 0, false)?.0])),
    Check::new(
        "quantile",
        |s| Ok(vec![s.distinct(&[3, 4])?]),
        |x| {
            let q = [0.3, 0.8];
            Ok(vec![quantile(&x[0], &q, true, Some(0), false, Interpolation::Linear, false)?])
        },
    ),
];
