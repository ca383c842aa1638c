"""Linear algebra under the names of `torch.linalg`: products, equations, determinants, decompositions and norms.

Batches of matrices lie in the last two dimensions. Decompositions are computed in double precision and rounded to the
dtype. `LinAlgError` (a RuntimeError) says that a matrix is singular, not positive definite, or not finite.
"""

from __future__ import annotations

import math

import arcgrad

from . import _core
from ._core import (
    LinAlgError as LinAlgError,
    linalg_cholesky as cholesky,
    linalg_cross as cross,
    linalg_det as det,
    linalg_eigh as eigh,
    linalg_inv as inv,
    linalg_matmul as matmul,
    linalg_matrix_power as matrix_power,
    linalg_multi_dot as multi_dot,
    linalg_qr as qr,
    linalg_slogdet as slogdet,
    linalg_solve as solve,
    linalg_solve_triangular as solve_triangular,
    linalg_svd as svd,
    linalg_vecdot as vecdot,
    linalg_vector_norm as vector_norm,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from . import Tensor

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


# What PyTorch's messages call a dtype.
_SCALAR_NAMES = {
    _core.bool: "Bool",
    _core.uint8: "Byte",
    _core.int8: "Char",
    _core.int16: "Short",
    _core.int32: "Int",
    _core.int64: "Long",
    _core.float32: "Float",
    _core.float64: "Double",
}


def _scalar_name(A: Tensor) -> str:
    return _SCALAR_NAMES[A.dtype]


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Return a diagonal of the matrices in two dimensions, as a view."""
    return A.diagonal(offset, dim1, dim2)


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Return the eigenvalues of symmetric matrices in ascending order; only the triangle `UPLO` is read."""
    values: Tensor = eigh(A, UPLO)[0]
    return values


def svdvals(A: Tensor) -> Tensor:
    """Return the singular values in descending order."""
    values: Tensor = svd(A, False)[1]
    return values


def _dims(name: str, A: Tensor, dim: Sequence[int]) -> tuple[int, int]:
    """Return the two dimensions of matrices as non-negative numbers."""
    if A.dim() < 2:
        raise RuntimeError(f"linalg.{name}: The input tensor A must have at least 2 dimensions.")
    if len(dim) != 2:
        raise RuntimeError(f"linalg.{name}: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    for d in dim:
        if not -A.dim() <= d < A.dim():
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-A.dim()}, {A.dim() - 1}], but got {d})"
            )
    rows, cols = (d % A.dim() for d in dim)
    if rows == cols:
        raise RuntimeError(f"linalg.{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    return rows, cols


def matrix_norm(
    A: Tensor,
    ord: float | str = "fro",
    dim: Sequence[int] = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """Return a norm of the matrices in two dimensions.

    `ord` is 'fro' (root of the sum of squares), 'nuc' (sum of singular values), 2 or -2 (largest or smallest singular
    value), 1 or -1 (largest or smallest sum of magnitudes of a column), inf or -inf (of a row).

    Raises:
        RuntimeError: another order, fewer than two dimensions, or a dtype that is not floating.
    """
    rows, cols = _dims("matrix_norm", A, dim)
    if not A.is_floating_point():
        raise RuntimeError(
            f"linalg.matrix_norm: Expected a floating point or complex tensor as input. Got {_scalar_name(A)}"
        )
    if dtype is not None:
        A = A.to(dtype)
    if ord == "fro":
        return vector_norm(A, 2, (rows, cols), keepdim)
    if ord == "nuc":
        return _core.nuclear_norm(A, (rows, cols), keepdim)
    if isinstance(ord, str) or abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if abs(ord) == 2:
        values = svdvals(A.movedim((rows, cols), (-2, -1)))
        result = values.amax(-1) if ord > 0 else values.amin(-1)
        return result.unsqueeze(min(rows, cols)).unsqueeze(max(rows, cols)) if keepdim else result
    along, over = (rows, cols) if abs(ord) == 1 else (cols, rows)
    sums = vector_norm(A, 1, (along,), True)
    result = sums.amax(over, keepdim=True) if ord > 0 else sums.amin(over, keepdim=True)
    return result if keepdim else result.squeeze((rows, cols))


def norm(
    A: Tensor,
    ord: float | str | None = None,
    dim: int | Sequence[int] | None = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """Return a vector norm or a matrix norm.

    With two dimensions in `dim`, or a matrix and an `ord`, it is `matrix_norm`; else `vector_norm`, of all elements if
    neither is given.
    """
    dims = (dim,) if isinstance(dim, int) else dim
    if ord is None:
        return vector_norm(A, 2, dims, keepdim, dtype=dtype)
    if dims is None and A.dim() not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.dim()}D."
        )
    dims = dims if dims is not None else (-2, -1) if A.dim() == 2 or isinstance(ord, str) else (-1,)
    if isinstance(ord, str) or len(dims) == 2:
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


def cond(A: Tensor, p: float | str | None = None) -> Tensor:
    """Return the norm of each matrix times that of its inverse; `p` is an order of `matrix_norm`, 2 if None."""
    if A.dim() < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    if p is None or p in (2, -2):
        values = svdvals(A)
        if values.shape[-1] == 0:
            return values.new_zeros(values.shape[:-1])
        largest, smallest = values[..., 0], values[..., -1]
        return smallest / largest if p == -2 else largest / smallest
    if p not in ("fro", "nuc", 1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if A.shape[-2] != A.shape[-1]:
        raise RuntimeError(
            f"linalg.cond(ord={p}): A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} "
            "matrices"
        )
    singular = slogdet(A.detach())[0] == 0
    regular = arcgrad.where(singular[..., None, None], arcgrad.eye(A.shape[-1], dtype=A.dtype), A)
    return arcgrad.where(singular, math.inf, matrix_norm(A, p) * matrix_norm(inv(regular), p))


def _tolerance(A: Tensor, bound: float | Tensor | None) -> Tensor | None:
    return None if bound is None else arcgrad.as_tensor(bound, dtype=A.dtype)


def pinv(
    A: Tensor,
    rcond: float | Tensor | None = None,
    hermitian: bool = False,
    *,
    atol: float | Tensor | None = None,
    rtol: float | Tensor | None = None,
) -> Tensor:
    """Return the inverse in the sense of least squares (Moore and Penrose).

    Singular values up to max(`atol`, `rtol` times the largest) count as zero; if neither is given, `rtol` is the larger
    size times the dtype's epsilon. Tolerances may be one number or one for each matrix. `rcond` is the old name of
    `rtol`. If `hermitian`, only the lower triangle is read.
    """
    if A.dim() < 2 or not A.is_floating_point():
        sizes = ", ".join(map(str, A.shape))
        raise RuntimeError(
            f"linalg.pinv({_scalar_name(A)}{{[{sizes}]}}): expected a tensor with 2 or more dimensions of float, "
            "double, cfloat or cdouble types"
        )
    return _core.linalg_pinv(
        A, atol=_tolerance(A, atol), rtol=_tolerance(A, rcond if rtol is None else rtol), hermitian=hermitian
    )


def matrix_rank(
    A: Tensor,
    tol: float | Tensor | None = None,
    hermitian: bool = False,
    *,
    atol: float | Tensor | None = None,
    rtol: float | Tensor | None = None,
) -> Tensor:
    """Return how many singular values exceed the tolerance of `pinv`; `tol` is the old name of `atol`."""
    if A.dim() < 2:
        raise RuntimeError("torch.linalg.matrix_rank: The input tensor input must have at least 2 dimensions.")
    A = A.detach()
    values = eigvalsh(A).abs() if hermitian else svdvals(A)
    atol = tol if atol is None else atol
    absolute = arcgrad.as_tensor(0.0 if atol is None else atol, dtype=A.dtype)
    if rtol is None:
        usual = arcgrad.finfo(A.dtype).eps * max(A.shape[-2:])
        rtol = arcgrad.where(absolute > 0, 0.0, usual) if atol is not None else usual
    relative = arcgrad.as_tensor(rtol, dtype=A.dtype)
    if values.shape[-1] == 0:
        return values.new_zeros(values.shape[:-1], dtype=arcgrad.int64)
    bound = arcgrad.maximum(absolute, relative * values.amax(-1))
    return (values > bound.unsqueeze(-1)).sum(-1)


def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """Return the X whose product with A over all of X's dimensions is B; `dims` are first moved to the end of A."""
    if dims is not None:
        others = [d for d in range(A.dim()) if d not in {k % A.dim() for k in dims}]
        A = A.permute(*others, *dims)
    shape = A.shape[B.dim() :]
    if math.prod(A.shape[: B.dim()]) != math.prod(shape):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {math.prod(shape)} != {math.prod(A.shape[: B.dim()])}"
        )
    return solve(A.reshape(B.numel(), -1), B.flatten()).reshape(shape)


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """Return the inverse of A as a map from its dimensions past the first `ind` to these."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    first, rest = A.shape[:ind], A.shape[ind:]
    if math.prod(first) != math.prod(rest):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{math.prod(rest)} != {math.prod(first)}"
        )
    return inv(A.reshape(math.prod(first), -1)).reshape(*rest, *first)


def vander(x: Tensor, N: int | None = None) -> Tensor:
    """Return the powers 0 to N - 1 of each element, along a new last dimension; N is the last size if None."""
    x = x if x.dim() else x.reshape(1)
    count = x.shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    x = x.unsqueeze(-1)
    return arcgrad.cat([arcgrad.ones_like(x), x.expand(*x.shape[:-1], count - 1).cumprod(-1)], -1)
