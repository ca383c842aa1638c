"""Derivatives by central differences."""

from __future__ import annotations

from itertools import product

from ..._core import Tensor, stack
from ..grad_mode import _unsafe_preserve_version_counter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .problem import Problem


def directional(problem: Problem, place: int, direction: Tensor) -> list[Tensor]:
    """How the kept results change, flat, as an input moves in a direction of its shape."""
    return _difference(problem, problem.inputs[place].detach(), direction * problem.eps, "")


def jacobian(problem: Problem, place: int) -> list[Tensor]:
    """For each kept result a matrix: a row for each element of the input, a column for each of the result."""
    x = problem.inputs[place].detach()
    rows = [
        _difference(problem, x[index], problem.eps, f"on index {index} ") for index in product(*map(range, x.shape))
    ]
    if not rows:
        return [y.new_zeros(0, y.numel()) for y in (problem.results[k] for k in problem.kept)]
    return [stack(columns) for columns in zip(*rows, strict=True)]


def _difference(problem: Problem, moved: Tensor, by: Tensor | float, on_index: str) -> list[Tensor]:
    before = moved.clone()
    # The bits are put back, so that whatever was saved of them is as good as before.
    with _unsafe_preserve_version_counter(moved):
        try:
            moved.copy_(before - by)
            low = _values(problem)
            moved.copy_(before + by)
            high = _values(problem)
        finally:
            moved.copy_(before)
    for a, b in zip(low, high, strict=True):
        for what in ("shape", "dtype"):
            if getattr(a, what) != getattr(b, what):
                raise AssertionError(
                    f"Expected `func` to return outputs with the same {what} when inputs are perturbed "
                    f"{on_index}by {problem.eps}, but got: {what}s {getattr(a, what)} and {getattr(b, what)}."
                )
    return [((b - a) / (2 * problem.eps)).reshape(-1) for a, b in zip(low, high, strict=True)]


def _values(problem: Problem) -> list[Tensor]:
    # A result may be a view of the input, which moves on.
    results = problem.call()
    return [results[k].detach().clone() for k in problem.kept]
