"""Linear algebra: products of vectors and matrices under the names of `torch.linalg`."""

from ._core import linalg_cross as cross
from ._core import linalg_inv as inv
from ._core import linalg_matmul as matmul
from ._core import linalg_matrix_power as matrix_power
from ._core import linalg_multi_dot as multi_dot
from ._core import linalg_vecdot as vecdot

__all__ = ["cross", "inv", "matmul", "matrix_power", "multi_dot", "vecdot"]
