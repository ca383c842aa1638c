"""Tensors of random numbers for tests."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from .. import finfo, iinfo
from .._core import Tensor, dtype as _dtype, empty, randint

_BOOL = "torch.bool"


def make_tensor(
    *shape: int | Sequence[int],
    dtype: _dtype,
    device: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Return a tensor of numbers drawn uniformly from `low` up to, but without, `high`.

    Args:
        shape: The shape, as a sequence or as separate integers.
        dtype: The dtype.
        device: "cpu".
        low: The least number, at least what the dtype can hold; by default -9, or 0 for bool.
        high: What no number reaches; by default 9 for floats, 10 for integers, 2 for bool.
        requires_grad: Whether the tensor asks for gradients.
        noncontiguous: Whether its elements lie apart in memory; a tensor with fewer than two elements is contiguous.
        exclude_zero: Whether zeros are replaced, by the dtype's least positive number.
        memory_format: The order of its elements in memory.

    Raises:
        ValueError: The interval is empty or beyond the dtype, an integer tensor was to require gradients, or both
            `noncontiguous` and `memory_format` were given.
    """
    given = shape[0] if len(shape) == 1 and isinstance(shape[0], Sequence) else shape
    size: tuple[int, ...] = tuple(given)  # type: ignore[arg-type]
    if noncontiguous and memory_format is not None:
        raise ValueError(
            f"The parameters `noncontiguous` and `memory_format` are mutually exclusive, but got "
            f"noncontiguous={noncontiguous!r} and memory_format={memory_format!r}"
        )
    if requires_grad and not dtype.is_floating_point:
        raise ValueError(
            f"`requires_grad=True` is not supported for boolean and integral dtypes, but got dtype={dtype!r}"
        )
    apart = noncontiguous and math.prod(size) > 1
    drawn = _drawn((*size[:-1], 2 * size[-1]) if apart else size, dtype, device, low, high)
    if apart:
        drawn = drawn[..., 1::2]
    elif memory_format is not None:
        drawn = drawn.clone(memory_format=memory_format)
    if exclude_zero:
        drawn[drawn == 0] = finfo(dtype).tiny if dtype.is_floating_point else 1
    return drawn.requires_grad_() if requires_grad else drawn


def _drawn(size: tuple[int, ...], dtype: _dtype, device: Any, low: float | None, high: float | None) -> Tensor:
    if dtype.is_floating_point:
        limits = finfo(dtype)
        low, high = _interval(dtype, low, high, (-9, 9), (limits.min, limits.max))
        tensor = empty(size, dtype=dtype, device=device)
        if high - low >= limits.max:
            # The width of the interval is itself beyond the dtype.
            return tensor.uniform_(low / 2, high / 2).mul_(2)
        return tensor.uniform_(low, high)
    if str(dtype) == _BOOL:
        low, high = _interval(dtype, low, high, (0, 2), (0, 2))
    else:
        whole = iinfo(dtype)
        low, high = _interval(dtype, low, high, (-9, 10), (whole.min, whole.max + (whole.bits < 64)))
    return randint(math.ceil(low), math.ceil(high), size, dtype=dtype, device=device)


def _interval(
    dtype: _dtype, low: float | None, high: float | None, default: tuple[float, float], limits: tuple[float, float]
) -> tuple[float, float]:
    """The interval that numbers are drawn from: what was asked for, as far as the dtype goes."""
    low, high = default[0] if low is None else low, default[1] if high is None else high
    least, beyond = limits
    if math.isnan(low) or math.isnan(high):
        raise ValueError(f"`low` and `high` cannot be NaN, but got low={low!r} and high={high!r}")
    if low == high and dtype.is_floating_point:
        warnings.warn(
            "Passing `low==high` to `torch.testing.make_tensor` for floating or complex types is deprecated since 2.1 "
            "and will be removed in 2.3. Use `torch.full(...)` instead.",
            FutureWarning,
            stacklevel=4,
        )
    elif low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    elif high < least or low >= beyond:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), but {dtype} only supports "
            f"[{least}, {beyond})"
        )
    return min(max(low, least), beyond), min(max(high, least), beyond)
