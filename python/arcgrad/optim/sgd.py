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
        loss = self._evaluate(closure)
        for group in self.param_groups:
            params, grads = with_gradients(group)
            if group["momentum"] == 0:
                _step(group, params, grads, [], first=False)
                continue
            # Buffers that are not there yet start as the undampened gradient.
            known, fresh = [], []
            for param, grad in zip(params, grads, strict=True):
                buffer = self.state[param].get("momentum_buffer")
                if buffer is None:
                    buffer = self.state[param]["momentum_buffer"] = arcgrad.empty_like(param, requires_grad=False)
                    fresh.append((param, grad, buffer))
                else:
                    known.append((param, grad, buffer))
            for first, members in ((True, fresh), (False, known)):
                if members:
                    _step(group, *map(list, zip(*members, strict=True)), first=first)
        return loss


def _step(
    group: dict[str, Any], params: list[Tensor], grads: list[Tensor], momentum_buffers: list[Tensor], *, first: bool
) -> None:
    """Update `params` and their buffers in place, those of a group at once."""
    arcgrad._core._sgd_step(
        params,
        grads,
        momentum_buffers,
        float(group["lr"]),
        group["momentum"],
        group["dampening"],
        group["weight_decay"],
        group["nesterov"],
        group["maximize"],
        first,
    )
