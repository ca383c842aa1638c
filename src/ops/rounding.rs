//! Rows of rounding. Their derivatives are zero wherever they exist.

use crate::rows;

rows! {
    table ROUNDING with methods;

    /// The largest integer not above x.
    number floor(x) -> y = x.floor(), { dx(g) = g.zero() };
    /// The smallest integer not below x.
    number ceil(x) -> y = x.ceil(), { dx(g) = g.zero() };
    /// The integer part.
    number trunc(x) -> y = x.trunc(), { dx(g) = g.zero() };
    /// The nearest integer; the even one of two.
    number round(x) -> y = x.round(), { dx(g) = g.zero() };
    /// What is left of x without its integer part.
    real frac(x) -> y = x.frac(), { dx(g) = g };
    /// x with NaN and the infinities replaced.
    real nan_to_num_with(x, nan, posinf, neginf) -> y =
        x.is_nan().select(nan, x.is_finite().select(x, x.gt(0.0).select(posinf, neginf))), as "NanToNumBackward0", {
        dx(g, x) = x.is_finite().select(g, 0.0)
    };
}
