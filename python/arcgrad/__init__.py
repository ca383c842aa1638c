"""arcgrad: automatic differentiation for the CPU, with the names of PyTorch."""

from . import _core, autograd
from ._core import *  # noqa: F403
from ._size import Size
