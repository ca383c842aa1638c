"""PyTorch's name for functions behind its functions: `unique_dim`, which is `unique` along a dimension."""

from __future__ import annotations

from ._core import Tensor, unique

__all__ = ["unique_dim"]


def unique_dim(
    input: Tensor, dim: int, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Each slice along `dim` once, where each slice is among them, and how often each occurs: always all three."""
    values, inverse, counts = unique(input, sorted, True, True, dim)
    return values, inverse, counts
