//! The regularised incomplete gamma functions P and Q = 1 - P.

use std::f64::consts::TAU;

use super::gamma::lgamma;
use super::polynomial::polynomial;
use super::separate::{erfc, exp, expm1, ln, ln_1p, pow};

/// From here on the density is taken by Stirling's formula, whose series has converged.
const STIRLING: f64 = 10.0;

/// Above this the series would take too many terms, and the expansion about the normal distribution needs few.
const NORMAL: f64 = 1e8;

/// `P` where it needs no computation.
fn at_the_ends(a: f64, x: f64) -> Option<f64> {
    let is_outside = a.is_nan() || x.is_nan() || a < 0.0 || x < 0.0;
    if is_outside || (a == 0.0 && x == 0.0) || (a.is_infinite() && x.is_infinite()) {
        Some(f64::NAN)
    } else if a == 0.0 || x.is_infinite() {
        Some(1.0)
    } else if x == 0.0 || a.is_infinite() {
        Some(0.0)
    } else {
        None
    }
}

/// `P(a, x)`, the share of the gamma function's integral below `x`.
pub fn igamma(a: f64, x: f64) -> f64 {
    if let Some(p) = at_the_ends(a, x) {
        p
    } else if a > NORMAL {
        about_normal(a, x, -1.0)
    } else if x > 1.0 && x > a {
        1.0 - fraction(a, x)
    } else {
        series(a, x)
    }
}

/// `Q(a, x)`, the share above `x`.
pub fn igammac(a: f64, x: f64) -> f64 {
    if let Some(p) = at_the_ends(a, x) {
        1.0 - p
    } else if a > NORMAL {
        about_normal(a, x, 1.0)
    } else if x > 1.1 {
        if x > a { fraction(a, x) } else { 1.0 - series(a, x) }
    } else if (x <= 0.5 && -0.4 / ln(x) < a) || (x > 0.5 && 1.1 * x < a) {
        1.0 - series(a, x)
    } else {
        complement(a, x)
    }
}

/// What is left of Stirling's formula: `lgamma(a + 1) - (a + 1/2) ln a + a - ln(2 pi) / 2`.
fn stirling_rest(a: f64) -> f64 {
    let z = 1.0 / (a * a);
    polynomial!(z; 0.083_333_333_333_333_33, -0.002_777_777_777_777_778, 0.000_793_650_793_650_793_7,
        -0.000_595_238_095_238_095_2, 0.000_841_750_841_750_841_7, -0.001_917_526_917_526_917_6,
        0.006_410_256_410_256_41)
        / a
}

/// `a ln(a / x) + x - a`, without cancellation where `x` is near `a`.
fn deviance(a: f64, x: f64) -> f64 {
    let v = (a - x) / (a + x);
    if v.abs() >= 0.1 {
        return a * ln(a / x) + x - a;
    }
    let (mut sum, mut term) = ((a - x) * v, 2.0 * a * v);
    for k in 1..100_u32 {
        term *= v * v;
        let next = sum + term / f64::from(2 * k + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// `x^a e^-x / gamma(a + 1)`.
fn density(a: f64, x: f64) -> f64 {
    if a < STIRLING {
        // In two steps: the power may overflow where the product does not.
        let half = exp(-0.5 * x);
        return half * (pow(x, a) * half) / libm::tgamma(a + 1.0);
    }
    exp(-stirling_rest(a) - deviance(a, x)) / (TAU * a).sqrt()
}

/// `P` by its power series, all of whose terms are positive.
fn series(a: f64, x: f64) -> f64 {
    let (mut sum, mut term, mut n) = (1.0, 1.0, a);
    while term > 0.1 * f64::EPSILON * sum {
        n += 1.0;
        term *= x / n;
        sum += term;
    }
    density(a, x) * sum
}

/// `Q` by Legendre's continued fraction, evaluated by Lentz's method.
fn fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |x: f64| if x.abs() < TINY { TINY } else { x };
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / away(b);
    let mut value = d;
    let mut i = 0.0;
    loop {
        i += 1.0;
        let numerator = -i * (i - a);
        b += 2.0;
        d = 1.0 / away(numerator * d + b);
        c = away(b + numerator / c);
        value *= d * c;
        if (d * c - 1.0).abs() <= 0.5 * f64::EPSILON || i > 2e6 {
            return density(a, x) * a * value;
        }
    }
}

/// `lgamma(1 + a)`, without cancellation where `a` is near zero.
fn lgamma_of_one_more(a: f64) -> f64 {
    if a > 0.05 {
        return lgamma(1.0 + a);
    }
    // Minus Euler's constant, then zeta(k) / k with alternating signs.
    a * polynomial!(a; -0.577_215_664_901_532_9, 0.822_467_033_424_113_2, -0.400_685_634_386_531_4,
        0.270_580_808_427_784_55, -0.207_385_551_028_673_98, 0.169_557_176_997_408_2, -0.144_049_896_768_846_1,
        0.125_509_669_524_743_04, -0.111_334_265_869_564_7, 0.100_099_457_512_781_8, -0.090_954_017_145_829_04,
        0.083_353_840_546_109)
}

/// `Q` where `x` and `a` are small: one minus the series of `P`, with the large parts taken off each other before.
fn complement(a: f64, x: f64) -> f64 {
    let (mut sum, mut term, mut n) = (0.0, 1.0, 0.0);
    loop {
        n += 1.0;
        term *= -x / n;
        let part = term / (a + n);
        sum += part;
        if part.abs() <= 0.1 * f64::EPSILON * f64::abs(sum) {
            break;
        }
    }
    let log = a * ln(x);
    // x^a / gamma(a) = a x^a / gamma(a + 1)
    let rest = lgamma_of_one_more(a);
    -expm1(log - rest) - a * exp(log - rest) * sum
}

/// `P` (`side` -1) or `Q` (1) for a large `a` by Temme's expansion about the normal distribution.
fn about_normal(a: f64, x: f64, side: f64) -> f64 {
    let u = (x - a) / a;
    let deviance = if u.abs() < 0.1 { deviance(a, x) } else { a * (u - ln_1p(u)) };
    if deviance > 750.0 {
        // All is on one side; and the expansion holds near the middle only.
        return if side * u > 0.0 { 0.0 } else { 1.0 };
    }
    let eta = (2.0 * deviance / a).sqrt().copysign(u);
    let first = polynomial!(eta; -0.333_333_333_333_333_3, 0.083_333_333_333_333_33, -0.014_814_814_814_814_815,
        0.001_157_407_407_407_407_3, 0.000_352_733_686_067_019_4);
    let second = -0.001_851_851_851_851_852;
    let rest = exp(-deviance) / (TAU * a).sqrt() * (first + second / a);
    0.5 * erfc(side * eta * (0.5 * a).sqrt()) + side * rest
}
