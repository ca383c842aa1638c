//! Scans: each number becomes what the line up to it comes to. From the front or from the back.

// What is compiled into loops of several instruction sets must be inlined into each of them.
#![allow(clippy::inline_always)]

use std::marker::PhantomData;

use crate::array::kernels::reduce::driver::COLUMNS;
use crate::array::kernels::reduce::extreme::Bounded;
use crate::array::kernels::softmax::extents;
use crate::array::{Array, DType, Element, pool};
use crate::error::{Error, Result};
use crate::with_element;

/// Elements in a task; lines are never cut.
const GROUP: usize = 16 * 1024;

/// What runs along a line. Methods are `#[inline(always)]`.
trait Running: Sync {
    /// The first operand's type.
    type A: Element;
    /// The second operand's type; a scan of one operand is given it twice.
    type B: Element;
    /// The result's type.
    type Y: Element;
    /// What is carried from place to place.
    type State: Copy;
    /// Before the first place.
    fn start(&self) -> Self::State;
    /// The state after a place whose numbers are `a` and `b`; `index` counts from the line's beginning in memory.
    fn step(&self, state: Self::State, a: Self::A, b: Self::B, index: usize) -> Self::State;
    /// The result there.
    fn value(&self, state: Self::State) -> Self::Y;
}

struct Lines<'a, R: Running> {
    running: &'a R,
    a: *const R::A,
    b: *const R::B,
    y: *mut R::Y,
    length: usize,
    inner: usize,
    reverse: bool,
}

// SAFETY: tasks read `a` and `b` and write lines of `y` of their own; `scan` holds the arrays.
unsafe impl<R: Running> Sync for Lines<'_, R> {}

impl<R: Running> Lines<'_, R> {
    /// Runs along up to `COLUMNS` neighbouring lines at once.
    fn block(&self, unit: usize) {
        let blocks = self.inner.div_ceil(COLUMNS);
        let (outer, column) = (unit / blocks, unit % blocks * COLUMNS);
        let width = COLUMNS.min(self.inner - column);
        let base = outer * self.length * self.inner + column;
        let mut states = [self.running.start(); COLUMNS];
        for k in 0..self.length {
            let i = if self.reverse { self.length - 1 - k } else { k };
            let at = base + i * self.inner;
            for (j, state) in states[..width].iter_mut().enumerate() {
                // SAFETY: the place is inside the contiguous arrays and belongs to this unit's lines.
                unsafe {
                    *state = self.running.step(*state, *self.a.add(at + j), *self.b.add(at + j), i);
                    self.y.add(at + j).write(self.running.value(*state));
                }
            }
        }
    }

    /// Runs along one line without gaps.
    fn row(&self, unit: usize) {
        let base = unit * self.length;
        let mut state = self.running.start();
        for k in 0..self.length {
            let i = if self.reverse { self.length - 1 - k } else { k };
            // SAFETY: as in `block`.
            unsafe {
                state = self.running.step(state, *self.a.add(base + i), *self.b.add(base + i), i);
                self.y.add(base + i).write(self.running.value(state));
            }
        }
    }
}

fn scan<R: Running>(running: &R, a: &Array, b: &Array, axis: usize, reverse: bool) -> Result<Array> {
    let (a, b) = (a.cast(R::A::DTYPE)?.contiguous()?, b.cast(R::B::DTYPE)?.contiguous()?);
    let y = a.empty_like(R::Y::DTYPE)?;
    if a.numel() == 0 {
        return Ok(y);
    }
    let (outer, length, inner) = extents(a.shape(), axis);
    let lines = Lines {
        running,
        a: a.pointer().cast::<R::A>().cast_const(),
        b: b.pointer().cast::<R::B>().cast_const(),
        y: y.pointer().cast::<R::Y>(),
        length,
        inner,
        reverse,
    };
    let units = outer * inner.div_ceil(COLUMNS);
    let group = (GROUP / (length * inner.min(COLUMNS))).max(1);
    let work = |index: usize| {
        for unit in index * group..units.min((index + 1) * group) {
            if inner == 1 { lines.row(unit) } else { lines.block(unit) }
        }
    };
    if a.numel() < 2 * GROUP {
        (0..units.div_ceil(group)).for_each(work);
    } else {
        pool::for_each(units.div_ceil(group), &work);
    }
    Ok(y)
}

/// A scan given by functions of the state.
struct By<A, B, Y, S, F, G> {
    start: S,
    step: F,
    value: G,
    of: PhantomData<(A, B, Y)>,
}

impl<A, B, Y, S, F, G> Running for By<A, B, Y, S, F, G>
where
    A: Element,
    B: Element,
    Y: Element,
    S: Copy + Sync,
    F: Fn(S, A, B, usize) -> S + Sync,
    G: Fn(S) -> Y + Sync,
{
    type A = A;
    type B = B;
    type Y = Y;
    type State = S;
    #[inline(always)]
    fn start(&self) -> S {
        self.start
    }
    #[inline(always)]
    fn step(&self, state: S, a: A, b: B, index: usize) -> S {
        (self.step)(state, a, b, index)
    }
    #[inline(always)]
    fn value(&self, state: S) -> Y {
        (self.value)(state)
    }
}

/// A scan whose state is a double and whose numbers are of one float type.
fn real<T: Element>(
    a: &Array,
    b: &Array,
    axis: usize,
    reverse: bool,
    start: f64,
    step: impl Fn(f64, f64, f64) -> f64 + Sync,
) -> Result<Array> {
    let step = |s: f64, a: T, b: T, _: usize| step(s, a.to_f64(), b.to_f64());
    scan(&By { start, step, value: T::from_f64, of: PhantomData::<(T, T, T)> }, a, b, axis, reverse)
}

fn integer(a: &Array, axis: usize, reverse: bool, start: i64, step: fn(i64, i64) -> i64) -> Result<Array> {
    let step = move |s: i64, a: i64, _: i64, _: usize| step(s, a);
    scan(&By { start, step, value: |s| s, of: PhantomData::<(i64, i64, i64)> }, a, a, axis, reverse)
}

/// Running sums, in doubles for floats.
pub fn sum(x: &Array, axis: usize, reverse: bool, dtype: DType) -> Result<Array> {
    match dtype {
        DType::F32 => real::<f32>(x, x, axis, reverse, 0.0, |s, x, _| s + x),
        DType::F64 => real::<f64>(x, x, axis, reverse, 0.0, |s, x, _| s + x),
        _ => integer(x, axis, reverse, 0, i64::wrapping_add)?.cast(dtype),
    }
}

/// Running products, in doubles for floats.
pub fn product(x: &Array, axis: usize, reverse: bool, dtype: DType) -> Result<Array> {
    match dtype {
        DType::F32 => real::<f32>(x, x, axis, reverse, 1.0, |s, x, _| s * x),
        DType::F64 => real::<f64>(x, x, axis, reverse, 1.0, |s, x, _| s * x),
        _ => integer(x, axis, reverse, 1, i64::wrapping_mul)?.cast(dtype),
    }
}

/// The linear recurrence `y[k] = b[k] + a[k] y[k - 1]` (in reverse: `y[k + 1]`), of a float dtype.
pub fn recurrence(a: &Array, b: &Array, axis: usize, reverse: bool) -> Result<Array> {
    match a.dtype() {
        DType::F32 => real::<f32>(a, b, axis, reverse, 0.0, |s, a, b| b + if s == 0.0 { 0.0 } else { a * s }),
        DType::F64 => real::<f64>(a, b, axis, reverse, 0.0, |s, a, b| b + if s == 0.0 { 0.0 } else { a * s }),
        other => Err(Error::unsupported("recurrence", other)),
    }
}

/// Running logarithms of sums of exponentials.
pub fn logsumexp(x: &Array, axis: usize) -> Result<Array> {
    fn add(s: f64, x: f64) -> f64 {
        if s.is_nan() || x.is_nan() {
            return f64::NAN;
        }
        let (least, most) = if s < x { (s, x) } else { (x, s) };
        if most.is_infinite() { most } else { most + (least - most).exp().ln_1p() }
    }
    match x.dtype() {
        DType::F32 => real::<f32>(x, x, axis, false, f64::NEG_INFINITY, |s, x, _| add(s, x)),
        DType::F64 => real::<f64>(x, x, axis, false, f64::NEG_INFINITY, |s, x, _| add(s, x)),
        other => Err(Error::unsupported("logcumsumexp_out_cpu", other)),
    }
}

/// Where the running maximum (or minimum) stands: the last place of equals, and every NaN, as PyTorch has it.
pub fn position(x: &Array, axis: usize, max: bool) -> Result<Array> {
    fn of<T: Bounded>(x: &Array, axis: usize, max: bool) -> Result<Array> {
        #[allow(clippy::eq_op)] // only NaN differs from itself
        let step = move |(best, place): (T, i64), x: T, _: T, i: usize| {
            let further = if max { x >= best } else { x <= best };
            if x != x || (best == best && further) { (x, i as i64) } else { (best, place) }
        };
        let start = (if max { T::LEAST } else { T::GREATEST }, 0);
        scan(&By { start, step, value: |(_, i)| i, of: PhantomData::<(T, T, i64)> }, x, x, axis, false)
    }
    with_element!(x.dtype(), T => of::<T>(x, axis, max))
}
