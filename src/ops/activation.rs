//! Rows of activation functions; those composed of others are in `nn/activation.rs`. A convention at a kink stands on its row.

use crate::rows;

rows! {
    table ACTIVATION with methods;

    /// x where positive, else zero. The derivative at zero is zero.
    number relu(x) -> y = x.positive_part(), { dx(g, y) = y.le(0.0).select(0.0, g) };

    /// x where positive, else a small multiple. The derivative at zero is the slope.
    real leaky_relu(x, negative_slope = 0.01) -> y = x.gt(0.0).select(x, x * negative_slope), {
        dx(g, x, negative_slope) = x.gt(0.0).select(g, g * negative_slope)
    };

    /// x where above the threshold, else the value.
    number threshold(x, threshold, value) -> y = x.if_above(threshold, value), {
        dx(g, x, threshold) = x.le(threshold).select(0.0, g)
    };

    /// scale * x where positive, else scale * alpha * (exp(input_scale * x) - 1).
    /// With the default parameters within 1.5 ulp in float32 and 1.5 in float64.
    real elu(x, alpha = 1.0, scale = 1.0, input_scale = 1.0) -> y =
        x.le(0.0).select((x * input_scale).expm1() * alpha * scale, x * scale), {
        dx(g, x, alpha, scale, input_scale) =
            x.le(0.0).select(g * input_scale * alpha * scale * (x * input_scale).exp(), g * scale)
    };

    /// x times the normal distribution's cumulative probability at x.
    /// Within 6.5 ulp in float32 and 5.5 in float64.
    tabled gelu(x) -> y = x.gelu(), {
        dx(g, x) = g * (x.ndtr() + x * x.normal_density())
    };

    /// x * sigmoid(x).
    /// Within 3.0 ulp in float32 and 3.0 in float64.
    exponential silu(x) -> y = x * x.sigmoid_within(), {
        dx(g, x) = g * (x.sigmoid() * (1.0 + x * (1.0 - x.sigmoid())))
    };

    /// x * tanh(softplus(x)).
    /// Within 5.3 ulp in float32 and 6.0 in float64.
    real mish(x) -> y = x * x.softplus(1.0, 20.0).tanh(), {
        dx(g, x) = g * (x.softplus(1.0, 20.0).tanh()
            + x * x.sigmoid() * (1.0 - x.softplus(1.0, 20.0).tanh() * x.softplus(1.0, 20.0).tanh()))
    };

    /// log(1 + exp(beta x)) / beta; x itself where beta x is above the threshold.
    /// With the default parameters within 3.0 ulp in float32 and 3.1 in float64.
    real softplus(x, beta = 1.0, threshold = 20.0) -> y = x.softplus(beta, threshold), {
        dx(g, x, beta, threshold) = (x * beta).gt(threshold).select(g, g * (x * beta).sigmoid())
    };

    /// log(sigmoid(x)).
    /// Within 3.0 ulp in float32 and 3.0 in float64.
    real logsigmoid(x) -> y = x.log_sigmoid(), as "LogSigmoidBackward0", { dx(g, x) = g * (-x).sigmoid() };

    /// x within bounds. The derivative at the bounds is zero.
    number hardtanh(x, min_val = -1.0, max_val = 1.0) -> y = x.clamp(min_val, max_val), {
        dx(g, x, min_val, max_val) = (x.gt(min_val) & x.lt(max_val)).select(g, 0.0)
    };

    /// (x + 3) / 6 within 0 and 1.
    real hardsigmoid(x) -> y = (x / 6.0 + 0.5).clamp(0.0, 1.0), {
        dx(g, x) = (x.gt(-3.0) & x.lt(3.0)).select(g / 6.0, 0.0)
    };

    /// x * hardsigmoid(x).
    real hardswish(x) -> y = x * (x / 6.0 + 0.5).clamp(0.0, 1.0), {
        dx(g, x) = x.lt(-3.0).select(0.0, x.le(3.0).select(g * (x / 3.0 + 0.5), g))
    };

    /// x pulled toward zero by lambda, zero within it.
    real softshrink(x, lambd = 0.5) -> y =
        x.gt(lambd).select(x - lambd, x.lt(-lambd).select(x + lambd, x * 0.0)), {
        dx(g, x, lambd) = (x.ge(-lambd) & x.le(lambd)).select(0.0, g)
    };

    /// x, but zero within lambda of zero.
    real hardshrink(x, lambd = 0.5) -> y = (x.ge(-lambd) & x.le(lambd)).select(0.0, x), {
        dx(g, x, lambd) = (x.ge(-lambd) & x.le(lambd)).select(0.0, g)
    };
}
