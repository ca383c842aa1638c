"""Gradients: on request, or added into the leaves that a result depends on."""

from .._core import _backward as backward, _grad as grad
from . import grad_mode, graph
from .grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = [
    "backward",
    "enable_grad",
    "grad",
    "grad_mode",
    "graph",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
]
