//! Rows of exponentials and logarithms.

use crate::rows;

rows! {
    table EXPONENTIAL with methods;

    /// e to the power of x.
    /// Within 1.2 ulp in float32 and 1.2 in float64.
    exponential exp(x) -> y = x.exp_within(), { dx(g, y) = g * y };

    /// 2 to the power of x.
    /// Within 1.2 ulp in float32 and 1.3 in float64.
    exponential exp2(x) -> y = x.exp2_within(), { dx(g, y) = g * y * std::f64::consts::LN_2 };

    /// exp(x) - 1, exact near zero.
    /// Within 1.7 ulp in float32 and 1.9 in float64.
    real expm1(x) -> y = x.expm1(), { dx(g, y) = g * (y + 1.0) };

    /// Natural logarithm.
    /// Within 1.0 ulp in float32 and 1.0 in float64.
    logarithmic log(x) -> y = x.ln_within(), on 0.2..4.0, { dx(g, x) = g / x };

    /// Logarithm to base 2.
    /// Within 1.2 ulp in float32 and 0.9 in float64.
    logarithmic log2(x) -> y = x.log2_within(), on 0.2..4.0, { dx(g, x) = g / (x * std::f64::consts::LN_2) };

    /// Logarithm to base 10.
    /// Within 1.0 ulp in float32 and 0.8 in float64.
    logarithmic log10(x) -> y = x.log10_within(), on 0.2..4.0, { dx(g, x) = g / (x * std::f64::consts::LN_10) };

    /// log(1 + x), exact near zero.
    /// Within 1.3 ulp in float32 and 1.4 in float64.
    real log1p(x) -> y = x.ln_1p(), as "Log1PBackward0", on -0.5..2.0, { dx(g, x) = g / (x + 1.0) };

    /// log(exp(a) + exp(b)).
    /// Within 1.5 ulp in float32 and 1.6 in float64, of 1 where the value is smaller.
    real logaddexp(a, b) -> y = a.logaddexp(b), {
        da(g, a, b) = g / (1.0 + (b - a).exp()),
        db(g, a, b) = g / (1.0 + (a - b).exp())
    };

    /// log2(2^a + 2^b).
    /// Within 2.3 ulp in float32 and 2.2 in float64, of 1 where the value is smaller.
    real logaddexp2(a, b) -> y = a.logaddexp2(b), {
        da(g, a, b) = g / (1.0 + (b - a).exp2()),
        db(g, a, b) = g / (1.0 + (a - b).exp2())
    };

    /// a log(b); zero where a is zero.
    /// Within 2.0 ulp in float32 and 2.1 in float64.
    real xlogy(a, b) -> y = a.xlogy(b), on 0.2..4.0, {
        da(g, a, b) = (a.eq(0.0) & b.le(0.0)).select(0.0, g.xlogy(b)),
        db(g, a, b) = g * a / b
    };

    /// a log(1 + b); zero where a is zero.
    /// Within 2.3 ulp in float32 and 2.4 in float64.
    real xlog1py(a, b) -> y = a.xlog1py(b), on 0.2..4.0, {
        da(g, a, b) = (a.eq(0.0) & b.le(-1.0)).select(0.0, g.xlog1py(b)),
        db(g, a, b) = g * a / (b + 1.0)
    };

    /// 1 / (1 + exp(-x)).
    /// Within 2.7 ulp in float32 and 2.6 in float64.
    exponential sigmoid(x) -> y = x.sigmoid_within(), { dx(g, y) = g * (1.0 - y) * y };
}
