"""Internal names that PyTorch's users reach for all the same: each is another name of something that exists here.

Nothing in arcgrad itself uses this package; it is imported when it is first named.
"""

from __future__ import annotations

from .. import is_grad_enabled as is_grad_enabled
from .._core import (
    Node,
    _disabled_torch_function_impl as _disabled_torch_function_impl,
    _execution_order,
    _is_multithreading_enabled as _is_multithreading_enabled,
    _mode,
    _pass_facts,
    _pass_number as _current_graph_task_id,
    _set_mode,
    _set_multithreading_enabled,
    _set_torch_function_disabled,
    _track_passes,
    _WeakTensorRef as _WeakTensorRef,
    _will_reach,
)
from ..autograd.grad_mode import _FORWARD, _GRAD
from . import _autograd as _autograd, _functions as _functions, _nn as _nn

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "_WeakTensorRef",
    "_autograd",
    "_current_graph_task_execution_order",
    "_current_graph_task_id",
    "_functions",
    "_is_fwd_grad_enabled",
    "_is_multithreading_enabled",
    "_nn",
    "_set_fwd_grad_enabled",
    "_set_grad_enabled",
    "_set_multithreading_enabled",
    "_will_engine_execute_node",
    "is_grad_enabled",
]

# Whoever imports this package may ask about a pass's plan from inside of it.
_track_passes()


def _set_grad_enabled(enabled: bool) -> None:
    """Record from now on, or not."""
    _set_mode(_mode() | _GRAD if enabled else _mode() & ~_GRAD)


def _is_fwd_grad_enabled() -> bool:
    """Whether this thread propagates tangents."""
    return bool(_mode() & _FORWARD)


def _set_fwd_grad_enabled(enabled: bool) -> None:
    """Propagate tangents from now on, or not."""
    _set_mode(_mode() | _FORWARD if enabled else _mode() & ~_FORWARD)


def _current_graph_task_execution_order() -> list[Node]:
    """The nodes that the backward pass of this thread visits, in order.

    Raises RuntimeError outside of passes, and where passes may run on several threads: then there is no one order.
    """
    order: list[Node] | None = _execution_order()
    if order is None:
        raise RuntimeError("_current_graph_task_execution_order: should only be called during the backward pass")
    if _is_multithreading_enabled():
        raise RuntimeError(
            "_current_graph_task_execution_order expects the current backward to be executed with multithreading "
            "disabled, e.g. by running:\n\n"
            ">>> with torch.autograd.set_multithreading_enabled(False):\n"
            "...     torch.autograd.grad(...)\n"
        )
    return order


def _will_engine_execute_node(node: Node) -> bool:
    """Whether the backward pass of this thread brings a gradient to `node`.

    Raises RuntimeError outside of passes, for what is no node, and for a leaf's node in a pass that was started by
    `grad`, where nothing is added into leaves.
    """
    if not isinstance(node, Node):
        raise RuntimeError(f"_will_engine_execute_node expects an grad_fn, but got {type(node)}")
    facts = _pass_facts()
    if facts is None:
        raise RuntimeError("_get_should_execute_nodes should only be called during the backward pass")
    _, captures = facts
    if captures and isinstance(node, _functions.AccumulateGrad):
        raise RuntimeError(
            "A leaf node was passed to _will_engine_execute_node but we are currently running autograd.grad(). This is "
            "currently not supported."
        )
    reached: list[bool] = _will_reach([node])
    return reached[0]


class DisableTorchFunctionSubclass:
    """While it is entered, no subclass's `__torch_function__` is asked in this thread."""

    _level = 1

    def __enter__(self) -> None:
        self._before = _set_torch_function_disabled(self._level)

    def __exit__(self, *_: object) -> None:
        _set_torch_function_disabled(self._before)


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """While it is entered, neither subclasses nor modes are asked in this thread."""

    _level = 2
