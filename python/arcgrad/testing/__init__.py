"""What tests of programs with tensors need: comparison within tolerances, and tensors to try."""

from ._comparison import assert_allclose, assert_close
from ._creation import make_tensor

__all__ = ["assert_allclose", "assert_close", "make_tensor"]
