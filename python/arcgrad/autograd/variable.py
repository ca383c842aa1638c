"""`Variable`: what tensors that take part in a graph were called before they were all tensors."""

from __future__ import annotations

import warnings

from .._core import Tensor, _at_end_of_pass, _backward, _grad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["Variable"]


class _ExecutionEngine:
    """The engine, under the name by which libraries reach for it."""

    def queue_callback(self, callback: Callable[[], Any]) -> None:
        """Have `callback` called when the backward pass that this thread runs is over, after those queued before.

        Called from hooks and derivatives; raises RuntimeError outside of a pass. A pass that fails calls none.
        """
        _at_end_of_pass(callback)

    def run_backward(
        self,
        tensors: Sequence[Tensor],
        grad_tensors: Sequence[Tensor | None],
        keep_graph: bool,
        create_graph: bool,
        inputs: Sequence[Tensor] = (),
        allow_unreachable: bool = False,
        accumulate_grad: bool = False,
    ) -> tuple[Tensor, ...]:
        """Run a backward pass: into `.grad` where `accumulate_grad`, else answer with the gradients of `inputs`."""
        if not inputs or accumulate_grad:
            _backward(tensors, grad_tensors, keep_graph, create_graph, inputs or None)
            return ()
        return _grad(tensors, inputs, grad_tensors, keep_graph, create_graph, allow_unreachable)


class _VariableMeta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """A tensor; every tensor is an instance.

    Calling it gives a tensor without a history on the memory of `data`.
    """

    _execution_engine = _ExecutionEngine()

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = False, volatile: bool | None = None) -> Any:  # noqa: D102
        if volatile is not None:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.", stacklevel=2
            )
        if data is None:
            return Tensor()
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)
