//! `Real`: the scalar functions of `f32` and `f64` from which every element-wise kernel is made.
//!
//! Note [Vectorised by the caller]: every method is inlined. Those marked *hot* have no branch, no call and no table,
//! so a loop over a slice becomes SIMD code in whatever instruction set its function is compiled for. What they avoid,
//! and why: `x as i32`, `.max()`, `.min()` and `round_ties_even()` carry conventions (saturation, NaN) that cost several
//! instructions each, so the code compares and selects, and rounds by adding and subtracting `1.5 * 2^23` or `1.5 * 2^52`,
//! and nothing calls the system's mathematical library.
//!
//! Note [Fused steps]: one instruction that multiplies and adds, rounding once, makes polynomials a third faster; where
//! a machine lacks it, it is a library call and a hundred times slower. So every function with a polynomial exists twice,
//! for `f32` with products and sums rounded apart, for `Fused<f32>` in fused steps; a loop that is compiled for machines
//! with the instruction takes the second. The bits are the same on all machines that have it, whatever their
//! vectors' width, and on all that have not; between the two the last digit may differ, within the bounds stated.
//!
//! How far each is off at most, the ops' rows state (`src/ops`) and `docs/accuracy.md` gathers.

// Without inlining a loop is not vectorised; and these functions are made of exact comparisons.
#![allow(clippy::inline_always, clippy::float_cmp)]

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

mod bessel;
mod error_function;
mod exponential;
mod gamma;
pub(super) mod gelu;
mod hyperbolic;
mod incomplete_gamma;
mod logarithm;
mod polynomial;
mod power;
mod rounding;
mod separate;
mod trigonometric;

/// What is noted of many numbers while something is computed of each: the largest measure of them, so that one step adds to it.
pub trait Note: Copy + Ord {
    /// Of no number.
    const LEAST: Self;
}

impl Note for bool {
    const LEAST: Self = false;
}

// Signed: those are what vectors of every width compare.
impl Note for i32 {
    const LEAST: Self = i32::MIN;
}

impl Note for i64 {
    const LEAST: Self = i64::MIN;
}

/// A floating-point number and the functions of it, with the special values of C's `math.h` and the conventions of PyTorch.
pub trait Real:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Default
    + Debug
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Rem<Output = Self>
    + Neg<Output = Self>
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// Negative infinity.
    const NEG_INFINITY: Self;
    /// A quiet NaN.
    const NAN: Self;
    /// The distance from one to the next larger number.
    const EPSILON: Self;
    /// The largest finite number.
    const MAX: Self;
    /// The smallest positive normal number.
    const MIN_POSITIVE: Self;
    /// Up to this magnitude `sin`, `cos` and `tan` keep their bounds, with 107 bits of pi; beyond it their error grows,
    /// and a kernel that meets such a number calls `sin_far`, `cos_far` or `tan_far`.
    const REACH: Self;

    /// The same numbers, computed with in fused steps (Note [Fused steps]).
    type Fused: Real;

    /// The same number, to compute with in fused steps.
    fn fused(self) -> Self::Fused;
    /// The same number, when that is done.
    fn of_fused(x: Self::Fused) -> Self;

    /// The nearest number of this type.
    fn of(x: f64) -> Self;
    /// The same number as an `f64`, exact.
    fn to_f64(self) -> f64;

    /// A measure of a number.
    type Measure: Note;
    /// The measure of the largest magnitude that the `_near` exponentials take.
    const EXPONENT_REACH: Self::Measure;
    /// The measure of the largest number that the `_near` logarithms take; they take numbers that are positive, normal and finite.
    const LOGARITHM_REACH: Self::Measure;

    /// What is at most [`EXPONENT_REACH`](Self::EXPONENT_REACH) where the `_near` exponentials take a number.
    fn exponent_measure(self) -> Self::Measure;
    /// What is at most [`LOGARITHM_REACH`](Self::LOGARITHM_REACH) where the `_near` logarithms take a number.
    fn logarithm_measure(self) -> Self::Measure;

    /// `e^x`. Hot.
    fn exp(self) -> Self;
    /// [`exp`](Self::exp), to the bit, of numbers [within reach](Self::EXPONENT_REACH); faster. Hot.
    fn exp_near(self) -> Self;
    /// [`exp2`](Self::exp2) of such numbers. Hot.
    fn exp2_near(self) -> Self;
    /// [`sigmoid`](Self::sigmoid) of such numbers. Hot.
    fn sigmoid_near(self) -> Self;
    /// [`tanh`](Self::tanh) of such numbers. Hot.
    fn tanh_near(self) -> Self;
    /// [`ln`](Self::ln) of numbers [within reach](Self::LOGARITHM_REACH). Hot.
    fn ln_near(self) -> Self;
    /// [`log2`](Self::log2) of such numbers. Hot.
    fn log2_near(self) -> Self;
    /// [`log10`](Self::log10) of such numbers. Hot.
    fn log10_near(self) -> Self;
    /// `e^x` of `x <= 0`, a little faster. Hot.
    fn exp_nonpositive(self) -> Self;
    /// [`exp`](Self::exp), in fused steps if `FUSED`.
    #[inline(always)]
    fn exp_if<const FUSED: bool>(self) -> Self {
        if FUSED { Self::of_fused(self.fused().exp()) } else { self.exp() }
    }
    /// [`exp_nonpositive`](Self::exp_nonpositive), in fused steps if `FUSED`.
    #[inline(always)]
    fn exp_nonpositive_if<const FUSED: bool>(self) -> Self {
        if FUSED { Self::of_fused(self.fused().exp_nonpositive()) } else { self.exp_nonpositive() }
    }
    /// `2^x`. Hot.
    fn exp2(self) -> Self;
    /// `e^x - 1`, accurate near zero. Hot.
    fn expm1(self) -> Self;
    /// Natural logarithm. Hot.
    fn ln(self) -> Self;
    /// `ln(1 + x)`, accurate near zero. Hot.
    fn ln_1p(self) -> Self;
    /// Logarithm to base 2. Hot.
    fn log2(self) -> Self;
    /// Logarithm to base 10. Hot.
    fn log10(self) -> Self;
    /// Square root, correctly rounded. Hot.
    fn sqrt(self) -> Self;
    /// `1 / sqrt(x)`. Hot.
    fn rsqrt(self) -> Self;
    /// `1 / x`. Hot.
    fn recip(self) -> Self;
    /// `x * x`. Hot.
    fn square(self) -> Self;
    /// Cube root.
    fn cbrt(self) -> Self;
    /// `x^n` for a whole `n`, by repeated squaring.
    fn powi(self, n: i32) -> Self;
    /// `x^y` with the special values of C's `pow`. Hot.
    fn pow(self, y: Self) -> Self;
    /// Sine. Hot.
    fn sin(self) -> Self;
    /// Cosine. Hot.
    fn cos(self) -> Self;
    /// Tangent. Hot.
    fn tan(self) -> Self;
    /// Sine of a number of any size; slow.
    fn sin_far(self) -> Self;
    /// Cosine of a number of any size; slow.
    fn cos_far(self) -> Self;
    /// Tangent of a number of any size; slow.
    fn tan_far(self) -> Self;
    /// `sinc` of a number of any size; slow.
    fn sinc_far(self) -> Self;
    /// Inverse sine, in `[-pi/2, pi/2]`.
    fn asin(self) -> Self;
    /// Inverse cosine, in `[0, pi]`.
    fn acos(self) -> Self;
    /// Inverse tangent. Hot.
    fn atan(self) -> Self;
    /// The angle of the point `(x, self)`, in `[-pi, pi]`. Hot.
    fn atan2(self, x: Self) -> Self;
    /// Hyperbolic sine. Hot.
    fn sinh(self) -> Self;
    /// Hyperbolic cosine. Hot.
    fn cosh(self) -> Self;
    /// Hyperbolic tangent. Hot.
    fn tanh(self) -> Self;
    /// Inverse hyperbolic sine.
    fn asinh(self) -> Self;
    /// Inverse hyperbolic cosine.
    fn acosh(self) -> Self;
    /// Inverse hyperbolic tangent.
    fn atanh(self) -> Self;
    /// `1 / (1 + e^-x)`. Hot.
    fn sigmoid(self) -> Self;
    /// `ln(1 + e^(beta x)) / beta`, and `x` itself where `beta x > threshold`. Hot.
    fn softplus(self, beta: Self, threshold: Self) -> Self;
    /// `ln(sigmoid(x))`, without overflow. Hot.
    fn log_sigmoid(self) -> Self;
    /// Error function. Hot.
    fn erf(self) -> Self;
    /// `1 - erf(x)`, accurate in the right tail. Hot.
    fn erfc(self) -> Self;
    /// `e^(x^2) erfc(x)`.
    fn erfcx(self) -> Self;
    /// The inverse of `erf`.
    fn erfinv(self) -> Self;
    /// The normal distribution function: the chance of a standard normal variate below `x`. Hot.
    fn ndtr(self) -> Self;
    /// `x ndtr(x)`. Hot, but where it is looked up: `Fused<f32>` (Note [Pieces of gelu]).
    fn gelu(self) -> Self;
    /// The same of numbers on the left of what can be looked up. Hot.
    fn gelu_beyond(self) -> Self;
    /// The density of the standard normal distribution. Hot.
    fn normal_density(self) -> Self;
    /// `ln(ndtr(x))`, accurate in the left tail.
    fn log_ndtr(self) -> Self;
    /// The inverse of `ndtr`.
    fn ndtri(self) -> Self;
    /// `ln |gamma(x)|`.
    fn lgamma(self) -> Self;
    /// The derivative of `lgamma`; minus (plus) infinity at plus (minus) zero, NaN at negative whole numbers.
    fn digamma(self) -> Self;
    /// The derivative of `digamma`.
    fn trigamma(self) -> Self;
    /// The `n`-th derivative of `digamma`.
    fn polygamma(self, n: u32) -> Self;
    /// Hurwitz zeta function: the sum of `(q + k)^-x` over `k >= 0`, with `x = self`.
    fn zeta(self, q: Self) -> Self;
    /// The regularised lower incomplete gamma function of `a = self`: the share of the gamma function's integral below `x`.
    fn igamma(self, x: Self) -> Self;
    /// The regularised upper incomplete gamma function: the share above `x`.
    fn igammac(self, x: Self) -> Self;
    /// Modified Bessel function of the first kind, order 0.
    fn i0(self) -> Self;
    /// `e^-|x| i0(x)`.
    fn i0e(self) -> Self;
    /// Modified Bessel function of the first kind, order 1.
    fn i1(self) -> Self;
    /// `e^-|x| i1(x)`.
    fn i1e(self) -> Self;
    /// Bessel function of the first kind, order 0.
    fn bessel_j0(self) -> Self;
    /// Bessel function of the first kind, order 1.
    fn bessel_j1(self) -> Self;
    /// Bessel function of the second kind, order 0.
    fn bessel_y0(self) -> Self;
    /// Bessel function of the second kind, order 1.
    fn bessel_y1(self) -> Self;
    /// `sin(pi x) / (pi x)`, one at zero.
    fn sinc(self) -> Self;
    /// `sqrt(x^2 + y^2)` without overflow; infinite when either is, even beside a NaN.
    fn hypot(self, y: Self) -> Self;
    /// `ln(e^x + e^y)` without overflow.
    fn logaddexp(self, y: Self) -> Self;
    /// `log2(2^x + 2^y)` without overflow.
    fn logaddexp2(self, y: Self) -> Self;
    /// `x ln(y)`, zero at `x = 0` unless `y` is NaN.
    fn xlogy(self, y: Self) -> Self;
    /// `x ln(1 + y)`, zero at `x = 0` unless `y` is NaN.
    fn xlog1py(self, y: Self) -> Self;
    /// `-x ln(x)`: zero at zero, minus infinity below it.
    fn entr(self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    fn copysign(self, sign: Self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// -1, 0 or 1 as `x` is negative, zero or positive; zero for NaN (`torch.sign`).
    fn signum(self) -> Self;
    /// The largest whole number not above `x`.
    fn floor(self) -> Self;
    /// The smallest whole number not below `x`.
    fn ceil(self) -> Self;
    /// The whole part.
    fn trunc(self) -> Self;
    /// The nearest whole number, halves to the even one.
    fn round(self) -> Self;
    /// `x - trunc(x)`.
    fn frac(self) -> Self;
    /// What is left of `self / y` rounded towards zero; the sign of `self` (C's `fmod`).
    fn fmod(self, y: Self) -> Self;
    /// What is left of `self / y` rounded down; the sign of `y` (Python's `%`).
    fn remainder(self, y: Self) -> Self;
    /// `self / y` rounded down (Python's `//`).
    fn floor_divide(self, y: Self) -> Self;
    /// The next representable number towards `y`.
    fn nextafter(self, y: Self) -> Self;
    /// `x 2^n`.
    fn ldexp(self, n: Self) -> Self;
    /// A mantissa in `[0.5, 1)` (with the sign of `self`) and an exponent: `self = mantissa * 2^exponent`.
    fn frexp(self) -> (Self, i32);
    /// The larger; NaN when either is (`torch.maximum`).
    fn maximum(self, y: Self) -> Self;
    /// The smaller; NaN when either is (`torch.minimum`).
    fn minimum(self, y: Self) -> Self;
    /// The larger; the other when one is NaN (`torch.fmax`).
    fn fmax(self, y: Self) -> Self;
    /// The smaller; the other when one is NaN (`torch.fmin`).
    fn fmin(self, y: Self) -> Self;
    /// `min(max(x, low), high)`, NaN when `x` is.
    fn clamp(self, low: Self, high: Self) -> Self;
    /// 0 below zero, `at_zero` at zero, 1 above; zero for NaN (`torch.heaviside`).
    fn heaviside(self, at_zero: Self) -> Self;
    /// True for NaN.
    fn is_nan(self) -> bool;
    /// True for both infinities.
    fn is_inf(self) -> bool;
    /// True for all but infinities and NaN.
    fn is_finite(self) -> bool;
    /// True when the sign bit is set, of zeros and NaN too.
    fn signbit(self) -> bool;
}

/// A number whose functions are computed in fused steps (Note [Fused steps]); its operators are those of the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct Fused<T>(pub T);

macro_rules! operators {
    ($($operator:ident $method:ident),*) => {$(
        impl<T: Real> $operator for Fused<T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self(self.0.$method(other.0))
            }
        }
    )*};
}

operators!(Add add, Sub sub, Mul mul, Div div, Rem rem);

impl<T: Real> Neg for Fused<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

/// The number itself, where [`Fused`] would wrap it.
#[inline(always)]
const fn bare<T: Copy>(x: T) -> T {
    x
}

/// What [`Fused`] wraps, or the number itself.
trait Bare {
    type Float;
    fn float(self) -> Self::Float;
}

impl<T> Bare for Fused<T> {
    type Float = T;
    #[inline(always)]
    fn float(self) -> T {
        self.0
    }
}

/// `Real` for one type: hot functions from the module of its width, the others through `f64`.
macro_rules! real {
    ($float:ident, $measure:ty, reach: $reach:literal) => {
        impl Bare for $float {
            type Float = $float;
            #[inline(always)]
            fn float(self) -> $float {
                self
            }
        }

        real!(@all $float, $measure, $reach, $float, false, bare);
        real!(@all $float, $measure, $reach, Fused<$float>, true, Fused);
    };
    (@all $float:ident, $measure:ty, $reach:literal, $type:ty, $fused:literal, $wrap:ident) => {
        impl Real for $type {
            type Fused = Fused<$float>;
            type Measure = $measure;

            // Below the bits of a bound are those of what is less, and those of NaN are above.
            const EXPONENT_REACH: $measure = ($reach as $float).to_bits().cast_signed();
            const LOGARITHM_REACH: $measure = <$measure>::MIN + ($float::MAX.to_bits() - $float::MIN_POSITIVE.to_bits()).cast_signed();

            #[inline(always)]
            fn exponent_measure(self) -> $measure {
                self.float().abs().to_bits().cast_signed()
            }
            /// What is not positive, or less than a normal number, is measured as if it were large.
            #[inline(always)]
            fn logarithm_measure(self) -> $measure {
                const ORIGIN: $measure = <$measure>::MIN.wrapping_sub($float::MIN_POSITIVE.to_bits().cast_signed());
                self.float().to_bits().cast_signed().wrapping_add(ORIGIN)
            }

            const ZERO: Self = $wrap(0.0);
            const ONE: Self = $wrap(1.0);
            const INFINITY: Self = $wrap($float::INFINITY);
            const NEG_INFINITY: Self = $wrap($float::NEG_INFINITY);
            const NAN: Self = $wrap($float::NAN);
            const EPSILON: Self = $wrap($float::EPSILON);
            const MAX: Self = $wrap($float::MAX);
            const MIN_POSITIVE: Self = $wrap($float::MIN_POSITIVE);
            const REACH: Self = $wrap(1.0e14);

            #[inline(always)]
            fn fused(self) -> Fused<$float> {
                Fused(self.float())
            }
            #[inline(always)]
            fn of_fused(x: Fused<$float>) -> Self {
                $wrap(x.0)
            }
            #[inline(always)]
            fn of(x: f64) -> Self {
                $wrap(x as $float)
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self.float())
            }
            #[inline(always)]
            fn rsqrt(self) -> Self {
                $wrap(1.0 / self.float().sqrt())
            }
            #[inline(always)]
            fn recip(self) -> Self {
                $wrap(1.0 / self.float())
            }
            #[inline(always)]
            fn square(self) -> Self {
                self * self
            }
            #[inline(always)]
            fn fmod(self, y: Self) -> Self {
                self % y
            }
            #[inline(always)]
            fn copysign(self, sign: Self) -> Self {
                $wrap(self.float().copysign(sign.float()))
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                self.float().is_nan()
            }
            #[inline(always)]
            fn is_inf(self) -> bool {
                self.float().is_infinite()
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                self.float().is_finite()
            }
            #[inline(always)]
            fn signbit(self) -> bool {
                self.float().is_sign_negative()
            }

            real!(@std $float $wrap: sqrt, abs, floor, ceil, trunc);
            real!(@polynomial $float $fused $wrap exponential: exp, exp_nonpositive, exp2, expm1, sigmoid, exp_near, exp2_near, sigmoid_near);
            real!(@polynomial $float $fused $wrap logarithm: ln, ln_1p, log2, log10, log_sigmoid, entr, ln_near, log2_near, log10_near);
            real!(@polynomial_pair $float $fused $wrap logarithm: logaddexp, logaddexp2, xlogy, xlog1py);
            real!(@polynomial $float $fused $wrap hyperbolic: sinh, cosh, tanh, tanh_near, asinh, acosh, atanh);
            real!(@polynomial $float $fused $wrap trigonometric: sin, cos, tan, atan, sinc);
            real!(@polynomial $float $fused $wrap error_function: erf, erfc, ndtr, normal_density);
            real!(@polynomial $float $fused $wrap gelu: gelu, gelu_beyond);
            real!(@polynomial_pair $float $fused $wrap power: pow, ldexp);
            real!(@polynomial_pair $float $fused $wrap trigonometric: atan2);

            real!(@own $float $wrap trigonometric: sinc_far);
            real!(@own $float $wrap rounding: round, frac, signum);
            real!(@own_pair $float $wrap power: hypot);
            real!(@own_pair $float $wrap rounding: remainder, floor_divide, nextafter, maximum, minimum, fmax, fmin, heaviside);

            real!(@wide $float $wrap trigonometric: asin, acos, sin_far, cos_far, tan_far);
            real!(@wide $float $wrap power: cbrt);
            real!(@wide $float $wrap error_function: erfcx, erfinv, log_ndtr, ndtri);
            real!(@wide $float $wrap gamma: lgamma, digamma, trigamma);
            real!(@wide $float $wrap bessel: i0, i0e, i1, i1e, bessel_j0, bessel_j1, bessel_y0, bessel_y1);
            real!(@wide_pair $float $wrap gamma: zeta);
            real!(@wide_pair $float $wrap incomplete_gamma: igamma, igammac);

            #[inline(always)]
            fn polygamma(self, n: u32) -> Self {
                $wrap(gamma::polygamma(f64::from(self.float()), n) as $float)
            }
            #[inline(always)]
            fn powi(self, n: i32) -> Self {
                $wrap(power::$float::powi(self.float(), n))
            }
            #[inline(always)]
            fn softplus(self, beta: Self, threshold: Self) -> Self {
                $wrap(logarithm::$float::softplus::<$fused>(self.float(), beta.float(), threshold.float()))
            }
            #[inline(always)]
            fn clamp(self, low: Self, high: Self) -> Self {
                $wrap(rounding::$float::clamp(self.float(), low.float(), high.float()))
            }
            #[inline(always)]
            fn frexp(self) -> (Self, i32) {
                let (mantissa, exponent) = libm::frexp(f64::from(self.float()));
                ($wrap(mantissa as $float), exponent)
            }
        }
    };
    (@std $float:ident $wrap:ident: $($name:ident),*) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            $wrap($float::$name(self.float()))
        }
    )*};
    (@polynomial $float:ident $fused:literal $wrap:ident $module:ident: $($name:ident),*) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            $wrap($module::$float::$name::<$fused>(self.float()))
        }
    )*};
    (@polynomial_pair $float:ident $fused:literal $wrap:ident $module:ident: $($name:ident),*) => {$(
        #[inline(always)]
        fn $name(self, y: Self) -> Self {
            $wrap($module::$float::$name::<$fused>(self.float(), y.float()))
        }
    )*};
    (@own $float:ident $wrap:ident $module:ident: $($name:ident),*) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            $wrap($module::$float::$name(self.float()))
        }
    )*};
    (@own_pair $float:ident $wrap:ident $module:ident: $($name:ident),*) => {$(
        #[inline(always)]
        fn $name(self, y: Self) -> Self {
            $wrap($module::$float::$name(self.float(), y.float()))
        }
    )*};
    (@wide $float:ident $wrap:ident $module:ident: $($name:ident),*) => {$(
        #[inline(always)]
        fn $name(self) -> Self {
            $wrap($module::$name(f64::from(self.float())) as $float)
        }
    )*};
    (@wide_pair $float:ident $wrap:ident $module:ident: $($name:ident),*) => {$(
        #[inline(always)]
        fn $name(self, y: Self) -> Self {
            $wrap($module::$name(f64::from(self.float()), f64::from(y.float())) as $float)
        }
    )*};
}

// Powers of two that are normal numbers, and so are their squares' and the products with what is left.
real!(f32, i32, reach: 43.0);
real!(f64, i64, reach: 350.0);
