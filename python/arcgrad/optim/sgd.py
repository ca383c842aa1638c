"""Stochastic gradient descent, with momentum, Nesterov's variant and weight decay."""

from __future__ import annotations

import arcgrad

from .optimizer import Optimizer, check_options, with_gradients

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .. import Tensor

__all__ = ["SGD"]


class SGD(Optimizer):
    """p -= lr v, where v = momentum v + (1 - dampening) (grad + weight_decay p).

    Args:
        nesterov: step along grad + momentum v instead of v.
        maximize: ascend.
        foreach, fused: accepted for compatibility; the step is the same either way.

    Raises:
        ValueError: an option is negative, or `nesterov` without momentum or with dampening.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_options(lr, weight_decay=weight_decay)
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, once."""
        with arcgrad.no_grad():
            loss = self._evaluate(closure)
            for group in self.param_groups:
                params, grads = with_gradients(group)
                buffers: list[Tensor | None] = []
                if group["momentum"] != 0:
                    buffers = [self.state[param].get("momentum_buffer") for param in params]
                _single_tensor_sgd(
                    params,
                    grads,
                    buffers,
                    lr=float(group["lr"]),
                    momentum=group["momentum"],
                    dampening=group["dampening"],
                    weight_decay=group["weight_decay"],
                    nesterov=group["nesterov"],
                    maximize=group["maximize"],
                )
                for param, buffer in zip(params, buffers, strict=False):
                    self.state[param]["momentum_buffer"] = buffer
        return loss


def _single_tensor_sgd(
    params: list[Tensor],
    grads: list[Tensor],
    momentum_buffers: list[Tensor | None],
    *,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """Update `params` in place; a momentum buffer that is None is made, starting as the undampened gradient."""
    for index, (param, grad) in enumerate(zip(params, grads, strict=True)):
        step = -grad if maximize else grad
        if weight_decay != 0:
            step = step.add(param, alpha=weight_decay)
        if momentum != 0:
            buffer = momentum_buffers[index]
            if buffer is None:
                buffer = momentum_buffers[index] = step.detach().clone()
            else:
                buffer.mul_(momentum).add_(step, alpha=1 - dampening)
            step = step.add(buffer, alpha=momentum) if nesterov else buffer
        param.add_(step, alpha=-lr)
