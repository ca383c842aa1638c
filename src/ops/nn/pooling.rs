//! Pooling: the maximum or the mean of windows.

use smallvec::{SmallVec, smallvec};

use crate::array::kernels::pooling::{self as kernel, Window, Windows};
use crate::array::reserve::reserved;
use crate::array::{Array, DType, Dims};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Keep, Tensor, linear, record_many};
use crate::ops::nn::{linear_tied, tied, times};

/// How windows lie: one number each, or one for each axis; a stride of nothing is the kernel's size.
#[derive(Clone, Copy, Debug)]
pub struct Pool<'a> {
    /// The last axes that are pooled: 1, 2 or 3.
    pub axes: usize,
    /// Extents of the window.
    pub kernel: &'a [isize],
    /// Its steps.
    pub stride: &'a [isize],
    /// What lies around the input: for maxima, nothing; for means, zeros.
    pub padding: &'a [isize],
    /// Steps within the window.
    pub dilation: &'a [isize],
    /// Whether a window may hang over the end.
    pub ceil_mode: bool,
}

impl Pool<'_> {
    fn numbers(&self, op: &str, what: &str, given: &[isize]) -> Result<SmallVec<[isize; 3]>> {
        if given.len() == 1 {
            return Ok(smallvec![given[0]; self.axes]);
        }
        if given.len() != self.axes {
            let count = ["", "one", "two", "three"][self.axes];
            return Err(Error::runtime(format!(
                "{op}: {what} must either be a single int, or a tuple of {count} ints"
            )));
        }
        Ok(given.into())
    }

    /// The windows over an input of this shape, and the output's shape.
    fn windows(
        &self,
        op: &str,
        shape: &[usize],
        count_padding: bool,
        divisor: Option<i64>,
    ) -> Result<(Windows, Dims)> {
        let axes = self.axes;
        let kernel = self.numbers(op, "kernel_size", self.kernel)?;
        let stride =
            if self.stride.is_empty() { kernel.clone() } else { self.numbers(op, "stride", self.stride)? };
        let padding = self.numbers(op, "padding", self.padding)?;
        let dilation = self.numbers(op, "dilation", self.dilation)?;
        check_input(op, shape, axes)?;
        if kernel.iter().any(|&k| k <= 0) {
            return Err(Error::runtime(format!(
                "kernel size should be greater than zero, but got {:?}",
                &kernel[..]
            )));
        }
        if stride.iter().any(|&s| s <= 0) {
            return Err(Error::runtime("stride should not be zero"));
        }
        if dilation.iter().any(|&d| d <= 0) {
            return Err(Error::runtime(format!(
                "dilation should be greater than zero, but got {:?}",
                &dilation[..]
            )));
        }
        // Numbers far beyond any input are allowed, and so are their products.
        let reach = |i: usize| (kernel[i] - 1) as i128 * dilation[i] as i128;
        for i in 0..axes {
            if padding[i] < 0 {
                return Err(Error::runtime(format!("pad must be non-negative, but got pad: {}", padding[i])));
            }
            if padding[i] as i128 > (reach(i) + 1) / 2 {
                return Err(Error::runtime(format!(
                    "pad should be at most half of effective kernel size, but got pad={}, kernel_size={} and dilation={}",
                    padding[i], kernel[i], dilation[i]
                )));
            }
        }
        let lead = shape.len() - axes;
        let sizes: SmallVec<[i128; 3]> = shape[lead..].iter().map(|&n| n as i128).collect();
        let mut output = Dims::from_slice(&shape[..lead]);
        let mut tables: [Vec<Window>; 3] =
            std::array::from_fn(|_| vec![Window { start: 0, count: 1, step: 1, size: 1 }]);
        let counts: SmallVec<[i128; 3]> =
            (0..axes).map(|i| positions(sizes[i], reach(i), stride[i], padding[i], self.ceil_mode)).collect();
        if counts.iter().any(|&n| n < 1) {
            let channels = shape[lead.saturating_sub(1)];
            let named = |sizes: &[i128]| {
                let sizes: Vec<usize> = sizes.iter().map(|&n| n.max(0) as usize).collect();
                format!("{channels}x{}", times(&sizes).replace(' ', ""))
            };
            return Err(Error::runtime(format!(
                "Given input size: ({}). Calculated output size: ({}). Output size is too small",
                named(&sizes),
                named(&counts)
            )));
        }
        for i in 0..axes {
            let (n, k, pad, step) = (sizes[i], kernel[i] as i128, padding[i] as i128, dilation[i] as i128);
            output.push(counts[i] as usize);
            tables[3 - axes + i] = (0..counts[i])
                .map(|p| {
                    let first = p * stride[i] as i128 - pad;
                    // Taps that fall before the input are left out, whole steps of them.
                    let skipped = if first < 0 { (-first + step - 1) / step } else { 0 };
                    let start = first + skipped * step;
                    let beyond = (first + reach(i) + 1).min(n);
                    let count = ((beyond - start).max(0) + step - 1) / step;
                    let size = if count_padding { (first + k).min(n + pad) - first } else { count };
                    Window {
                        start: start.min(n - 1) as usize,
                        count: count as usize,
                        step: step as usize,
                        size: size.max(0) as usize,
                    }
                })
                .collect();
        }
        let mut input = [1; 3];
        input[3 - axes..].copy_from_slice(&shape[lead..]);
        Ok((Windows { input, axes: tables, divisor }, output))
    }
}

/// Output positions along an axis; with `ceil`, the last window may hang over, but must begin inside.
fn positions(n: i128, reach: i128, stride: isize, padding: isize, ceil: bool) -> i128 {
    let (stride, padding) = (stride as i128, padding as i128);
    let room = n + 2 * padding - reach - 1 + if ceil { stride - 1 } else { 0 };
    let count = room.div_euclid(stride) + 1;
    if ceil && (count - 1) * stride >= n + padding { count - 1 } else { count }
}

fn check_input(op: &str, shape: &[usize], axes: usize) -> Result<()> {
    let n = shape.len();
    if n != axes + 1 && n != axes + 2 {
        return Err(Error::runtime(if op.starts_with("max_pool2d") {
            "non-empty 3D or 4D (batch mode) tensor expected for input".to_owned()
        } else {
            format!(
                "{op}(): Expected {}D or {}D (batch mode) tensor with optional 0 dim batch size for input, but got: {shape:?}",
                axes + 1,
                axes + 2
            )
        }));
    }
    if shape[n - axes - 1..].contains(&0) {
        return Err(Error::runtime(format!(
            "Expected {}D or {}D (batch mode) tensor with optional 0 dim batch size for input, but got:{shape:?}",
            axes + 1,
            axes + 2
        )));
    }
    Ok(())
}

/// The largest element of each window, and its position in its plane (the last axes, flattened).
///
/// Input `[channels, ..]` or `[batch, channels, ..]`. NaN wins; of equal elements the first has the gradient.
pub fn max_pool(x: &Tensor, pool: Pool<'_>) -> Result<(Tensor, Tensor)> {
    let names = MAX_NAMES[pool.axes - 1];
    let (windows, shape) = pool.windows(names.0, &x.shape(), false, None)?;
    maxima(names, x, &windows, shape)
}

/// [`max_pool`] over windows that divide the input evenly into an output of this size.
pub fn adaptive_max_pool(x: &Tensor, axes: usize, size: &[Option<isize>]) -> Result<(Tensor, Tensor)> {
    let names = ADAPTIVE_MAX_NAMES[axes - 1];
    let (windows, shape) = adaptive_windows(names.0, &x.shape(), axes, size)?;
    maxima(names, x, &windows, shape)
}

/// An op's name, its node's, and its derivative's node's.
type Names = (&'static str, &'static str, &'static str);

const MAX_NAMES: [Names; 3] = [
    ("max_pool1d", "MaxPool2DWithIndicesBackward0", "MaxPool2DWithIndicesBackwardBackward0"),
    ("max_pool2d", "MaxPool2DWithIndicesBackward0", "MaxPool2DWithIndicesBackwardBackward0"),
    ("max_pool3d", "MaxPool3DWithIndicesBackward0", "MaxPool3DWithIndicesBackwardBackward0"),
];
const ADAPTIVE_MAX_NAMES: [Names; 3] = [
    ("adaptive_max_pool1d", "AdaptiveMaxPool2DBackward0", "AdaptiveMaxPool2DBackwardBackward0"),
    ("adaptive_max_pool2d", "AdaptiveMaxPool2DBackward0", "AdaptiveMaxPool2DBackwardBackward0"),
    ("adaptive_max_pool3d", "AdaptiveMaxPool3DBackward0", "AdaptiveMaxPool3DBackwardBackward0"),
];
const MEAN_NAMES: [Names; 3] = [
    ("avg_pool1d", "AvgPool2DBackward0", "AvgPool2DBackwardBackward0"),
    ("avg_pool2d", "AvgPool2DBackward0", "AvgPool2DBackwardBackward0"),
    ("avg_pool3d", "AvgPool3DBackward0", "AvgPool3DBackwardBackward0"),
];
const ADAPTIVE_MEAN_NAMES: [Names; 3] = [
    ("adaptive_avg_pool1d", "AdaptiveAvgPool2DBackward0", "AdaptiveAvgPool2DBackwardBackward0"),
    ("adaptive_avg_pool2d", "AdaptiveAvgPool2DBackward0", "AdaptiveAvgPool2DBackwardBackward0"),
    ("adaptive_avg_pool3d", "AdaptiveAvgPool3DBackward0", "AdaptiveAvgPool3DBackwardBackward0"),
];

/// y = x[i], dx = zeros with g added at i.
fn maxima(names: Names, x: &Tensor, windows: &Windows, shape: Dims) -> Result<(Tensor, Tensor)> {
    let array = x.array().contiguous()?;
    if array.dtype() == DType::Bool {
        return Err(Error::unsupported("max_pool2d", DType::Bool));
    }
    let (y, indices) = (Array::empty(&shape, array.dtype())?, Array::empty(&shape, DType::I64)?);
    kernel::maximum(windows, &array, &y, &indices);
    let places =
        Places { indices: indices.clone(), input: array.shape().into(), axes: shape.len(), name: names.2 };
    let places = Places { axes: named_axes(names.0), ..places };
    let again = places.clone();
    let mut both = record_many(
        names.1,
        &[x],
        vec![y, indices],
        &[Keep::Output(1), Keep::Input(0)],
        move |cx| {
            // The positions must be those of the forward pass.
            cx.saved(0)?;
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            Ok(smallvec![Some(tied(scatter(g, &places)?, || cx.saved(1))?)])
        },
        |inputs, _| {
            let tangent = inputs[0].tangent().map(|t| gather(&t, &again)).transpose()?;
            Ok(vec![tangent, None])
        },
    )?;
    let indices = both.pop();
    match (both.pop(), indices) {
        (Some(y), Some(indices)) => Ok((y, indices)),
        _ => unreachable!("two outputs were recorded"),
    }
}

fn named_axes(op: &str) -> usize {
    op.trim_end_matches('d').chars().last().and_then(|c| c.to_digit(10)).unwrap_or(2) as usize
}

/// Which element of its plane each output is.
#[derive(Clone)]
struct Places {
    indices: Array,
    input: Dims,
    axes: usize,
    name: &'static str,
}

impl Places {
    fn sizes(&self) -> (usize, usize) {
        let of = |shape: &[usize]| shape[shape.len() - self.axes..].iter().product();
        (of(&self.input), of(self.indices.shape()))
    }
}

/// Elements of x; linear, with [`scatter`] for its adjoint.
fn gather(x: &Tensor, places: &Places) -> Result<Tensor> {
    let array = x.array().contiguous()?;
    let y = Array::empty(places.indices.shape(), array.dtype())?;
    let (plane, positions) = places.sizes();
    kernel::gather(&array, &places.indices, plane, positions, &y);
    let (back, again) = (places.clone(), places.clone());
    linear(places.name, x, y, move |g| scatter(g, &back), move |t| gather(t, &again))
}

/// g added into zeros; linear, with [`gather`] for its adjoint.
fn scatter(g: &Tensor, places: &Places) -> Result<Tensor> {
    let array = g.array().contiguous()?;
    let dx = Array::empty(&places.input, array.dtype())?;
    let (plane, positions) = places.sizes();
    kernel::scatter(&array, &places.indices, positions, plane, &dx);
    let (back, again) = (places.clone(), places.clone());
    linear(places.name, g, dx, move |h| gather(h, &back), move |t| scatter(t, &again))
}

/// The mean of each window, of zeros too where it reads padding and `count_include_pad`; `divisor_override` replaces the
/// number of elements.
pub fn avg_pool(
    x: &Tensor,
    pool: Pool<'_>,
    count_include_pad: bool,
    divisor_override: Option<i64>,
) -> Result<Tensor> {
    if divisor_override == Some(0) {
        return Err(Error::runtime("divisor must be not zero"));
    }
    let names = MEAN_NAMES[pool.axes - 1];
    let (windows, shape) = pool.windows(names.0, &x.shape(), count_include_pad, divisor_override)?;
    means(names.1, names.2, x, windows, &shape)
}

/// [`avg_pool`] over windows that divide the input evenly into an output of this size.
pub fn adaptive_avg_pool(x: &Tensor, axes: usize, size: &[Option<isize>]) -> Result<Tensor> {
    let names = ADAPTIVE_MEAN_NAMES[axes - 1];
    let (windows, shape) = adaptive_windows(names.0, &x.shape(), axes, size)?;
    means(names.1, names.2, x, windows, &shape)
}

fn adaptive_windows(
    op: &str,
    shape: &[usize],
    axes: usize,
    size: &[Option<isize>],
) -> Result<(Windows, Dims)> {
    check_input(op, shape, axes)?;
    if size.len() != axes && size.len() != 1 {
        return Err(Error::runtime(format!("{op}: output_size must be {axes}")));
    }
    let lead = shape.len() - axes;
    let mut output = Dims::from_slice(&shape[..lead]);
    let mut tables: [Vec<Window>; 3] =
        std::array::from_fn(|_| vec![Window { start: 0, count: 1, step: 1, size: 1 }]);
    for i in 0..axes {
        let n = shape[lead + i];
        let wanted = size[if size.len() == 1 { 0 } else { i }].unwrap_or(n as isize);
        let count = usize::try_from(wanted)
            .map_err(|_| Error::runtime("elements of output_size must be greater than or equal to 0"))?;
        output.push(count);
        let mut windows = reserved(count)?;
        windows.extend((0..count).map(|p| {
            let (start, end) = (p * n / count, ((p + 1) * n).div_ceil(count));
            Window { start, count: end - start, step: 1, size: end - start }
        }));
        tables[3 - axes + i] = windows;
    }
    let mut input = [1; 3];
    input[3 - axes..].copy_from_slice(&shape[lead..]);
    Ok((Windows { input, axes: tables, divisor: None }, output))
}

/// Linear, with [`shares`] for its adjoint.
fn means(
    name: &'static str,
    adjoint: &'static str,
    x: &Tensor,
    windows: Windows,
    shape: &[usize],
) -> Result<Tensor> {
    let array = x.array().contiguous()?;
    if array.dtype() == DType::Bool {
        return Err(Error::unsupported("avg_pool2d_out_frame", DType::Bool));
    }
    let y = Array::empty(shape, array.dtype())?;
    kernel::mean(&windows, &array, &y);
    let (from, to): (Dims, Dims) = (array.shape().into(), shape.into());
    let again = windows.clone();
    linear_tied(
        name,
        x,
        y,
        move |g| shares(adjoint, g, windows.clone(), &from),
        move |t| means(adjoint, adjoint, t, again, &to),
    )
}

/// Each window's gradient divided among what it read; linear, with [`means`] for its adjoint.
fn shares(name: &'static str, g: &Tensor, windows: Windows, shape: &[usize]) -> Result<Tensor> {
    let array = g.array().contiguous()?;
    let dx = Array::empty(shape, array.dtype())?;
    kernel::spread(&windows, &array, &dx);
    let (from, to): (Dims, Dims) = (array.shape().into(), shape.into());
    let again = windows.clone();
    linear(
        name,
        g,
        dx,
        move |h| means(name, name, h, windows.clone(), &from),
        move |t| shares(name, t, again, &to),
    )
}

const fn plain(axes: usize, kernel: &'static [isize]) -> Pool<'static> {
    Pool { axes, kernel, stride: &[], padding: &[0], dilation: &[1], ceil_mode: false }
}

pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "max_pool2d",
        |s| Ok(vec![s.distinct(&[2, 5, 4])?]),
        |x| {
            let pool = Pool { stride: &[2, 1], padding: &[1], ..plain(2, &[3, 2]) };
            Ok(vec![max_pool(&x[0], pool)?.0])
        },
    ),
    Check::new(
        "max_pool1d, dilated",
        |s| Ok(vec![s.distinct(&[2, 2, 9])?]),
        |x| {
            let pool = Pool { stride: &[2], dilation: &[2], ceil_mode: true, ..plain(1, &[3]) };
            Ok(vec![max_pool(&x[0], pool)?.0])
        },
    ),
    Check::new(
        "adaptive_max_pool3d",
        |s| Ok(vec![s.distinct(&[2, 3, 4, 3])?]),
        |x| Ok(vec![adaptive_max_pool(&x[0], 3, &[Some(2), Some(3), None])?.0]),
    ),
    Check::new(
        "avg_pool2d",
        |s| Ok(vec![s.normal(&[1, 2, 5, 4])?]),
        |x| {
            let pool = Pool { stride: &[2], padding: &[1], ceil_mode: true, ..plain(2, &[3, 2]) };
            Ok(vec![avg_pool(&x[0], pool, true, None)?, avg_pool(&x[0], pool, false, None)?])
        },
    ),
    Check::new(
        "avg_pool3d",
        |s| Ok(vec![s.normal(&[1, 3, 4, 4])?]),
        |x| Ok(vec![avg_pool(&x[0], plain(3, &[2]), true, Some(3))?]),
    ),
    Check::new(
        "adaptive_avg_pool2d",
        |s| Ok(vec![s.normal(&[2, 5, 4])?]),
        |x| Ok(vec![adaptive_avg_pool(&x[0], 2, &[Some(3), Some(2)])?]),
    ),
];
