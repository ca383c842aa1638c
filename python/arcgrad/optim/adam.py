"""Adam and AdamW: steps scaled by running averages of the gradient and of its square."""

from __future__ import annotations

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
        loss = self._evaluate(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group)
            amsgrad = group["amsgrad"]
            states = [self._state_of(param, amsgrad) for param in params]
            beta1, beta2 = group["betas"]
            arcgrad._core._adam_step(
                params,
                grads,
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [state["max_exp_avg_sq"] for state in states] if amsgrad else [],
                [state["step"] for state in states],
                float(group["lr"]),
                float(beta1),
                float(beta2),
                group["eps"],
                group["weight_decay"],
                group["decoupled_weight_decay"],
                group["maximize"],
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
