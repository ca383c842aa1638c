//! Distances between the points of two sets.

#![allow(clippy::float_cmp, reason = "0, 1 and 2 are exact, and each norm of these has its own formula")]
#![allow(clippy::inline_always, reason = "a fold is compiled anew for each norm")]

use smallvec::smallvec;

use crate::array::kernels::leveled::{Task, leveled};
use crate::array::layout::{self, Dims};
use crate::array::{Array, DType, Element, pool};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Backward, Keep, Tensor, record_with_work};
use crate::ops;
use crate::ops::product::arrays;
use crate::ops::product::batch::multiply_each;
use crate::ops::view::reshape_to;

/// The p-norms of the differences between each point of `a` and each of `b`: `[.., m, k]` and `[.., n, k]` give
/// `[.., m, n]`, the axes before broadcast. p is at least 0; 0 counts the unequal coordinates, infinity takes the largest
/// difference. Both of one float dtype. The derivative of a distance of zero is zero.
pub fn cdist(a: &Tensor, b: &Tensor, p: f64) -> Result<Tensor> {
    let (x, z) = (a.array(), b.array());
    check(&x, &z, p)?;
    let n = x.ndim().max(z.ndim());
    let batch = layout::broadcast("cdist", &x.shape()[..x.ndim() - 2], &z.shape()[..z.ndim() - 2])?;
    let whole = |x: &Array| -> Result<Array> {
        let mut shape = batch.clone();
        shape.extend_from_slice(&x.shape()[x.ndim() - 2..]);
        x.expand(&shape)?.contiguous()
    };
    let (points, others) = (whole(&x)?, whole(&z.permute(&turned(z.ndim()))?)?);
    let mut shape = batch.clone();
    shape.extend([points.shape()[n - 2], others.shape()[n - 1]]);
    let y = Array::empty(&shape, x.dtype())?;
    match x.dtype() {
        DType::F32 => fill::<f32>(&points, &others, &y, p),
        _ => fill::<f64>(&points, &others, &y, p),
    }
    record_with_work(
        "CdistBackward0",
        arrays::work(y.numel(), points.shape()[n - 1], 4),
        &[a, b],
        y,
        &[Keep::Input(0), Keep::Input(1), Keep::Output(0)],
        move |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None, None]) };
            let (da, db) = backward(cx, g, p)?;
            Ok(smallvec![da, db])
        },
        |cx| {
            // dy = the sum of the unit differences times (da - db)
            let (a, b) = (cx.input(0), cx.input(1));
            let tangent = |i: usize, x: &Tensor| cx.tangent(i).map_or_else(|| ops::mul(x, 0.0), Ok);
            let one = Tensor::ones(&cx.output().shape(), cx.output().dtype())?;
            let pulls = pulls(&one, a, b, cx.output(), p)?;
            let moves = differences(&tangent(0, a)?, &tangent(1, b)?)?;
            let products = ops::mul(&pulls, &moves)?;
            let mut shape = products.shape();
            let last = shape.len() - 1;
            shape[last] = 1;
            reshape_to(&ops::sum_to(&products, &shape)?, &cx.output().shape())
        },
    )
}

/// The axes with the last two exchanged.
fn turned(ndim: usize) -> Dims {
    let mut axes: Dims = (0..ndim).collect();
    axes.swap(ndim - 2, ndim - 1);
    axes
}

fn check(x: &Array, z: &Array, p: f64) -> Result<()> {
    for (x, name) in [(x, "X1"), (z, "X2")] {
        if !x.dtype().is_floating() {
            return Err(Error::runtime(format!(
                "cdist only supports floating-point dtypes, {name} got: {}",
                x.dtype().scalar_name()
            )));
        }
        if x.ndim() < 2 {
            return Err(Error::runtime(format!(
                "cdist only supports at least 2D tensors, {name} got: {}D",
                x.ndim()
            )));
        }
    }
    let (k, l) = (x.shape()[x.ndim() - 1], z.shape()[z.ndim() - 1]);
    if k != l {
        return Err(Error::runtime(format!(
            "X1 and X2 must have the same number of columns. X1: {k} X2: {l}"
        )));
    }
    if x.dtype() != z.dtype() {
        return Err(Error::runtime(format!(
            "expected scalar type {} but found {} (.to({}) converts)",
            x.dtype().scalar_name(),
            z.dtype().scalar_name(),
            x.dtype()
        )));
    }
    if p < 0.0 || p.is_nan() {
        return Err(Error::runtime("cdist only supports non-negative p values"));
    }
    Ok(())
}

/// Distances from one point that are computed side by side.
const SIDE_BY_SIDE: usize = 64;

/// Multiply-adds in a parallel chunk.
const CHUNK: usize = 1 << 16;

/// What distances need of a float.
trait Real: Element {
    fn minus(self, other: Self) -> Self;
    fn plus(self, other: Self) -> Self;
    fn abs(self) -> Self;
    fn squared(self) -> Self;
    fn larger(self, other: Self) -> Self;
    fn powf(self, p: f64) -> Self;
    fn sqrt(self) -> Self;
}

macro_rules! real {
    ($($t:ty),*) => {$(
        impl Real for $t {
            #[inline(always)]
            fn minus(self, other: Self) -> Self { self - other }
            #[inline(always)]
            fn plus(self, other: Self) -> Self { self + other }
            #[inline(always)]
            fn abs(self) -> Self { self.abs() }
            #[inline(always)]
            fn squared(self) -> Self { self * self }
            #[inline(always)]
            fn larger(self, other: Self) -> Self {
                // NaN wins from either side.
                if self >= other || self.is_nan() { self } else { other }
            }
            #[inline(always)]
            fn powf(self, p: f64) -> Self { <$t>::powf(self, p as $t) }
            #[inline(always)]
            fn sqrt(self) -> Self { <$t>::sqrt(self) }
        }
    )*};
}

real!(f32, f64);

/// Distances from points to sets, whose coordinates lie one after the other: `[.., m, k]` and `[.., k, count]`.
struct Distances<'a, T, F, J, E> {
    points: &'a [T],
    sets: &'a [T],
    target: Target<T>,
    /// Points of a set, coordinates, and points that it is compared with.
    m: usize,
    k: usize,
    count: usize,
    /// Rows of the result in all, and in a task.
    rows: usize,
    run: usize,
    /// What is made of a difference, how two of these are joined, and what becomes of all.
    term: F,
    join: J,
    end: E,
}

impl<T, F, J, E> Task for Distances<'_, T, F, J, E>
where
    T: Real,
    F: Fn(T) -> T + Sync,
    J: Fn(T, T) -> T + Sync,
    E: Fn(T) -> T + Sync,
{
    type Answer = ();
    /// Every distance is one chain in the order of coordinates.
    #[inline(always)]
    fn run(&self, index: usize) {
        let (k, count) = (self.k, self.count);
        for row in index * self.run..self.rows.min((index + 1) * self.run) {
            let point = &self.points[row * k..(row + 1) * k];
            let set = &self.sets[row / self.m * count * k..(row / self.m + 1) * count * k];
            for from in (0..count).step_by(SIDE_BY_SIDE) {
                let width = SIDE_BY_SIDE.min(count - from);
                let mut joined = [T::ZERO; SIDE_BY_SIDE];
                for (c, &x) in point.iter().enumerate() {
                    let others = &set[c * count + from..][..width];
                    for (joined, &z) in joined.iter_mut().zip(others) {
                        *joined = (self.join)(*joined, (self.term)(x.minus(z)));
                    }
                }
                for (j, &joined) in joined.iter().enumerate().take(width) {
                    // SAFETY: each row of `y` is written by the one task that holds it, and lies inside `y`.
                    unsafe { self.target.at(row * count + from + j).write((self.end)(joined)) };
                }
            }
        }
    }
}

/// All distances, of contiguous arrays; the coordinates of `others` one after the other.
fn fill<T: Real>(points: &Array, others: &Array, y: &Array, p: f64) {
    let plus = T::plus;
    if p == 0.0 {
        fill_by(points, others, y, |d| if d == T::ZERO { T::ZERO } else { T::ONE }, plus, |s| s);
    } else if p == 1.0 {
        fill_by(points, others, y, T::abs, plus, |s| s);
    } else if p == 2.0 {
        fill_by(points, others, y, T::squared, plus, T::sqrt);
    } else if p.is_infinite() {
        fill_by(points, others, y, T::abs, T::larger, |s| s);
    } else {
        fill_by(points, others, y, |d| d.abs().powf(p), plus, |s| s.powf(1.0 / p));
    }
}

fn fill_by<T: Real>(
    points: &Array,
    others: &Array,
    y: &Array,
    term: impl Fn(T) -> T + Sync,
    join: impl Fn(T, T) -> T + Sync,
    end: impl Fn(T) -> T + Sync,
) {
    let n = points.ndim();
    let (m, k, count) = (points.shape()[n - 2], points.shape()[n - 1], others.shape()[n - 1]);
    // SAFETY: the arrays are contiguous and of dtype `T`; `y` was just made.
    let (Some(points), Some(sets), Some(y)) =
        (unsafe { (points.as_slice::<T>(), others.as_slice::<T>(), y.as_mut_slice::<T>()) })
    else {
        return;
    };
    if y.is_empty() {
        return;
    }
    let (rows, run) = (y.len() / count, (CHUNK / (count * k).max(1)).max(1));
    let distances =
        Distances { points, sets, target: Target(y.as_mut_ptr()), m, k, count, rows, run, term, join, end };
    pool::for_each(rows.div_ceil(run), &|part| leveled(&distances, part));
}

/// A place that several threads write to, each its own part.
struct Target<T>(*mut T);
// SAFETY: only elements that no other thread touches are written.
unsafe impl<T: Send> Sync for Target<T> {}

impl<T> Target<T> {
    fn at(&self, index: usize) -> *mut T {
        self.0.wrapping_add(index)
    }
}

/// `a_i - b_j` for all pairs.
fn differences(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    ops::sub(&ops::unsqueeze(a, -2)?, &ops::unsqueeze(b, -3)?)
}

/// 0 where y is 0, else g; and a divisor that is nowhere zero.
fn without_zeros(g: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    let zero = ops::eq(y, 0.0)?;
    Ok((ops::choose(&zero, 0.0, g)?, ops::choose(&zero, 1.0, y)?))
}

/// The derivative with respect to each difference of coordinates d:
/// g sign(d) |d|^(p-1) / y^(p-1), in the limit for p = infinity, where the largest difference has all.
fn pulls(g: &Tensor, a: &Tensor, b: &Tensor, y: &Tensor, p: f64) -> Result<Tensor> {
    let d = differences(a, b)?;
    let (g, y) = (ops::unsqueeze(g, -1)?, ops::unsqueeze(y, -1)?);
    if p == 0.0 {
        return ops::mul(&ops::mul(&d, 0.0)?, &g);
    }
    let direction = ops::sign(&d)?;
    if p == 1.0 {
        return ops::mul(&direction, &g);
    }
    if p.is_infinite() {
        let largest = ops::to_dtype(&ops::eq(&ops::abs(&d)?, &y)?, d.dtype())?;
        return ops::mul(&ops::mul(&direction, &largest)?, &g);
    }
    let (g, y) = without_zeros(&g, &y)?;
    if p == 2.0 {
        return ops::mul(&d, &ops::div(&g, &y)?);
    }
    // A coordinate without a difference has none of the derivative, and its power may be infinite.
    let size = if p < 2.0 { ops::choose(&ops::eq(&d, 0.0)?, 1.0, &ops::abs(&d)?)? } else { ops::abs(&d)? };
    let share = ops::div(&g, &ops::pow(&y, p - 1.0)?)?;
    ops::mul(&ops::mul(&direction, &ops::pow(&size, p - 1.0)?)?, &share)
}

fn backward(cx: &Backward<'_>, g: &Tensor, p: f64) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (a, b, y) = (cx.saved(0)?, cx.saved(1)?, cx.saved(2)?);
    if p == 2.0 {
        return euclidean(cx, g, &a, &b, &y);
    }
    let pulls = pulls(g, &a, &b, &y, p)?;
    let shape = pulls.shape();
    let n = shape.len();
    let collapsed = |axis: usize| -> Result<Tensor> {
        let mut kept: Dims = shape.clone();
        kept[axis] = 1;
        let sum = ops::sum_to(&pulls, &kept)?;
        ops::squeeze(&sum, Some(&[axis as isize]))
    };
    let da = cx.needs(0).then(|| collapsed(n - 2)).transpose()?;
    let db = cx.needs(1).then(|| ops::neg(&collapsed(n - 3)?)).transpose()?;
    Ok((da, db))
}

/// With `w = g / y`: `da_i = a_i sum_j w_ij - sum_j w_ij b_j`, which are products and take no memory for all differences.
fn euclidean(
    cx: &Backward<'_>,
    g: &Tensor,
    a: &Tensor,
    b: &Tensor,
    y: &Tensor,
) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let (g, y) = without_zeros(g, y)?;
    let w = ops::div(&g, &y)?;
    let shape = w.shape();
    let n = shape.len();
    let summed = |axis: usize| {
        let mut kept = shape.clone();
        kept[axis] = 1;
        ops::sum_to(&w, &kept)
    };
    let da =
        cx.needs(0).then(|| ops::sub(&ops::mul(a, &summed(n - 1)?)?, &multiply_each(&w, b, [false, false])?));
    let db = cx.needs(1).then(|| {
        let sums = ops::transpose(&summed(n - 2)?, -2, -1)?;
        ops::sub(&ops::mul(b, &sums)?, &multiply_each(&w, a, [true, false])?)
    });
    Ok((da.transpose()?, db.transpose()?))
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[
    Check::new(
        "cdist",
        |s| Ok(vec![s.normal(&[2, 3, 2])?, s.normal(&[2, 2])?]),
        |x| Ok(vec![cdist(&x[0], &x[1], 2.0)?]),
    ),
    Check::new(
        "cdist by sums",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2, 2])?]),
        |x| Ok(vec![cdist(&x[0], &x[1], 1.0)?]),
    ),
    Check::new(
        "cdist by cubes",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2, 2])?]),
        |x| Ok(vec![cdist(&x[0], &x[1], 3.0)?]),
    ),
    Check::new(
        "cdist by the power 1.5",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2, 2])?]),
        |x| Ok(vec![cdist(&x[0], &x[1], 1.5)?]),
    ),
    Check::new(
        "cdist by maxima",
        |s| Ok(vec![s.normal(&[3, 2])?, s.normal(&[2, 2])?]),
        |x| Ok(vec![cdist(&x[0], &x[1], f64::INFINITY)?]),
    ),
];
