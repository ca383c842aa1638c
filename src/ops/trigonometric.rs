//! Rows of trigonometric and hyperbolic functions and their inverses.

use crate::rows;

rows! {
    table TRIGONOMETRIC with methods;

    /// Sine.
    /// Within 1.7 ulp in float32 and 1.7 in float64, for x from -1e14 to 1e14.
    angle sin(x) -> y = x.sin(), { dx(g, x) = g * x.cos() };
    /// Cosine.
    /// Within 1.7 ulp in float32 and 3.4 in float64, for x from -1e14 to 1e14.
    angle cos(x) -> y = x.cos(), { dx(g, x) = -g * x.sin() };
    /// Tangent.
    /// Within 3.2 ulp in float32 and 4.0 in float64, for x from -1e14 to 1e14.
    angle tan(x) -> y = x.tan(), on -1.0..1.0, { dx(g, y) = g * (1.0 + y * y) };
    /// Inverse sine.
    /// Within 0.51 ulp in float32 and 1.0 in float64.
    real asin(x) -> y = x.asin(), on -0.8..0.8, { dx(g, x) = g * (1.0 - x * x).rsqrt() };
    /// Inverse cosine.
    /// Within 0.51 ulp in float32 and 1.0 in float64.
    real acos(x) -> y = x.acos(), on -0.8..0.8, { dx(g, x) = -g * (1.0 - x * x).rsqrt() };
    /// Inverse tangent.
    /// Within 2.0 ulp in float32 and 2.8 in float64.
    real atan(x) -> y = x.atan(), { dx(g, x) = g / (x * x + 1.0) };
    /// Hyperbolic sine.
    /// Within 1.8 ulp in float32 and 1.8 in float64.
    real sinh(x) -> y = x.sinh(), { dx(g, x) = g * x.cosh() };
    /// Hyperbolic cosine.
    /// Within 1.7 ulp in float32 and 1.7 in float64.
    real cosh(x) -> y = x.cosh(), { dx(g, x) = g * x.sinh() };
    /// Hyperbolic tangent.
    /// Within 2.6 ulp in float32 and 2.7 in float64.
    exponential tanh(x) -> y = x.tanh_within(), { dx(g, y) = g * (1.0 - y * y) };
    /// Inverse hyperbolic sine.
    /// Within 2.2 ulp in float32 and 1.9 in float64.
    real asinh(x) -> y = x.asinh(), { dx(g, x) = g * (x * x + 1.0).rsqrt() };
    /// Inverse hyperbolic cosine.
    /// Within 2.3 ulp in float32 and 2.4 in float64.
    real acosh(x) -> y = x.acosh(), on 1.2..4.0, { dx(g, x) = g * (x * x - 1.0).rsqrt() };
    /// Inverse hyperbolic tangent.
    /// Within 2.4 ulp in float32 and 2.0 in float64.
    real atanh(x) -> y = x.atanh(), on -0.8..0.8, { dx(g, x) = g / (1.0 - x * x) };
    /// sin(pi x) / (pi x), one at zero.
    /// Within 1.1 ulp in float32 and 1.1 in float64, of 1 where the value is smaller, for x from -1e6 to 1e6.
    angle sinc(x) -> y = x.sinc(), on 0.2..2.0, {
        dx(g, x, y) = x.eq(0.0).select(0.0, g * ((std::f64::consts::PI * x).cos() - y) / x)
    };
}
