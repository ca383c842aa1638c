"""arcgrad: automatic differentiation for the CPU, with the names of PyTorch.

Operators, factories and dtypes come from the compiled core; the rest of this package is what PyTorch, too, writes in
Python. Subpackages that a program may not need (`nn`, `optim`, ...) are imported when they are first named.
"""

from __future__ import annotations

import importlib
from math import e as e, inf as inf, nan as nan, pi as pi

from . import _core as _core, autograd as autograd, linalg as linalg
from ._core import *  # noqa: F403
from ._core import __version__ as __version__, _unique as _unique, _unique2 as _unique2
from ._layout import (
    channels_last as channels_last,
    channels_last_3d as channels_last_3d,
    contiguous_format as contiguous_format,
    layout as layout,
    memory_format as memory_format,
    preserve_format as preserve_format,
    strided as strided,
)
from ._legacy import (
    BoolTensor as BoolTensor,
    ByteTensor as ByteTensor,
    CharTensor as CharTensor,
    DoubleTensor as DoubleTensor,
    FloatTensor as FloatTensor,
    IntTensor as IntTensor,
    LongTensor as LongTensor,
    ShortTensor as ShortTensor,
)
from ._limits import finfo as finfo, iinfo as iinfo
from ._settings import (
    are_deterministic_algorithms_enabled as are_deterministic_algorithms_enabled,
    is_storage as is_storage,
    typename as typename,
    use_deterministic_algorithms as use_deterministic_algorithms,
)
from ._size import Size as Size
from .autograd.grad_mode import (
    enable_grad as enable_grad,
    inference_mode as inference_mode,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from .functional import broadcast_shapes as broadcast_shapes, einsum as einsum  # type: ignore[no-redef]

# Not left until the first hook: a child forked while another thread imports it would wait for that thread for ever.
from .utils import hooks as _hooks  # noqa: F401

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import (
        _C as _C,
        _VF as _VF,
        cuda as cuda,
        nn as nn,
        ops as ops,
        optim as optim,
        overrides as overrides,
        profiler as profiler,
        random as random,
        serialization as serialization,
        special as special,
        testing as testing,
        utils as utils,
    )
    from ._tensor_str import set_printoptions as set_printoptions
    from .autograd.anomaly_mode import (
        is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled,
        is_anomaly_enabled as is_anomaly_enabled,
        set_anomaly_enabled as set_anomaly_enabled,
    )
    from .serialization import load as load, save as save

newaxis = None

_SUBMODULES = frozenset(
    [
        "_C",
        "_VF",
        "cuda",
        "linalg",
        "nn",
        "ops",
        "optim",
        "overrides",
        "profiler",
        "random",
        "serialization",
        "special",
        "testing",
        "utils",
    ]
)

# Where a name lives whose module is imported when the name is first used.
_HOMES = {
    "is_anomaly_check_nan_enabled": "autograd.anomaly_mode",
    "is_anomaly_enabled": "autograd.anomaly_mode",
    "load": "serialization",
    "save": "serialization",
    "set_anomaly_enabled": "autograd.anomaly_mode",
    "set_printoptions": "_tensor_str",
}


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
