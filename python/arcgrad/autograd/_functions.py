"""Functions that PyTorch keeps from its early days: `Resize`."""

from __future__ import annotations

import math
from typing import Any

from .. import Tensor
from .function import Function

__all__ = ["Resize"]


class Resize(Function):
    """A tensor in another shape of as many elements."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """Reshape."""
        count = math.prod(sizes)
        if tensor.numel() != count:
            raise RuntimeError(
                f"requested resize to {'x'.join(map(str, sizes))} ({count} elements in total), but the given tensor "
                f"has a size of {'x'.join(map(str, tensor.size()))} ({tensor.numel()} elements). autograd's resize can "
                "only change the shape of a given tensor, while preserving the number of elements."
            )
        ctx.shape = tensor.shape
        return tensor.contiguous().view(*sizes)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Reshape the gradient back."""
        (grad,) = grads
        return grad.contiguous().view(ctx.shape), None
