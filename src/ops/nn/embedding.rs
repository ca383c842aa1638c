//! Rows of a table by number.

use std::sync::Arc;

use crate::array::{Array, DType, Element};
use crate::error::{Error, Result};
use crate::gradcheck::Check;
use crate::graph::Tensor;
use crate::ops::linear::linear_with;
use crate::with_element;

/// The rows that a lookup reads.
struct Lookup {
    rows: Vec<usize>,
    /// How many rows the table has.
    count: usize,
    /// A row without a gradient.
    padding: Option<usize>,
}

/// The rows of `weight`, `[count, size]`, that `indices` names: `[..indices, size]`.
///
/// The row `padding` receives no gradient. Fails when an index is not a row's number.
pub fn embedding(weight: &Tensor, indices: &Tensor, padding: Option<isize>) -> Result<Tensor> {
    let shape = weight.shape();
    if shape.len() != 2 {
        return Err(Error::runtime("'weight' must be 2-D"));
    }
    if !matches!(indices.dtype(), DType::I64 | DType::I32) {
        return Err(Error::runtime(format!(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got {} \
             instead (while checking arguments for embedding)",
            indices.dtype().tensor_name()
        )));
    }
    let count = shape[0];
    let mut rows = Vec::with_capacity(indices.numel());
    for index in indices.to_vec::<i64>()? {
        let row = usize::try_from(index).ok().filter(|&i| i < count);
        rows.push(row.ok_or_else(|| Error::index("index out of range in self"))?);
    }
    let padding = padding.and_then(|p| usize::try_from(if p < 0 { p + count as isize } else { p }).ok());
    let mut to = indices.shape();
    to.push(shape[1]);
    read(weight, &Arc::new(Lookup { rows, count, padding }), &to, "EmbeddingBackward0", false)
}

/// Linear in the table, with [`accumulated`] for its adjoint. The adjoint's own adjoint reads zeros for the padding row.
fn read(
    weight: &Tensor,
    lookup: &Arc<Lookup>,
    to: &[usize],
    name: &'static str,
    skip_padding: bool,
) -> Result<Tensor> {
    let table = weight.array().contiguous()?;
    let y = Array::empty(to, table.dtype())?;
    let size = to[to.len() - 1];
    with_element!(table.dtype(), T => {
        // SAFETY: contiguous; `y` is fresh, and the table only read (Note [Writes to shared storage]).
        let (table, y) = unsafe {
            (table.as_slice::<T>().unwrap_or_default(), y.as_mut_slice::<T>().unwrap_or_default())
        };
        for (y, &row) in y.chunks_exact_mut(size.max(1)).zip(lookup.rows.iter()) {
            if skip_padding && lookup.padding == Some(row) {
                y.fill(T::from_f64(0.0));
            } else {
                y.copy_from_slice(&table[row * size..][..size]);
            }
        }
    });
    linear_with(name, weight, y, lookup, accumulated, |t| read(t, lookup, to, name, skip_padding))
}

/// Each row's gradients added up, in the order of the indices.
fn accumulated(g: &Tensor, lookup: &Arc<Lookup>) -> Result<Tensor> {
    let array = g.array().contiguous()?;
    let size = array.shape()[array.ndim() - 1];
    let table = Array::zeros(&[lookup.count, size], array.dtype())?;
    with_element!(array.dtype(), T => {
        // SAFETY: contiguous; the table is fresh, and the gradient only read.
        let (g, table) = unsafe {
            (array.as_slice::<T>().unwrap_or_default(), table.as_mut_slice::<T>().unwrap_or_default())
        };
        for (g, &row) in g.chunks_exact(size.max(1)).zip(lookup.rows.iter()) {
            if lookup.padding != Some(row) {
                for (sum, g) in table[row * size..][..size].iter_mut().zip(g) {
                    *sum = T::from_f64(sum.to_f64() + g.to_f64());
                }
            }
        }
    });
    let to: crate::array::Dims = array.shape().into();
    linear_with(
        "EmbeddingDenseBackwardBackward0",
        g,
        table,
        lookup,
        move |h, lookup| read(h, lookup, &to, "EmbeddingBackward0", true),
        |t| accumulated(t, lookup),
    )
}

pub(crate) const CHECKS: &[Check] = &[Check::new(
    "embedding",
    |s| Ok(vec![s.normal(&[4, 3])?]),
    |x| Ok(vec![embedding(&x[0], &Tensor::from_slice(&[0_i64, 2, 2, 3], &[2, 2])?, None)?]),
)];
