//! Attention, a few queries at a time: the scores of all queries with all keys are never held together.
//!
//! Note [A block of queries]: the scores of some queries with all keys fit the second-level cache, and what is wanted of
//! them, the weighted sum of values and later the gradients, is made before the next queries come. From the forward pass
//! only the logarithm of each query's sum is kept; the scores are computed again. A head is one task of the backward pass,
//! which adds the blocks' parts to the gradients of keys and values in order.

// What is compiled into loops of several instruction sets must be inlined into each of them.
#![allow(clippy::inline_always)]

use std::marker::PhantomData;

use crate::array::kernels::isa;
use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::product::{MOST_ROWS, Matrix, MatrixMut, Product, Vector, dot, gemm};
use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::extreme::{Bounded, Extreme};
use crate::array::kernels::reduce::fold;
use crate::array::kernels::reduce::moments::plain;
use crate::array::kernels::reduce::sum::Float;
use crate::array::kernels::scratch::{Shared, with_scratch};
use crate::array::{Array, DType, pool};
use crate::error::{Error, Result};

/// Scores of a block: half a megabyte of single precision.
const SCORES: usize = 128 * 1024;

/// The most queries of a block, which is a multiple of the rows of every register tile.
const QUERIES: usize = 4 * MOST_ROWS;

/// What the scores are put through before they weigh values.
#[derive(Clone, Copy)]
pub struct Rule {
    /// What a product of query and key is multiplied with.
    pub scale: f64,
    /// Whether query `i` sees keys `0..=i` only.
    pub causal: bool,
}

/// Numbers that attention is computed in.
trait Number: Product + Float + Bounded {}
impl Number for f32 {}
impl Number for f64 {}

/// Matrices of all heads: an array whose last two axes are rows and columns.
struct Heads<'a, T> {
    array: &'a Array,
    data: &'a [T],
}

impl<'a, T> Heads<'a, T> {
    fn new(array: &'a Array) -> Self {
        // SAFETY: the elements are inside the storage, of type `T` by the caller's choice, and only read.
        let data = unsafe { std::slice::from_raw_parts(array.pointer().cast(), array.layout().extent()) };
        Self { array, data }
    }

    /// The matrix of a head from a row on.
    fn rows_from(&self, mut head: usize, row: usize) -> Matrix<'a, T> {
        let (shape, strides) = (self.array.shape(), self.array.strides());
        let outer = shape.len() - 2;
        let mut offset = row * strides[outer] as usize;
        for axis in (0..outer).rev() {
            offset += head % shape[axis] * strides[axis] as usize;
            head /= shape[axis];
        }
        Matrix::new(self.data, offset, strides[outer], strides[outer + 1])
    }
}

/// Extents: heads, queries, keys, and columns of queries and of values.
struct Sizes {
    heads: usize,
    queries: usize,
    keys: usize,
    inner: usize,
    outer: usize,
}

impl Sizes {
    fn new(q: &Array, k: &Array, v: &Array) -> Self {
        let (shape, last) = (q.shape(), q.ndim() - 1);
        Self {
            heads: shape[..last - 1].iter().product(),
            queries: shape[last - 1],
            keys: k.shape()[last - 1],
            inner: shape[last],
            outer: v.shape()[last],
        }
    }

    /// Queries of a block.
    fn block(&self) -> usize {
        (SCORES / self.keys.max(1) / MOST_ROWS * MOST_ROWS).clamp(MOST_ROWS, QUERIES)
    }

    /// Keys that some of the queries `..end` see.
    fn seen(&self, rule: Rule, end: usize) -> usize {
        if rule.causal { self.keys.min(end) } else { self.keys }
    }
}

/// Turns a block of scores into weights, and notes the logarithm of each sum, or takes it as known.
struct Weights<T> {
    scores: *mut T,
    logs: *mut T,
    known: bool,
    rows: usize,
    columns: usize,
    /// The number of the first query, if it sees only keys up to its own number.
    causal: Option<usize>,
}

impl<T: Number> Weights<T> {
    fn fill(&self) {
        if isa::fuses() {
            leveled(&WeightsBy::<T, true>(self), 0);
        } else {
            leveled(&WeightsBy::<T, false>(self), 0);
        }
    }
}

/// The work of [`Weights`], in fused steps if `FUSED`.
struct WeightsBy<'a, T, const FUSED: bool>(&'a Weights<T>);

impl<T: Number, const FUSED: bool> Task for WeightsBy<'_, T, FUSED> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, _: usize) {
        let Self(all) = self;
        for i in 0..all.rows {
            // SAFETY: the rows of scores and their logarithms are this call's alone.
            let (row, log) = unsafe {
                let row = std::slice::from_raw_parts_mut(all.scores.add(i * all.columns), all.columns);
                (row, &mut *all.logs.add(i))
            };
            let seen = all.causal.map_or(all.columns, |first| all.columns.min(first + i + 1));
            let (row, unseen) = row.split_at_mut(seen);
            unseen.fill(<T as Real>::ZERO);
            if all.known {
                for x in row {
                    *x = (*x - *log).exp_nonpositive_if::<FUSED>();
                }
                continue;
            }
            let most = fold::run(&Extreme::<T, true>(PhantomData), row);
            for x in row.iter_mut() {
                *x = (*x - most).exp_nonpositive_if::<FUSED>();
            }
            let sum = fold::run(&plain::<T>(), row);
            let share = T::of(1.0 / sum);
            for x in row.iter_mut() {
                *x = *x * share;
            }
            *log = most + T::of(sum.ln());
        }
    }
}

/// scale p (dp - shift), over `dp`.
struct ScoreGradients<T> {
    weights: *const T,
    grads: *mut T,
    shifts: *const T,
    scale: T,
    rows: usize,
    columns: usize,
}

impl<T: Number> Task for ScoreGradients<T> {
    type Answer = ();
    #[inline(always)]
    fn run(&self, _: usize) {
        let n = self.columns;
        for i in 0..self.rows {
            // SAFETY: the rows are this call's alone.
            let (p, dp, shift) = unsafe {
                (
                    std::slice::from_raw_parts(self.weights.add(i * n), n),
                    std::slice::from_raw_parts_mut(self.grads.add(i * n), n),
                    *self.shifts.add(i),
                )
            };
            (0..n).for_each(|j| dp[j] = self.scale * p[j] * (dp[j] - shift));
        }
    }
}

/// The last two axes exchanged, in memory.
fn turned(x: &Array) -> Result<Array> {
    let mut axes: Vec<usize> = (0..x.ndim()).collect();
    let last = axes.len() - 1;
    axes.swap(last - 1, last);
    x.permute(&axes)?.contiguous()
}

fn with_columns(x: &Array, columns: usize) -> Vec<usize> {
    let mut shape = x.shape().to_vec();
    *shape.last_mut().unwrap_or(&mut 0) = columns;
    shape
}

/// The memory of a fresh array, for tasks to write places of their own.
fn places<T>(x: &Array) -> Shared<T> {
    Shared(x.pointer().cast())
}

/// A matrix of so many columns over all of a slice.
fn into<T>(x: &mut [T], columns: usize) -> MatrixMut<'_, T> {
    MatrixMut::new(x, 0, columns as isize, 1)
}

/// Threads inside a product: all of them where heads alone do not keep them busy.
fn inner_threads(heads: usize) -> usize {
    if heads == 1 { pool::num_threads() } else { 1 }
}

fn forward_of<T: Number>(q: &Array, k: &Array, v: &Array, rule: Rule) -> Result<[Array; 2]> {
    let sizes = Sizes::new(q, k, v);
    let y = Array::empty(&with_columns(q, sizes.outer), T::DTYPE)?;
    let logs = Array::empty(&q.shape()[..q.ndim() - 1], T::DTYPE)?;
    let kt = turned(k)?;
    let (q, kt, v) = (Heads::<T>::new(q), Heads::<T>::new(&kt), Heads::<T>::new(v));
    let (all_y, all_logs) = (places::<T>(&y), places::<T>(&logs));
    let Sizes { heads, queries, inner, outer, .. } = sizes;
    let block = sizes.block();
    let blocks = queries.div_ceil(block);
    pool::for_each(heads * blocks, &|task| {
        let (head, first) = (task / blocks, task % blocks * block);
        let m = block.min(queries - first);
        let n = sizes.seen(rule, first + m);
        // SAFETY: these queries' places are this task's alone.
        let (y, logs) = unsafe {
            (
                all_y.slice((head * queries + first) * outer, m * outer),
                all_logs.slice(head * queries + first, m),
            )
        };
        with_scratch(m * n, |scores: &mut [T]| {
            let c = MatrixMut::new(scores, 0, n as isize, 1);
            let (a, b) = (q.rows_from(head, first), kt.rows_from(head, 0));
            gemm(m, n, inner, T::of(rule.scale), a, b, <T as Real>::ZERO, c, 1);
            let causal = rule.causal.then_some(first);
            let (scores_at, logs) = (scores.as_mut_ptr(), logs.as_mut_ptr());
            Weights { scores: scores_at, logs, known: false, rows: m, columns: n, causal }.fill();
            let a = Matrix::new(scores, 0, n as isize, 1);
            let c = MatrixMut::new(y, 0, outer as isize, 1);
            gemm(m, outer, n, <T as Real>::ONE, a, v.rows_from(head, 0), <T as Real>::ZERO, c, 1);
        });
    });
    Ok([y, logs])
}

/// softmax(scale q kᵀ) v of each head, and the logarithm of each query's sum of exponentials.
///
/// `q` is `[..heads, queries, inner]`, `k` `[..heads, keys, inner]`, `v` `[..heads, keys, outer]`, with at least one key.
pub fn forward(q: &Array, k: &Array, v: &Array, rule: Rule) -> Result<[Array; 2]> {
    match q.dtype() {
        DType::F32 => forward_of::<f32>(q, k, v, rule),
        DType::F64 => forward_of::<f64>(q, k, v, rule),
        other => Err(Error::unsupported("scaled_dot_product_attention", other)),
    }
}

/// What [`forward`] was given and gave.
pub struct Known<'a> {
    /// The queries.
    pub q: &'a Array,
    /// The keys.
    pub k: &'a Array,
    /// The values.
    pub v: &'a Array,
    /// The result, contiguous.
    pub y: &'a Array,
    /// The logarithms of the sums.
    pub logs: &'a Array,
}

fn backward_of<T: Number>(g: &Array, known: &Known<'_>, rule: Rule) -> Result<[Array; 3]> {
    let sizes = Sizes::new(known.q, known.k, known.v);
    let dq = Array::empty(known.q.shape(), T::DTYPE)?;
    let dk = Array::zeros(known.k.shape(), T::DTYPE)?;
    let dv = Array::zeros(known.v.shape(), T::DTYPE)?;
    let (kt, vt) = (turned(known.k)?, turned(known.v)?);
    let [g, q, k, kt, vt, y, logs] =
        [g, known.q, known.k, &kt, &vt, known.y, known.logs].map(Heads::<T>::new);
    let (all_dq, all_dk, all_dv) = (places::<T>(&dq), places::<T>(&dk), places::<T>(&dv));
    let Sizes { heads, queries, keys, inner, outer } = sizes;
    let (zero, one) = (<T as Real>::ZERO, <T as Real>::ONE);
    let (block, threads) = (sizes.block(), inner_threads(heads));
    pool::for_each(heads, &|head| {
        // SAFETY: this head's places are this task's alone.
        let (dq, dk, dv) = unsafe {
            (
                all_dq.slice(head * queries * inner, queries * inner),
                all_dk.slice(head * keys * inner, keys * inner),
                all_dv.slice(head * keys * outer, keys * outer),
            )
        };
        for first in (0..queries).step_by(block) {
            let m = block.min(queries - first);
            let n = sizes.seen(rule, first + m);
            let causal = rule.causal.then_some(first);
            with_scratch(2 * m * n + 2 * m, |scratch: &mut [T]| {
                let (p, rest) = scratch.split_at_mut(m * n);
                let (dp, rest) = rest.split_at_mut(m * n);
                let (logs_here, shifts) = rest.split_at_mut(m);
                let (queries_here, g_here) = (q.rows_from(head, first), g.rows_from(head, first));
                logs_here.copy_from_slice(&logs.data[head * queries + first..][..m]);
                let alpha = T::of(rule.scale);
                gemm(m, n, inner, alpha, queries_here, kt.rows_from(head, 0), zero, into(p, n), threads);
                let (scores, logs) = (p.as_mut_ptr(), logs_here.as_mut_ptr());
                Weights { scores, logs, known: true, rows: m, columns: n, causal }.fill();
                gemm(m, n, outer, one, g_here, vt.rows_from(head, 0), zero, into(dp, n), threads);
                for (i, shift) in shifts.iter_mut().enumerate() {
                    *shift = dot(outer, g.row(head, first + i), y.row(head, first + i));
                }
                let (weights, grads, shifts) = (p.as_ptr(), dp.as_mut_ptr(), shifts.as_ptr());
                leveled(&ScoreGradients { weights, grads, shifts, scale: alpha, rows: m, columns: n }, 0);
                let over_queries = |x| Matrix::new(x, 0, 1, n as isize);
                gemm(n, outer, m, one, over_queries(p), g_here, one, into(dv, outer), threads);
                gemm(n, inner, m, one, over_queries(dp), queries_here, one, into(dk, inner), threads);
                let dq = MatrixMut::new(dq, first * inner, inner as isize, 1);
                gemm(
                    m,
                    inner,
                    n,
                    one,
                    Matrix::new(dp, 0, n as isize, 1),
                    k.rows_from(head, 0),
                    zero,
                    dq,
                    threads,
                );
            });
        }
    });
    Ok([dq, dk, dv])
}

impl<'a, T> Heads<'a, T> {
    /// A row of a head.
    fn row(&self, head: usize, row: usize) -> Vector<'a, T> {
        self.rows_from(head, row).first_row()
    }
}

/// The gradients of queries, keys and values from the gradient `g` of the result.
///
/// With p the weights, dv = pᵀ g, dp = g vᵀ, ds = scale p (dp - sum(g y)), dq = ds k, dk = dsᵀ q.
pub fn backward(g: &Array, known: &Known<'_>, rule: Rule) -> Result<[Array; 3]> {
    match g.dtype() {
        DType::F32 => backward_of::<f32>(g, known, rule),
        DType::F64 => backward_of::<f64>(g, known, rule),
        other => Err(Error::unsupported("scaled_dot_product_attention", other)),
    }
}
