//! Distances between the points of two sets.

#![allow(clippy::float_cmp, reason = "0, 1 and 2 are exact, and each norm of these has its own formula")]
#![allow(clippy::inline_always, reason = "a fold is compiled anew for each norm")]

use smallvec::smallvec;

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
    let (points, others) = (whole(&x)?, whole(&z)?);
    let mut shape = batch.clone();
    shape.extend([points.shape()[n - 2], others.shape()[n - 2]]);
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

/// Running sums, so that a compiler can take several coordinates at once; a constant, so that bits stay the same.
const LANES: usize = 8;

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

/// Folds `term(a[i] - b[i])` by fixed lanes.
#[inline(always)]
fn fold<T: Real>(a: &[T], b: &[T], term: impl Fn(T) -> T, join: impl Fn(T, T) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (left, right) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = left.remainder().iter().zip(right.remainder());
    for (a, b) in left.zip(right) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = join(*lane, term(a.minus(b)));
        }
    }
    for (lane, (&a, &b)) in lanes.iter_mut().zip(rest) {
        *lane = join(*lane, term(a.minus(b)));
    }
    lanes.into_iter().fold(T::ZERO, join)
}

fn distance<T: Real>(a: &[T], b: &[T], p: f64) -> T {
    let plus = T::plus;
    if p == 0.0 {
        fold(a, b, |d| if d == T::ZERO { T::ZERO } else { T::ONE }, plus)
    } else if p == 1.0 {
        fold(a, b, T::abs, plus)
    } else if p == 2.0 {
        fold(a, b, T::squared, plus).sqrt()
    } else if p.is_infinite() {
        fold(a, b, T::abs, T::larger)
    } else {
        fold(a, b, |d| d.abs().powf(p), plus).powf(1.0 / p)
    }
}

/// All distances, of contiguous arrays.
fn fill<T: Real>(points: &Array, others: &Array, y: &Array, p: f64) {
    let n = points.ndim();
    let (m, k, count) = (points.shape()[n - 2], points.shape()[n - 1], others.shape()[n - 2]);
    // SAFETY: the arrays are contiguous and of dtype `T`; `y` was just made.
    let (Some(points), Some(others), Some(y)) =
        (unsafe { (points.as_slice::<T>(), others.as_slice::<T>(), y.as_mut_slice::<T>()) })
    else {
        return;
    };
    if y.is_empty() {
        return;
    }
    let rows = y.len() / count;
    let run = (CHUNK / (count * k).max(1)).max(1);
    let target = Target(y.as_mut_ptr());
    pool::for_each(rows.div_ceil(run), &|part| {
        for row in part * run..rows.min((part + 1) * run) {
            let point = &points[row * k..(row + 1) * k];
            let set = &others[row / m * count * k..(row / m + 1) * count * k];
            for j in 0..count {
                let value = distance(point, &set[j * k..(j + 1) * k], p);
                // SAFETY: each row of `y` is written by the one part that holds it, and lies inside `y`.
                unsafe { target.at(row * count + j).write(value) };
            }
        }
    });
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
