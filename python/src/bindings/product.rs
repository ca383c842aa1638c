//! Products of vectors, matrices and batches.

use arcgrad::ops::creation;
use arcgrad::{Tensor, ops};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::bindings;
use crate::dispatch::Args;
use crate::error::raise;

/// beta and alpha, the last two arguments of sums with a product.
fn weights(a: &Args<'_, '_>, first: usize) -> PyResult<[arcgrad::Scalar; 2]> {
    Ok([a.scalar(first)?, a.scalar(first + 1)?])
}

/// How PyTorch may compute distances; here they are always computed from the differences.
const MODES: [&str; 3] =
    ["use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"];

/// The product, in the tensor of the argument `out` if there is one.
fn into(a: &Args<'_, '_>, out: usize, name: &'static str, y: arcgrad::Result<Tensor>) -> PyResult<Tensor> {
    let y = y.map_err(|e| raise(&e))?;
    let Some(out) = a.optional_tensor(out)? else { return Ok(y) };
    creation::write_out(name, &y, out).map_err(|e| raise(&e))?;
    Ok(out.clone())
}

type Added = fn(&Tensor, &Tensor, &Tensor, [arcgrad::Scalar; 2]) -> arcgrad::Result<Tensor>;

/// A sum with a product, written over its addend.
fn over(a: &Args<'_, '_>, op: Added) -> PyResult<arcgrad::Result<Tensor>> {
    let write = |c: &Tensor, x: &Tensor, y: &Tensor, weights| ops::copy_(c, &op(c, x, y, weights)?);
    Ok(a.call(write, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?)))
}

/// Two lists of axes.
fn pair(a: &Args<'_, '_>, i: usize) -> PyResult<(Vec<isize>, Vec<isize>)> {
    let wrong =
        || PyTypeError::new_err("tensordot(): argument 'dims' must be an int or a pair of lists of ints");
    let lists: Vec<Bound<'_, PyAny>> =
        a.get(i).ok_or_else(wrong)?.try_iter().map_err(|_| wrong())?.collect::<PyResult<_>>()?;
    let [left, right] = &lists[..] else { return Err(wrong()) };
    let axes = |list: &Bound<'_, PyAny>| -> PyResult<Vec<isize>> {
        match list.extract::<isize>() {
            Ok(one) => Ok(vec![one]),
            Err(_) => list.try_iter()?.map(|n| n?.extract::<isize>()).collect(),
        }
    };
    Ok((axes(left)?, axes(right)?))
}

bindings! {
    /// Product of vectors, matrices or batches of matrices.
    both matmul { "(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "matmul", a.call(ops::matmul, (a.tensor(0)?, a.tensor(1)?)))? }
    /// Product of two matrices.
    both mm { "(Tensor input, Tensor mat2, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "mm", a.call(ops::mm, (a.tensor(0)?, a.tensor(1)?)))? }
    /// Products of the matrices of two batches.
    both bmm { "(Tensor input, Tensor mat2, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "bmm", a.call(ops::bmm, (a.tensor(0)?, a.tensor(1)?)))? }
    /// Product of a matrix and a vector.
    both mv { "(Tensor input, Tensor vec, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "mv", a.call(ops::mv, (a.tensor(0)?, a.tensor(1)?)))? }
    /// Sum of the products of two vectors' elements.
    both dot { "(Tensor input, Tensor tensor, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "dot", a.call(ops::dot, (a.tensor(0)?, a.tensor(1)?)))? }
    /// Sum of the products of two vectors' elements.
    both vdot { "(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "vdot", a.call(ops::vdot, (a.tensor(0)?, a.tensor(1)?)))? }
    /// Sums of products over the last axes.
    both inner { "(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "inner", a.call(ops::inner, (a.tensor(0)?, a.tensor(1)?)))? }
    /// All products of two vectors' elements.
    both outer { "(Tensor input, Tensor vec2, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "outer", a.call(ops::outer, (a.tensor(0)?, a.tensor(1)?)))? }
    /// All products of two vectors' elements.
    both ger { "(Tensor input, Tensor vec2, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "ger", a.call(ops::outer, (a.tensor(0)?, a.tensor(1)?)))? }
    /// beta * input + alpha * (mat1 @ mat2).
    both addmm {
        "(Tensor input, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor"
            => |a| into(a, 5, "addmm", a.call(ops::addmm, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?)))?
    }
    /// beta * input + alpha * (mat @ vec).
    both addmv {
        "(Tensor input, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor"
            => |a| into(a, 5, "addmv", a.call(ops::addmv, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?)))?
    }
    /// beta * input + alpha * outer(vec1, vec2).
    both addr {
        "(Tensor input, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor"
            => |a| into(a, 5, "addr", a.call(ops::addr, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?)))?
    }
    /// beta * input + alpha * (batch1 @ batch2).
    both baddbmm {
        "(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor"
            => |a| into(a, 5, "baddbmm", a.call(ops::baddbmm, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?)))?
    }
    /// beta * input + alpha * (batch1 @ batch2).sum(0).
    both addbmm {
        "(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1, Tensor? out=None) -> Tensor"
            => |a| into(a, 5, "addbmm", a.call(ops::addbmm, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?)))?
    }
    /// input @ weight.T + bias.
    function linear {
        "(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor"
            => |a| a.call(ops::linear, (a.tensor(0)?, a.tensor(1)?, a.optional_tensor(2)?))
    }
    /// x W y + bias for each matrix W of weight.
    function bilinear {
        "(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor"
            => |a| a.call(ops::bilinear, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, a.optional_tensor(3)?))
    }
    /// Product of matrices, in the cheapest order.
    function chain_matmul {
        "(Tensor... matrices, *, Tensor? out=None) -> Tensor" => |a| into(a, 1, "chain_matmul", a.call(|x: Vec<Tensor>| ops::chain_matmul(&x), (a.tensors(0)?,)))?
    }
    /// Product of at least two matrices, in the cheapest order.
    function linalg_multi_dot {
        "(Tensor[] tensors, *, Tensor? out=None) -> Tensor" => |a| into(a, 1, "linalg_multi_dot", a.call(|x: Vec<Tensor>| ops::multi_dot(&x), (a.tensors(0)?,)))?
    }
    /// Power of square matrices.
    both matrix_power {
        "(Tensor input, int n, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "matrix_power", a.call(ops::matrix_power, (a.tensor(0)?, a.int(1)?)))?
    }
    /// Inverse of square matrices.
    both inverse { "(Tensor input, *, Tensor? out=None) -> Tensor" => |a| into(a, 1, "inverse", a.call(ops::inverse, (a.tensor(0)?,)))? }
    /// Inverse of square matrices.
    function linalg_inv { "(Tensor A, *, Tensor? out=None) -> Tensor" => |a| into(a, 1, "linalg_inv", a.call(ops::inverse, (a.tensor(0)?,)))? }
    /// Power of square matrices.
    function linalg_matrix_power {
        "(Tensor A, int n, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "linalg_matrix_power", a.call(ops::matrix_power, (a.tensor(0)?, a.int(1)?)))?
    }
    /// Product of vectors, matrices or batches of matrices.
    function linalg_matmul {
        "(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "linalg_matmul", a.call(ops::matmul, (a.tensor(0)?, a.tensor(1)?)))?
    }
    /// Sums of products along an axis.
    function linalg_vecdot {
        "(Tensor x, Tensor y, *, int dim=-1, Tensor? out=None) -> Tensor"
            => |a| into(a, 3, "linalg_vecdot", a.call(ops::vecdot, (a.tensor(0)?, a.tensor(1)?, a.index(2)?)))?
    }
    /// Cross products of the vectors along an axis.
    function linalg_cross {
        "(Tensor input, Tensor other, *, int dim=-1, Tensor? out=None) -> Tensor"
            => |a| into(a, 3, "linalg_cross", a.call(ops::linalg_cross, (a.tensor(0)?, a.tensor(1)?, a.index(2)?)))?
    }
    /// Cross products of the vectors along an axis, by default the first of extent 3.
    both cross {
        "(Tensor input, Tensor other, int? dim=None, *, Tensor? out=None) -> Tensor"
            => |a| into(a, 3, "cross", a.call(ops::cross, (a.tensor(0)?, a.tensor(1)?, a.optional_index(2)?)))?
    }
    /// Kronecker product.
    both kron { "(Tensor input, Tensor other, *, Tensor? out=None) -> Tensor" => |a| into(a, 2, "kron", a.call(ops::kron, (a.tensor(0)?, a.tensor(1)?)))? }
    /// Sums of products over chosen axes: a number of them, or a pair of lists.
    function tensordot {
        "(Tensor a, Tensor b, int dims=2) -> Tensor"
            => |a| a.call(ops::tensordot_of, (a.tensor(0)?, a.tensor(1)?, a.index(2)?)),
        "(Tensor a, Tensor b, Any dims=2) -> Tensor" => |a| {
            let (left, right) = pair(a, 2)?;
            a.call(|x: &_, y: &_| ops::tensordot(x, y, &left, &right), (a.tensor(0)?, a.tensor(1)?))
        }
    }
    /// Distances between the points of two sets, by the p-norm.
    function cdist {
        "(Tensor x1, Tensor x2, float p=2.0, str? compute_mode='use_mm_for_euclid_dist_if_necessary') -> Tensor" => |a| {
            let mode = a.str(3)?;
            if !MODES.contains(&mode.as_str()) {
                return Err(PyValueError::new_err(format!("{mode} is not a valid value for compute_mode")));
            }
            a.call(ops::cdist, (a.tensor(0)?, a.tensor(1)?, a.float(2)?))
        }
    }
    /// Sums of products by letters: einsum("ij,jk->ik", a, b).
    function einsum {
        "(str equation, Tensor... operands) -> Tensor" => |a| {
            let equation = a.str(0)?;
            a.call(move |x: Vec<Tensor>| ops::einsum(&equation, &x), (a.tensors(1)?,))
        }
    }
    /// beta * self + alpha * (mat1 @ mat2), into this tensor.
    method addmm_ {
        "(Tensor input, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| over(a, ops::addmm)?
    }
    /// beta * self + alpha * (mat @ vec), into this tensor.
    method addmv_ {
        "(Tensor input, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| over(a, ops::addmv)?
    }
    /// beta * self + alpha * outer(vec1, vec2), into this tensor.
    method addr_ {
        "(Tensor input, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| over(a, ops::addr)?
    }
    /// beta * self + alpha * (batch1 @ batch2), into this tensor.
    method baddbmm_ {
        "(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| over(a, ops::baddbmm)?
    }
    /// beta * self + alpha * (batch1 @ batch2).sum(0), into this tensor.
    method addbmm_ {
        "(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| over(a, ops::addbmm)?
    }
}
