//! Rows of trigonometric and hyperbolic functions and their inverses.

use crate::rows;

rows! {
    table TRIGONOMETRIC with methods;

    /// Sine.
    angle sin(x) -> y = x.sin(), { dx(g, x) = g * x.cos() };
    /// Cosine.
    angle cos(x) -> y = x.cos(), { dx(g, x) = -g * x.sin() };
    /// Tangent.
    angle tan(x) -> y = x.tan(), on -1.0..1.0, { dx(g, y) = g * (1.0 + y * y) };
    /// Inverse sine.
    real asin(x) -> y = x.asin(), on -0.8..0.8, { dx(g, x) = g * (1.0 - x * x).rsqrt() };
    /// Inverse cosine.
    real acos(x) -> y = x.acos(), on -0.8..0.8, { dx(g, x) = -g * (1.0 - x * x).rsqrt() };
    /// Inverse tangent.
    real atan(x) -> y = x.atan(), { dx(g, x) = g / (x * x + 1.0) };
    /// Hyperbolic sine.
    real sinh(x) -> y = x.sinh(), { dx(g, x) = g * x.cosh() };
    /// Hyperbolic cosine.
    real cosh(x) -> y = x.cosh(), { dx(g, x) = g * x.sinh() };
    /// Hyperbolic tangent.
    real tanh(x) -> y = x.tanh(), { dx(g, y) = g * (1.0 - y * y) };
    /// Inverse hyperbolic sine.
    real asinh(x) -> y = x.asinh(), { dx(g, x) = g * (x * x + 1.0).rsqrt() };
    /// Inverse hyperbolic cosine.
    real acosh(x) -> y = x.acosh(), on 1.2..4.0, { dx(g, x) = g * (x * x - 1.0).rsqrt() };
    /// Inverse hyperbolic tangent.
    real atanh(x) -> y = x.atanh(), on -0.8..0.8, { dx(g, x) = g / (1.0 - x * x) };
    /// sin(pi x) / (pi x), one at zero.
    angle sinc(x) -> y = x.sinc(), on 0.2..2.0, {
        dx(g, x, y) = x.eq(0.0).select(0.0, g * ((std::f64::consts::PI * x).cos() - y) / x)
    };
}
