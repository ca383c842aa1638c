"""arcgrad: automatic differentiation for the CPU, with the names of PyTorch."""

from . import _core, autograd, linalg
from ._core import *  # noqa: F403
from ._core import __version__
from ._layout import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    layout,
    memory_format,
    preserve_format,
    strided,
)
from ._limits import finfo, iinfo
from ._size import Size
from .functional import einsum
