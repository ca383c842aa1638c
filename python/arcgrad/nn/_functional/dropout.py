"""Dropout of elements and of whole channels."""

from __future__ import annotations

import arcgrad

from ... import _core as _nn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ... import Tensor


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, set each element to zero with probability `p` and scale the others by 1 / (1 - p).

    Raises:
        ValueError: `p` is not a probability.
    """
    _check(p)
    if inplace:
        return input.copy_(_nn.dropout(input, p, training))
    return _nn.dropout(input, p, training)


def _feature_dropout(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """Drop whole channels of an input that begins with the dimensions batch and channel."""
    _check(p)
    if not training or p == 0.0 or input.numel() == 0:
        return input
    shape = [size if dim < 2 else 1 for dim, size in enumerate(input.shape)]
    noise = arcgrad.empty(shape, dtype=input.dtype)
    # With p = 1 the scale would be infinite, and nothing is left to be scaled.
    noise = noise.zero_() if p == 1.0 else noise.bernoulli_(1 - p).div_(1 - p)
    return input.mul_(noise) if inplace else input * noise


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop whole channels of (batch, channels, length) or (channels, length)."""
    if input.dim() not in (2, 3):
        raise RuntimeError(f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input.")
    if input.dim() == 2:
        return _feature_dropout(input.unsqueeze(0), p, training, inplace).squeeze(0)
    return _feature_dropout(input, p, training, inplace)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Drop whole channels of (batch, channels, height, width)."""
    return _feature_dropout(input, p, training, inplace)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean and variance of a SELU's output (Klambauer et al., 2017)."""
    _check(p)
    if not training or p == 0.0 or input.numel() == 0:
        return input
    if p == 1.0:
        return input.mul_(0.0) if inplace else input * 0.0
    # The value that SELU tends to on the left: scale times alpha.
    floor = 1.7580993408473766
    noise = arcgrad.empty_like(input.detach()).bernoulli_(1 - p)
    scale = 1.0 / ((floor**2 * p + 1) * (1 - p)) ** 0.5
    shift = (noise - 1).mul_(floor * scale).add_(floor * scale * p)
    noise = noise.mul_(scale)
    return input.mul_(noise).add_(shift) if inplace else input * noise + shift
