"""arcgrad: automatic differentiation for the CPU, with the names of PyTorch.

Operators, factories and dtypes come from the compiled core; the rest of this package is what PyTorch, too, writes in
Python. Subpackages that a program may not need (`nn`, `optim`, ...) are imported when they are first named.
"""

from __future__ import annotations

import importlib
from math import e, inf, nan, pi

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
from ._legacy import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from ._limits import finfo, iinfo
from ._settings import (
    are_deterministic_algorithms_enabled,
    is_storage,
    typename,
    use_deterministic_algorithms,
)
from ._size import Size
from .autograd.grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled
from .functional import broadcast_shapes, einsum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from . import cuda, nn, optim, random, serialization, special, utils
    from ._tensor_str import set_printoptions
    from .serialization import load, save

newaxis = None

_SUBMODULES = frozenset(
    ["cuda", "func", "linalg", "nn", "optim", "random", "serialization", "special", "testing", "utils"]
)

# Where a name lives whose module is imported when the name is first used.
_HOMES = {"load": "serialization", "save": "serialization", "set_printoptions": "_tensor_str"}


def __getattr__(name: str) -> Any:
    value: Any
    if name in _SUBMODULES:
        value = importlib.import_module(f".{name}", __name__)
    elif name in _HOMES:
        value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _SUBMODULES | _HOMES.keys())
