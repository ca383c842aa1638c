"""Linear algebra: products of vectors and matrices under the names of `torch.linalg`."""

from ._core import (
    linalg_cross as cross,
    linalg_inv as inv,
    linalg_matmul as matmul,
    linalg_matrix_power as matrix_power,
    linalg_multi_dot as multi_dot,
    linalg_vecdot as vecdot,
)

__all__ = ["cross", "inv", "matmul", "matrix_power", "multi_dot", "vecdot"]
