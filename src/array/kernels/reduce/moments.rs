//! Reductions that read each chunk twice while it is in cache: variance, and the logarithm of a sum of exponentials.

use std::marker::PhantomData;

use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::driver::{COLUMNS, Reduction, Rows};
use crate::array::kernels::reduce::extreme::{Bounded, Extreme};
use crate::array::kernels::reduce::fold::{self, Fold};
use crate::array::kernels::reduce::sum::{Float, Itself, Sum};

/// Count, mean, and the sum of squared deviations from the mean.
#[derive(Clone, Copy, Default, Debug)]
pub struct Moments {
    count: f64,
    mean: f64,
    deviation: f64,
}

impl Moments {
    /// The mean.
    #[inline(always)]
    pub fn mean(self) -> f64 {
        self.mean
    }

    /// The sum of squared deviations by `count - correction`.
    #[inline(always)]
    pub fn variance(self, correction: f64) -> f64 {
        self.deviation.max(if self.deviation.is_nan() { f64::NAN } else { 0.0 })
            / (self.count - correction).max(0.0)
    }

    /// The moments of two sets together: T. Chan, G. Golub and R. `LeVeque`, "Updating formulae and a pairwise algorithm for
    /// computing sample variances", 1979.
    #[inline(always)]
    fn merge(self, other: Self) -> Self {
        let count = self.count + other.count;
        if self.count == 0.0 {
            return other;
        }
        let apart = other.mean - self.mean;
        let share = other.count / count;
        Self {
            count,
            mean: self.mean + apart * share,
            deviation: self.deviation + other.deviation + apart * apart * self.count * share,
        }
    }
}

/// What of the moments is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The sum of squared deviations by `count - correction`.
    Variance,
    /// Its square root.
    Deviation,
}

/// Variance or standard deviation.
pub struct Spread<T> {
    /// Which.
    pub moment: Moment,
    /// What is taken off the count.
    pub correction: f64,
    /// The numbers' type.
    pub of: PhantomData<T>,
}

/// The sum of squared distances from `from`.
struct Squares<T> {
    from: T,
}

impl<T: Float> Fold for Squares<T> {
    type In = T;
    type Lane = T;
    type Partial = f64;
    type Out = T;
    #[inline(always)]
    fn start(&self) -> T {
        <T as Real>::ZERO
    }
    #[inline(always)]
    fn step(&self, lane: T, x: T) -> T {
        let d = x - self.from;
        lane + d * d
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
        T::of(partial)
    }
}

/// The sum of numbers as they are.
#[inline(always)]
pub fn plain<T: Float>() -> Sum<T, Itself, impl Fn(f64) -> f64 + Sync> {
    Sum { term: Itself, end: |s| s, of: PhantomData }
}

/// The moments of runs that together have `count` elements, at least one; `runs` is read twice.
#[inline(always)]
pub fn spread<'a, T: Float + 'a, I: Iterator<Item = &'a [T]>>(count: usize, runs: impl Fn() -> I) -> Moments {
    let count = count as f64;
    let mean = runs().map(|x| fold::run(&plain::<T>(), x)).sum::<f64>() / count;
    let from = T::of(mean);
    let squares = runs().map(|x| fold::run(&Squares { from }, x)).sum();
    Spread::<T>::moments(count, mean, from, squares)
}

impl<T: Float> Spread<T> {
    /// The squares were taken from the rounded mean; what that leaves is `count * (mean - rounded)^2`.
    #[inline(always)]
    fn moments(count: f64, mean: f64, from: T, squares: f64) -> Moments {
        let off = mean - Real::to_f64(from);
        Moments { count, mean, deviation: squares - count * off * off }
    }
}

impl<T: Float> Reduction for Spread<T> {
    type In = T;
    type Partial = Moments;
    type Out = T;

    #[inline(always)]
    fn run(&self, x: &[T], _: usize) -> Moments {
        let count = x.len() as f64;
        if x.is_empty() {
            return Moments::default();
        }
        let mean = fold::run(&plain::<T>(), x) / count;
        let from = T::of(mean);
        Self::moments(count, mean, from, fold::run(&Squares { from }, x))
    }

    #[inline(always)]
    fn columns(&self, rows: Rows<'_, T>, _: usize, out: &mut [Moments]) {
        let width = out.len().min(COLUMNS);
        let count = rows.count() as f64;
        let mut sums = [0.0; COLUMNS];
        fold::columns(&plain::<T>(), rows, &mut sums[..width]);
        let means = sums.map(|s| s / count);
        let from: [Squares<T>; COLUMNS] = std::array::from_fn(|j| Squares { from: T::of(means[j]) });
        let mut squares = [0.0; COLUMNS];
        fold::columns_by(rows, &mut squares[..width], |j| &from[j]);
        for j in 0..width {
            out[j] = Self::moments(count, means[j], from[j].from, squares[j]);
        }
    }

    #[inline(always)]
    fn combine(&self, a: Moments, b: Moments) -> Moments {
        a.merge(b)
    }

    #[inline(always)]
    fn finish(&self, m: Moments) -> T {
        let variance = m.variance(self.correction);
        T::of(if self.moment == Moment::Variance { variance } else { variance.sqrt() })
    }
}

/// The logarithm of the sum of the exponentials.
pub struct LogSumExp<T, const FUSED: bool>(pub PhantomData<T>);

/// `log sum exp x = most + log(sum)`, `most` finite.
#[derive(Clone, Copy, Default, Debug)]
pub struct Scaled {
    most: f64,
    sum: f64,
}

/// The sum of `exp(x - most)`.
struct Exponentials<T, const FUSED: bool> {
    most: T,
}

impl<T: Float, const FUSED: bool> Fold for Exponentials<T, FUSED> {
    type In = T;
    type Lane = T;
    type Partial = f64;
    type Out = T;
    #[inline(always)]
    fn start(&self) -> T {
        <T as Real>::ZERO
    }
    #[inline(always)]
    fn step(&self, lane: T, x: T) -> T {
        lane + (x - self.most).exp_if::<FUSED>()
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
        T::of(partial)
    }
}

/// The largest, or zero where that is infinite: exponentials of differences must not be of infinity less infinity.
#[inline(always)]
fn finite<T: Real>(most: T) -> T {
    if most.is_finite() { most } else { T::ZERO }
}

impl<T: Float + Bounded, const FUSED: bool> Reduction for LogSumExp<T, FUSED> {
    type In = T;
    type Partial = Scaled;
    type Out = T;

    #[inline(always)]
    fn run(&self, x: &[T], _: usize) -> Scaled {
        let most = finite(fold::run(&Extreme::<T, true>(PhantomData), x));
        Scaled { most: Real::to_f64(most), sum: fold::run(&Exponentials::<T, FUSED> { most }, x) }
    }

    #[inline(always)]
    fn columns(&self, rows: Rows<'_, T>, _: usize, out: &mut [Scaled]) {
        let width = out.len().min(COLUMNS);
        let mut most = [<T as Real>::ZERO; COLUMNS];
        fold::columns(&Extreme::<T, true>(PhantomData), rows, &mut most[..width]);
        let from: [Exponentials<T, FUSED>; COLUMNS] =
            std::array::from_fn(|j| Exponentials { most: finite(most[j]) });
        let mut sums = [0.0; COLUMNS];
        fold::columns_by(rows, &mut sums[..width], |j| &from[j]);
        for j in 0..width {
            out[j] = Scaled { most: Real::to_f64(from[j].most), sum: sums[j] };
        }
    }

    #[inline(always)]
    fn combine(&self, a: Scaled, b: Scaled) -> Scaled {
        // A chunk of negative infinities adds nothing, wherever its zero stands.
        if a.sum == 0.0 {
            return b;
        }
        if b.sum == 0.0 {
            return a;
        }
        let most = if a.most > b.most { a.most } else { b.most };
        Scaled { most, sum: a.sum * (a.most - most).exp() + b.sum * (b.most - most).exp() }
    }

    #[inline(always)]
    fn finish(&self, p: Scaled) -> T {
        T::of(p.most + p.sum.ln())
    }
}
