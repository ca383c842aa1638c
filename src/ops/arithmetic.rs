//! Rows of arithmetic: sums, products, quotients, powers, extremes.

use crate::rows;

rows! {
    table ARITHMETIC with methods;

    /// Difference of two tensors.
    number sub(a, b) -> y = a - b, { da(g) = g, db(g) = -g };

    /// Product of two tensors.
    number mul(a, b) -> y = a * b, { da(g, b) = g * b, db(g, a) = g * a };

    /// Quotient of two tensors; integers give floats.
    /// Within 0.5 ulp in float32 and 0.5 in float64.
    real div(a, b) -> y = a / b, on 0.5..2.0, { da(g, b) = g / b, db(g, y, b) = -g * y / b };

    /// The negative.
    number neg(x) -> y = -x, { dx(g) = -g };

    /// The absolute value. Its derivative at zero is zero.
    number abs(x) -> y = x.abs(), { dx(g, x) = g * x.signum() };

    /// The sign: -1, 0 or 1.
    number sign(x) -> y = x.signum(), { dx(g) = g.zero() };

    /// One over x.
    /// Within 0.5 ulp in float32 and 0.5 in float64.
    real reciprocal(x) -> y = x.recip(), on 0.5..2.0, { dx(g, y) = -g * y * y };

    /// Square root.
    /// Within 0.5 ulp in float32 and 0.5 in float64.
    real sqrt(x) -> y = x.sqrt(), on 0.2..4.0, { dx(g, y) = g / (2.0 * y) };

    /// One over the square root.
    /// Within 1.6 ulp in float32 and 1.7 in float64.
    real rsqrt(x) -> y = x.rsqrt(), on 0.2..4.0, { dx(g, y) = -0.5 * g * y * y * y };

    /// a to the power of b. Where b is zero, the derivative with respect to a is zero; where a is zero and b is not
    /// negative, so is the one with respect to b.
    /// Within 0.51 ulp in float32 and 1.2 in float64.
    number pow(a, b) -> y = a.pow(b), as "PowBackward1", on 0.5..2.0, {
        da(g, a, b) = b.eq(0.0).select(g.zero(), g * b * a.pow(b - 1.0)),
        db(g, a, b, y) = (a.eq(0.0) & b.ge(0.0)).select(g.zero(), g * y * a.ln())
    };

    /// The larger of two numbers, NaN if either is. Equal numbers share the gradient.
    number maximum(a, b) -> y = a.maximum(b), {
        da(g, a, b) = a.eq(b).select(0.5 * g, a.lt(b).select(0.0, g)),
        db(g, a, b) = a.eq(b).select(0.5 * g, b.lt(a).select(0.0, g))
    };

    /// The smaller of two numbers, NaN if either is. Equal numbers share the gradient.
    number minimum(a, b) -> y = a.minimum(b), {
        da(g, a, b) = a.eq(b).select(0.5 * g, a.gt(b).select(0.0, g)),
        db(g, a, b) = a.eq(b).select(0.5 * g, b.gt(a).select(0.0, g))
    };

    /// The larger of two numbers; a number beats NaN. The first of equal numbers takes the gradient.
    number fmax(a, b) -> y = a.fmax(b), {
        da(g, a, b) = (a.ge(b) | b.ne(b)).select(g, 0.0),
        db(g, a, b) = (a.ge(b) | b.ne(b)).select(0.0, g)
    };

    /// The smaller of two numbers; a number beats NaN. The first of equal numbers takes the gradient.
    number fmin(a, b) -> y = a.fmin(b), {
        da(g, a, b) = (a.le(b) | b.ne(b)).select(g, 0.0),
        db(g, a, b) = (a.le(b) | b.ne(b)).select(0.0, g)
    };

    /// The rest of the division a / b, with the sign of a.
    number fmod(a, b) -> y = a.fmod(b), as "FmodBackward1", on 0.5..2.0, { da(g) = g, db(g, a, b) = -g * (a / b).trunc() };

    /// The rest of the division a / b, with the sign of b, as Python's `%`.
    number remainder(a, b) -> y = a.remainder(b), as "RemainderBackward1", on 0.5..2.0, { da(g) = g, db(g, a, b) = -g * (a / b).floor() };

    /// The square root of the sum of two squares.
    /// Within 0.51 ulp in float32 and 1.1 in float64.
    real hypot(a, b) -> y = a.hypot(b), on 0.5..2.0, { da(g, a, y) = g * a / y, db(g, b, y) = g * b / y };

    /// The angle of the point (b, a).
    /// Within 2.0 ulp in float32 and 2.4 in float64.
    real atan2(a, b) -> y = a.atan2(b), on 0.5..2.0, {
        da(g, a, b) = g * b / (a * a + b * b),
        db(g, a, b) = -g * a / (a * a + b * b)
    };

    /// a with the sign of b.
    real copysign(a, b) -> y = a.copysign(b), {
        da(g, a, y) = a.eq(0.0).select(0.0, g * y / a),
        db(g) = g.zero()
    };

    /// a + w (b - a).
    real lerp(a, b, weight) -> y = weight.lt(0.5).select(a + weight * (b - a), b - (b - a) * (1.0 - weight)), as "LerpBackward1", {
        da(g, weight) = g * (1.0 - weight),
        db(g, weight) = g * weight,
        dweight(g, a, b) = g * (b - a)
    };

    /// x + value * a * b.
    number addcmul(x, tensor1, tensor2, value = 1) -> y = x + value * tensor1 * tensor2, {
        dx(g) = g,
        dtensor1(g, tensor2, value) = g * tensor2 * value,
        dtensor2(g, tensor1, value) = g * tensor1 * value
    };

    /// x + value * a / b.
    real addcdiv(x, tensor1, tensor2, value = 1) -> y = x + value * tensor1 / tensor2, on 0.5..2.0, {
        dx(g) = g,
        dtensor1(g, tensor2, value) = g * value / tensor2,
        dtensor2(g, tensor1, tensor2, value) = -g * value * tensor1 / (tensor2 * tensor2)
    };

    /// x within bounds; the upper bound wins when they cross. Outside, the gradient goes to the bound.
    number clamp(x, min, max) -> y = x.clamp(min, max), {
        dx(g, x, min, max) = (x.ge(min) & x.le(max)).select(g, 0.0),
        dmin(g, x, min, max) = (min.lt(max) & x.lt(min)).select(g, 0.0),
        dmax(g, x, min, max) = (x.gt(max) | max.lt(min)).select(g, 0.0)
    };

    /// x, but not below the bound.
    number clamp_min(x, min) -> y = x.maximum(min), {
        dx(g, x, min) = x.ge(min).select(g, 0.0),
        dmin(g, x, min) = x.lt(min).select(g, 0.0)
    };

    /// x, but not above the bound.
    number clamp_max(x, max) -> y = x.minimum(max), {
        dx(g, x, max) = x.le(max).select(g, 0.0),
        dmax(g, x, max) = x.gt(max).select(g, 0.0)
    };

    /// a where the condition holds, else b.
    number choose(condition, a, b) -> y = condition.choose(a, b), as "WhereBackward0", {
        da(g, condition) = condition.choose(g, g.zero()),
        db(g, condition) = condition.choose(g.zero(), g)
    };

    /// The quotient rounded down, as Python's `//`.
    number floor_divide(a, b) -> y = a.floor_divide(b), on 0.5..2.0, { };

    /// The next float after a in the direction of b.
    real nextafter(a, b) -> y = a.nextafter(b), { da(g, a, b) = a.eq(b).select(0.0, g), db(g) = g.zero() };

    /// 0, the second number, or 1, as the first is negative, zero, or positive.
    number heaviside(a, values) -> y = a.heaviside(values), { };

    /// The greatest common divisor.
    bits gcd(a, b) -> y = a.gcd(b), { };

    /// The least common multiple.
    bits lcm(a, b) -> y = a.lcm(b), { };
}
