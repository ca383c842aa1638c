"""How it is said that values differ: by how much at most, and where."""

from __future__ import annotations

from typing import Any

from .._core import Tensor, int64


def numbers_differ(actual: Any, expected: Any, rtol: float, atol: float) -> str:
    """Say that two numbers are not equal, or not close."""
    absolute = abs(actual - expected)
    relative = float("inf") if expected == 0 else absolute / abs(expected)
    lines = [
        f"Expected {expected} but got {actual}.",
        f"Absolute difference: {absolute}{_allowed(atol, rtol, atol)}",
        f"Relative difference: {relative}{_allowed(rtol, rtol, atol)}",
    ]
    return "\n".join([_headline("Scalars", rtol, atol), *lines])


def tensors_differ(actual: Tensor, expected: Tensor, close: Tensor, rtol: float, atol: float) -> str:
    """Say that tensors of one shape, at least 1-d, are not equal, or not close."""
    count = close.numel()
    wrong = count - int(close.sum())
    same = close.flatten()
    if not actual.dtype.is_floating_point:
        # Differences of small integers, and of booleans, need room.
        actual, expected = actual.to(int64), expected.to(int64)
    absolute = (actual - expected).abs().flatten()
    absolute[same] = 0
    relative = absolute / expected.abs().flatten()
    relative[same] = 0
    lines = [f"Mismatched elements: {wrong} / {count} ({wrong / count:.1%})"]
    for name, differences, tolerance in (("absolute", absolute, atol), ("relative", relative, rtol)):
        greatest, place = differences.max(0)
        index = _index(int(place), tuple(close.shape))
        lines.append(f"Greatest {name} difference: {greatest.item()} at index {index}{_allowed(tolerance, rtol, atol)}")
    return "\n".join([_headline("Tensor-likes", rtol, atol), *lines])


def _headline(what: str, rtol: float, atol: float) -> str:
    return f"{what} are not {'equal' if rtol == 0 and atol == 0 else 'close'}!\n"


def _allowed(tolerance: float, rtol: float, atol: float) -> str:
    return "" if rtol == 0 and atol == 0 else f" (up to {tolerance} allowed)"


def _index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index: list[int] = []
    for size in reversed(shape):
        flat, place = divmod(flat, size)
        index.append(place)
    return tuple(reversed(index))
