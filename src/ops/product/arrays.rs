//! Products of arrays: what the kernels are given, which are slices and strides.

use smallvec::{SmallVec, smallvec};

use crate::array::kernels::product::{Matrix, MatrixMut, Product, gemm, gemm_batched};
use crate::array::{Array, DType, Element, Scalar, Strides, pool};
use crate::error::{Error, Result};

/// Runs an expression for the element type of a dtype that has products; truth values have none.
macro_rules! with_product {
    ($op:expr, $dtype:expr, $T:ident => $body:expr) => {{
        match $dtype {
            DType::Bool => return Err(Error::unsupported($op, DType::Bool)),
            DType::U8 => with_product!(@one u8, $T => $body),
            DType::I8 => with_product!(@one i8, $T => $body),
            DType::I16 => with_product!(@one i16, $T => $body),
            DType::I32 => with_product!(@one i32, $T => $body),
            DType::I64 => with_product!(@one i64, $T => $body),
            DType::F32 => with_product!(@one f32, $T => $body),
            DType::F64 => with_product!(@one f64, $T => $body),
        }
    }};
    (@one $t:ty, $T:ident => $body:expr) => {{
        type $T = $t;
        $body
    }};
}

/// An array read as a matrix, or as a batch of matrices in its last two axes.
#[derive(Clone, Copy)]
pub(super) struct Factor<'a> {
    array: &'a Array,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    row_stride: isize,
    col_stride: isize,
}

impl<'a> Factor<'a> {
    /// The matrices in the last two axes, transposed if `flipped`. There must be two axes.
    #[inline]
    pub fn matrix(array: &'a Array, flipped: bool) -> Self {
        let (shape, strides, n) = (array.shape(), array.strides(), array.ndim());
        let (row, col) = if flipped { (n - 1, n - 2) } else { (n - 2, n - 1) };
        Self { array, rows: shape[row], cols: shape[col], row_stride: strides[row], col_stride: strides[col] }
    }

    /// A vector as a column.
    #[inline]
    pub fn column(array: &'a Array) -> Self {
        Self { array, rows: array.shape()[0], cols: 1, row_stride: array.strides()[0], col_stride: 1 }
    }

    /// A vector as a row.
    #[inline]
    pub fn row(array: &'a Array) -> Self {
        Self {
            array,
            rows: 1,
            cols: array.shape()[0],
            row_stride: array.shape()[0] as isize,
            col_stride: array.strides()[0],
        }
    }

    /// A number as a matrix.
    #[inline]
    pub fn number(array: &'a Array) -> Self {
        Self { array, rows: 1, cols: 1, row_stride: 1, col_stride: 1 }
    }

    fn view<T: Product + Element>(&self) -> Matrix<'a, T> {
        Matrix::new(elements(self.array), self.array.offset(), self.row_stride, self.col_stride)
    }

    /// Steps along the axes of `batch`, zero where this factor has one matrix for all.
    fn steps(&self, batch: &[usize]) -> Strides {
        let (shape, strides) = (self.array.shape(), self.array.strides());
        let own = shape.len() - 2;
        let skip = batch.len() - own;
        let mut steps: Strides = smallvec![0; batch.len()];
        for axis in 0..own {
            if shape[axis] != 1 {
                steps[skip + axis] = strides[axis];
            }
        }
        steps
    }
}

/// The whole buffer under an array.
fn elements<T: Element>(array: &Array) -> &[T] {
    let storage = array.storage();
    let count = storage.bytes() / size_of::<T>();
    if count == 0 {
        return &[];
    }
    // SAFETY: the storage holds that many bytes, aligned for its dtype, for as long as the array lives; numbers have no
    // invalid bit patterns.
    unsafe { std::slice::from_raw_parts(storage.pointer().cast::<T>().cast_const(), count) }
}

/// The whole buffer under an array that was just made.
#[allow(clippy::mut_from_ref)]
fn fresh_elements<T: Element>(array: &Array) -> &mut [T] {
    debug_assert!(array.storage().bytes() / size_of::<T>() >= array.numel());
    let count = array.storage().bytes() / size_of::<T>();
    if count == 0 {
        return &mut [];
    }
    // SAFETY: as `elements`; nobody else has seen the array yet.
    unsafe { std::slice::from_raw_parts_mut(array.storage().pointer().cast::<T>(), count) }
}

/// y = alpha a b + beta y, for a `y` that nobody else has seen. The shapes must fit.
#[inline]
pub(super) fn multiply(
    op: &'static str,
    alpha: Scalar,
    a: Factor<'_>,
    b: Factor<'_>,
    beta: Scalar,
    y: Factor<'_>,
) -> Result<()> {
    with_product!(op, y.array.dtype(), T => {
        let target = MatrixMut::new(fresh_elements::<T>(y.array), y.array.offset(), y.row_stride, y.col_stride);
        gemm(
            y.rows, y.cols, a.cols,
            T::from_scalar(alpha), a.view::<T>(), b.view::<T>(),
            T::from_scalar(beta), target,
            threads(y.rows, y.cols, a.cols),
        );
    });
    Ok(())
}

/// [`multiply`] for each matrix of a batch; those of `a` and `b` are repeated where `batch` says so.
pub(super) fn multiply_each(
    op: &'static str,
    batch: &[usize],
    alpha: Scalar,
    a: Factor<'_>,
    b: Factor<'_>,
    beta: Scalar,
    y: Factor<'_>,
) -> Result<()> {
    let (a_steps, b_steps, y_steps) = (a.steps(batch), b.steps(batch), y.steps(batch));
    with_product!(op, y.array.dtype(), T => {
        let target = MatrixMut::new(fresh_elements::<T>(y.array), y.array.offset(), y.row_stride, y.col_stride);
        gemm_batched(
            batch, y.rows, y.cols, a.cols,
            T::from_scalar(alpha), (a.view::<T>(), &a_steps), (b.view::<T>(), &b_steps),
            T::from_scalar(beta), (target, &y_steps),
            pool::num_threads(),
        );
    });
    Ok(())
}

/// Asking for the number of threads costs as much as a tiny product.
#[inline]
fn threads(m: usize, n: usize, k: usize) -> usize {
    const ALONE: usize = 1 << 15;
    if m.saturating_mul(n).saturating_mul(k) < ALONE { 1 } else { pool::num_threads() }
}

/// Elements of element-wise work that a product of this size takes.
#[inline]
pub(super) fn work(m: usize, n: usize, k: usize) -> u64 {
    (m as u64).saturating_mul(n as u64).saturating_mul(k as u64) / 4
}

/// An extents list for messages.
pub(super) fn join(shape: &[usize]) -> String {
    let parts: SmallVec<[String; 4]> = shape.iter().map(ToString::to_string).collect();
    parts.join("x")
}
