"""Adagrad: steps divided by the root of the sum of all squared gradients."""

from __future__ import annotations

import arcgrad

from .optimizer import Optimizer, check_options, with_gradients

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .. import Tensor

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """p -= lr / (1 + (t - 1) lr_decay) grad / (sqrt(s) + eps), with s the sum of grad² (Duchi et al., 2011).

    Args:
        initial_accumulator_value: what s starts from.
        maximize: ascend.
        foreach, fused: accepted for compatibility; the step is the same either way.

    Raises:
        ValueError: an option is negative.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_options(lr, eps, weight_decay)
        if not lr_decay >= 0.0:
            raise ValueError(f"Invalid lr_decay value: {lr_decay}")
        if not initial_accumulator_value >= 0.0:
            raise ValueError(f"Invalid initial_accumulator_value value: {initial_accumulator_value}")
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:
            for param in group["params"]:
                self._state_of(param, group)

    def _state_of(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state: dict[str, Any] = self.state[param]
        if not state:
            state["step"] = arcgrad.tensor(0.0, dtype=arcgrad.float32)
            state["sum"] = arcgrad.full_like(param.detach(), group["initial_accumulator_value"])
        return state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, once."""
        with arcgrad.no_grad():
            loss = self._evaluate(closure)
            for group in self.param_groups:
                params, grads = with_gradients(group)
                states = [self._state_of(param, group) for param in params]
                _single_tensor_adagrad(
                    params,
                    grads,
                    [state["sum"] for state in states],
                    [state["step"] for state in states],
                    lr=float(group["lr"]),
                    lr_decay=group["lr_decay"],
                    eps=group["eps"],
                    weight_decay=group["weight_decay"],
                    maximize=group["maximize"],
                )
        return loss


def _single_tensor_adagrad(
    params: list[Tensor],
    grads: list[Tensor],
    sums: list[Tensor],
    steps: list[Tensor],
    *,
    lr: float,
    lr_decay: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """Update `params` and their sums in place."""
    for index, (param, grad, total) in enumerate(zip(params, grads, sums, strict=True)):
        steps[index] += 1
        step = steps[index].item()
        if maximize:
            grad = -grad
        if weight_decay != 0:
            grad = grad.add(param, alpha=weight_decay)
        total.addcmul_(grad, grad, value=1)
        param.addcdiv_(grad, total.sqrt().add_(eps), value=-lr / (1 + (step - 1) * lr_decay))
