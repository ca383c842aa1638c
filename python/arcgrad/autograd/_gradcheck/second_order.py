"""The gradient of a function as a function of its own."""

from __future__ import annotations

from typing import Any

from ..._core import Tensor
from .. import grad
from .problem import as_tuple, differentiable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def gradient_of(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any, *, noncontiguous: bool
) -> tuple[Callable[..., tuple[Tensor, ...]], tuple[Any, ...]]:
    """The gradient of `func` as a function of its inputs and the outputs' gradients, and these as its arguments."""
    inputs = as_tuple(inputs)
    vectors = _drawn(as_tuple(func(*inputs)), noncontiguous) if grad_outputs is None else as_tuple(grad_outputs)
    count = len(inputs)
    checked, free = differentiable(inputs), differentiable(vectors)

    def gradient(*arguments: Any) -> tuple[Tensor, ...]:
        # Those of forward mode come without requiring gradients, and the inner pass needs them to.
        for place in [*checked, *(count + i for i in free)]:
            arguments[place].requires_grad_()
        outputs = as_tuple(func(*arguments[:count]))
        gradients = grad(
            [outputs[i] for i in differentiable(outputs)],
            [arguments[i] for i in checked],
            arguments[count:],
            create_graph=True,
            allow_unused=True,
        )
        return tuple(g for g in gradients if g is not None)

    return gradient, inputs + vectors


def _drawn(outputs: tuple[Any, ...], noncontiguous: bool) -> tuple[Tensor, ...]:
    from ...testing import make_tensor

    return tuple(
        make_tensor(
            outputs[i].shape,
            dtype=outputs[i].dtype,
            device="cpu",
            low=-1,
            high=1,
            requires_grad=True,
            noncontiguous=noncontiguous,
        )
        for i in differentiable(outputs)
    )
