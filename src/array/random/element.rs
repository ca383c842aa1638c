//! What a random fill needs to know of a dtype: how its samples are rounded, and how many random bits each takes.

use super::Generator;
use super::mersenne::Mersenne;
use super::normal;
use std::ops::{Add, Div, Sub};

mod sealed {
    pub trait Sealed {}
}

/// A dtype that integers and coin tosses can be drawn in: all of them.
pub trait Element: Copy + Send + sealed::Sealed + 'static {
    /// The dtype's name in C, as PyTorch's messages give it.
    const C_NAME: &'static str;
    /// The least and the greatest integer bound that the dtype takes.
    const BOUNDS: (i64, i64);

    /// The value that C's conversion makes of `value`.
    fn from_integer(value: i64) -> Self;
    /// One or zero.
    fn from_toss(heads: bool) -> Self;
    /// One sample of `random_()` without bounds: integers from zero to the dtype's maximum, or for floating point to the
    /// greatest integer below which none is missing.
    fn full_range(generator: &mut Generator) -> Self;
}

/// A dtype that numbers of trials can be drawn in: all but `bool`.
pub trait Number: Element {
    /// The value that C's conversion makes of a whole number in `value`.
    fn from_whole(value: f64) -> Self;
}

/// A dtype of the continuous distributions.
pub trait Float: Number + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Div<Output = Self> {
    /// The dtype's name in PyTorch's message about the length of a range.
    const LIMITS_NAME: &'static str;

    /// `value`, rounded.
    fn from_f64(value: f64) -> Self;
    /// This value in double precision, exactly.
    fn to_f64(self) -> f64;
    /// `self * scale + shift` with one rounding.
    fn fused(self, scale: Self, shift: Self) -> Self;
    /// One sample of the uniform distribution on [0, 1), of as many bits as the significand has.
    fn standard_uniform(generator: &mut Generator) -> Self;
    /// Fills `out` from the uniform distribution on [0, 1).
    fn fill_uniform(generator: &mut Generator, out: &mut [Self]);
    /// Makes 16 normal samples of each 16 uniform ones; a shorter last block is left as it is.
    fn normal_blocks(blocks: &mut [Self], mean: f64, std: f64);
}

macro_rules! integers {
    ($($dtype:ty, $c_name:literal, $draw:ident, $via:ty;)*) => {$(
        impl sealed::Sealed for $dtype {}

        impl Element for $dtype {
            const C_NAME: &'static str = $c_name;
            const BOUNDS: (i64, i64) = (<$dtype>::MIN as i64, <$dtype>::MAX as i64);

            #[inline]
            fn from_integer(value: i64) -> Self {
                value as Self
            }
            #[inline]
            fn from_toss(heads: bool) -> Self {
                Self::from(heads)
            }
            #[inline]
            fn full_range(generator: &mut Generator) -> Self {
                (generator.$draw() & (<$dtype>::MAX as $via)) as Self
            }
        }

        impl Number for $dtype {
            #[inline]
            fn from_whole(value: f64) -> Self {
                // C converts to a machine word first, so a small dtype wraps where Rust would saturate.
                if size_of::<Self>() < 4 { value as i64 as Self } else { value as Self }
            }
        }
    )*};
}

integers! {
    u8, "unsigned char", random, u32;
    i8, "signed char", random, u32;
    i16, "short", random, u32;
    i32, "int", random, u32;
    i64, "long", random64, u64;
}

impl sealed::Sealed for bool {}

impl Element for bool {
    const C_NAME: &'static str = "bool";
    const BOUNDS: (i64, i64) = (0, 1);

    #[inline]
    fn from_integer(value: i64) -> Self {
        value != 0
    }
    #[inline]
    fn from_toss(heads: bool) -> Self {
        heads
    }
    #[inline]
    fn full_range(generator: &mut Generator) -> Self {
        generator.random() & 1 == 1
    }
}

macro_rules! floats {
    ($($dtype:ident, $c_name:literal, $limits_name:literal, $draw:ident, $fill:ident, $bits:ty;)*) => {$(
        impl sealed::Sealed for $dtype {}

        impl Element for $dtype {
            const C_NAME: &'static str = $c_name;
            const BOUNDS: (i64, i64) = (i64::MIN, i64::MAX);

            #[inline]
            fn from_integer(value: i64) -> Self {
                value as Self
            }
            #[inline]
            fn from_toss(heads: bool) -> Self {
                Self::from(u8::from(heads))
            }
            #[inline]
            fn full_range(generator: &mut Generator) -> Self {
                const COUNT: $bits = (1 << <$dtype>::MANTISSA_DIGITS) + 1;
                (generator.$draw() % COUNT) as Self
            }
        }

        impl Number for $dtype {
            #[inline]
            fn from_whole(value: f64) -> Self {
                value as Self
            }
        }

        impl Float for $dtype {
            const LIMITS_NAME: &'static str = $limits_name;

            #[inline]
            fn from_f64(value: f64) -> Self {
                value as Self
            }
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline]
            fn fused(self, scale: Self, shift: Self) -> Self {
                self.mul_add(scale, shift)
            }
            #[inline]
            fn standard_uniform(generator: &mut Generator) -> Self {
                $dtype::unit(generator.$draw())
            }
            #[inline]
            fn fill_uniform(generator: &mut Generator, out: &mut [Self]) {
                Mersenne::$fill(&mut generator.engine, out, $dtype::unit);
            }
            #[inline]
            fn normal_blocks(blocks: &mut [Self], mean: f64, std: f64) {
                normal::$dtype::blocks(blocks, mean as Self, std as Self);
            }
        }

        impl Unit for $dtype {
            type Bits = $bits;

            #[inline]
            fn unit(bits: $bits) -> Self {
                const BELOW_ONE: $bits = (1 << <$dtype>::MANTISSA_DIGITS) - 1;
                const SPACING: $dtype = <$dtype>::EPSILON / 2.0;
                (bits & BELOW_ONE) as Self * SPACING
            }
        }
    )*};
}

/// The low bits of a draw as a multiple of the spacing below one.
trait Unit {
    type Bits;
    fn unit(bits: Self::Bits) -> Self;
}

floats! {
    f32, "float", "Float", random, fill, u32;
    f64, "double", "Double", random64, fill_wide, u64;
}
