//! Rows behind a public name that decides between several: by an option, or by the kind of operand.

use crate::rows;

rows! {
    table SPECIAL_CASES;

    /// gelu by a tanh: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
    real gelu_tanh(x) -> y =
        0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh()), as "GeluBackward0", {
        dx(g, x) = g * (
            0.5 * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh())
            + 0.5 * x * 0.797_884_560_802_865_4 * (1.0 + 0.134_145 * x * x)
                * (1.0 - (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh()
                    * (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh())
        )
    };

    /// x where positive, else a multiple that is learned.
    real prelu_kernel(x, weight) -> y = x.gt(0.0).select(x, weight * x), {
        dx(g, x, weight) = x.gt(0.0).select(g, weight * g),
        dweight(g, x) = x.gt(0.0).select(0.0, x * g)
    };

    /// a to the power of a number.
    number pow_number(a, exponent) -> y = a.pow(exponent), as "PowBackward0", on 0.5..2.0, {
        da(g, a, exponent) = exponent.eq(0.0).select(g.zero(), g * exponent * a.pow(exponent - 1.0))
    };

    /// A number to the power of b.
    number pow_of_number(base, b) -> y = base.pow(b), as "PowBackward2", on 0.5..2.0, {
        db(g, base, b, y) = (base.eq(0.0) & b.ge(0.0)).select(g.zero(), g * y * base.ln())
    };

    /// The square.
    number squared(x) -> y = x.square(), as "PowBackward0", { dx(g, x) = g * (2.0 * x) };

    /// The quotient rounded down; its derivative is zero.
    number div_floor(a, b) -> y = a.floor_divide(b), as "DivBackward2", on 0.5..2.0, {
        da(g) = g.zero(), db(g) = g.zero()
    };

    /// The quotient of floats rounded toward zero; its derivative is zero.
    real div_trunc(a, b) -> y = (a / b).trunc(), as "DivBackward2", on 0.5..2.0, {
        da(g) = g.zero(), db(g) = g.zero()
    };

    /// The quotient of integers rounded toward zero.
    bits div_trunc_integer(a, b) -> y = a.trunc_divide(b), { };

    /// x within bounds that are numbers.
number clamp_numbers(x, min, max) -> y = x.clamp(min, max), as "ClampBackward1", {
    dx(g, x, min, max) = (x.ge(min) & x.le(max)).select(g, 0.0)
};

/// x, but not below a number.
number clamp_from(x, min) -> y = x.maximum(min), as "ClampBackward1", { dx(g, x, min) = x.ge(min).select(g, 0.0) };

/// x, but not above a number.
number clamp_to(x, max) -> y = x.minimum(max), as "ClampBackward1", { dx(g, x, max) = x.le(max).select(g, 0.0) };

/// a - b.
    number rsub(a, b) -> y = b - a, as "RsubBackward1", { da(g) = -g, db(g) = g };

    /// a + alpha b.
    number add_scaled(a, b, alpha) -> y = a + alpha * b, as "AddBackward0", { da(g) = g, db(g, alpha) = g * alpha };

    /// a - alpha b.
    number sub_scaled(a, b, alpha) -> y = a - alpha * b, as "SubBackward0", { da(g) = g, db(g, alpha) = -g * alpha };

    /// All bits flipped, of an integer.
    bits bits_flipped(x) -> y = !x, { };

    /// log(x / (1 - x)).
    real logit_exact(x) -> y = (x / (1.0 - x)).ln(), as "LogitBackward0", on 0.2..0.8, {
        dx(g, x) = g / (x * (1.0 - x))
    };

    /// log(z / (1 - z)) with z = x kept eps away from 0 and 1, where the derivative is zero.
    real logit_clamped(x, eps) -> y = {
        let z = x.lt(eps).select(eps, x.gt(1.0 - eps).select(1.0 - eps, x));
        (z / (1.0 - z)).ln()
    }, as "LogitBackward0", on 0.2..0.8, {
        dx(g, x, eps) = (x.lt(eps) | x.gt(1.0 - eps)).select(0.0, g / (x * (1.0 - x)))
    };

    /// The derivative of order n of digamma.
    real polygamma_row(x, n) -> y = x.polygamma_at(n), as "PolygammaBackward0", on 0.5..4.0, {
        dx(g, x, n) = g * x.polygamma_at(n + 1.0)
    };

    /// The rest of the division by a number, with the sign of a.
    number fmod_number(a, b) -> y = a.fmod(b), as "FmodBackward0", on 0.5..2.0, { da(g) = g };

    /// The rest of the division by a number, with the sign of the number.
    number remainder_number(a, b) -> y = a.remainder(b), as "RemainderBackward0", on 0.5..2.0, { da(g) = g };

    /// a + weight (b - a), for a weight that is a number.
    real lerp_number(a, b, weight) -> y =
        weight.lt(0.5).select(a + weight * (b - a), b - (b - a) * (1.0 - weight)), as "LerpBackward0", {
        da(g, weight) = g * (1.0 - weight),
        db(g, weight) = g * weight
    };
}
