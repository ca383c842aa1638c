//! `N`: an integer in a formula, with the operators of [`V`](super::value::V), so that one row's tokens serve both.

use std::ops::{Add, BitAnd, BitOr, BitXor, Mul, Neg, Not, Sub};

use super::value::Mask;
use crate::array::Element;

/// The integer dtypes' element types. Arithmetic wraps, as in PyTorch.
pub trait Integer: Element + Ord {
    /// Wrapping sum.
    fn plus(self, other: Self) -> Self;
    /// Wrapping difference.
    fn minus(self, other: Self) -> Self;
    /// Wrapping product.
    fn times(self, other: Self) -> Self;
    /// Quotient rounded toward zero; zero for a zero divisor, which callers refuse before.
    fn quotient(self, other: Self) -> Self;
    /// What `quotient` leaves; the sign of the dividend.
    fn rest(self, other: Self) -> Self;
    /// Bits of both.
    fn and(self, other: Self) -> Self;
    /// Bits of either.
    fn or(self, other: Self) -> Self;
    /// Bits of one.
    fn xor(self, other: Self) -> Self;
    /// All bits flipped.
    fn invert(self) -> Self;
    /// Shifted left; zero when the distance is not inside the width.
    fn left(self, by: Self) -> Self;
    /// Shifted right, arithmetically; the sign's fill when the distance is not inside the width.
    fn right(self, by: Self) -> Self;
    /// Wrapping power; a negative exponent gives the integer part of the real answer.
    fn power(self, exponent: Self) -> Self;
}

macro_rules! integers {
    ($($t:ty),*) => { $( impl Integer for $t {
        #[inline(always)] fn plus(self, other: Self) -> Self { self.wrapping_add(other) }
        #[inline(always)] fn minus(self, other: Self) -> Self { self.wrapping_sub(other) }
        #[inline(always)] fn times(self, other: Self) -> Self { self.wrapping_mul(other) }
        #[inline(always)] fn quotient(self, other: Self) -> Self {
            if other == 0 { 0 } else { self.wrapping_div(other) }
        }
        #[inline(always)] fn rest(self, other: Self) -> Self {
            if other == 0 { 0 } else { self.wrapping_rem(other) }
        }
        #[inline(always)] fn and(self, other: Self) -> Self { self & other }
        #[inline(always)] fn or(self, other: Self) -> Self { self | other }
        #[inline(always)] fn xor(self, other: Self) -> Self { self ^ other }
        #[inline(always)] fn invert(self) -> Self { !self }
        #[inline(always)] fn left(self, by: Self) -> Self {
            u32::try_from(by).ok().and_then(|by| self.checked_shl(by)).unwrap_or(0)
        }
        #[inline(always)] fn right(self, by: Self) -> Self {
            u32::try_from(by).ok().and_then(|by| self.checked_shr(by))
                .unwrap_or_else(|| self >> (<$t>::BITS - 1))
        }
        #[inline(always)]
        #[allow(unused_comparisons)] // one body for signed and unsigned
        fn power(self, exponent: Self) -> Self {
            if exponent < 0 {
                return if self == 1 { 1 } else if self.wrapping_add(1) == 0 && <$t>::MIN != 0 {
                    if exponent & 1 == 0 { 1 } else { self }
                } else { 0 };
            }
            let (mut base, mut left, mut result) = (self, exponent, 1 as $t);
            while left > 0 {
                if left & 1 == 1 { result = result.wrapping_mul(base); }
                base = base.wrapping_mul(base);
                left >>= 1;
            }
            result
        }
    } )* };
}

integers!(u8, i8, i16, i32, i64);

/// An integer of type `T` in a formula.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct N<T>(pub T);

macro_rules! operators {
    ($($trait:ident $method:ident $by:ident),*) => { $(
        impl<T: Integer> $trait for N<T> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self { N(self.0.$by(other.0)) }
        }
    )* };
}

operators!(Add add plus, Sub sub minus, Mul mul times, BitAnd bitand and, BitOr bitor or, BitXor bitxor xor);

impl<T: Integer> Neg for N<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        N(T::ZERO.minus(self.0))
    }
}

impl<T: Integer> Not for N<T> {
    type Output = Self;
    #[inline(always)]
    fn not(self) -> Self {
        N(self.0.invert())
    }
}

macro_rules! comparisons {
    ($($name:ident $operator:tt),*) => { $(
        #[doc = concat!("`self ", stringify!($operator), " other`, as a mask.")]
        #[inline(always)]
        pub fn $name(self, other: Self) -> Mask { Mask(self.0 $operator other.0) }
    )* };
}

impl<T: Integer> N<T> {
    comparisons!(lt <, le <=, gt >, ge >=, eq ==, ne !=);

    /// Without its sign, wrapping at the lowest number.
    #[inline(always)]
    pub fn abs(self) -> Self {
        if self.0 < T::ZERO { -self } else { self }
    }

    /// -1, 0 or 1.
    #[inline(always)]
    pub fn signum(self) -> Self {
        let one = N(T::ONE);
        if self.0 > T::ZERO {
            one
        } else if self.0 < T::ZERO {
            -one
        } else {
            N(T::ZERO)
        }
    }

    /// The larger.
    #[inline(always)]
    pub fn maximum(self, other: Self) -> Self {
        N(self.0.max(other.0))
    }

    /// The smaller.
    #[inline(always)]
    pub fn minimum(self, other: Self) -> Self {
        N(self.0.min(other.0))
    }

    /// The larger.
    #[inline(always)]
    pub fn fmax(self, other: Self) -> Self {
        self.maximum(other)
    }

    /// The smaller.
    #[inline(always)]
    pub fn fmin(self, other: Self) -> Self {
        self.minimum(other)
    }

    /// Within the bounds; the upper one wins when they cross.
    #[inline(always)]
    pub fn clamp(self, low: Self, high: Self) -> Self {
        self.maximum(low).minimum(high)
    }

    /// Itself where above a threshold, else another.
    #[inline(always)]
    pub fn if_above(self, threshold: Self, other: Self) -> Self {
        if self.0 > threshold.0 { self } else { other }
    }

    /// Itself: integers have no fraction.
    #[inline(always)]
    pub fn trunc(self) -> Self {
        self
    }

    /// Itself.
    #[inline(always)]
    pub fn floor(self) -> Self {
        self
    }

    /// Itself.
    #[inline(always)]
    pub fn ceil(self) -> Self {
        self
    }

    /// Itself.
    #[inline(always)]
    pub fn round(self) -> Self {
        self
    }

    /// The rest with the sign of the dividend, as C's `%`.
    #[inline(always)]
    pub fn fmod(self, other: Self) -> Self {
        N(self.0.rest(other.0))
    }

    /// The rest with the sign of the divisor, as Python's `%`.
    #[inline(always)]
    pub fn remainder(self, other: Self) -> Self {
        let rest = self.0.rest(other.0);
        if rest != T::ZERO && (rest < T::ZERO) != (other.0 < T::ZERO) {
            N(rest.plus(other.0))
        } else {
            N(rest)
        }
    }

    /// The quotient rounded down, as Python's `//`.
    #[inline(always)]
    pub fn floor_divide(self, other: Self) -> Self {
        let quotient = self.0.quotient(other.0);
        let rest = self.0.rest(other.0);
        if rest != T::ZERO && (rest < T::ZERO) != (other.0 < T::ZERO) {
            N(quotient.minus(T::ONE))
        } else {
            N(quotient)
        }
    }

    /// The quotient rounded toward zero.
    #[inline(always)]
    pub fn trunc_divide(self, other: Self) -> Self {
        N(self.0.quotient(other.0))
    }

    /// Itself where positive, else zero.
    #[inline(always)]
    pub fn positive_part(self) -> Self {
        self.maximum(N(T::ZERO))
    }

    /// As a condition: `yes` where it is not zero, else `no`.
    #[inline(always)]
    pub fn choose(self, yes: Self, no: Self) -> Self {
        if self.0 == T::ZERO { no } else { yes }
    }

    /// Its square.
    #[inline(always)]
    pub fn square(self) -> Self {
        self * self
    }

    /// Itself, as `remainder` does for the sign: the greatest common divisor, never negative.
    #[inline(always)]
    pub fn gcd(self, other: Self) -> Self {
        let (mut a, mut b) = (self.abs(), other.abs());
        while b.0 != T::ZERO {
            (a, b) = (b, N(a.0.rest(b.0)));
        }
        a.abs()
    }

    /// The least common multiple, never negative; zero if either is.
    #[inline(always)]
    pub fn lcm(self, other: Self) -> Self {
        let gcd = self.gcd(other);
        if gcd.0 == T::ZERO { gcd } else { (N(self.0.quotient(gcd.0)) * other).abs() }
    }

    /// [`Integer::power`].
    #[inline(always)]
    pub fn pow(self, exponent: Self) -> Self {
        N(self.0.power(exponent.0))
    }

    /// [`Integer::left`].
    #[inline(always)]
    pub fn shift_left(self, by: Self) -> Self {
        N(self.0.left(by.0))
    }

    /// [`Integer::right`].
    #[inline(always)]
    pub fn shift_right(self, by: Self) -> Self {
        N(self.0.right(by.0))
    }

    /// The second when the first is zero, else the step's side, 0 or 1.
    #[inline(always)]
    pub fn heaviside(self, at_zero: Self) -> Self {
        if self.0 == T::ZERO {
            at_zero
        } else if self.0 > T::ZERO {
            N(T::ONE)
        } else {
            N(T::ZERO)
        }
    }
}
