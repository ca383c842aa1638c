//! Many products of one shape.

use super::problem::Problem;
use super::{Matrix, MatrixMut, Product, for_each, reach, solve, within};

/// Multiply-adds worth a visit to the pool: products below are computed in runs of about this much work.
const RUN: usize = 1 << 16;

/// Where the matrices of batch index `index` (counted in row-major order of `batch`) start.
fn start(batch: &[usize], mut index: usize, steps: [&[isize]; 3]) -> [isize; 3] {
    let mut at = [0; 3];
    for axis in (0..batch.len()).rev() {
        let i = (index % batch[axis]) as isize;
        index /= batch[axis];
        for (at, steps) in at.iter_mut().zip(steps) {
            *at += i * steps[axis];
        }
    }
    at
}

/// Whether every matrix of the batch stays inside `length` elements.
fn all_within(
    length: usize,
    offset: usize,
    shape: [usize; 2],
    strides: [isize; 2],
    batch: &[usize],
    steps: &[isize],
) -> bool {
    assert_eq!(batch.len(), steps.len(), "one step for each batch axis");
    let starts = batch.iter().zip(steps).try_fold((offset, offset), |(least, most), (&size, &step)| {
        let (down, up) = reach(0, [size], [step])?;
        Some((least.checked_add_signed(down)?, most.checked_add_signed(up)?))
    });
    // The lowest and the highest start stand for all between.
    shape.contains(&0)
        || starts.is_some_and(|(least, most)| {
            within(length, least, shape, strides) && within(length, most, shape, strides)
        })
}

/// Whether no two elements of all the matrices are the same, judged by strides: each axis, in order of stride,
/// steps over everything that the smaller ones span.
fn all_distinct(axes: impl Iterator<Item = (usize, isize)>) -> bool {
    let mut axes: Vec<(usize, usize)> =
        axes.filter(|&(size, _)| size > 1).map(|(size, stride)| (stride.unsigned_abs(), size)).collect();
    axes.sort_unstable();
    let mut span = 1_usize;
    axes.into_iter().all(|(stride, size)| {
        let clear = stride >= span;
        span = span.saturating_add(stride.saturating_mul(size - 1));
        clear
    })
}

/// See [`super::gemm_batched`].
#[expect(clippy::too_many_arguments, reason = "gemm's arguments, and the batch")]
pub fn gemm_batched<T: Product>(
    batch: &[usize],
    [m, n, k]: [usize; 3],
    alpha: T,
    (a, a_steps): (Matrix<'_, T>, &[isize]),
    (b, b_steps): (Matrix<'_, T>, &[isize]),
    beta: T,
    (c, c_steps): (MatrixMut<'_, T>, &[isize]),
    threads: usize,
) {
    let count: usize = batch.iter().product();
    if count == 0 || m == 0 || n == 0 {
        return;
    }
    let (a_strides, b_strides, c_strides) =
        ([a.row_stride, a.col_stride], [b.row_stride, b.col_stride], [c.row_stride, c.col_stride]);
    assert!(
        all_within(a.data.len(), a.offset, [m, k], a_strides, batch, a_steps),
        "A reaches outside its memory"
    );
    assert!(
        all_within(b.data.len(), b.offset, [k, n], b_strides, batch, b_steps),
        "B reaches outside its memory"
    );
    assert!(
        all_within(c.data.len(), c.offset, [m, n], c_strides, batch, c_steps),
        "C reaches outside its memory"
    );
    let axes =
        batch.iter().copied().zip(c_steps.iter().copied()).chain([(m, c_strides[0]), (n, c_strides[1])]);
    assert!(all_distinct(axes), "two elements of C share memory");
    let first = Problem {
        m,
        n,
        k,
        alpha,
        a: a.data.as_ptr().wrapping_add(a.offset),
        a_row: a.row_stride,
        a_col: a.col_stride,
        b: b.data.as_ptr().wrapping_add(b.offset),
        b_row: b.row_stride,
        b_col: b.col_stride,
        beta,
        c: c.data.as_mut_ptr().wrapping_add(c.offset),
        c_row: c.row_stride,
        c_col: c.col_stride,
    };
    let one = |index: usize, threads: usize| {
        let problem = first.moved(start(batch, index, [a_steps, b_steps, c_steps]));
        // SAFETY: the bounds hold for every index of the batch, and no two indices share an element of C.
        unsafe { solve(problem, threads) }
    };
    let work = m.saturating_mul(n).saturating_mul(k).max(1);
    let run = (RUN / work).max(1);
    if threads <= 1 || count.saturating_mul(work) < 2 * RUN {
        (0..count).for_each(|index| one(index, 1));
    } else if count < threads && work >= RUN {
        (0..count).for_each(|index| one(index, threads));
    } else {
        for_each(count.div_ceil(run), &|part| {
            (part * run..count.min((part + 1) * run)).for_each(|index| one(index, 1));
        });
    }
}
