//! Rows of special functions.

use crate::rows;

rows! {
    table SPECIAL with methods;

    /// The error function.
    real erf(x) -> y = x.erf(), { dx(g, x) = g * (std::f64::consts::FRAC_2_SQRT_PI * (-(x * x)).exp()) };

    /// 1 - erf(x), exact where that is small.
    real erfc(x) -> y = x.erfc(), { dx(g, x) = -g * (std::f64::consts::FRAC_2_SQRT_PI * (-(x * x)).exp()) };

    /// exp(x^2) erfc(x).
    real erfcx(x) -> y = x.erfcx(), as "SpecialErfcxBackward0", {
        dx(g, x, y) = g * (2.0 * x * y - std::f64::consts::FRAC_2_SQRT_PI)
    };

    /// The inverse of the error function.
    real erfinv(x) -> y = x.erfinv(), on -0.8..0.8, { dx(g, y) = g * (0.886_226_925_452_758 * (y * y).exp()) };

    /// The normal distribution's cumulative probability.
    real ndtr(x) -> y = x.ndtr(), { dx(g, x) = g * x.normal_density() };

    /// Its logarithm.
    real log_ndtr(x) -> y = x.log_ndtr(), as "SpecialLogNdtrBackward0", {
        dx(g, x) = g * (0.797_884_560_802_865_4 / (x * -std::f64::consts::FRAC_1_SQRT_2).erfcx())
    };

    /// Its inverse.
    real ndtri(x) -> y = x.ndtri(), as "SpecialNdtriBackward0", on 0.2..0.8, {
        dx(g, y) = g * (2.506_628_274_631_000_2 * (0.5 * y * y).exp())
    };

    /// The density of the normal distribution.
    real normal_density(x) -> y = x.normal_density(), { dx(g, x, y) = -g * x * y };

    /// The logarithm of the absolute value of the gamma function.
    real lgamma(x) -> y = x.lgamma(), on 0.5..4.0, { dx(g, x) = g * x.digamma() };

    /// The derivative of the logarithm of the gamma function.
    real digamma(x) -> y = x.digamma(), on 0.5..4.0, { dx(g, x) = g * x.polygamma_at(1.0) };

    /// The modified Bessel function of the first kind of order 0.
    real i0(x) -> y = x.i0(), { dx(g, x) = g * x.i1() };

    /// exp(-|x|) i0(x).
    real i0e(x) -> y = x.i0e(), as "SpecialI0EBackward0", { dx(g, x, y) = g * (x.i1e() - x.signum() * y) };

    /// The modified Bessel function of the first kind of order 1.
    real i1(x) -> y = x.i1(), as "SpecialI1Backward0", on 0.2..2.0, {
        // The divisor is kept from zero, so that the branch not taken spoils no second derivative.
        dx(g, x, y) = g * x.eq(0.0).select(0.5, x.i0() - y / x.eq(0.0).select(1.0, x))
    };

    /// exp(-|x|) i1(x).
    real i1e(x) -> y = x.i1e(), as "SpecialI1EBackward0", on 0.2..2.0, {
        dx(g, x, y) = g * x.eq(0.0).select(0.5, x.i0e() - y * (x.signum() + x.eq(0.0).select(1.0, x).recip()))
    };

    /// -x log(x); zero at zero, minus infinity below.
    real entr(x) -> y = x.entr(), as "SpecialEntrBackward0", on 0.2..2.0, { dx(g, x) = g * (-x.ln() - 1.0) };

    /// The Hurwitz zeta function.
    real zeta(a, b) -> y = a.zeta(b), as "SpecialZetaBackward0", unknown a as "zeta", on 2.0..4.0, {
        db(g, a, b) = -g * a * (a + 1.0).zeta(b)
    };

    /// The regularised lower incomplete gamma function: the share of the gamma function's integral that lies below b.
    real igamma(a, b) -> y = a.igamma(b), unknown a as "igamma: input", on 0.5..4.0, {
        db(g, a, b) = g * ((a - 1.0) * b.ln() - b - a.lgamma()).exp()
    };

    /// The regularised upper incomplete gamma function: the share that lies above b.
    real igammac(a, b) -> y = a.igammac(b), unknown a as "igammac: input", on 0.5..4.0, {
        db(g, a, b) = -g * ((a - 1.0) * b.ln() - b - a.lgamma()).exp()
    };

    /// The Bessel function of the first kind of order 0.
    real bessel_j0(x) -> y = x.bessel_j0(), { };
    /// The Bessel function of the first kind of order 1.
    real bessel_j1(x) -> y = x.bessel_j1(), { };
    /// The Bessel function of the second kind of order 0.
    real bessel_y0(x) -> y = x.bessel_y0(), { };
    /// The Bessel function of the second kind of order 1.
    real bessel_y1(x) -> y = x.bessel_y1(), { };
}
