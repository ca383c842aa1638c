"""RMSprop: steps divided by the root of a running average of the squared gradient."""

from __future__ import annotations

import arcgrad

from .optimizer import Optimizer, check_options, with_gradients

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .. import Tensor

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """p -= lr grad / (sqrt(v) + eps), with v the running average of grad² (Hinton, lecture notes, 2012).

    Args:
        alpha: the decay rate of v.
        momentum: the decay rate of the steps' own running sum.
        centered: subtract the squared average of the gradient from v (Graves, 2013).
        maximize: ascend.
        capturable, foreach: accepted for compatibility; the step is the same either way.

    Raises:
        ValueError: an option is negative.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_options(lr, eps, weight_decay)
        if not momentum >= 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if not alpha >= 0.0:
            raise ValueError(f"Invalid alpha value: {alpha}")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _state_of(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state: dict[str, Any] = self.state[param]
        if not state:
            state["step"] = arcgrad.tensor(0.0, dtype=arcgrad.float32)
            state["square_avg"] = arcgrad.zeros_like(param)
            if group["momentum"] > 0:
                state["momentum_buffer"] = arcgrad.zeros_like(param)
            if group["centered"]:
                state["grad_avg"] = arcgrad.zeros_like(param)
        return state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, once."""
        with arcgrad.no_grad():
            loss = self._evaluate(closure)
            for group in self.param_groups:
                params, grads = with_gradients(group)
                states = [self._state_of(param, group) for param in params]
                _single_tensor_rmsprop(
                    params,
                    grads,
                    [state["square_avg"] for state in states],
                    [state["grad_avg"] for state in states] if group["centered"] else [],
                    [state["momentum_buffer"] for state in states] if group["momentum"] > 0 else [],
                    [state["step"] for state in states],
                    lr=float(group["lr"]),
                    alpha=group["alpha"],
                    eps=group["eps"],
                    weight_decay=group["weight_decay"],
                    momentum=group["momentum"],
                    centered=group["centered"],
                    maximize=group["maximize"],
                )
        return loss


def _single_tensor_rmsprop(
    params: list[Tensor],
    grads: list[Tensor],
    square_avgs: list[Tensor],
    grad_avgs: list[Tensor],
    momentum_buffers: list[Tensor],
    steps: list[Tensor],
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
    maximize: bool,
) -> None:
    """Update `params` and their averages in place; lists that an option does not need are empty."""
    for index, (param, grad, square_avg) in enumerate(zip(params, grads, square_avgs, strict=True)):
        steps[index] += 1
        if maximize:
            grad = -grad
        if weight_decay != 0:
            grad = grad.add(param, alpha=weight_decay)
        square_avg.mul_(alpha).addcmul_(grad, grad, value=1 - alpha)
        variance = square_avg
        if centered:
            grad_avgs[index].lerp_(grad, 1 - alpha)
            variance = square_avg.addcmul(grad_avgs[index], grad_avgs[index], value=-1)
        root = variance.sqrt().add_(eps)
        if momentum > 0:
            buffer = momentum_buffers[index].mul_(momentum).addcdiv_(grad, root)
            param.add_(buffer, alpha=-lr)
        else:
            param.addcdiv_(grad, root, value=-lr)
