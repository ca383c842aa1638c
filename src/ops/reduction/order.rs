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

/// The quantiles `q` along an axis, or of all elements for `None`. `q` is a number in 0..=1, or one axis of them, of the
/// dtype of `x`; then the result's first axis has a place for each. NaN ranks last and is the answer of its line, or
/// (`skip_nan`) left out.
pub fn quantile(
    x: &Tensor,
    q: &Tensor,
    dim: Option<isize>,
    keepdim: bool,
    interpolation: Interpolation,
    skip_nan: bool,
) -> Result<Tensor> {
    let shares = q.to_vec::<f64>()?;
    check_quantile(x, q, &shares)?;
    let (shape, ndim) = (x.shape(), x.ndim());
    let (source, axis, axes) = match dim {
        Some(dim) => {
            let (axis, axes) = one(dim, ndim)?;
            (x.clone(), axis, axes)
        }
        None => (ops::reshape(x, &[-1])?, 0, AxisSet::all(ndim)),
    };
    let ranks = Ranks::new(&source.array(), axis, &shares, interpolation, skip_nan)?;
    let picks = ranks.shape.clone();
    let value = |positions: &[i64]| pick(&source, &Array::from_slice(positions, &picks)?, axis, &picks);
    let constant = |numbers: &[f64]| Array::from_slice(numbers, &picks)?.cast(x.dtype()).map(Tensor::new);
    let mut y = value(&ranks.low)?;
    if interpolation == Interpolation::Midpoint {
        y = ops::lerp(&y, &value(&ranks.high)?, 0.5)?;
    } else if interpolation == Interpolation::Linear {
        // The place between two ranks moves with q.
        let q = ops::reshape(q, &[1, -1, 1])?;
        let part = ops::sub(&ops::mul(&q, &constant(&ranks.last)?)?, &constant(&ranks.below)?)?;
        y = ops::lerp(&y, &value(&ranks.high)?, &part)?;
    }
    // (before, q, beside) to (q, the kept axes)
    let y = ops::movedim(&y, &[1], &[0])?;
    let mut to: Vec<isize> = q.shape().iter().map(|&n| n as isize).collect();
    to.extend(reduce::shape_of(&shape, axes, keepdim).iter().map(|&n| n as isize));
    ops::reshape(&y, &to)
}

fn check_quantile(x: &Tensor, q: &Tensor, shares: &[f64]) -> Result<()> {
    let refuse = |why: String| Err(Error::runtime(format!("quantile() {why}")));
    if !x.dtype().is_floating() {
        return refuse("input tensor must be either float or double dtype".to_owned());
    }
    if x.numel() == 0 {
        return refuse("input tensor must be non-empty".to_owned());
    }
    if q.ndim() > 1 {
        return refuse("q must be a scalar or 1D tensor".to_owned());
    }
    if q.dtype() != x.dtype() {
        return refuse("q tensor must be same dtype as the input tensor".to_owned());
    }
    match shares.iter().find(|q| !(0.0..=1.0).contains(*q)) {
        None => Ok(()),
        Some(wrong) if q.ndim() == 0 => refuse(format!("q must be in the range [0, 1] but got {wrong}")),
        Some(_) => refuse("q values must be in the range [0, 1]".to_owned()),
    }
}

/// For each quantile of each line the elements it lies between: shape (lines before, quantiles, lines beside).
struct Ranks {
    shape: Dims,
    low: Vec<i64>,
    high: Vec<i64>,
    /// The rank of the last number of the line, by which q is multiplied.
    last: Vec<f64>,
    /// The lower rank, which is then taken off.
    below: Vec<f64>,
}

impl Ranks {
    fn new(x: &Array, axis: usize, q: &[f64], interpolation: Interpolation, skip_nan: bool) -> Result<Self> {
        let (outer, length, inner) = extents(x.shape(), axis);
        let order = kernel::order(x, axis)?.to_vec::<i64>()?;
        let places = outer * q.len() * inner;
        let mut ranks = Self {
            shape: smallvec![outer, q.len(), inner],
            low: Vec::with_capacity(places),
            high: Vec::with_capacity(places),
            last: Vec::with_capacity(places),
            below: Vec::with_capacity(places),
        };
        for place in 0..places {
            let (o, k, i) = (place / (q.len() * inner), place / inner % q.len(), place % inner);
            let ranked = |rank: usize| order[(o * (length + 1) + rank) * inner + i];
            let numbers = ranked(length) as usize;
            if numbers < length && (!skip_nan || numbers == 0) {
                // The line's answer is NaN, which ranks last.
                ranks.push(ranked(length - 1), ranked(length - 1), 0.0, 0.0);
                continue;
            }
            let last = (numbers - 1) as f64;
            // Rounded as the tensor's dtype rounds it.
            let rank =
                if x.dtype() == DType::F32 { f64::from(q[k] as f32 * last as f32) } else { q[k] * last };
            let (below, above) = match interpolation {
                Interpolation::Linear | Interpolation::Midpoint => (rank.floor(), rank.ceil()),
                Interpolation::Lower => (rank.floor(), rank.floor()),
                Interpolation::Higher => (rank.ceil(), rank.ceil()),
                Interpolation::Nearest => (rank.round_ties_even(), rank.round_ties_even()),
            };
            ranks.push(ranked(below as usize), ranked(above as usize), last, below);
        }
        Ok(ranks)
    }

    fn push(&mut self, low: i64, high: i64, last: f64, below: f64) {
        self.low.push(low);
        self.high.push(high);
        self.last.push(last);
        self.below.push(below);
    }
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
        |s| Ok(vec![s.distinct(&[3, 4])?, Tensor::from_slice(&[0.3, 0.8], &[2])?]),
        |x| Ok(vec![quantile(&x[0], &x[1], Some(0), false, Interpolation::Linear, false)?]),
    ),
];
