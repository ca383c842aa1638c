//! Polynomials, written from the constant term up.
//!
//! The coefficients in this folder are Chebyshev interpolants of the functions named beside them, made in 200 bits and
//! rounded; the interval is the one to which the argument has been reduced.

/// `c0 + x c1 + x^2 c2 + ...` by Horner's rule.
macro_rules! polynomial {
    ($x:expr; $last:expr $(,)?) => { $last };
    ($x:expr; $first:expr, $($rest:expr),+ $(,)?) => { $first + $x * $crate::array::kernels::real::polynomial::polynomial!($x; $($rest),+) };
}

pub(super) use polynomial;
