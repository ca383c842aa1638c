//! Products of vectors, matrices and batches.

use arcgrad::ops;
use pyo3::PyResult;

use crate::bindings;
use crate::dispatch::Args;

/// beta and alpha, the last two arguments of sums with a product.
fn weights(a: &Args<'_, '_>, first: usize) -> PyResult<[arcgrad::Scalar; 2]> {
    Ok([a.scalar(first)?, a.scalar(first + 1)?])
}

bindings! {
    /// Product of vectors, matrices or batches of matrices.
    both matmul { "(Tensor input, Tensor other) -> Tensor" => |a| a.call(ops::matmul, (a.tensor(0)?, a.tensor(1)?)) }
    /// Product of two matrices.
    both mm { "(Tensor input, Tensor mat2) -> Tensor" => |a| a.call(ops::mm, (a.tensor(0)?, a.tensor(1)?)) }
    /// Products of the matrices of two batches.
    both bmm { "(Tensor input, Tensor mat2) -> Tensor" => |a| a.call(ops::bmm, (a.tensor(0)?, a.tensor(1)?)) }
    /// Product of a matrix and a vector.
    both mv { "(Tensor input, Tensor vec) -> Tensor" => |a| a.call(ops::mv, (a.tensor(0)?, a.tensor(1)?)) }
    /// Sum of the products of two vectors' elements.
    both dot { "(Tensor input, Tensor tensor) -> Tensor" => |a| a.call(ops::dot, (a.tensor(0)?, a.tensor(1)?)) }
    /// Sum of the products of two vectors' elements.
    both vdot { "(Tensor input, Tensor other) -> Tensor" => |a| a.call(ops::vdot, (a.tensor(0)?, a.tensor(1)?)) }
    /// Sums of products over the last axes.
    both inner { "(Tensor input, Tensor other) -> Tensor" => |a| a.call(ops::inner, (a.tensor(0)?, a.tensor(1)?)) }
    /// All products of two vectors' elements.
    both outer { "(Tensor input, Tensor vec2) -> Tensor" => |a| a.call(ops::outer, (a.tensor(0)?, a.tensor(1)?)) }
    /// All products of two vectors' elements.
    both ger { "(Tensor input, Tensor vec2) -> Tensor" => |a| a.call(ops::outer, (a.tensor(0)?, a.tensor(1)?)) }
    /// beta * input + alpha * (mat1 @ mat2).
    both addmm {
        "(Tensor input, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::addmm, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?))
    }
    /// beta * input + alpha * (mat @ vec).
    both addmv {
        "(Tensor input, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::addmv, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?))
    }
    /// beta * input + alpha * outer(vec1, vec2).
    both addr {
        "(Tensor input, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::addr, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?))
    }
    /// beta * input + alpha * (batch1 @ batch2).
    both baddbmm {
        "(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::baddbmm, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?))
    }
    /// beta * input + alpha * (batch1 @ batch2).sum(0).
    both addbmm {
        "(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor"
            => |a| a.call(ops::addbmm, (a.tensor(0)?, a.tensor(1)?, a.tensor(2)?, weights(a, 3)?))
    }
    /// input @ weight.T + bias.
    function linear {
        "(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor"
            => |a| a.call(ops::linear, (a.tensor(0)?, a.tensor(1)?, a.optional_tensor(2)?))
    }
}
