//! Putting a value where one already is: replaced, added, multiplied, or the larger or smaller of the two.

use crate::array::{Bool, Element};

/// What becomes of a place that is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Combine {
    /// The new value.
    Replace,
    /// The sum.
    Add,
    /// The product.
    Multiply,
    /// The larger; NaN if either is.
    Max,
    /// The smaller; NaN if either is.
    Min,
}

/// Elements that can be combined. Integers wrap; truths are added as `or` and multiplied as `and`.
pub trait Combined: Element {
    /// Sum.
    fn add(self, other: Self) -> Self;
    /// Product.
    fn multiply(self, other: Self) -> Self;

    /// The larger; NaN if either is.
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // What is unequal to itself is NaN.
        #[allow(clippy::eq_op)]
        if other > self || other != other { other } else { self }
    }

    /// The smaller; NaN if either is.
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        #[allow(clippy::eq_op)]
        if other < self || other != other { other } else { self }
    }

    /// What is left at a place that held `self` when `other` arrives.
    #[inline(always)]
    fn combine(self, how: Combine, other: Self) -> Self {
        match how {
            Combine::Replace => other,
            Combine::Add => self.add(other),
            Combine::Multiply => self.multiply(other),
            Combine::Max => self.max(other),
            Combine::Min => self.min(other),
        }
    }
}

macro_rules! combined {
    ($($t:ty, |$a:ident, $b:ident| $add:expr, $multiply:expr;)*) => { $(
        impl Combined for $t {
            #[inline(always)]
            fn add(self, other: Self) -> Self { let ($a, $b) = (self, other); $add }
            #[inline(always)]
            fn multiply(self, other: Self) -> Self { let ($a, $b) = (self, other); $multiply }
        }
    )* };
}

combined! {
    f32, |a, b| a + b, a * b;
    f64, |a, b| a + b, a * b;
    u8, |a, b| a.wrapping_add(b), a.wrapping_mul(b);
    i8, |a, b| a.wrapping_add(b), a.wrapping_mul(b);
    i16, |a, b| a.wrapping_add(b), a.wrapping_mul(b);
    i32, |a, b| a.wrapping_add(b), a.wrapping_mul(b);
    i64, |a, b| a.wrapping_add(b), a.wrapping_mul(b);
    Bool, |a, b| Bool::from(a.get() | b.get()), Bool::from(a.get() & b.get());
}
