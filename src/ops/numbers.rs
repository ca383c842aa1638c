//! Public names that choose between rows: by an option, by the kind of operand, or by the dtype.

use crate::array::reserve::reserved;
use crate::array::{Category, DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::row::{apply, apply_in_place, default_dtype, result_type};
use crate::graph::vector_space::{add, to_dtype};
use crate::graph::{Operand, Row, Tensor};
use crate::ops::{self, activation, arithmetic, comparison, rounding, special, special_cases};

/// Whether to write the first operand's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A new tensor.
    New,
    /// The first operand.
    First,
}

/// Runs a row in a place.
pub fn run<const N: usize>(row: &'static Row, operands: [Operand<'_>; N], place: Place) -> Result<Tensor> {
    match place {
        Place::New => apply(row, operands),
        Place::First => apply_in_place(row, operands),
    }
}

fn is_bool(x: Operand<'_>) -> bool {
    match x {
        Operand::Tensor(x) => x.dtype() == DType::Bool,
        Operand::Scalar(s) => s.category() == Category::Bool,
    }
}

/// a + alpha b.
pub fn add_alpha(a: Operand<'_>, b: Operand<'_>, alpha: Scalar, place: Place) -> Result<Tensor> {
    if is_one(alpha) {
        return run(&crate::graph::vector_space::add::ROW, [a, b], place);
    }
    check_alpha(a, b, alpha)?;
    run(&special_cases::add_scaled::ROW, [a, b, alpha.into()], place)
}

/// a - alpha b. Truth values have no difference.
pub fn sub_alpha(a: Operand<'_>, b: Operand<'_>, alpha: Scalar, place: Place) -> Result<Tensor> {
    if is_bool(a) && is_bool(b) {
        return Err(Error::runtime(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` \
             operator instead.",
        ));
    }
    if is_bool(a) || is_bool(b) {
        return Err(Error::runtime(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use \
             the `~` or `logical_not()` operator instead.",
        ));
    }
    if is_one(alpha) {
        return run(&arithmetic::sub::ROW, [a, b], place);
    }
    check_alpha(a, b, alpha)?;
    run(&special_cases::sub_scaled::ROW, [a, b, alpha.into()], place)
}

/// b - a.
pub fn rsub(a: Operand<'_>, b: Operand<'_>) -> Result<Tensor> {
    if is_bool(a) || is_bool(b) {
        return sub_alpha(b, a, Scalar::Int(1), Place::New);
    }
    apply(&special_cases::rsub::ROW, [a, b])
}

fn is_one(alpha: Scalar) -> bool {
    alpha == Scalar::Int(1) || alpha == Scalar::Float(1.0)
}

fn check_alpha(a: Operand<'_>, b: Operand<'_>, alpha: Scalar) -> Result<()> {
    let dtype = result_type(&[a, b]);
    if alpha.category() == Category::Float && !dtype.is_floating() {
        return Err(Error::runtime(
            "For integral input tensors, argument alpha must not be a floating point number.",
        ));
    }
    if alpha.category() == Category::Bool && dtype != DType::Bool {
        return Err(Error::runtime("Boolean alpha only supported for Boolean results."));
    }
    Ok(())
}

/// The negative. Truth values have none.
pub fn negative(x: &Tensor, place: Place) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return Err(Error::runtime(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the \
             `~` or `logical_not()` operator instead.",
        ));
    }
    run(&arithmetic::neg::ROW, [x.into()], place)
}

/// a / b, exact, or rounded `trunc` or `floor`.
pub fn divide(a: Operand<'_>, b: Operand<'_>, rounding: Option<&str>, place: Place) -> Result<Tensor> {
    let integers = !result_type(&[a, b]).is_floating();
    match rounding {
        None => run(&arithmetic::div::ROW, [a, b], place),
        Some("floor") => {
            check_divisor(a, b)?;
            run(&special_cases::div_floor::ROW, [a, b], place)
        }
        Some("trunc") if integers => {
            check_divisor(a, b)?;
            run(&special_cases::div_trunc_integer::ROW, [a, b], place)
        }
        Some("trunc") => run(&special_cases::div_trunc::ROW, [a, b], place),
        Some(other) => Err(Error::runtime(format!(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{other}'"
        ))),
    }
}

/// a / b as Python's operator: a number by a tensor is the number times the tensor's reciprocal.
pub fn quotient(a: Operand<'_>, b: Operand<'_>) -> Result<Tensor> {
    match (a, b) {
        (Operand::Scalar(_), Operand::Tensor(b)) => arithmetic::mul(&arithmetic::reciprocal(b)?, a),
        _ => divide(a, b, None, Place::New),
    }
}

/// a - b as Python's operator.
pub fn difference(a: Operand<'_>, b: Operand<'_>) -> Result<Tensor> {
    match (a, b) {
        (Operand::Scalar(_), Operand::Tensor(_)) => rsub(b, a),
        _ => sub_alpha(a, b, Scalar::Int(1), Place::New),
    }
}

/// Runs a row of division; integers must not be divided by zero, and truth values not at all.
pub fn integer_division(row: &'static Row, a: Operand<'_>, b: Operand<'_>, place: Place) -> Result<Tensor> {
    if is_bool(a) && is_bool(b) {
        return Err(Error::unsupported(row.name, DType::Bool));
    }
    check_divisor(a, b)?;
    // PyTorch numbers the nodes of a division by a number apart.
    let row = match (b, row.name) {
        (Operand::Scalar(_), "fmod") => &special_cases::fmod_number::ROW,
        (Operand::Scalar(_), "remainder") => &special_cases::remainder_number::ROW,
        _ => row,
    };
    run(row, [a, b], place)
}

fn check_divisor(a: Operand<'_>, b: Operand<'_>) -> Result<()> {
    if result_type(&[a, b]).is_floating() {
        return Ok(());
    }
    let zero = match b {
        Operand::Scalar(s) => !s.is_true(),
        Operand::Tensor(b) => b.array().to_vec::<i64>()?.contains(&0),
    };
    if zero {
        return Err(Error::runtime("ZeroDivisionError: an integer was divided by zero"));
    }
    Ok(())
}

/// a to the power of b: by the row that suits the operands.
pub fn power(a: Operand<'_>, b: Operand<'_>, place: Place) -> Result<Tensor> {
    use crate::ops::special_cases::{pow_number, pow_of_number, squared};
    if is_bool(a) && is_bool(b) && matches!(b, Operand::Tensor(_)) {
        return Err(Error::unsupported("pow", DType::Bool));
    }
    match (a, b) {
        (Operand::Tensor(x), Operand::Scalar(exponent)) => {
            let integers = !result_type(&[a, b]).is_floating();
            if integers && matches!(exponent, Scalar::Int(n) if n < 0) {
                return Err(Error::runtime("Integers to negative integer powers are not allowed."));
            }
            let two = exponent == Scalar::Int(2) || exponent == Scalar::Float(2.0);
            if two && (x.dtype().is_floating() || (integers && x.dtype() != DType::Bool)) {
                return run(&squared::ROW, [a], place);
            }
            run(&pow_number::ROW, [a, b], place)
        }
        (Operand::Scalar(_), Operand::Tensor(_)) => run(&pow_of_number::ROW, [a, b], place),
        _ => run(&arithmetic::pow::ROW, [a, b], place),
    }
}

/// x within bounds; a bound may be left out, but not both.
pub fn clamp_between(
    x: Operand<'_>,
    min: Option<Operand<'_>>,
    max: Option<Operand<'_>>,
    place: Place,
) -> Result<Tensor> {
    match (min, max) {
        (Some(min @ Operand::Scalar(_)), Some(max @ Operand::Scalar(_))) => {
            run(&special_cases::clamp_numbers::ROW, [x, min, max], place)
        }
        (Some(min @ Operand::Scalar(_)), None) => run(&special_cases::clamp_from::ROW, [x, min], place),
        (None, Some(max @ Operand::Scalar(_))) => run(&special_cases::clamp_to::ROW, [x, max], place),
        (Some(min), Some(max)) => run(&arithmetic::clamp::ROW, [x, min, max], place),
        (Some(min), None) => run(&arithmetic::clamp_min::ROW, [x, min], place),
        (None, Some(max)) => run(&arithmetic::clamp_max::ROW, [x, max], place),
        (None, None) => Err(Error::runtime("torch.clamp: At least one of 'min' or 'max' must not be None")),
    }
}

/// All bits flipped; a truth value's opposite.
pub fn bitwise_not(x: &Tensor, place: Place) -> Result<Tensor> {
    match x.dtype() {
        DType::Bool => run(&comparison::logical_not::ROW, [x.into()], place),
        _ => run(&special_cases::bits_flipped::ROW, [x.into()], place),
    }
}

/// gelu, exact (`none`) or by a `tanh`.
pub fn gelu_by(x: &Tensor, approximate: &str) -> Result<Tensor> {
    match approximate {
        "none" => activation::gelu(x),
        "tanh" => special_cases::gelu_tanh(x),
        _ => Err(Error::runtime("approximate argument must be either none or tanh.")),
    }
}

/// The nearest number with this many decimals; the even one of two.
pub fn round_decimals(x: &Tensor, decimals: i64, place: Place) -> Result<Tensor> {
    if decimals == 0 || !x.dtype().is_floating() {
        return run(&rounding::round::ROW, [x.into()], place);
    }
    let factor = 10_f64.powi(decimals.unsigned_abs().min(400) as i32);
    let (up, down): (&'static Row, &'static Row) = if decimals > 0 {
        (&arithmetic::mul::ROW, &arithmetic::div::ROW)
    } else {
        (&arithmetic::div::ROW, &arithmetic::mul::ROW)
    };
    let factor = Operand::Scalar(Scalar::Float(factor));
    let scaled = run(up, [x.into(), factor], place)?;
    let rounded =
        run(&rounding::round::ROW, [(&scaled).into()], Place::First).or_else(|_| rounding::round(&scaled))?;
    run(down, [(&rounded).into(), factor], if place == Place::First { Place::First } else { Place::New })
}

/// log(x / (1 - x)), with x kept `eps` away from 0 and 1 if one is given.
pub fn logit(x: &Tensor, eps: Option<f64>) -> Result<Tensor> {
    match eps {
        Some(eps) if eps >= 0.0 => special_cases::logit_clamped(x, eps),
        _ => special_cases::logit_exact(x),
    }
}

/// x with NaN and the infinities replaced; by default with zero and the dtype's largest and smallest numbers.
pub fn nan_to_num(x: &Tensor, nan: Option<f64>, posinf: Option<f64>, neginf: Option<f64>) -> Result<Tensor> {
    if !x.dtype().is_floating() {
        return Ok(Tensor::new(x.array().copied()?));
    }
    let largest = if x.dtype() == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
    rounding::nan_to_num_with(x, nan.unwrap_or(0.0), posinf.unwrap_or(largest), neginf.unwrap_or(-largest))
}

/// The derivative of order n of digamma.
pub fn polygamma(n: i64, x: &Tensor) -> Result<Tensor> {
    match n {
        0 => special::digamma(x),
        1.. => special_cases::polygamma_row(x, Scalar::Float(n as f64)),
        _ => Err(Error::runtime("polygamma(n, x) does not support negative n.")),
    }
}

/// The tensor itself. Truth values have no sign.
pub fn positive(x: &Tensor) -> Result<Tensor> {
    if x.dtype() == DType::Bool {
        return Err(Error::runtime("The `+` operator, on a bool tensor is not supported."));
    }
    Ok(x.clone())
}

/// a to the power of b, in double precision.
pub fn float_power(a: Operand<'_>, b: Operand<'_>) -> Result<Tensor> {
    let wide = |x: Operand<'_>| match x {
        Operand::Tensor(x) => crate::graph::vector_space::to_dtype(x, DType::F64).map(Some),
        Operand::Scalar(_) => Ok(None),
    };
    let (a_wide, b_wide) = (wide(a)?, wide(b)?);
    let real = |x: Operand<'_>| match x {
        Operand::Scalar(s) => Scalar::Float(s.to_f64()),
        Operand::Tensor(_) => unreachable!("tensors were converted"),
    };
    let a = a_wide.as_ref().map_or_else(|| Operand::Scalar(real(a)), Operand::Tensor);
    let b = b_wide.as_ref().map_or_else(|| Operand::Scalar(real(b)), Operand::Tensor);
    power(a, b, Place::New)
}

/// The square: the power of two.
pub fn square(x: &Tensor, place: Place) -> Result<Tensor> {
    power(x.into(), Scalar::Int(2).into(), place)
}

/// The logarithm of the multivariate gamma function of dimension p: a sum over p elements for each of `x`.
///
/// Fails for a p below one, and where there is no memory for the elements.
pub fn mvlgamma(x: &Tensor, p: i64) -> Result<Tensor> {
    if p < 1 {
        return Err(Error::runtime("p has to be greater than or equal to 1"));
    }
    let mut steps = reserved(p as usize)?;
    steps.extend((0..p).map(|j| j as f64 / 2.0));
    let steps = Tensor::from_slice(&steps, &[steps.len()])?;
    let steps = to_dtype(&steps, if x.dtype().is_floating() { x.dtype() } else { default_dtype() })?;
    let terms = special::lgamma(&arithmetic::sub(&ops::unsqueeze(x, -1)?, &steps)?)?;
    let dim = p as f64;
    add(&ops::sum(&terms, Some(&[-1]), false, None)?, dim * (dim - 1.0) / 4.0 * std::f64::consts::PI.ln())
}

/// a times 2 to the power of b.
pub fn ldexp(a: Operand<'_>, b: Operand<'_>) -> Result<Tensor> {
    let factor = power(Scalar::Float(2.0).into(), b, Place::New)?;
    arithmetic::mul(a, &factor)
}

/// Degrees to radians.
pub fn deg2rad(x: &Tensor) -> Result<Tensor> {
    arithmetic::mul(x, std::f64::consts::PI / 180.0)
}

/// Radians to degrees.
pub fn rad2deg(x: &Tensor) -> Result<Tensor> {
    arithmetic::mul(x, 180.0 / std::f64::consts::PI)
}

/// a + weight (b - a).
pub fn lerp_between(a: Operand<'_>, b: Operand<'_>, weight: Operand<'_>, place: Place) -> Result<Tensor> {
    match weight {
        Operand::Scalar(_) => run(&special_cases::lerp_number::ROW, [a, b, weight], place),
        Operand::Tensor(_) => run(&arithmetic::lerp::ROW, [a, b, weight], place),
    }
}
