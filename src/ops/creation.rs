//! New tensors that are counted out: ranges, even spacings, the identity.

use smallvec::SmallVec;

use crate::array::kernels::copy;
use crate::array::{Array, DType, Element, Layout, Scalar};
use crate::error::{Error, Kind, Result};
use crate::graph::row::{check_overlap, check_writable, default_dtype};
use crate::graph::{Tensor, forward, is_recorded};
use crate::with_element;

/// A tensor of any content.
pub fn empty(shape: &[usize], dtype: DType) -> Result<Tensor> {
    Ok(Tensor::new(Array::empty(shape, dtype)?))
}

/// A tensor of any content whose element `[i, j, ...]` lies at `i * strides[0] + j * strides[1] + ...`.
///
/// Fails when a stride is negative or the element count overflows.
pub fn empty_strided(shape: &[usize], strides: &[isize], dtype: DType) -> Result<Tensor> {
    if shape.len() != strides.len() {
        return Err(Error::runtime(format!(
            "dimensionality of sizes ({}) must match dimensionality of strides ({})",
            shape.len(),
            strides.len()
        )));
    }
    if strides.iter().any(|&s| s < 0) {
        return Err(Error::runtime(format!(
            "empty_strided does not support negative strides; got strides {strides:?}"
        )));
    }
    let layout = Layout::strided(shape, strides)?;
    Ok(Tensor::new(Array::empty_strided(layout, dtype)?))
}

/// One value everywhere.
///
/// Fails when an integer dtype other than `bool` cannot hold the value.
pub fn full(shape: &[usize], value: Scalar, dtype: DType) -> Result<Tensor> {
    check_fits(value, dtype)?;
    Tensor::full(shape, value, dtype)
}

/// Fails when `dtype` cannot hold `value`: a fraction is cut off, but a number that is too large is refused. As in PyTorch
/// a negative number wraps around in an unsigned dtype.
pub fn check_fits(value: Scalar, dtype: DType) -> Result<()> {
    if dtype.is_floating() || dtype == DType::Bool {
        return Ok(());
    }
    let (low, high) = range(dtype);
    let fits = match value {
        Scalar::Bool(_) => true,
        Scalar::Int(i) => i <= high && (i >= low || (dtype == DType::U8 && i >= -high)),
        // 2^63 itself is a double, so the upper end is compared as the first number that is too large.
        Scalar::Float(x) => {
            let x = x.trunc();
            x < high as f64 + 1.0 && (x >= low as f64 || (dtype == DType::U8 && x >= -(high as f64)))
        }
    };
    if fits {
        return Ok(());
    }
    Err(Error::runtime(format!(
        "value cannot be converted to type {} without overflow",
        match dtype {
            DType::U8 => "uint8_t",
            DType::I8 => "int8_t",
            DType::I16 => "int16_t",
            DType::I32 => "int",
            _ => "int64_t",
        }
    )))
}

/// The least and the greatest integer of an integer dtype.
pub fn range(dtype: DType) -> (i64, i64) {
    match dtype {
        DType::Bool => (0, 1),
        DType::U8 => (0, u8::MAX.into()),
        DType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DType::I16 => (i16::MIN.into(), i16::MAX.into()),
        DType::I32 => (i32::MIN.into(), i32::MAX.into()),
        DType::I64 | DType::F32 | DType::F64 => (i64::MIN, i64::MAX),
    }
}

/// `start, start + step, ...`, stopping before `end`. Without a dtype: int64 if all three are integers, else the default.
///
/// Fails when the step is zero or leads away from `end`, and when a bound is not finite.
pub fn arange(start: Scalar, end: Scalar, step: Scalar, dtype: Option<DType>) -> Result<Tensor> {
    let integers = [start, end, step].iter().all(|x| !matches!(x, Scalar::Float(_)));
    let dtype = dtype.unwrap_or(if integers { DType::I64 } else { default_dtype() });
    let (a, b, s) = (start.to_f64(), end.to_f64(), step.to_f64());
    if s == 0.0 || s.is_nan() {
        return Err(Error::runtime("step must be nonzero"));
    }
    if !a.is_finite() || !b.is_finite() {
        return Err(Error::runtime(format!("unsupported range: {a} -> {b}")));
    }
    if (s > 0.0 && b < a) || (s < 0.0 && b > a) {
        return Err(Error::runtime(format!(
            "upper bound and lower bound inconsistent with step sign (from {a} to {b} in steps of {s})"
        )));
    }
    let count = if integers {
        let (a, b, s) = (i128::from(start.to_i64()), i128::from(end.to_i64()), i128::from(step.to_i64()));
        let distance = b - a;
        (distance / s + i128::from(distance % s != 0)) as f64
    } else {
        ((b - a) / s).ceil()
    };
    if count >= i64::MAX as f64 {
        return Err(Error::runtime("invalid size, possible overflow?"));
    }
    let y = Array::empty(&[count as usize], dtype)?;
    if dtype.is_floating() {
        fill(&y, |i| a + i as f64 * s);
    } else {
        let (a, s) = (start.to_i64(), step.to_i64());
        if !integers && (s as f64 != step.to_f64() || a as f64 != start.to_f64()) {
            fill(&y, |i| (a as f64) + i as f64 * s as f64);
        } else {
            fill_integers(&y, |i| a.wrapping_add((i as i64).wrapping_mul(s)));
        }
    }
    Ok(Tensor::new(y))
}

/// `steps` numbers at equal distances, from `start` to `end`, both ends exact.
pub fn linspace(start: f64, end: f64, steps: i64, dtype: Option<DType>) -> Result<Tensor> {
    let (y, dtype) = spaced(steps, dtype)?;
    fill(&y, spacing(start, end, steps as usize, dtype));
    Ok(Tensor::new(y))
}

/// `base` to the power of each of `steps` numbers at equal distances.
pub fn logspace(start: f64, end: f64, steps: i64, base: f64, dtype: Option<DType>) -> Result<Tensor> {
    let (y, dtype) = spaced(steps, dtype)?;
    let exponent = spacing(start, end, steps as usize, dtype);
    fill(&y, |i| base.powf(exponent(i)));
    Ok(Tensor::new(y))
}

fn spaced(steps: i64, dtype: Option<DType>) -> Result<(Array, DType)> {
    let dtype = dtype.unwrap_or_else(default_dtype);
    let count = usize::try_from(steps).map_err(|_| Error::runtime("number of steps must be non-negative"))?;
    Ok((Array::empty(&[count], dtype)?, dtype))
}

/// The i-th of evenly spaced numbers; counted from the nearer end, so that both ends come out exact.
fn spacing(start: f64, end: f64, steps: usize, dtype: DType) -> impl Fn(usize) -> f64 + Copy {
    let round = move |x: f64| if dtype == DType::F64 { x } else { f64::from(x as f32) };
    let step = if steps > 1 { round((end - start) / (steps - 1) as f64) } else { 0.0 };
    move |i| {
        if i < steps / 2 || steps == 1 {
            start + i as f64 * step
        } else {
            end - (steps - 1 - i) as f64 * step
        }
    }
}

/// Ones on the diagonal, zeros elsewhere; square if `m` is not given.
pub fn eye(n: i64, m: Option<i64>, dtype: Option<DType>) -> Result<Tensor> {
    let extent = |name: &str, n: i64| {
        usize::try_from(n)
            .map_err(|_| Error::runtime(format!("{name} must be greater or equal to 0, got {n}")))
    };
    let rows = extent("n", n)?;
    let columns = m.map_or(Ok(rows), |m| extent("m", m))?;
    let y = Array::zeros(&[rows, columns], dtype.unwrap_or_else(default_dtype))?;
    let diagonal = Layout::strided(&[rows.min(columns)], &[columns as isize + 1])?;
    crate::array::kernels::fill::fill(&y.view_with(diagonal, 0), Scalar::Int(1));
    Ok(Tensor::new(y))
}

fn fill(y: &Array, value: impl Fn(usize) -> f64) {
    with_element!(y.dtype(), T => {
        // SAFETY: the array was just made, and nobody else has seen it.
        for (i, slot) in unsafe { y.as_mut_slice::<T>() }.unwrap_or_default().iter_mut().enumerate() {
            *slot = T::from_f64(value(i));
        }
    });
}

fn fill_integers(y: &Array, value: impl Fn(usize) -> i64) {
    with_element!(y.dtype(), T => {
        // SAFETY: as above.
        for (i, slot) in unsafe { y.as_mut_slice::<T>() }.unwrap_or_default().iter_mut().enumerate() {
            *slot = T::from_i64(value(i));
        }
    });
}

/// Refuses to run `name` with these `outs`: where a gradient would be lost, and where an input shares a part of their memory.
pub fn check_out(name: &'static str, inputs: &[Tensor], outs: &[Tensor]) -> Result<()> {
    let given: SmallVec<[&Tensor; 4]> = inputs.iter().chain(outs).collect();
    if outs.iter().any(|out| out.dtype().is_differentiable()) && is_recorded(&given) {
        return Err(Error::runtime(format!(
            "{name}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments \
             requires grad."
        )));
    }
    for out in outs {
        let target = out.array();
        for input in inputs {
            check_overlap(&input.state().array, &target)?;
        }
    }
    Ok(())
}

/// Puts a result into a tensor that the caller brought (`out=`), which takes on the result's shape if it has another.
///
/// Fails when the tensor requires a gradient or either has a tangent, when it is read-only, and when its dtype cannot hold
/// the result's.
pub fn write_out(name: &'static str, result: &Tensor, out: &Tensor) -> Result<()> {
    crate::graph::view::check_write(name, out, false)?;
    if forward::propagates() && (result.tangent().is_some() || out.tangent().is_some()) {
        return Err(Error::not_implemented(format!(
            "Trying to use forward AD with {name}_out that does not support it because it is an out= function"
        )));
    }
    let (from, to) = (result.array(), out.array());
    if from.dtype().category() > to.dtype().category() {
        return Err(Kind::ResultCast { op: name, from: from.dtype(), to: to.dtype() }.into());
    }
    check_writable(name, &to)?;
    if from.shape() != to.shape() {
        return out.set_data(&Tensor::new(from.cast(to.dtype())?));
    }
    copy::copy(&from, &to);
    to.storage().raise_version("an operation with out=");
    Ok(())
}
