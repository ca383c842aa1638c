"""Nodes that have a name in PyTorch: the accumulator of leaves, and two that spoil a gradient on purpose."""

from __future__ import annotations

from .. import Tensor
from .._core import Node, _delayed_error, _node_class
from ..autograd.function import Function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["AccumulateGrad", "DelayedError", "UndefinedGrad"]

# The class of the nodes that add a gradient into a leaf.
AccumulateGrad = _node_class("AccumulateGrad")


class DelayedError(Node):
    """Makes tensors that cannot be differentiated: a backward pass that comes there fails with a message."""

    def __new__(cls, message: str, num_inputs: int) -> DelayedError:
        made: DelayedError = super().__new__(cls)
        return made

    def __init__(self, message: str, num_inputs: int) -> None:
        self._message, self._num_inputs = message, num_inputs

    def __call__(self, *tensors: Tensor) -> Any:
        """These `num_inputs` tensors again, with such a history; one comes back alone, several in a tuple."""
        if len(tensors) != self._num_inputs:
            raise TypeError(f"expected {self._num_inputs} arguments, got {len(tensors)} instead")
        outputs = _delayed_error(self._message, tensors)
        return outputs[0] if len(outputs) == 1 else outputs


class UndefinedGrad(Function):
    """The identity, whose derivative hands on no gradient at all."""

    def __init__(self) -> None:  # unlike other functions, this one is called through an instance
        pass

    def __call__(self, tensor: Tensor) -> Tensor:
        """The tensor's numbers in a tensor of its own."""
        output: Tensor = self.apply(tensor)
        return output

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Copy."""
        return tensor.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> None:
        """No gradient."""
