//! Rows of exponentials and logarithms.

use crate::rows;

rows! {
    table EXPONENTIAL with methods;

    /// e to the power of x.
    real exp(x) -> y = x.exp(), { dx(g, y) = g * y };

    /// 2 to the power of x.
    real exp2(x) -> y = x.exp2(), { dx(g, y) = g * y * std::f64::consts::LN_2 };

    /// exp(x) - 1, exact near zero.
    real expm1(x) -> y = x.expm1(), { dx(g, y) = g * (y + 1.0) };

    /// Natural logarithm.
    real log(x) -> y = x.ln(), on 0.2..4.0, { dx(g, x) = g / x };

    /// Logarithm to base 2.
    real log2(x) -> y = x.log2(), on 0.2..4.0, { dx(g, x) = g / (x * std::f64::consts::LN_2) };

    /// Logarithm to base 10.
    real log10(x) -> y = x.log10(), on 0.2..4.0, { dx(g, x) = g / (x * std::f64::consts::LN_10) };

    /// log(1 + x), exact near zero.
    real log1p(x) -> y = x.ln_1p(), as "Log1PBackward0", on -0.5..2.0, { dx(g, x) = g / (x + 1.0) };

    /// log(exp(a) + exp(b)).
    real logaddexp(a, b) -> y = a.logaddexp(b), {
        da(g, a, b) = g / (1.0 + (b - a).exp()),
        db(g, a, b) = g / (1.0 + (a - b).exp())
    };

    /// log2(2^a + 2^b).
    real logaddexp2(a, b) -> y = a.logaddexp2(b), {
        da(g, a, b) = g / (1.0 + (b - a).exp2()),
        db(g, a, b) = g / (1.0 + (a - b).exp2())
    };

    /// a log(b); zero where a is zero.
    real xlogy(a, b) -> y = a.xlogy(b), on 0.2..4.0, {
        da(g, a, b) = (a.eq(0.0) & b.le(0.0)).select(0.0, g.xlogy(b)),
        db(g, a, b) = g * a / b
    };

    /// a log(1 + b); zero where a is zero.
    real xlog1py(a, b) -> y = a.xlog1py(b), on 0.2..4.0, {
        da(g, a, b) = (a.eq(0.0) & b.le(-1.0)).select(0.0, g.xlog1py(b)),
        db(g, a, b) = g * a / (b + 1.0)
    };

    /// 1 / (1 + exp(-x)).
    real sigmoid(x) -> y = x.sigmoid(), { dx(g, y) = g * (1.0 - y) * y };
}
