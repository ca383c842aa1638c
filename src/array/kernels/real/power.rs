//! Powers and roots.

pub use libm::cbrt;

/// The special values of C's `pow`, over `positive`, the power of `|x|` where that is an ordinary one.
macro_rules! special_powers {
    ($float:ident, $x:ident, $y:ident, $positive:expr) => {{
        let magnitude = $x.abs();
        // Zero and infinity have powers zero and infinity.
        let end = (magnitude == 0.0) | (magnitude == $float::INFINITY);
        let grows = (magnitude > 1.0) == ($y > 0.0);
        let at_end = if grows { $float::INFINITY } else { 0.0 };
        let value = if end { at_end } else { $positive };
        // Every number too large to have a fraction is even, and so are the infinities.
        let whole = $y.trunc() == $y;
        let odd = whole & ((0.5 * $y).trunc() * 2.0 != $y) & ($y.abs() < $float::MAX);
        let value = if odd { value.copysign($x) } else { value };
        let value = if ($x < 0.0) & !whole & !end { $float::NAN } else { value };
        let value = if $x.is_nan() | $y.is_nan() { $float::NAN } else { value };
        // One to any power is one; so is minus one to an infinite power.
        let unit = ($y == 0.0) | ($x == 1.0) | (($x == -1.0) & ($y.abs() == $float::INFINITY));
        if unit { 1.0 } else { value }
    }};
}

macro_rules! by_squaring {
    ($float:ident) => {
        #[inline(always)]
        pub fn powi(x: $float, n: i32) -> $float {
            let mut power = 1.0;
            let mut square = x;
            let mut rest = n.unsigned_abs();
            while rest > 0 {
                if rest & 1 == 1 {
                    power *= square;
                }
                square *= square;
                rest >>= 1;
            }
            if n < 0 { 1.0 / power } else { power }
        }
    };
}

pub mod f32 {
    use super::super::exponential::f64::{EXPONENT, power_of_two};
    use super::super::logarithm::f64::parts;
    use super::super::polynomial::{MulAdd, polynomial};

    by_squaring!(f32);

    /// `e^(y ln|x|)` in `f64`, whose spare digits cover what the exponential magnifies.
    #[inline(always)]
    fn of_magnitude<const FUSED: bool>(x: f32, y: f32) -> f32 {
        let (exponent, f) = parts(f64::from(x.abs()));
        let s = f / (2.0 + f);
        let z = s * s;
        let series = polynomial!(FUSED; z; 0.666_666_665_543_001_8, 0.400_001_220_008_168_8, 0.285_508_025_532_767_1,
            0.233_309_640_517_720_4);
        let ln = exponent
            .mul_add_if::<FUSED>(std::f64::consts::LN_2, (s * z).mul_add_if::<FUSED>(series, 2.0 * s));
        let t = f64::from(y) * ln;
        let t = if t < -110.0 { -110.0 } else { t };
        let t = if t > 90.0 { 90.0 } else { t };
        let n = t.mul_add_if::<FUSED>(std::f64::consts::LOG2_E, EXPONENT) - EXPONENT;
        let r = n.mul_add_if::<FUSED>(-std::f64::consts::LN_2, t);
        let remainder = polynomial!(FUSED; r; 0.500_000_001_348_722_6, 0.166_666_666_816_470_16, 0.041_666_464_711_379_08,
            0.008_333_310_901_725_97, 0.001_393_367_373_293_185_2, 0.000_198_910_171_843_020_3);
        ((1.0 + (r * r).mul_add_if::<FUSED>(remainder, r)) * power_of_two(n + EXPONENT)) as f32
    }

    #[inline(always)]
    pub fn pow<const FUSED: bool>(x: f32, y: f32) -> f32 {
        special_powers!(f32, x, y, of_magnitude::<FUSED>(x, y))
    }

    #[inline(always)]
    pub fn hypot(x: f32, y: f32) -> f32 {
        // The squares of `f32` neither overflow nor vanish in `f64`.
        let root = (f64::from(x) * f64::from(x) + f64::from(y) * f64::from(y)).sqrt() as f32;
        if (x.abs() == f32::INFINITY) | (y.abs() == f32::INFINITY) { f32::INFINITY } else { root }
    }

    #[inline(always)]
    pub fn ldexp<const FUSED: bool>(x: f32, n: f32) -> f32 {
        x * super::super::exponential::f32::exp2::<FUSED>(n)
    }
}

pub mod f64 {
    use super::super::exponential::f64::{EXPONENT, remainder, two_powers};
    use super::super::logarithm::f64::parts_of_any;
    use super::super::polynomial::polynomial;

    by_squaring!(f64);

    /// The leading 26 bits: the product of two such numbers is exact.
    #[inline(always)]
    fn leading(x: f64) -> f64 {
        f64::from_bits(x.to_bits() & (u64::MAX << 27))
    }

    /// `ln x` of a positive finite `x` as the sum of two numbers, right to about 64 bits.
    #[inline(always)]
    fn ln_in_two<const FUSED: bool>(x: f64) -> (f64, f64) {
        let (exponent, f) = parts_of_any(x);
        // s = f / (2 + f), as s0 + s1.
        let d = 2.0 + f;
        let d0 = leading(d);
        let d1 = (d - d0) + (f - (d - 2.0));
        let inverse = 1.0 / d;
        let s0 = leading(f * inverse);
        let s1 = ((f - s0 * d0) - s0 * d1) * inverse;
        let s = s0 + s1;
        // z = s^2, as z0 + z1.
        let square = s0 * s0;
        let rest = s1 * (s0 + s);
        let z = square + rest;
        let z0 = leading(z);
        let z1 = (square - z0) + rest;
        // ln(1 + f) = 2s + s z p, p = 2/3 + z (2/5 + ...), as p0 + p1.
        let higher = z
            * polynomial!(FUSED; z; 0.4, 0.285_714_285_714_293_7, 0.222_222_222_216_547_33, 0.181_818_183_356_541_6, 0.153_845_949_345_979_17, 0.133_348_062_121_006_03, 0.117_061_956_898_813_64, 0.117_236_036_229_054_11);
        let p = 0.666_666_666_666_666_6 + higher;
        let p0 = leading(p);
        let p1 = (p - p0) + ((higher - (p - 0.666_666_666_666_666_6)) + 3.700_743_415_417_188e-17);
        // t = z p, as t0 + t1; then s t.
        let product = z0 * p0;
        let product_rest = z0 * p1 + z1 * p;
        let t = product + product_rest;
        let t0 = leading(t);
        let t1 = (product - t0) + product_rest;
        let cubic = s0 * t0;
        let cubic_rest = s0 * t1 + s1 * t;
        // From the largest down; the low parts together.
        let shift = exponent * 0.693_147_180_369_123_8;
        let twice = 2.0 * s0;
        let first = shift + twice;
        let second = first + cubic;
        let low = ((shift - first) + twice)
            + ((first - second) + cubic)
            + (2.0 * s1 + (cubic_rest + exponent * 1.908_214_929_270_587_7e-10));
        let sum = second + low;
        (sum, (second - sum) + low)
    }

    #[inline(always)]
    fn of_magnitude<const FUSED: bool>(x: f64, y: f64) -> f64 {
        // A larger exponent overflows, or leaves one alone, just as surely, and its products stay finite.
        let y = if y > 1.0e20 { 1.0e20 } else { y };
        let y = if y < -1.0e20 { -1.0e20 } else { y };
        let (ln, ln_rest) = ln_in_two::<FUSED>(x);
        let (ln0, y0) = (leading(ln), leading(y));
        let ln1 = (ln - ln0) + ln_rest;
        exp_of_two::<FUSED>(y0 * ln0, y * ln1 + (y - y0) * ln0)
    }

    /// `e^(x + rest)`, the rest small.
    #[inline(always)]
    fn exp_of_two<const FUSED: bool>(x: f64, rest: f64) -> f64 {
        let bounded = if x < -746.0 { -746.0 } else { x };
        let bounded = if bounded > 712.0 { 712.0 } else { bounded };
        let n = (bounded * std::f64::consts::LOG2_E + EXPONENT) - EXPONENT;
        // The first product is exact, and so is the difference.
        let r = (bounded - n * 0.693_147_180_369_123_8) + (rest - n * 1.908_214_929_270_587_7e-10);
        let r = if bounded == x { r } else { 0.0 };
        let (first, second) = two_powers(n);
        (1.0 + (r + r * r * remainder::<FUSED>(r))) * first * second
    }

    #[inline(always)]
    pub fn pow<const FUSED: bool>(x: f64, y: f64) -> f64 {
        special_powers!(f64, x, y, of_magnitude::<FUSED>(x.abs(), y))
    }

    #[inline(always)]
    pub fn hypot(x: f64, y: f64) -> f64 {
        libm::hypot(x, y)
    }

    #[inline(always)]
    pub fn ldexp<const FUSED: bool>(x: f64, n: f64) -> f64 {
        x * super::super::exponential::f64::exp2::<FUSED>(n)
    }
}
