//! The largest and the smallest, and where they stand. NaN counts as both: the first one wins.

use std::marker::PhantomData;

use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::driver::{COLUMNS, Reduction, Rows};
use crate::array::kernels::reduce::fold::{self, Fold};
use crate::array::kernels::reduce::registers;
use crate::array::kernels::reduce::sum::Float;
use crate::array::{Bool, Element};

/// An element type with a least and a greatest value.
pub trait Bounded: Element {
    /// No value is less.
    const LEAST: Self;
    /// No value is greater.
    const GREATEST: Self;

    /// The largest (`MAX`) or smallest of a run, by a shorter way than a fold's, where there is one and it holds.
    #[inline(always)]
    fn extreme_in_registers<const MAX: bool>(_x: &[Self]) -> Option<Self> {
        None
    }

    /// That of each row, `otherwise` where the shorter way does not hold; whether there is such a way.
    #[inline(always)]
    fn extremes_in_registers<const MAX: bool>(
        _rows: Rows<'_, Self>,
        _out: &mut [Self],
        _otherwise: impl Fn(&[Self]) -> Self,
    ) -> bool {
        false
    }
}

macro_rules! bounded {
    ($($t:ty: $least:expr, $greatest:expr $(, $registers:ident)?;)*) => { $( impl Bounded for $t {
        const LEAST: Self = $least;
        const GREATEST: Self = $greatest;
        $(
            #[inline(always)]
            fn extreme_in_registers<const MAX: bool>(x: &[Self]) -> Option<Self> {
                registers::$registers::extreme::<MAX>(x)
            }
            #[inline(always)]
            fn extremes_in_registers<const MAX: bool>(
                rows: Rows<'_, Self>,
                out: &mut [Self],
                otherwise: impl Fn(&[Self]) -> Self,
            ) -> bool {
                registers::$registers::extremes::<MAX>(rows, out, otherwise)
            }
        )?
    } )* };
}

bounded! {
    u8: u8::MIN, u8::MAX;
    i8: i8::MIN, i8::MAX;
    i16: i16::MIN, i16::MAX;
    i32: i32::MIN, i32::MAX;
    i64: i64::MIN, i64::MAX;
    f32: f32::NEG_INFINITY, f32::INFINITY, f32;
    f64: f64::NEG_INFINITY, f64::INFINITY, f64;
    Bool: Bool(0), Bool(1);
}

/// Whether `x` comes before `best`: it is further out, or the first NaN.
#[inline(always)]
#[allow(clippy::eq_op)] // only NaN differs from itself
fn beats<T: Element, const MAX: bool>(x: T, best: T) -> bool {
    if MAX { (x > best) | ((x != x) & (best == best)) } else { (x < best) | ((x != x) & (best == best)) }
}

/// The largest (`MAX`) or the smallest.
pub struct Extreme<T, const MAX: bool>(pub PhantomData<T>);

impl<T: Bounded, const MAX: bool> Fold for Extreme<T, MAX> {
    const IS_SHORT: bool = false;
    type In = T;
    type Lane = T;
    type Partial = T;
    type Out = T;
    #[inline(always)]
    fn leaf(&self, x: &[T]) -> Option<T> {
        T::extreme_in_registers::<MAX>(x)
    }
    #[inline(always)]
    fn leaves(&self, rows: Rows<'_, T>, out: &mut [T]) -> bool {
        T::extremes_in_registers::<MAX>(rows, out, |x| fold::run(self, x))
    }
    #[inline(always)]
    fn start(&self) -> T {
        if MAX { T::LEAST } else { T::GREATEST }
    }
    #[inline(always)]
    #[allow(clippy::eq_op)]
    fn step(&self, lane: T, x: T) -> T {
        let further = if MAX { x > lane } else { x < lane };
        if further | (x != x) { x } else { lane }
    }
    #[inline(always)]
    fn join(&self, a: T, b: T) -> T {
        self.step(a, b)
    }
    #[inline(always)]
    fn widen(&self, lane: T) -> T {
        lane
    }
    #[inline(always)]
    fn combine(&self, a: T, b: T) -> T {
        self.step(a, b)
    }
    #[inline(always)]
    fn finish(&self, partial: T) -> T {
        partial
    }
}

/// The largest (`MAX`) or smallest absolute value.
pub struct Magnitude<T, const MAX: bool>(pub Extreme<T, MAX>);

impl<T: Float + Bounded, const MAX: bool> Fold for Magnitude<T, MAX> {
    const IS_SHORT: bool = false;
    type In = T;
    type Lane = T;
    type Partial = T;
    type Out = T;
    #[inline(always)]
    fn start(&self) -> T {
        if MAX { T::of(0.0) } else { T::GREATEST }
    }
    #[inline(always)]
    fn step(&self, lane: T, x: T) -> T {
        self.0.step(lane, Real::abs(x))
    }
    #[inline(always)]
    fn join(&self, a: T, b: T) -> T {
        self.0.step(a, b)
    }
    #[inline(always)]
    fn widen(&self, lane: T) -> T {
        lane
    }
    #[inline(always)]
    fn combine(&self, a: T, b: T) -> T {
        self.0.step(a, b)
    }
    #[inline(always)]
    fn finish(&self, partial: T) -> T {
        partial
    }
}

/// Whole blocks are asked at once whether a value is among them.
const BLOCK: usize = 64;

/// The position of the first largest (`MAX`) or smallest.
pub struct Position<T, const MAX: bool>(pub PhantomData<T>);

impl<T: Bounded, const MAX: bool> Reduction for Position<T, MAX> {
    type In = T;
    type Partial = (T, i64);
    type Out = i64;

    #[inline(always)]
    #[allow(clippy::eq_op)]
    fn run(&self, x: &[T], start: usize) -> (T, i64) {
        let best = fold::run(&Extreme::<T, MAX>(PhantomData), x);
        let is = |v: T| (v == best) | ((v != v) & (best != best));
        for (k, block) in x.chunks(BLOCK).enumerate() {
            if block.iter().fold(false, |found, &v| found | is(v)) {
                let j = block.iter().position(|&v| is(v)).unwrap_or_default();
                return (best, (start + k * BLOCK + j) as i64);
            }
        }
        (best, start as i64)
    }

    #[inline(always)]
    fn columns(&self, rows: Rows<'_, T>, start: usize, out: &mut [(T, i64)]) {
        let width = out.len().min(COLUMNS);
        let mut best = [T::ZERO; COLUMNS];
        let mut place = [0_i64; COLUMNS];
        best[..width].copy_from_slice(&rows.row(0)[..width]);
        for i in 1..rows.count() {
            let row = &rows.row(i)[..width];
            for j in 0..width {
                let better = beats::<T, MAX>(row[j], best[j]);
                best[j] = if better { row[j] } else { best[j] };
                place[j] = if better { i as i64 } else { place[j] };
            }
        }
        for j in 0..width {
            out[j] = (best[j], place[j] + start as i64);
        }
    }

    #[inline(always)]
    fn combine(&self, a: (T, i64), b: (T, i64)) -> (T, i64) {
        if beats::<T, MAX>(b.0, a.0) { b } else { a }
    }

    #[inline(always)]
    fn finish(&self, partial: (T, i64)) -> i64 {
        partial.1
    }
}
