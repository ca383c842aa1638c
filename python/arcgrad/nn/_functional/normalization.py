"""Normalization over batches, layers, groups and vectors, and distances between vectors."""

from __future__ import annotations

import arcgrad

from ... import _core as _nn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ... import Tensor


# The core's own functions: no Python frame stands between the caller and the kernel.
group_norm = _nn.group_norm
layer_norm = _nn.layer_norm
rms_norm = _nn.rms_norm


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel (dimension 1) by the batch's statistics in training, else by the running ones.

    In training the running statistics move towards the batch's by `momentum`, the variance unbiased.

    Raises:
        ValueError: training on one value per channel.
    """
    if training:
        values = input.shape[0]
        for size in input.shape[2:]:
            values *= size
        if values == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
    return _nn.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalize each channel of each sample by its own statistics, or by the running ones if not `use_input_stats`."""
    if not use_input_stats:
        return _nn.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if running_mean is not None and running_var is not None:
        dims = tuple(range(2, input.dim()))
        with arcgrad.no_grad():
            mean = input.mean(dims).mean(0)
            var = input.var(dims).mean(0)
            running_mean.mul_(1 - momentum).add_(mean, alpha=momentum)
            running_var.mul_(1 - momentum).add_(var, alpha=momentum)
    return group_norm(input, input.shape[1], weight, bias, eps)


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """Return the input divided by its p-norm along `dim`, the norm at least `eps`."""
    return input / input.norm(p, dim, keepdim=True).clamp(min=eps).expand_as(input)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Return the cosine of the angle between vectors along `dim`, each norm at least `eps`."""
    x1, x2 = arcgrad.broadcast_tensors(x1, x2)
    norm1 = x1.norm(2, dim, keepdim=True).clamp(min=eps)
    norm2 = x2.norm(2, dim, keepdim=True).clamp(min=eps)
    return ((x1 / norm1) * (x2 / norm2)).sum(dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """Return the p-norm of x1 - x2 + eps along the last dimension."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)
