//! The inverse of a matrix.

use smallvec::smallvec;

use crate::array::{Array, DType, Element};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::{Keep, Tensor, record_with_work};
use crate::ops;
use crate::ops::product::arrays;
use crate::ops::product::batch::multiply_each;

/// The inverse of each square matrix of a batch, of a float dtype.
///
/// By Gauss and Jordan's elimination with the largest pivot of each column (Golub, Van Loan: Matrix Computations, 3.4).
/// Fails when a matrix is singular.
pub fn inverse(x: &Tensor) -> Result<Tensor> {
    let array = x.array();
    let [.., rows, cols] = *array.shape() else {
        return Err(Error::runtime("linalg.inv: The input tensor A must have at least 2 dimensions."));
    };
    if rows != cols {
        return Err(Error::runtime(format!(
            "linalg.inv: A must be batches of square matrices, but they are {rows} by {cols} matrices (the shape is {:?})",
            array.shape()
        )));
    }
    let y = match array.dtype() {
        DType::F32 => compute::<f32>(&array, rows)?,
        DType::F64 => compute::<f64>(&array, rows)?,
        other => {
            return Err(Error::runtime(format!(
                "linalg.inv: Expected a floating point or complex tensor as input. Got {}",
                other.scalar_name()
            )));
        }
    };
    record_with_work(
        "LinalgInvExBackward0",
        arrays::work(y.numel(), rows, 2),
        &[x],
        y,
        &[Keep::Output(0)],
        |cx| {
            let Some(g) = cx.grad(0) else { return Ok(smallvec![None]) };
            // dX = -Y^T g Y^T
            let y = cx.saved(0)?;
            let left = multiply_each(&y, g, [true, false])?;
            Ok(smallvec![Some(ops::neg(&multiply_each(&left, &y, [false, true])?)?)])
        },
        |cx| match cx.tangent(0) {
            // dY = -Y dX Y
            Some(t) => {
                let left = multiply_each(cx.output(), &t, [false, false])?;
                ops::neg(&multiply_each(&left, cx.output(), [false, false])?)
            }
            None => crate::graph::vector_space::zeros_like(cx.output()),
        },
    )
}

/// Eliminates in double precision whatever the dtype, so that single precision loses nothing to the order of operations.
fn compute<T: Element>(x: &Array, n: usize) -> Result<Array> {
    let mut values = x.to_vec::<f64>()?;
    let batched = x.ndim() > 2;
    for (index, matrix) in values.chunks_exact_mut((n * n).max(1)).enumerate() {
        invert(matrix, n).map_err(|column| {
            let place = if batched { format!("(Batch element {index}): ") } else { String::new() };
            Error::runtime(format!(
                "linalg.inv: {place}The diagonal element {} is zero, the inversion could not be completed because the input \
                 matrix is singular.",
                column + 1
            ))
        })?;
    }
    let values: Vec<T> = values.into_iter().map(T::from_f64).collect();
    Array::from_slice(&values, x.shape())
}

/// Inverts in place; the error is the column without a pivot.
fn invert(a: &mut [f64], n: usize) -> std::result::Result<(), usize> {
    let mut swaps = Vec::with_capacity(n);
    for column in 0..n {
        let size = |row: &usize| a[row * n + column].abs();
        let pivot = (column..n).reduce(|best, row| if size(&row) > size(&best) { row } else { best });
        let pivot = pivot.unwrap_or(column);
        if a[pivot * n + column] == 0.0 {
            return Err(column);
        }
        swaps.push(pivot);
        if pivot != column {
            for j in 0..n {
                a.swap(pivot * n + j, column * n + j);
            }
        }
        let scale = 1.0 / a[column * n + column];
        a[column * n + column] = 1.0;
        for j in 0..n {
            a[column * n + j] *= scale;
        }
        for row in (0..n).filter(|&row| row != column) {
            let factor = a[row * n + column];
            a[row * n + column] = 0.0;
            for j in 0..n {
                a[row * n + j] -= factor * a[column * n + j];
            }
        }
    }
    // Rows that changed places come back as columns.
    for (column, pivot) in swaps.into_iter().enumerate().rev() {
        if pivot != column {
            for row in 0..n {
                a.swap(row * n + pivot, row * n + column);
            }
        }
    }
    Ok(())
}

/// What is checked here.
pub(crate) const CHECKS: &[Check] = &[Check::new(
    "linalg.inv",
    |s| {
        // Far from singular: a diagonal of two plus less than a half in all.
        let small = s.uniform(&[2, 3, 3], -0.2, 0.2)?;
        let diagonal: Vec<f64> = (0..9).map(|i| if i % 4 == 0 { 2.0 } else { 0.0 }).collect();
        Ok(vec![Tensor::new(ops::add(&small, &Tensor::from_slice(&diagonal, &[3, 3])?)?.array())])
    },
    |x| Ok(vec![inverse(&x[0])?]),
)];
