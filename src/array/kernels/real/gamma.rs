//! The gamma function's logarithm, its derivatives, and the zeta function they are made of.

use std::f64::consts::PI;

use super::polynomial::polynomial;
use super::separate::{exp, ln, pow};

pub use libm::lgamma;

/// Arguments are shifted above this, where the asymptotic series have converged.
const SHIFTED: f64 = 10.0;

/// `ln x - 1/2x - sum B_2k / (2k x^2k)` after shifting; left of zero by reflection.
pub fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::INFINITY.copysign(-x);
    }
    if x < 0.0 {
        if x == x.trunc() {
            return f64::NAN;
        }
        // The period of the cotangent is one, so the nearest whole number is dropped before it costs digits.
        return digamma(1.0 - x) - PI / libm::tan(PI * (x - x.round()));
    }
    let mut sum = 0.0;
    let mut a = x;
    while a < SHIFTED {
        sum -= 1.0 / a;
        a += 1.0;
    }
    let z = 1.0 / (a * a);
    let series = polynomial!(z; 0.083_333_333_333_333_33, -0.008_333_333_333_333_333, 0.003_968_253_968_253_968,
        -0.004_166_666_666_666_667, 0.007_575_757_575_757_576, -0.021_092_796_092_796_094, 0.083_333_333_333_333_33);
    // At infinity `z * series` is zero, and so is `0.5 / a`.
    sum + (ln(a) - 0.5 / a - z * series)
}

/// By reflection left of a half, otherwise `zeta(2, x)`.
pub fn trigamma(x: f64) -> f64 {
    if x < 0.5 {
        let sine = libm::sin(PI * (x - x.round()));
        // Infinite at zero and the negative whole numbers.
        return PI * PI / (sine * sine) - zeta(2.0, 1.0 - x);
    }
    zeta(2.0, x)
}

/// `(-1)^(n+1) n! zeta(n + 1, x)`.
pub fn polygamma(x: f64, n: u32) -> f64 {
    match n {
        0 => digamma(x),
        1 => trigamma(x),
        _ => {
            let sum = zeta(f64::from(n) + 1.0, x);
            // The factorial overflows before `f64` does: beyond it the product is taken by logarithms.
            let value = if n <= 170 {
                (2..=n).map(f64::from).product::<f64>() * sum
            } else {
                exp(lgamma(f64::from(n) + 1.0) + ln(sum))
            };
            if n.is_multiple_of(2) { -value } else { value }
        }
    }
}

/// `B_2k / (2k)!`, the weights of the Euler-Maclaurin formula.
const EULER_MACLAURIN: [f64; 12] = [
    0.083_333_333_333_333_33,
    -0.001_388_888_888_888_889,
    3.306_878_306_878_307e-5,
    -8.267_195_767_195_768e-7,
    2.087_675_698_786_81e-8,
    -5.284_190_138_687_493e-10,
    1.338_253_653_068_467_9e-11,
    -3.389_680_296_322_582_7e-13,
    8.586_062_056_277_845e-15,
    -2.174_868_698_558_062e-16,
    5.509_002_828_360_229_5e-18,
    -1.395_446_468_581_252_2e-19,
];

/// Ten terms of the sum and the Euler-Maclaurin formula for the rest.
pub fn zeta(s: f64, q: f64) -> f64 {
    if s == 1.0 {
        return f64::INFINITY;
    }
    if s < 1.0 || s.is_nan() || q.is_nan() {
        return f64::NAN;
    }
    if q <= 0.0 {
        if q == q.floor() {
            return f64::INFINITY;
        }
        if s != s.floor() {
            return f64::NAN;
        }
        // The terms left of zero, mirrored, are a sum that starts at `1 - q0` and stops before `1 - q`.
        let q0 = q - q.floor();
        // `1 - q0` without rounding.
        let mirrored = zeta(s, q.ceil() - q) - zeta(s, 1.0 - q);
        let even = (0.5 * s).floor() == 0.5 * s;
        return zeta(s, q0) + if even { mirrored } else { -mirrored };
    }
    if s == f64::INFINITY {
        return if q > 1.0 {
            0.0
        } else if q < 1.0 {
            f64::INFINITY
        } else {
            1.0
        };
    }
    if q == f64::INFINITY {
        return 0.0;
    }
    if q > 1.0e17 {
        // The integral alone, before `q^-s` underflows.
        return pow(q, 1.0 - s) / (s - 1.0);
    }
    let mut sum = 0.0;
    let mut a = q;
    for _ in 0..10 {
        let term = pow(a, -s);
        sum += term;
        // Also where the first term overflows, and the rest would only turn infinity into NaN.
        if term <= sum * (0.1 * f64::EPSILON) || sum == f64::INFINITY {
            return sum;
        }
        a += 1.0;
    }
    let mut power = pow(a, -s);
    sum += power * a / (s - 1.0) + 0.5 * power;
    let mut rising = s;
    power /= a;
    for (k, weight) in (1_u32..).zip(EULER_MACLAURIN) {
        let term = weight * rising * power;
        sum += term;
        if term.abs() <= sum * (0.1 * f64::EPSILON) {
            break;
        }
        let twice = f64::from(2 * k);
        rising *= (s + twice - 1.0) * (s + twice);
        power /= a * a;
    }
    sum
}
