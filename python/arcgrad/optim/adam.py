"""Adam and AdamW: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

import math

import arcgrad

from .optimizer import Optimizer, check_betas, check_options, with_gradients

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from .. import Tensor

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """p -= lr m̂ / (sqrt(v̂) + eps), with bias-corrected averages m of grad and v of grad² (Kingma and Ba, 2014).

    Args:
        betas: the decay rates of m and v.
        weight_decay: added to the gradient times the parameter; with `decoupled_weight_decay` the parameter shrinks
            by lr weight_decay instead (Loshchilov and Hutter, 2017).
        amsgrad: divide by the largest v so far (Reddi et al., 2018).
        maximize: ascend.
        foreach, capturable, fused: accepted for compatibility; the step is the same either way.

    Raises:
        ValueError: an option is negative, or a decay rate outside [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_options(lr, eps, weight_decay)
        check_betas(betas)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    def _state_of(self, param: Tensor, amsgrad: bool) -> dict[str, Any]:
        state: dict[str, Any] = self.state[param]
        if not state:
            state["step"] = arcgrad.tensor(0.0, dtype=arcgrad.float32)
            state["exp_avg"] = arcgrad.zeros_like(param)
            state["exp_avg_sq"] = arcgrad.zeros_like(param)
            if amsgrad:
                state["max_exp_avg_sq"] = arcgrad.zeros_like(param)
        return state

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient, once."""
        with arcgrad.no_grad():
            loss = self._evaluate(closure)
            for group in self.param_groups:
                params, grads = with_gradients(group)
                states = [self._state_of(param, group["amsgrad"]) for param in params]
                beta1, beta2 = group["betas"]
                _single_tensor_adam(
                    params,
                    grads,
                    [state["exp_avg"] for state in states],
                    [state["exp_avg_sq"] for state in states],
                    [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else [],
                    [state["step"] for state in states],
                    lr=float(group["lr"]),
                    beta1=float(beta1),
                    beta2=float(beta2),
                    eps=group["eps"],
                    weight_decay=group["weight_decay"],
                    decoupled_weight_decay=group["decoupled_weight_decay"],
                    amsgrad=group["amsgrad"],
                    maximize=group["maximize"],
                )
        return loss


class AdamW(Adam):
    """Adam whose weight decay, 0.01 by default, shrinks the parameters directly (Loshchilov and Hutter, 2017)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )


def _single_tensor_adam(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avgs: list[Tensor],
    exp_avg_sqs: list[Tensor],
    max_exp_avg_sqs: list[Tensor],
    steps: list[Tensor],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    amsgrad: bool,
    maximize: bool,
) -> None:
    """Update `params` and their averages in place; `max_exp_avg_sqs` is empty unless `amsgrad`."""
    for index, (param, grad, exp_avg, exp_avg_sq) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, strict=True)):
        steps[index] += 1
        step = steps[index].item()
        if maximize:
            grad = -grad
        if weight_decay != 0:
            if decoupled_weight_decay:
                param.mul_(1 - lr * weight_decay)
            else:
                grad = grad.add(param, alpha=weight_decay)
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        square = exp_avg_sq
        if amsgrad:
            square = max_exp_avg_sqs[index].copy_(arcgrad.maximum(max_exp_avg_sqs[index], exp_avg_sq))
        denominator = square.sqrt().div_(math.sqrt(1 - beta2**step)).add_(eps)
        param.addcdiv_(exp_avg, denominator, value=-lr / (1 - beta1**step))
