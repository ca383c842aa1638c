//! Softmax and its logarithm along one axis, and the products of gradients with their Jacobians.

// What is compiled into loops of several instruction sets must be inlined into each of them.
#![allow(clippy::inline_always)]

use std::marker::PhantomData;

use crate::array::kernels::isa;
use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::driver::{COLUMNS, Rows};
use crate::array::kernels::reduce::extreme::{Bounded, Extreme};
use crate::array::kernels::reduce::fold;
use crate::array::kernels::reduce::moments::plain;
use crate::array::kernels::reduce::sum::{Float, Sum};
use crate::array::{Array, DType, pool};
use crate::error::{Error, Result};

/// Elements in a task; a constant, though here no bits depend on it.
const GROUP: usize = 16 * 1024;

/// A function of a line of numbers that needs the line's maximum and one sum.
///
/// `first` is written, its sum taken and put through `end`, then `last` written over it. `a` is the input (or the
/// gradient), `b` the second operand, `most` the largest of `a` if `MOST`. `FUSED`: multiplying and adding in one step.
trait Line<T: Float>: Sync {
    const MOST: bool;
    /// Whether `last` reads what `first` wrote. Where it does not, `first` reads `a` alone, and nothing is written.
    const KEEPS: bool = true;
    fn first<const FUSED: bool>(a: T, b: T, most: T) -> T;
    fn end(sum: f64) -> T;
    fn last<const FUSED: bool>(a: T, b: T, first: T, most: T, sum: T) -> T;
}

struct Softmax;
impl<T: Float> Line<T> for Softmax {
    const MOST: bool = true;
    #[inline(always)]
    fn first<const FUSED: bool>(a: T, _: T, most: T) -> T {
        (a - most).exp_nonpositive_if::<FUSED>()
    }
    #[inline(always)]
    fn end(sum: f64) -> T {
        T::of(1.0 / sum)
    }
    #[inline(always)]
    fn last<const FUSED: bool>(_: T, _: T, first: T, _: T, sum: T) -> T {
        first * sum
    }
}

struct LogSoftmax;
impl<T: Float> Line<T> for LogSoftmax {
    const MOST: bool = true;
    const KEEPS: bool = false;
    #[inline(always)]
    fn first<const FUSED: bool>(a: T, _: T, most: T) -> T {
        (a - most).exp_nonpositive_if::<FUSED>()
    }
    #[inline(always)]
    fn end(sum: f64) -> T {
        T::of(sum.ln())
    }
    #[inline(always)]
    fn last<const FUSED: bool>(a: T, _: T, _: T, most: T, sum: T) -> T {
        a - most - sum
    }
}

/// a = g, b = y: dx = (g - sum(g y)) y.
struct SoftmaxGradient;
impl<T: Float> Line<T> for SoftmaxGradient {
    const MOST: bool = false;
    #[inline(always)]
    fn first<const FUSED: bool>(a: T, b: T, _: T) -> T {
        a * b
    }
    #[inline(always)]
    fn end(sum: f64) -> T {
        T::of(sum)
    }
    #[inline(always)]
    fn last<const FUSED: bool>(a: T, b: T, _: T, _: T, sum: T) -> T {
        (a - sum) * b
    }
}

/// a = g, b = y: dx = g - e^y sum(g).
struct LogSoftmaxGradient;
impl<T: Float> Line<T> for LogSoftmaxGradient {
    const MOST: bool = false;
    const KEEPS: bool = false;
    #[inline(always)]
    fn first<const FUSED: bool>(a: T, _: T, _: T) -> T {
        a
    }
    #[inline(always)]
    fn end(sum: f64) -> T {
        T::of(sum)
    }
    #[inline(always)]
    fn last<const FUSED: bool>(a: T, b: T, _: T, _: T, sum: T) -> T {
        a - b.exp_nonpositive_if::<FUSED>() * sum
    }
}

/// Lines of `length` numbers, `inner` of them side by side.
struct Lines<T, L, const FUSED: bool> {
    a: *const T,
    b: *const T,
    y: *mut T,
    length: usize,
    inner: usize,
    /// Blocks of columns, or groups of rows, in all.
    units: usize,
    group: usize,
    line: PhantomData<L>,
}

// SAFETY: tasks read `a` and `b`, and each writes to lines of `y` of its own; `along` holds the arrays.
unsafe impl<T, L, const FUSED: bool> Sync for Lines<T, L, FUSED> {}

impl<T: Float + Bounded, L: Line<T>, const FUSED: bool> Lines<T, L, FUSED> {
    #[inline(always)]
    fn row(&self, row: usize) {
        let (at, n) = (row * self.length, self.length);
        // SAFETY: the arrays are contiguous with `n` elements a row; `y` was just made and overlaps neither operand.
        let (a, b, y) = unsafe {
            (
                std::slice::from_raw_parts(self.a.add(at), n),
                std::slice::from_raw_parts(self.b.add(at), n),
                std::slice::from_raw_parts_mut(self.y.add(at), n),
            )
        };
        let most = if L::MOST { fold::run(&Extreme::<T, true>(PhantomData), a) } else { <T as Real>::ZERO };
        let sum = if L::KEEPS {
            for i in 0..n {
                y[i] = L::first::<FUSED>(a[i], b[i], most);
            }
            fold::run(&plain::<T>(), y)
        } else {
            fold::run(&Sum { term: |a| L::first::<FUSED>(a, a, most), end: |sum| sum, of: PhantomData }, a)
        };
        let sum = L::end(sum);
        for i in 0..n {
            y[i] = L::last::<FUSED>(a[i], b[i], y[i], most, sum);
        }
    }

    #[inline(always)]
    fn block(&self, unit: usize) {
        let blocks = self.inner.div_ceil(COLUMNS);
        let (outer, column) = (unit / blocks, unit % blocks * COLUMNS);
        let width = COLUMNS.min(self.inner - column);
        let base = outer * self.length * self.inner + column;
        let mut most = [<T as Real>::ZERO; COLUMNS];
        let mut sums = [0.0; COLUMNS];
        // SAFETY: rows of `width` columns inside the arrays, `inner` elements apart; the rows of `y` are read only
        // between the writes below.
        let (read, written) = unsafe {
            (
                Rows::new(self.a.add(base), self.inner as isize, self.length, width),
                Rows::new(self.y.add(base).cast_const(), self.inner as isize, self.length, width),
            )
        };
        if L::MOST {
            fold::columns(&Extreme::<T, true>(PhantomData), read, &mut most[..width]);
        }
        for i in 0..self.length {
            let (a, b, y) = self.slices(base + i * self.inner, width);
            for j in 0..width {
                y[j] = L::first::<FUSED>(a[j], b[j], most[j]);
            }
        }
        fold::columns(&plain::<T>(), written, &mut sums[..width]);
        let sums = sums.map(L::end);
        for i in 0..self.length {
            let (a, b, y) = self.slices(base + i * self.inner, width);
            for j in 0..width {
                y[j] = L::last::<FUSED>(a[j], b[j], y[j], most[j], sums[j]);
            }
        }
    }

    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    fn slices(&self, at: usize, n: usize) -> (&[T], &[T], &mut [T]) {
        // SAFETY: a piece of a line's row; see `row`.
        unsafe {
            (
                std::slice::from_raw_parts(self.a.add(at), n),
                std::slice::from_raw_parts(self.b.add(at), n),
                std::slice::from_raw_parts_mut(self.y.add(at), n),
            )
        }
    }
}

impl<T: Float + Bounded, L: Line<T>, const FUSED: bool> Task for Lines<T, L, FUSED> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, index: usize) {
        let first = index * self.group;
        for unit in first..self.units.min(first + self.group) {
            if self.inner == 1 { self.row(unit) } else { self.block(unit) }
        }
    }
}

fn along<T: Float + Bounded, L: Line<T>, const FUSED: bool>(
    a: &Array,
    b: &Array,
    axis: usize,
) -> Result<Array> {
    // A function of one operand is given it twice, and reads it once.
    let alone = std::ptr::eq(a, b);
    let a = a.contiguous()?;
    let b = if alone { a.clone() } else { b.contiguous()? };
    let y = a.empty_like(T::DTYPE)?;
    if a.numel() == 0 {
        return Ok(y);
    }
    let (outer, length, inner) = extents(a.shape(), axis);
    let units = outer * inner.div_ceil(COLUMNS);
    let group = (GROUP / (length * inner.min(COLUMNS))).max(1);
    let lines = Lines::<T, L, FUSED> {
        a: a.pointer().cast(),
        b: b.pointer().cast(),
        y: y.pointer().cast(),
        length,
        inner,
        units,
        group,
        line: PhantomData,
    };
    let tasks = units.div_ceil(group);
    if a.numel() < 2 * GROUP {
        (0..tasks).for_each(|i| leveled(&lines, i));
    } else {
        pool::for_each(tasks, &|i| leveled(&lines, i));
    }
    Ok(y)
}

/// Lines before an axis, its length, and elements after it. A 0-d array is one line of one.
pub fn extents(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    if shape.is_empty() {
        return (1, 1, 1);
    }
    (shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product())
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident ( $a:ident $(, $b:ident)? ) $line:ident $op:literal;)*) => { $(
        $(#[$doc])*
        pub fn $name($a: &Array, $($b: &Array,)? axis: usize) -> Result<Array> {
            let b = [$a $(, $b)?].last().copied().unwrap_or($a);
            match ($a.dtype(), isa::fuses()) {
                (DType::F32, false) => along::<f32, $line, false>($a, b, axis),
                (DType::F32, true) => along::<f32, $line, true>($a, b, axis),
                (DType::F64, false) => along::<f64, $line, false>($a, b, axis),
                (DType::F64, true) => along::<f64, $line, true>($a, b, axis),
                (other, _) => Err(Error::unsupported($op, other)),
            }
        }
    )* };
}

functions! {
    /// The gradient of softmax from that of its output `y`.
    softmax_gradient(g, y) SoftmaxGradient "softmax_backward";
    /// The gradient of the logarithm of softmax from that of its output `y`.
    log_softmax_gradient(g, y) LogSoftmaxGradient "log_softmax_backward";
    /// e^x by its sum along an axis, of a float array.
    softmax(x) Softmax "softmax_lastdim_kernel_impl";
    /// The logarithm of softmax.
    log_softmax(x) LogSoftmax "log_softmax_lastdim_kernel_impl";
}
