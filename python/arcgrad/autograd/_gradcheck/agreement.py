"""Whether derivatives agree with differences: element by element, or in one random direction."""

from __future__ import annotations

from ..._core import Generator, Tensor, allclose, promote_types, rand
from ..gradcheck import GradcheckError
from . import analytical, numerical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .problem import Problem


def slow(problem: Problem, forward: bool) -> None:
    """Compare every element of every Jacobian."""
    numeric = [numerical.jacobian(problem, place) for place in problem.places]
    if not problem.outputs:
        _demand_zeros(numeric, 0.0)
        return
    if forward:
        for j, place in enumerate(problem.places):
            for i, analytic in enumerate(analytical.forward_jacobian(problem, place)):
                _compare(problem, analytic, numeric[j][i], problem.atol, i, j, forward)
        return
    for i, output in enumerate(problem.outputs):
        matrices = analytical.backward_jacobians(problem, output, analytical.unit_vectors(output))
        for j, analytic in enumerate(matrices):
            _compare(problem, analytic, numeric[j][i], problem.atol, i, j, forward)


def fast(problem: Problem, forward: bool) -> None:
    """Compare, for a random direction u of each input and v of each output, u J v; in forward mode, u J."""
    stream = Generator()
    us = [_direction(x, stream) for x in problem.checked]
    numeric = [
        numerical.directional(problem, place, u.reshape(x.shape))
        for place, x, u in zip(problem.places, problem.checked, us, strict=True)
    ]
    if not problem.outputs:
        _demand_zeros(numeric, problem.nondet_tol)
        return
    if forward:
        for j, (place, x, u) in enumerate(zip(problem.places, problem.checked, us, strict=True)):
            for i, analytic in enumerate(analytical.forward_tangents(problem, place, u.reshape(x.shape))):
                _compare_fast(problem, analytic, numeric[j][i], problem.atol * float(u.sum()), i, j, forward)
        return
    for i, (y, v) in enumerate([(y, _direction(y, stream)) for y in problem.outputs]):
        matrices = analytical.backward_jacobians(problem, y, [v.reshape(y.shape)])
        for j, (matrix, u) in enumerate(zip(matrices, us, strict=True)):
            # The tolerance is that of one element, and the product is as large as the directions' sums.
            atol = problem.atol * float(u.sum()) * float(v.sum())
            number, difference = (matrix[:, 0] * u).sum(), (numeric[j][i] * v).sum()
            _compare_fast(problem, number, difference, atol, i, j, forward)


def random_directions(problem: Problem) -> list[Tensor]:
    """For each checked input a random direction of its shape, the same ones in every run."""
    stream = Generator()
    return [_direction(x, stream).reshape(x.shape) for x in problem.checked]


def _direction(x: Tensor, stream: Generator) -> Tensor:
    """A flat random vector of length one; none of its elements is negative, so that they do not cancel."""
    vector = rand(x.numel(), generator=stream).to(x.dtype)
    return vector / vector.norm()


def _demand_zeros(differences: list[list[Tensor]], tolerance: float) -> None:
    if any(d.numel() and d.abs().max() > tolerance for row in differences for d in row):
        raise GradcheckError("Numerical gradient for function expected to be zero")


def _close(analytic: Tensor, numeric: Tensor, rtol: float, atol: float) -> bool:
    dtype = promote_types(analytic.dtype, numeric.dtype)
    return bool(allclose(analytic.to(dtype), numeric.to(dtype), rtol, atol))


def _compare(problem: Problem, analytic: Tensor, numeric: Tensor, atol: float, i: int, j: int, forward: bool) -> None:
    if not _close(analytic, numeric, problem.rtol, atol):
        raise GradcheckError(_mismatch(analytic, numeric, i, j, forward))


def _compare_fast(
    problem: Problem, analytic: Tensor, numeric: Tensor, atol: float, i: int, j: int, forward: bool
) -> None:
    if _close(analytic, numeric, problem.rtol, atol):
        return
    by_element = numerical.jacobian(problem, problem.places[j])[i]
    if forward:
        matrix = analytical.forward_jacobian(problem, problem.places[j])[i]
    else:
        output = problem.outputs[i]
        rows = [analytical.backward_jacobians(problem, output, [v])[j] for v in analytical.unit_vectors(output)]
        matrix = by_element.new_zeros(by_element.shape)
        for column, row in enumerate(rows):
            matrix[:, column] = row[:, 0]
    message = _mismatch(analytic, numeric, i, j, forward) + (
        "\nThe above quantities relating the numerical and analytical jacobians are computed \nin fast mode: in one "
        "random direction. Below, we recompute numerical and analytical jacobians in slow mode:\n\n"
        f"Numerical:\n {by_element}\nAnalytical:\n{matrix}\n\n"
        f"The max per-element difference (slow mode) is: {(by_element - matrix).abs().max()}.\n"
    )
    if allclose(matrix, by_element, problem.rtol, problem.atol):
        message += (
            "\nFast gradcheck failed but element-wise differences are small. This means that the\ntest might've "
            "passed in slow_mode!\n\nPass `fast_mode=False` to compare element by element."
        )
    raise GradcheckError(message)


def _mismatch(analytic: Tensor, numeric: Tensor, i: int, j: int, forward: bool) -> str:
    mode = "computed with forward mode " if forward else ""
    return (
        f"Jacobian {mode}mismatch for output {i} with respect to input {j},\nnumerical:{numeric}\n"
        f"analytical:{analytic}\n"
    )
