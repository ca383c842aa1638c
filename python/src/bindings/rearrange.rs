//! The same elements in other places, or more often.

use arcgrad::graph::Onto;
use arcgrad::ops::{self, Triangle};
use arcgrad::{DType, Tensor};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::bindings;
use crate::dispatch::Args;

bindings! {
    /// Some axes in reverse order.
    both flip { "(Tensor input, int... dims) -> Tensor" => |a| a.call(ops::flip, (a.tensor(0)?, &a.ints(1)?[..])) }
    /// The columns in reverse order.
    both fliplr { "(Tensor input) -> Tensor" => |a| a.call(ops::fliplr, (a.tensor(0)?,)) }
    /// The rows in reverse order.
    both flipud { "(Tensor input) -> Tensor" => |a| a.call(ops::flipud, (a.tensor(0)?,)) }
    /// Elements moved along axes, around the end.
    both roll {
        "(Tensor input, int[] shifts, int[]? dims=None) -> Tensor"
            => |a| a.call(ops::roll, (a.tensor(0)?, &a.ints(1)?[..], &a.optional_ints(2)?.unwrap_or_default()[..]))
    }
    /// Turned by right angles in a plane.
    both rot90 {
        "(Tensor input, int k=1, int[] dims=[0, 1]) -> Tensor"
            => |a| a.call(ops::rot90, (a.tensor(0)?, a.index(1)?, &a.ints(2)?[..]))
    }
    /// The whole tensor several times along each axis.
    method repeat {
        "(Tensor input, int... repeats) -> Tensor" => |a| a.call(ops::repeat, (a.tensor(0)?, &a.ints(1)?[..]))
    }
    /// The whole tensor several times along each axis.
    both tile { "(Tensor input, int... dims) -> Tensor" => |a| a.call(ops::tile, (a.tensor(0)?, &a.ints(1)?[..])) }
    /// Each element several times in a row.
    both repeat_interleave {
        "(Tensor input, int repeats, int? dim=None, *, int? output_size=None) -> Tensor"
            => |a| a.call(ops::repeat_interleave, (a.tensor(0)?, a.index(1)?, a.optional_index(2)?)),
        "(Tensor input, Tensor repeats, int? dim=None, *, int? output_size=None) -> Tensor"
            => |a| a.call(ops::repeat_interleave_each, (a.tensor(0)?, a.tensor(1)?, a.optional_index(2)?)),
        "(Tensor repeats, *, int? output_size=None) -> Tensor" => |a| ops::interleaved(a.tensor(0)?)
    }
    /// Zeros above a diagonal.
    both tril { "(Tensor input, int diagonal=0) -> Tensor" => |a| triangle(a, Onto::Copy, Triangle::Lower)? }
    /// Zeros below a diagonal.
    both triu { "(Tensor input, int diagonal=0) -> Tensor" => |a| triangle(a, Onto::Copy, Triangle::Upper)? }
    /// Zeros written above a diagonal.
    method tril_ { "(Tensor input, int diagonal=0) -> Tensor" => |a| triangle(a, Onto::Itself, Triangle::Lower)? }
    /// Zeros written below a diagonal.
    method triu_ { "(Tensor input, int diagonal=0) -> Tensor" => |a| triangle(a, Onto::Itself, Triangle::Upper)? }
    /// The positions of a lower triangle.
    function tril_indices {
        "(int row, int col, int offset=0, *, dtype? dtype=None, Any? device=None, Any? layout=None) -> Tensor"
            => |a| positions(a, Triangle::Lower)?
    }
    /// The positions of an upper triangle.
    function triu_indices {
        "(int row, int col, int offset=0, *, dtype? dtype=None, Any? device=None, Any? layout=None) -> Tensor"
            => |a| positions(a, Triangle::Upper)?
    }
    /// Grids of coordinates from vectors.
    function meshgrid {
        "(Tensor... tensors, *, str? indexing=None) -> Tensor[]" => |a| {
            let xy = match a.optional_str(1)?.as_deref() {
                None | Some("ij") => false,
                Some("xy") => true,
                Some(other) => {
                    return Err(PyRuntimeError::new_err(format!(
                        "torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: {other}"
                    )));
                }
            };
            ops::meshgrid(&a.tensors(0)?, xy)
        }
    }
    /// All tuples of one element of each vector.
    function cartesian_prod { "(Tensor... tensors) -> Tensor" => |a| ops::cartesian_prod(&a.tensors(0)?) }
    /// Matrices along the diagonal of a larger one.
    function block_diag { "(Tensor... tensors) -> Tensor" => |a| ops::block_diag(&a.tensors(0)?) }
}

fn triangle(a: &Args<'_, '_>, onto: Onto, which: Triangle) -> PyResult<arcgrad::Result<Tensor>> {
    Ok(a.call(ops::triangle, (onto, which, a.tensor(0)?, a.index(1)?)))
}

fn positions(a: &Args<'_, '_>, which: Triangle) -> PyResult<arcgrad::Result<Tensor>> {
    let dtype = a.dtype(3)?.unwrap_or(DType::I64);
    Ok(ops::triangle_indices(which, a.index(0)?, a.index(1)?, a.index(2)?, dtype))
}
