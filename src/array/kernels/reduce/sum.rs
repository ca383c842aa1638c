//! Sums and products, of numbers or of a function of them.

use std::marker::PhantomData;

use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::driver::Rows;
use crate::array::kernels::reduce::fold::Fold;
use crate::array::kernels::reduce::registers;
use crate::array::{Bool, Element};

/// A float that is an element.
pub trait Float: Real + Element {
    /// The sum in the lanes of a fold, by a shorter way than its, where there is one.
    fn sum_in_registers(x: &[Self]) -> Option<Self>;
    /// The sums of rows in the lanes of a fold; whether there is such a way.
    fn sums_in_registers(rows: Rows<'_, Self>, out: &mut [f64]) -> bool;
}

macro_rules! float {
    ($($float:ident),*) => {$(
        impl Float for $float {
            #[inline(always)]
            fn sum_in_registers(x: &[Self]) -> Option<Self> {
                registers::$float::sum(x)
            }
            #[inline(always)]
            fn sums_in_registers(rows: Rows<'_, Self>, out: &mut [f64]) -> bool {
                registers::$float::sums(rows, out)
            }
        }
    )*};
}

float!(f32, f64);

/// What a sum adds for a number; any function of it.
pub trait Term<T>: Sync {
    /// Whether that is the number itself.
    const IS_NUMBER: bool = false;
    /// What is added.
    fn of(&self, x: T) -> T;
}

impl<T, F: Fn(T) -> T + Sync> Term<T> for F {
    #[inline(always)]
    fn of(&self, x: T) -> T {
        self(x)
    }
}

/// The number itself.
pub struct Itself;

impl<T> Term<T> for Itself {
    const IS_NUMBER: bool = true;
    #[inline(always)]
    fn of(&self, x: T) -> T {
        x
    }
}

/// The sum of `term(x)`, of which `end` makes the result. Lanes have the numbers' own precision, what they come to is
/// added in doubles.
pub struct Sum<T, M, E> {
    /// What is added for a number.
    pub term: M,
    /// What the sum becomes.
    pub end: E,
    /// The numbers' type.
    pub of: PhantomData<T>,
}

impl<T: Float, M: Term<T>, E: Fn(f64) -> f64 + Sync> Fold for Sum<T, M, E> {
    type In = T;
    type Lane = T;
    type Partial = f64;
    type Out = T;
    #[inline(always)]
    fn leaf(&self, x: &[T]) -> Option<T> {
        if M::IS_NUMBER { T::sum_in_registers(x) } else { None }
    }
    #[inline(always)]
    fn leaves(&self, rows: Rows<'_, T>, out: &mut [f64]) -> bool {
        M::IS_NUMBER && T::sums_in_registers(rows, out)
    }
    #[inline(always)]
    fn start(&self) -> T {
        <T as Real>::ZERO
    }
    #[inline(always)]
    fn step(&self, lane: T, x: T) -> T {
        lane + self.term.of(x)
    }
    #[inline(always)]
    fn join(&self, a: T, b: T) -> T {
        a + b
    }
    #[inline(always)]
    fn widen(&self, lane: T) -> f64 {
        Real::to_f64(lane)
    }
    #[inline(always)]
    fn combine(&self, a: f64, b: f64) -> f64 {
        a + b
    }
    #[inline(always)]
    fn finish(&self, partial: f64) -> T {
        T::of((self.end)(partial))
    }
}

/// The wrapping sum of integers.
pub struct IntegerSum;

impl Fold for IntegerSum {
    type In = i64;
    type Lane = i64;
    type Partial = i64;
    type Out = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        0
    }
    #[inline(always)]
    fn step(&self, lane: i64, x: i64) -> i64 {
        lane.wrapping_add(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn widen(&self, lane: i64) -> i64 {
        lane
    }
    #[inline(always)]
    fn combine(&self, a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn finish(&self, partial: i64) -> i64 {
        partial
    }
}

/// How many truths hold.
pub struct Count;

impl Fold for Count {
    type In = Bool;
    type Lane = i64;
    type Partial = i64;
    type Out = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        0
    }
    #[inline(always)]
    fn step(&self, lane: i64, x: Bool) -> i64 {
        lane + i64::from(x.get())
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a + b
    }
    #[inline(always)]
    fn widen(&self, lane: i64) -> i64 {
        lane
    }
    #[inline(always)]
    fn combine(&self, a: i64, b: i64) -> i64 {
        a + b
    }
    #[inline(always)]
    fn finish(&self, partial: i64) -> i64 {
        partial
    }
}

/// The product of floats.
pub struct Product<T>(pub PhantomData<T>);

impl<T: Float> Fold for Product<T> {
    type In = T;
    type Lane = T;
    type Partial = f64;
    type Out = T;
    #[inline(always)]
    fn start(&self) -> T {
        <T as Real>::ONE
    }
    #[inline(always)]
    fn step(&self, lane: T, x: T) -> T {
        lane * x
    }
    #[inline(always)]
    fn join(&self, a: T, b: T) -> T {
        a * b
    }
    #[inline(always)]
    fn widen(&self, lane: T) -> f64 {
        Real::to_f64(lane)
    }
    #[inline(always)]
    fn combine(&self, a: f64, b: f64) -> f64 {
        a * b
    }
    #[inline(always)]
    fn finish(&self, partial: f64) -> T {
        T::of(partial)
    }
}

/// The wrapping product of integers.
pub struct IntegerProduct;

impl Fold for IntegerProduct {
    type In = i64;
    type Lane = i64;
    type Partial = i64;
    type Out = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        1
    }
    #[inline(always)]
    fn step(&self, lane: i64, x: i64) -> i64 {
        lane.wrapping_mul(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.wrapping_mul(b)
    }
    #[inline(always)]
    fn widen(&self, lane: i64) -> i64 {
        lane
    }
    #[inline(always)]
    fn combine(&self, a: i64, b: i64) -> i64 {
        a.wrapping_mul(b)
    }
    #[inline(always)]
    fn finish(&self, partial: i64) -> i64 {
        partial
    }
}

/// Whether any (`ANY`) or all truths hold.
pub struct Truth<const ANY: bool>;

impl<const ANY: bool> Fold for Truth<ANY> {
    type In = Bool;
    type Lane = u8;
    type Partial = u8;
    type Out = Bool;
    #[inline(always)]
    fn start(&self) -> u8 {
        u8::from(!ANY)
    }
    #[inline(always)]
    fn step(&self, lane: u8, x: Bool) -> u8 {
        self.join(lane, u8::from(x.get()))
    }
    #[inline(always)]
    fn join(&self, a: u8, b: u8) -> u8 {
        if ANY { a | b } else { a & b }
    }
    #[inline(always)]
    fn widen(&self, lane: u8) -> u8 {
        lane
    }
    #[inline(always)]
    fn combine(&self, a: u8, b: u8) -> u8 {
        self.join(a, b)
    }
    #[inline(always)]
    fn finish(&self, partial: u8) -> Bool {
        Bool(partial)
    }
}
