//! The table of arithmetic rows.

use crate::rows;

rows! {
    /// Difference of two tensors.
    number sub(a, b) -> y = a - b, { da(g) = g, db(g) = -g };

    /// Product of two tensors.
    number mul(a, b) -> y = a * b, { da(g, b) = g * b, db(g, a) = g * a };

    /// Quotient of two tensors.
    real div(a, b) -> y = a / b, on 0.5..2.0, { da(g, b) = g / b, db(g, y, b) = -g * y / b };

    /// The negative.
    number neg(x) -> y = -x, { dx(g) = -g };

    /// Hyperbolic tangent.
    real tanh(x) -> y = x.tanh(), { dx(g, y) = g * (1.0 - y * y) };

    /// e to the power of x.
    real exp(x) -> y = x.exp(), { dx(g, y) = g * y };

    /// Natural logarithm.
    real log(x) -> y = x.ln(), on 0.2..4.0, { dx(g, x) = g / x };
}
