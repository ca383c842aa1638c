"""PyTorch's internal name for an operation that warns on purpose."""

from __future__ import annotations

import warnings
from typing import Any

from .. import Tensor
from ..autograd.function import Function

__all__ = ["_test_warn_in_autograd"]


class _TestWarnInAutograd(Function):
    """The identity, whose derivative warns: for tests of how warnings leave a backward pass."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return tensor.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        warnings.warn("Warn from backward", stacklevel=2)
        return grads[0]


def _test_warn_in_autograd(tensor: Tensor) -> Tensor:
    """A copy of `tensor`; a backward pass through it warns."""
    copy: Tensor = _TestWarnInAutograd.apply(tensor)
    return copy
