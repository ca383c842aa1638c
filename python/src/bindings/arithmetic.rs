//! Element-wise names that choose between rows, by an option or by the kind of operand.

use arcgrad::ops::{self, Place};

use crate::bindings;

bindings! {
    /// a + alpha b.
    both add {
        "(Operand input, Operand other, *, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::add_alpha, (a.operand(0)?, a.operand(1)?, a.scalar(2)?, Place::New)),
    }
    /// Adds alpha times a tensor or number, in place.
    method add_ {
        "(Tensor input, Operand other, *, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::add_alpha, (a.operand(0)?, a.operand(1)?, a.scalar(2)?, Place::First)),
    }
    /// a - alpha b.
    both sub {
        "(Operand input, Operand other, *, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::sub_alpha, (a.operand(0)?, a.operand(1)?, a.scalar(2)?, Place::New)),
    }
    /// Subtracts alpha times a tensor or number, in place.
    method sub_ {
        "(Tensor input, Operand other, *, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::sub_alpha, (a.operand(0)?, a.operand(1)?, a.scalar(2)?, Place::First)),
    }
    /// b - alpha a.
    both rsub {
        "(Operand input, Operand other, *, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::sub_alpha, (a.operand(1)?, a.operand(0)?, a.scalar(2)?, Place::New)),
    }
    /// The negative.
    both neg { "(Tensor input) -> Tensor" => |a| a.call(ops::negative, (a.tensor(0)?, Place::New)) }
    /// The negative, in place.
    method neg_ { "(Tensor input) -> Tensor" => |a| a.call(ops::negative, (a.tensor(0)?, Place::First)) }
    /// The tensor itself.
    both positive { "(Tensor input) -> Tensor" => |a| a.call(ops::positive, (a.tensor(0)?,)) }
    /// a / b, exact, or rounded toward zero (`trunc`) or down (`floor`).
    /// Exact, it is within 0.5 ulp in float32 and 0.5 in float64.
    both div {
        "(Operand input, Operand other, *, str? rounding_mode=None) -> Tensor"
            => |a| a.call(|x, y, r: Option<String>| ops::divide(x, y, r.as_deref(), Place::New),
                (a.operand(0)?, a.operand(1)?, a.optional_str(2)?)),
    }
    /// Divides in place.
    method div_ {
        "(Tensor input, Operand other, *, str? rounding_mode=None) -> Tensor"
            => |a| a.call(|x, y, r: Option<String>| ops::divide(x, y, r.as_deref(), Place::First),
                (a.operand(0)?, a.operand(1)?, a.optional_str(2)?)),
    }
    /// a to the power of b.
    /// Within 0.51 ulp in float32 and 1.2 in float64.
    both pow {
        "(Operand input, Operand exponent) -> Tensor"
            => |a| a.call(ops::power, (a.operand(0)?, a.operand(1)?, Place::New)),
    }
    /// To the power of b, in place.
    method pow_ {
        "(Tensor input, Operand exponent) -> Tensor"
            => |a| a.call(ops::power, (a.operand(0)?, a.operand(1)?, Place::First)),
    }
    /// a to the power of b, in double precision.
    both float_power {
        "(Operand input, Operand exponent) -> Tensor"
            => |a| a.call(ops::float_power, (a.operand(0)?, a.operand(1)?)),
    }
    /// The square.
    both square { "(Tensor input) -> Tensor" => |a| a.call(ops::square, (a.tensor(0)?, Place::New)) }
    /// The square, in place.
    method square_ { "(Tensor input) -> Tensor" => |a| a.call(ops::square, (a.tensor(0)?, Place::First)) }
    /// x within bounds; the upper bound wins when they cross.
    both clamp {
        "(Tensor input, Operand? min=None, Operand? max=None) -> Tensor"
            => |a| a.call(ops::clamp_between,
                (a.operand(0)?, a.optional_operand(1)?, a.optional_operand(2)?, Place::New)),
    }
    /// Clamps in place.
    method clamp_ {
        "(Tensor input, Operand? min=None, Operand? max=None) -> Tensor"
            => |a| a.call(ops::clamp_between,
                (a.operand(0)?, a.optional_operand(1)?, a.optional_operand(2)?, Place::First)),
    }
    /// All bits flipped; a truth value's opposite.
    both bitwise_not { "(Tensor input) -> Tensor" => |a| a.call(ops::bitwise_not, (a.tensor(0)?, Place::New)) }
    /// Flips all bits in place.
    method bitwise_not_ { "(Tensor input) -> Tensor" => |a| a.call(ops::bitwise_not, (a.tensor(0)?, Place::First)) }
    /// The nearest number with this many decimals; the even one of two.
    both round {
        "(Tensor input, *, int decimals=0) -> Tensor"
            => |a| a.call(ops::round_decimals, (a.tensor(0)?, a.int(1)?, Place::New)),
    }
    /// Rounds in place.
    method round_ {
        "(Tensor input, *, int decimals=0) -> Tensor"
            => |a| a.call(ops::round_decimals, (a.tensor(0)?, a.int(1)?, Place::First)),
    }
    /// log(x / (1 - x)), with x kept eps away from 0 and 1 if one is given.
    both logit {
        "(Tensor input, float? eps=None) -> Tensor"
            => |a| a.call(ops::logit, (a.tensor(0)?, a.optional_float(1)?)),
    }
    /// x with NaN and the infinities replaced.
    both nan_to_num {
        "(Tensor input, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor"
            => |a| a.call(ops::nan_to_num,
                (a.tensor(0)?, a.optional_float(1)?, a.optional_float(2)?, a.optional_float(3)?)),
    }
    /// gelu, exact (`none`) or by a `tanh`. The exact one is within 6.5 ulp in float32 and 5.5 in float64.
    function gelu {
        "(Tensor input, *, str approximate='none') -> Tensor"
            => |a| a.call(|x: &_, by: String| ops::gelu_by(x, &by), (a.tensor(0)?, a.str(1)?)),
    }
    /// The derivative of order n of digamma.
    function polygamma { "(int n, Tensor input) -> Tensor" => |a| a.call(ops::polygamma, (a.int(0)?, a.tensor(1)?)) }
    /// The derivative of order n of digamma.
    method polygamma {
        "(Tensor input, int n) -> Tensor" => |a| a.call(ops::polygamma, (a.int(1)?, a.tensor(0)?)),
    }
    /// The logarithm of the multivariate gamma function.
    both mvlgamma { "(Tensor input, int p) -> Tensor" => |a| a.call(ops::mvlgamma, (a.tensor(0)?, a.int(1)?)) }
    /// x times 2 to the power of another tensor.
    both ldexp {
        "(Operand input, Operand other) -> Tensor" => |a| a.call(ops::ldexp, (a.operand(0)?, a.operand(1)?)),
    }
    /// Degrees to radians.
    both deg2rad { "(Tensor input) -> Tensor" => |a| a.call(ops::deg2rad, (a.tensor(0)?,)) }
    /// Radians to degrees.
    both rad2deg { "(Tensor input) -> Tensor" => |a| a.call(ops::rad2deg, (a.tensor(0)?,)) }
    /// input + weight (end - input).
    both lerp {
        "(Tensor input, Tensor end, Operand weight) -> Tensor"
            => |a| a.call(ops::lerp_between, (a.operand(0)?, a.operand(1)?, a.operand(2)?, Place::New)),
    }
    /// Moves toward another tensor, in place.
    method lerp_ {
        "(Tensor input, Tensor end, Operand weight) -> Tensor"
            => |a| a.call(ops::lerp_between, (a.operand(0)?, a.operand(1)?, a.operand(2)?, Place::First)),
    }
}
