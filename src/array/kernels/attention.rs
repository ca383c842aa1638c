//! Attention, some queries and some keys at a time: the scores of all queries with all keys are never held together.
//!
//! Note [Blocks of queries and keys]: the scores of a block of queries with a block of keys stay in the second-level cache
//! while what is wanted of them, the weighted sum of values and later the gradients, is made. Between the blocks of keys of
//! the forward pass a query carries its highest score, the sum of its exponentials below that, and the mean of the values so
//! far, weighted by them: never a sum, which could be too large where the mean is not. From there only the logarithm of each query's sum is kept for the backward
//! pass, which computes the scores again. A head is one task of the backward pass, which adds the blocks' parts to the
//! gradients in order.

// What is compiled into loops of several instruction sets must be inlined into each of them.
#![allow(clippy::inline_always)]

use std::marker::PhantomData;
use std::ops::Range;

use crate::array::kernels::isa;
use crate::array::kernels::leveled::{Task, leveled};
use crate::array::kernels::product::{DEPTH, MOST_ROWS, Matrix, MatrixMut, Product, copy_matrix, dot, gemm};
use crate::array::kernels::real::Real;
use crate::array::kernels::reduce::extreme::{Bounded, Extreme};
use crate::array::kernels::reduce::fold;
use crate::array::kernels::reduce::moments::plain;
use crate::array::kernels::reduce::sum::Float;
use crate::array::kernels::scratch::{Cached, Shared, with_scratch};
use crate::array::{Array, DType, pool};
use crate::error::{Error, Result};

/// The most keys of a block: values of up to 64 columns are then read where they lie, and no sum over keys is cut.
const KEYS: usize = DEPTH;

/// The most queries of a block, and the most of one where that would make few blocks: multiples of the rows of every
/// register tile.
const QUERIES: usize = 16 * MOST_ROWS;
const FEW_QUERIES: usize = 4 * MOST_ROWS;

/// Numbers that are worth a visit to the pool to turn.
const TURNING: usize = 1 << 17;

/// Blocks of queries that keep many threads busy.
const BLOCKS: usize = 64;

/// Numbers between the rows of a block of more than so many columns: long rows whose distance is a power of two would fall
/// on the same sets of the first-level cache.
const BESIDE: usize = 16;
const SHORT_ROW: usize = 64;

/// What the scores are put through before they weigh values.
#[derive(Clone, Copy)]
pub struct Rule {
    /// What a product of query and key is multiplied with.
    pub scale: f64,
    /// Whether query `i` sees keys `0..=i` only.
    pub causal: bool,
}

impl Rule {
    /// How many of the keys from `start` on query `first` sees, if that is not all of them.
    fn first_sees(self, first: usize, start: usize) -> Option<isize> {
        self.causal.then(|| (first as isize + 1).saturating_sub_unsigned(start))
    }
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

/// Extents: heads, queries, keys, of which there is one at least, and columns of queries and of values.
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

    /// Queries of a block of the forward pass, none of whose numbers depends on it.
    fn block(&self) -> usize {
        let even = self.heads.saturating_mul(self.queries).div_ceil(BLOCKS);
        even.next_multiple_of(MOST_ROWS).clamp(FEW_QUERIES, QUERIES)
    }

    /// Blocks of keys.
    fn blocks(&self) -> usize {
        self.keys.div_ceil(KEYS)
    }

    /// Keys of a block; the last one may have fewer.
    fn keys_of_block(&self) -> usize {
        self.keys.div_ceil(self.blocks())
    }

    /// The distance of the rows of a block that has a column for each key.
    fn row(&self) -> usize {
        let keys = self.keys_of_block();
        if keys > SHORT_ROW { keys + BESIDE } else { keys }
    }

    /// Where blocks of keys begin and end among the first `keys` of them.
    fn blocks_of(&self, keys: usize) -> impl Iterator<Item = Range<usize>> {
        let block = self.keys_of_block();
        (0..keys).step_by(block).map(move |start| start..keys.min(start + block))
    }

    /// Keys that some of the queries `..end` see.
    fn seen(&self, rule: Rule, end: usize) -> usize {
        if rule.causal { self.keys.min(end) } else { self.keys }
    }
}

/// The rows of a matrix of each head, so many numbers each, as columns, turned block by block.
struct Turned<'s, T> {
    memory: Cached<T>,
    sizes: &'s Sizes,
    columns: usize,
}

impl<'s, T: Number> Turned<'s, T> {
    fn new(x: &Heads<'_, T>, sizes: &'s Sizes, columns: usize) -> Self {
        let (row, keys, blocks) = (sizes.row(), sizes.keys_of_block(), sizes.blocks());
        let block = row.saturating_mul(columns);
        // Heads that are one, repeated, may be more than there is memory for.
        let length = sizes.heads.saturating_mul(blocks).saturating_mul(block);
        let mut memory = Cached::filled(<T as Real>::ZERO, length);
        let all = Shared(memory.as_mut_ptr());
        // Without columns there is nothing to turn, however many heads there are.
        let tasks = if length == 0 { 0 } else { sizes.heads * blocks };
        pool::for_each_if(length >= TURNING, tasks, &|task| {
            let (head, start) = (task / blocks, task % blocks * keys);
            let from = x.rows_from(head, start).transposed();
            // SAFETY: this block is this task's alone.
            let to = unsafe { all.slice(task * block, block) };
            copy_matrix(columns, keys.min(sizes.keys - start), from, to, row);
        });
        Self { memory, sizes, columns }
    }

    /// The matrix with a column for each key of a block, which begins with key `start`.
    fn columns_from(&self, head: usize, start: usize) -> Matrix<'_, T> {
        let (row, block) =
            (self.sizes.row(), head * self.sizes.blocks() + start / self.sizes.keys_of_block());
        Matrix::new(&self.memory, block * row * self.columns, row as isize, 1)
    }
}

/// Turns a block of scores into weights: shares of all keys if their sums are known, or else of the keys up to here.
struct Weights<T> {
    scores: *mut T,
    rows: usize,
    columns: usize,
    /// From one row to the next.
    row: usize,
    /// How many of the columns the first row sees, if each sees one more than the row before it: none, where it is negative.
    causal: Option<isize>,
    /// The logarithms of the queries' sums, if they are known; otherwise their highest scores up to here.
    logs: *mut T,
    sums: Sums<T>,
}

/// What queries carry from one block of keys to the next.
enum Sums<T> {
    /// All is known, and the weights come out as they are.
    Known,
    /// The sums of the exponentials, the weighted means of values with so many columns, and whether there was a block before.
    Carried { sums: *mut f64, values: *mut T, outer: usize, begun: bool },
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
            // SAFETY: the rows of scores, and what their queries carry, are this call's alone.
            unsafe {
                let row = std::slice::from_raw_parts_mut(all.scores.add(i * all.row), all.columns);
                let log = &mut *all.logs.add(i);
                let seen = all.causal.map_or(all.columns, |first| {
                    all.columns.min(first.saturating_add_unsigned(i).max(0) as usize)
                });
                let (row, unseen) = row.split_at_mut(seen);
                unseen.fill(<T as Real>::ZERO);
                match all.sums {
                    Sums::Known => {
                        for x in row {
                            *x = (*x - *log).exp_nonpositive_if::<FUSED>();
                        }
                    }
                    Sums::Carried { sums, values, outer, begun } => {
                        let before = if begun { Some((*log, *sums.add(i))) } else { None };
                        let values = std::slice::from_raw_parts_mut(values.add(i * outer), outer);
                        (*log, *sums.add(i)) = Self::carry(row, before, values);
                    }
                }
            }
        }
    }
}

impl<T: Number, const FUSED: bool> WeightsBy<'_, T, FUSED> {
    /// A query's weights among the keys up to here, over its scores of a block. What it has from `before`, its highest
    /// score and its sum, is brought up to date and answered with; `values`, the mean of values so far, is left with its
    /// share of the mean that comes.
    #[inline(always)]
    fn carry(row: &mut [T], before: Option<(T, f64)>, values: &mut [T]) -> (T, f64) {
        let mut most = fold::run(&Extreme::<T, true>(PhantomData), row);
        let mut carried = 0.0;
        if let Some((highest, sum)) = before {
            // A score that is no number stays the highest; so does one before it.
            if most <= highest || highest.is_nan() {
                (most, carried) = (highest, sum);
            } else {
                carried = sum * Real::to_f64((highest - most).exp_nonpositive_if::<FUSED>());
            }
        }
        // Where every score is minus infinity, none weighs anything yet.
        let base = if most == T::NEG_INFINITY { <T as Real>::ZERO } else { most };
        for x in row.iter_mut() {
            *x = (*x - base).exp_nonpositive_if::<FUSED>();
        }
        let sum = carried + fold::run(&plain::<T>(), row);
        if sum != 0.0 {
            let share = T::of(1.0 / sum);
            for x in row.iter_mut() {
                *x = *x * share;
            }
            if before.is_some() {
                let kept = T::of(carried / sum);
                for x in values {
                    *x = *x * kept;
                }
            }
        }
        (most, sum)
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
    /// From one row to the next.
    row: usize,
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
                    std::slice::from_raw_parts(self.weights.add(i * self.row), n),
                    std::slice::from_raw_parts_mut(self.grads.add(i * self.row), n),
                    *self.shifts.add(i),
                )
            };
            (0..n).for_each(|j| dp[j] = self.scale * p[j] * (dp[j] - shift));
        }
    }
}

/// A head's rows one after the other, where there are so many that it costs little beside what is done with them.
fn together(x: &Array) -> Result<Array> {
    let (last, shape, strides) = (x.ndim() - 1, x.shape(), x.strides());
    let are_apart = strides[last] != 1 || strides[last - 1] != shape[last] as isize;
    if are_apart && shape[last - 1] > KEYS { x.contiguous() } else { Ok(x.clone()) }
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
    let v = together(v)?;
    let [q, k, v] = [q, k, &v].map(Heads::<T>::new);
    let kt = Turned::new(&k, &sizes, sizes.inner);
    let (all_y, all_logs) = (places::<T>(&y), places::<T>(&logs));
    let Sizes { heads, queries, inner, outer, .. } = sizes;
    let (zero, one) = (<T as Real>::ZERO, <T as Real>::ONE);
    let (block, row) = (sizes.block(), sizes.row());
    let blocks = queries.div_ceil(block);
    pool::for_each(heads * blocks, &|task| {
        let (head, first) = (task / blocks, task % blocks * block);
        let m = block.min(queries - first);
        // SAFETY: these queries' places are this task's alone.
        let (y, logs) = unsafe {
            (
                all_y.slice((head * queries + first) * outer, m * outer),
                all_logs.slice(head * queries + first, m),
            )
        };
        let mut sums = [0.0; QUERIES];
        with_scratch(m * row, |scores: &mut [T]| {
            for keys in sizes.blocks_of(sizes.seen(rule, first + m)) {
                let (start, n) = (keys.start, keys.len());
                let (a, b) = (q.rows_from(head, first), kt.columns_from(head, start));
                gemm(m, n, inner, T::of(rule.scale), a, b, zero, into(scores, row), 1);
                let (sums, values) = (sums.as_mut_ptr(), y.as_mut_ptr());
                Weights {
                    scores: scores.as_mut_ptr(),
                    rows: m,
                    columns: n,
                    row,
                    causal: rule.first_sees(first, start),
                    logs: logs.as_mut_ptr(),
                    sums: Sums::Carried { sums, values, outer, begun: start > 0 },
                }
                .fill();
                let a = Matrix::new(scores, 0, row as isize, 1);
                let beta = if start > 0 { one } else { zero };
                gemm(m, outer, n, one, a, v.rows_from(head, start), beta, into(y, outer), 1);
            }
        });
        for i in 0..m {
            if sums[i] == 0.0 {
                // Nothing weighs anything: a share of nothing is no number.
                y[i * outer..(i + 1) * outer].fill(T::of(f64::NAN));
            }
            logs[i] = logs[i] + T::of(sums[i].ln());
        }
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
    let [g, q, k] = [together(g)?, together(known.q)?, together(known.k)?];
    let [g, q, k, v, y, logs] = [&g, &q, &k, known.v, known.y, known.logs].map(Heads::<T>::new);
    let (kt, vt) = (Turned::new(&k, &sizes, sizes.inner), Turned::new(&v, &sizes, sizes.outer));
    let (all_dq, all_dk, all_dv) = (places::<T>(&dq), places::<T>(&dk), places::<T>(&dv));
    let Sizes { heads, queries, keys, inner, outer } = sizes;
    let (zero, one) = (<T as Real>::ZERO, <T as Real>::ONE);
    let (row, threads) = (sizes.row(), inner_threads(heads));
    pool::for_each(heads, &|head| {
        // SAFETY: this head's places are this task's alone.
        let (dq, dk, dv) = unsafe {
            (
                all_dq.slice(head * queries * inner, queries * inner),
                all_dk.slice(head * keys * inner, keys * inner),
                all_dv.slice(head * keys * outer, keys * outer),
            )
        };
        for first in (0..queries).step_by(QUERIES) {
            let m = QUERIES.min(queries - first);
            let (q, g) = (q.rows_from(head, first), g.rows_from(head, first));
            let dq = &mut dq[first * inner..][..m * inner];
            with_scratch(2 * m * (row + 1), |scratch: &mut [T]| {
                let (p, rest) = scratch.split_at_mut(m * row);
                let (dp, rest) = rest.split_at_mut(m * row);
                let (logs_here, shifts) = rest.split_at_mut(m);
                logs_here.copy_from_slice(&logs.data[head * queries + first..][..m]);
                for (i, shift) in shifts.iter_mut().enumerate() {
                    *shift = dot(outer, g.from_row(i).first_row(), y.rows_from(head, first + i).first_row());
                }
                for seen in sizes.blocks_of(sizes.seen(rule, first + m)) {
                    let (start, n) = (seen.start, seen.len());
                    let alpha = T::of(rule.scale);
                    gemm(m, n, inner, alpha, q, kt.columns_from(head, start), zero, into(p, row), threads);
                    Weights {
                        scores: p.as_mut_ptr(),
                        rows: m,
                        columns: n,
                        row,
                        causal: rule.first_sees(first, start),
                        logs: logs_here.as_mut_ptr(),
                        sums: Sums::Known,
                    }
                    .fill();
                    gemm(m, n, outer, one, g, vt.columns_from(head, start), zero, into(dp, row), threads);
                    let (weights, grads, shifts) = (p.as_ptr(), dp.as_mut_ptr(), shifts.as_ptr());
                    let (rows, columns) = (m, n);
                    leveled(&ScoreGradients { weights, grads, shifts, scale: alpha, rows, columns, row }, 0);
                    let over_queries = |x| Matrix::new(x, 0, 1, row as isize);
                    let dv = into(&mut dv[start * outer..], outer);
                    gemm(n, outer, m, one, over_queries(p), g, one, dv, threads);
                    let dk = into(&mut dk[start * inner..], inner);
                    gemm(n, inner, m, one, over_queries(dp), q, one, dk, threads);
                    let beta = if start > 0 { one } else { zero };
                    let (a, b) = (Matrix::new(dp, 0, row as isize, 1), k.rows_from(head, start));
                    gemm(m, inner, n, one, a, b, beta, into(dq, inner), threads);
                }
            });
        }
    });
    Ok([dq, dk, dv])
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
