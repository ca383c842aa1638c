"""Gradients: on request, or added into the leaves that a result depends on."""

from __future__ import annotations

import importlib

from .._core import (
    _backward as backward,
    _grad,
    _is_multithreading_enabled as is_multithreading_enabled,
    _is_profiled,
)
from . import grad_mode
from .grad_mode import (
    _unsafe_preserve_version_counter as _unsafe_preserve_version_counter,
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .. import Size, Tensor
    from .._core import SavedTensor as SavedTensor
    from . import (
        anomaly_mode as anomaly_mode,
        forward_ad as forward_ad,
        function as function,
        functional as functional,
        graph as graph,
        profiler as profiler,
        profiler_util as profiler_util,
        variable as variable,
    )
    from .anomaly_mode import (
        detect_anomaly as detect_anomaly,
        first_nonfinite as first_nonfinite,
        set_detect_anomaly as set_detect_anomaly,
    )
    from .function import Function as Function
    from .gradcheck import gradcheck as gradcheck, gradgradcheck as gradgradcheck
    from .graph import GradientEdge
    from .profiler import kineto_available as kineto_available
    from .variable import Variable as Variable

__all__ = [
    "Function",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "first_nonfinite",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_multithreading_enabled",
    "kineto_available",
    "no_grad",
    "profiler",
    "profiler_util",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
    "variable",
]

_SUBMODULES = frozenset(
    ["anomaly_mode", "forward_ad", "function", "functional", "graph", "profiler", "profiler_util", "variable"]
)

# Where a name lives whose module is imported when the name is first used.
_HOMES = {
    "Function": ".function",
    "SavedTensor": ".._core",
    "Variable": ".variable",
    "gradcheck": ".gradcheck",
    "gradgradcheck": ".gradcheck",
    "detect_anomaly": ".anomaly_mode",
    "first_nonfinite": ".anomaly_mode",
    "kineto_available": ".profiler",
    "set_detect_anomaly": ".anomaly_mode",
}


def __getattr__(name: str) -> Any:
    value: Any
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name], __name__), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def grad(
    outputs: Tensor | GradientEdge | Sequence[Tensor | GradientEdge],
    inputs: Tensor | GradientEdge | Sequence[Tensor | GradientEdge],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of `outputs` with respect to `inputs`, as a tuple in the order of `inputs`.

    `grad_outputs` are the gradients to start from, of the outputs' shapes; left out, an output must have one element.
    An input that no output depends on is an error, unless `allow_unused` (its gradient is None) or
    `materialize_grads` (zeros). With `is_grads_batched` each of `grad_outputs` has a leading axis of any one size, and
    so has each gradient returned, but for zeros of `materialize_grads`, which have their input's shape.

    Raises RuntimeError where an output or input requires no gradient, where shapes do not match, where what the graph
    saved was overwritten or already freed.
    """
    return _grad(
        outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, is_grads_batched, materialize_grads
    )


def _calculate_shape(output: Tensor, grad: Tensor, is_grads_batched: bool) -> tuple[Size, Size]:
    """The shapes of an output and of its gradient, of which a batched one has an axis more."""
    from .. import Size

    return output.shape, Size(grad.shape[1:]) if is_grads_batched else grad.shape


def _profiler_enabled() -> bool:
    """Whether somebody profiles."""
    profiled: bool = _is_profiled()
    return profiled
