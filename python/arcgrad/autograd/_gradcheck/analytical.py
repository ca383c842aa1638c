"""Derivatives as the library computes them, backward and forward."""

from __future__ import annotations

from ..._core import Tensor, eye, zeros_like
from .. import grad
from ..gradcheck import GradcheckError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .problem import Problem


def backward_jacobians(problem: Problem, output: Tensor, vectors: Sequence[Tensor]) -> list[Tensor]:
    """For each checked input a matrix: a row for each of its elements, a column for each vector of `output`'s shape."""
    gradients, again = _passes(problem, output, vectors), _passes(problem, output, vectors)
    pairs = [(g, x) for row in gradients for g, x in zip(row, problem.checked, strict=True) if g is not None]
    if problem.check_grad_dtypes and any(g.dtype != x.dtype for g, x in pairs):
        raise GradcheckError("Gradient has dtype mismatch")
    if any(g.size() != x.size() for g, x in pairs):
        raise GradcheckError("Analytical gradient has incorrect size")
    first, second = _matrices(problem, gradients), _matrices(problem, again)
    for a, b in zip(first, second, strict=True):
        if a.numel() and (a - b).abs().max() > problem.nondet_tol:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                "gives different values, although analytical gradient matches numerical gradient.The tolerance for "
                f"nondeterminism was {problem.nondet_tol}.\n\nIf the derivative is meant to be random, pass "
                "`nondet_tol=` as large as its noise."
            )
    return first


def unit_vectors(output: Tensor) -> list[Tensor]:
    """For each element of `output` the gradient that singles it out."""
    return [row.reshape(output.shape) for row in eye(output.numel(), dtype=output.dtype).unbind()]


def _passes(problem: Problem, output: Tensor, vectors: Sequence[Tensor]) -> list[Sequence[Tensor | None]]:
    return [grad(output, problem.checked, v, retain_graph=True, allow_unused=True) for v in vectors]


def _matrices(problem: Problem, gradients: Sequence[Sequence[Tensor | None]]) -> list[Tensor]:
    matrices = [x.new_zeros(x.numel(), len(gradients)) for x in problem.checked]
    for column, row in enumerate(gradients):
        for matrix, g in zip(matrices, row, strict=True):
            if g is not None:
                matrix[:, column] = g.reshape(-1)
    return matrices


def forward_tangents(problem: Problem, place: int, direction: Tensor) -> list[Tensor]:
    """How the kept results change, flat, as an input moves in a direction of its shape."""
    directions = [direction if i == place else zeros_like(problem.inputs[i]) for i in problem.places]
    return [t.reshape(-1) for t in tangents_along(problem, directions)]


def forward_jacobian(problem: Problem, place: int) -> list[Tensor]:
    """For each kept result a matrix: a row for each element of the input, a column for each of the result."""
    x = problem.inputs[place]
    matrices = [y.new_zeros(x.numel(), y.numel()) for y in (problem.results[k] for k in problem.kept)]
    for row, direction in enumerate(unit_vectors(x)):
        for matrix, tangent in zip(matrices, forward_tangents(problem, place, direction), strict=True):
            matrix[row] = tangent
    return matrices


def tangents_along(problem: Problem, directions: Sequence[Tensor | None]) -> list[Tensor]:
    """The tangents of the kept results; a direction for each checked input, None where it has no tangent."""
    from .. import forward_ad

    with forward_ad.dual_level():
        duals = list(problem.inputs)
        for place, direction in zip(problem.places, directions, strict=True):
            x = problem.inputs[place].detach()
            duals[place] = x if direction is None else forward_ad.make_dual(x, direction)
        results = problem.call(*duals)
        pairs = [forward_ad.unpack_dual(results[k]) for k in problem.kept]
        return [zeros_like(value) if tangent is None else tangent for value, tangent in pairs]
