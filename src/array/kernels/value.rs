//! `V`: a number in which rows of the op table are written, with operators that take `f64` constants on either side.

// Without inlining a loop is not vectorised.
#![allow(clippy::inline_always, clippy::float_cmp)]

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Rem, Sub};

use super::real::Real;

/// A number of type `T` in a formula.
///
/// Constants are plain `f64` and are rounded to `T`: `1.0 - y * y`, `x.lt(0.0).select(0.01 * x, x)`.
///
/// `FAR` says that numbers may be of any size: the same formula, read with it, takes sines beyond [`Real::REACH`] the slow
/// way, and is no longer vectorised; and exponentials and logarithms of numbers beyond their faster forms. Of what is looked up in a table it says that all numbers are beyond its end.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub struct V<T, const FAR: bool = false>(pub T);

/// The answer of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Mask(pub bool);

/// What can stand beside a `V<T, FAR>` in a formula: another `V<T, FAR>`, or an `f64` constant.
pub trait Operand<T, const FAR: bool> {
    /// The operand as a `V<T, FAR>`.
    fn value(self) -> V<T, FAR>;
}

impl<T: Real, const FAR: bool> Operand<T, FAR> for V<T, FAR> {
    #[inline(always)]
    fn value(self) -> V<T, FAR> {
        self
    }
}

impl<T: Real, const FAR: bool> Operand<T, FAR> for f64 {
    #[inline(always)]
    fn value(self) -> V<T, FAR> {
        V(T::of(self))
    }
}

impl Mask {
    /// `yes` where the mask holds, else `no`. Both are evaluated.
    #[inline(always)]
    pub fn select<T: Real, const FAR: bool>(
        self,
        yes: impl Operand<T, FAR>,
        no: impl Operand<T, FAR>,
    ) -> V<T, FAR> {
        let (yes, no) = (yes.value(), no.value());
        if self.0 { yes } else { no }
    }

    /// One where the mask holds, else zero.
    #[inline(always)]
    pub fn indicator<T: Real, const FAR: bool>(self) -> V<T, FAR> {
        self.select(1.0, 0.0)
    }
}

/// `yes` where `mask` holds, else `no`. Both are evaluated.
#[inline(always)]
pub fn select<T: Real, const FAR: bool>(
    mask: Mask,
    yes: impl Operand<T, FAR>,
    no: impl Operand<T, FAR>,
) -> V<T, FAR> {
    mask.select(yes, no)
}

impl BitAnd for Mask {
    type Output = Mask;
    #[inline(always)]
    fn bitand(self, other: Mask) -> Mask {
        Mask(self.0 & other.0)
    }
}

impl BitOr for Mask {
    type Output = Mask;
    #[inline(always)]
    fn bitor(self, other: Mask) -> Mask {
        Mask(self.0 | other.0)
    }
}

impl BitXor for Mask {
    type Output = Mask;
    #[inline(always)]
    fn bitxor(self, other: Mask) -> Mask {
        Mask(self.0 ^ other.0)
    }
}

impl Not for Mask {
    type Output = Mask;
    #[inline(always)]
    fn not(self) -> Mask {
        Mask(!self.0)
    }
}

macro_rules! operators {
    ($($operator:ident $method:ident),*) => {$(
        impl<T: Real, R: Operand<T, FAR>, const FAR: bool> $operator<R> for V<T, FAR> {
            type Output = V<T, FAR>;
            #[inline(always)]
            fn $method(self, other: R) -> V<T, FAR> {
                V(self.0.$method(other.value().0))
            }
        }

        impl<T: Real, const FAR: bool> $operator<V<T, FAR>> for f64 {
            type Output = V<T, FAR>;
            #[inline(always)]
            fn $method(self, other: V<T, FAR>) -> V<T, FAR> {
                V(T::of(self).$method(other.0))
            }
        }
    )*};
}

operators!(Add add, Sub sub, Mul mul, Div div, Rem rem);

impl<T: Real, const FAR: bool> Neg for V<T, FAR> {
    type Output = V<T, FAR>;
    #[inline(always)]
    fn neg(self) -> V<T, FAR> {
        V(-self.0)
    }
}

macro_rules! comparisons {
    ($($name:ident $operator:tt),*) => {$(
        #[doc = concat!("`self ", stringify!($operator), " other`, as a mask.")]
        #[inline(always)]
        pub fn $name(self, other: impl Operand<T, FAR>) -> Mask {
            Mask(self.0 $operator other.value().0)
        }
    )*};
}

macro_rules! functions {
    ($($name:ident),*) => {$(
        #[doc = concat!("[`Real::", stringify!($name), "`].")]
        #[inline(always)]
        pub fn $name(self) -> V<T, FAR> {
            V(self.0.$name())
        }
    )*};
}

macro_rules! functions_of_two {
    ($($name:ident),*) => {$(
        #[doc = concat!("[`Real::", stringify!($name), "`].")]
        #[inline(always)]
        pub fn $name(self, other: impl Operand<T, FAR>) -> V<T, FAR> {
            V(self.0.$name(other.value().0))
        }
    )*};
}

macro_rules! functions_of_an_angle {
    ($($name:ident $far:ident),*) => {$(
        #[doc = concat!("[`Real::", stringify!($name), "`], of any number if `FAR`.")]
        #[inline(always)]
        pub fn $name(self) -> V<T, FAR> {
            V(if FAR && self.0.abs() > T::REACH { self.0.$far() } else { self.0.$name() })
        }
    )*};
}

macro_rules! functions_within {
    ($($name:ident: $far:ident $near:ident),*) => {$(
        #[doc = concat!("[`Real::", stringify!($far), "`], of any number if `FAR`: for the forward formula of a row that is",
            " `exponential` or `logarithmic`, whose kernel sees to the others, and for no other formula.")]
        #[inline(always)]
        pub fn $name(self) -> V<T, FAR> {
            V(if FAR { self.0.$far() } else { self.0.$near() })
        }
    )*};
}

macro_rules! predicates {
    ($($name:ident),*) => {$(
        #[doc = concat!("[`Real::", stringify!($name), "`].")]
        #[inline(always)]
        pub fn $name(self) -> Mask {
            Mask(self.0.$name())
        }
    )*};
}

impl<T: Real, const FAR: bool> V<T, FAR> {
    /// The constant `x`.
    #[inline(always)]
    pub fn of(x: f64) -> V<T, FAR> {
        V(T::of(x))
    }

    comparisons!(lt <, le <=, gt >, ge >=, eq ==, ne !=);
    predicates!(is_nan, is_inf, is_finite, signbit);
    functions!(
        exp,
        exp2,
        expm1,
        ln,
        ln_1p,
        log2,
        log10,
        sqrt,
        rsqrt,
        recip,
        square,
        cbrt,
        asin,
        acos,
        atan,
        sinh,
        cosh,
        tanh,
        asinh,
        acosh,
        atanh,
        sigmoid,
        log_sigmoid,
        erf,
        erfc,
        erfcx,
        erfinv,
        ndtr,
        normal_density,
        log_ndtr,
        ndtri,
        lgamma,
        digamma,
        trigamma,
        i0,
        i0e,
        i1,
        i1e,
        bessel_j0,
        bessel_j1,
        bessel_y0,
        bessel_y1,
        entr,
        abs,
        signum,
        floor,
        ceil,
        trunc,
        round,
        frac
    );
    functions_within!(
        exp_within: exp exp_near, exp2_within: exp2 exp2_near, sigmoid_within: sigmoid sigmoid_near, tanh_within: tanh tanh_near,
        ln_within: ln ln_near, log2_within: log2 log2_near, log10_within: log10 log10_near
    );
    functions_of_an_angle!(sin sin_far, cos cos_far, tan tan_far, sinc sinc_far);
    functions_of_two!(
        pow,
        atan2,
        zeta,
        igamma,
        igammac,
        hypot,
        logaddexp,
        logaddexp2,
        xlogy,
        xlog1py,
        copysign,
        fmod,
        remainder,
        floor_divide,
        nextafter,
        ldexp,
        maximum,
        minimum,
        fmax,
        fmin,
        heaviside
    );

    /// [`Real::gelu`], but [`Real::gelu_beyond`] if `FAR`.
    #[inline(always)]
    pub fn gelu(self) -> V<T, FAR> {
        V(if FAR { self.0.gelu_beyond() } else { self.0.gelu() })
    }

    /// Zero.
    #[inline(always)]
    pub fn zero(self) -> V<T, FAR> {
        V(T::ZERO)
    }

    /// Itself where positive (or NaN), else zero.
    #[inline(always)]
    pub fn positive_part(self) -> V<T, FAR> {
        self.le(0.0).select(0.0, self)
    }

    /// Itself where above a threshold (or NaN), else another.
    #[inline(always)]
    pub fn if_above(self, threshold: impl Operand<T, FAR>, other: impl Operand<T, FAR>) -> V<T, FAR> {
        self.le(threshold).select(other, self)
    }

    /// As a condition: `yes` where it is not zero, else `no`.
    #[inline(always)]
    pub fn choose(self, yes: V<T, FAR>, no: V<T, FAR>) -> V<T, FAR> {
        self.ne(0.0).select(yes, no)
    }

    /// [`Real::polygamma`] of an order that is itself a number.
    #[inline(always)]
    pub fn polygamma_at(self, n: impl Operand<T, FAR>) -> V<T, FAR> {
        V(self.0.polygamma(n.value().0.to_f64() as u32))
    }

    /// [`Real::powi`].
    #[inline(always)]
    pub fn powi(self, n: i32) -> V<T, FAR> {
        V(self.0.powi(n))
    }

    /// [`Real::polygamma`].
    #[inline(always)]
    pub fn polygamma(self, n: u32) -> V<T, FAR> {
        V(self.0.polygamma(n))
    }

    /// [`Real::softplus`].
    #[inline(always)]
    pub fn softplus(self, beta: impl Operand<T, FAR>, threshold: impl Operand<T, FAR>) -> V<T, FAR> {
        V(self.0.softplus(beta.value().0, threshold.value().0))
    }

    /// [`Real::clamp`].
    #[inline(always)]
    pub fn clamp(self, low: impl Operand<T, FAR>, high: impl Operand<T, FAR>) -> V<T, FAR> {
        V(self.0.clamp(low.value().0, high.value().0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tanh_slope<T: Real>(y: V<T>, g: V<T>) -> V<T> {
        g * (1.0 - y * y)
    }

    #[test]
    fn constants_stand_on_either_side() {
        assert_eq!(tanh_slope(V(0.5_f32), V(2.0)).0, 1.5);
        assert_eq!((3.0 / V::<_>(2.0_f64) - 0.5 % V(1.0)).0, 1.0);
        assert_eq!((-V::<_>(2.0_f32)).pow(2.0).0, 4.0);
    }

    #[test]
    fn select_takes_constants_and_values() {
        let leaky = |x: V<f32>| x.lt(0.0).select(0.5 * x, x);
        assert_eq!((leaky(V(-2.0)).0, leaky(V(3.0)).0), (-1.0, 3.0));
        let inside = |x: V<f64>| (x.ge(-1.0) & !x.gt(1.0)).indicator::<f64, false>();
        assert_eq!((inside(V(1.0)).0, inside(V(1.5)).0, inside(V(f64::NAN)).0), (1.0, 0.0, 0.0));
        let constant: V<f64> = V::<f64>(f64::NAN).ne(f64::NAN).select(1.0, 2.0);
        assert_eq!(constant.0, 1.0);
    }
}
