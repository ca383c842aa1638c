"""What every derivative obeys: zeros stay zeros, what is absent counts as zero, and batches and sums come apart."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import Any

from ..._core import Tensor, allclose, equal, get_rng_state, randn_like, stack, zeros_like
from .. import Function, grad
from ..gradcheck import GradcheckError
from .agreement import random_directions
from .analytical import tangents_along
from .problem import differentiable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .problem import Problem


class _Undefined(Function):
    """Passes a value on, and back no gradient at all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> None:
        return None


@contextmanager
def _without_draws() -> Iterator[None]:
    """Refuse a derivative that draws random numbers: of a batch it could not give what it gives one at a time."""
    before = get_rng_state()
    yield
    if not equal(get_rng_state(), before):
        raise GradcheckError(
            "While computing batched gradients, got: vmap: We do not yet support calling random operations inside of "
            "vmap. Please perform random operations outside of vmap as a workaround"
        )


def batch_of_gradients(problem: Problem) -> None:
    """A batch of gradients gives what they give one at a time."""
    for i, output in enumerate(problem.outputs):
        vectors = [randn_like(output) for _ in range(2)]
        one_by_one = [_gradients(problem, [output], [v], retain_graph=True) for v in vectors]
        try:
            with _without_draws():
                batch = _gradients(problem, [output], [stack(vectors)], retain_graph=True, is_grads_batched=True)
        except GradcheckError:
            raise
        except RuntimeError as error:
            raise GradcheckError(f"While computing batched gradients, got: {error}\n\n{_BATCHED}") from error
        for j, x in enumerate(problem.checked):
            expected = stack([zeros_like(x) if g is None else g for g in (row[j] for row in one_by_one)])
            rows = batch[j]
            got = zeros_like(expected) if rows is None else rows
            if not allclose(got, expected):
                raise GradcheckError(
                    f"For output {i} and input {j}:\n\n{_BATCHED}\n\nGot:\n{got}\n\nExpected:\n{expected}"
                )


_BATCHED = (
    "gradcheck or gradgradcheck failed while testing batched gradient computation.\n"
    "Pass `check_batched_grad=False` if no batch of gradients will ever be asked for."
)


def sum_of_tangents(problem: Problem) -> None:
    """The tangent of a sum is the sum of the tangents."""
    for place, x in enumerate(problem.checked):
        directions = [randn_like(x) for _ in range(2)]
        with _without_draws():
            first, second, both = (_along(problem, place, d) for d in (*directions, directions[0] + directions[1]))
        for i, (a, b, got) in enumerate(zip(first, second, both, strict=True)):
            if not allclose(got, a + b):
                raise GradcheckError(
                    f"For output {i} and input {place}:\n\ngradcheck failed while testing batched gradient computation "
                    f"with forward-mode AD: the tangent of a sum is not the sum of the tangents.\n\nGot:\n{got}\n\n"
                    f"Expected:\n{a + b}"
                )


def _along(problem: Problem, place: int, direction: Tensor) -> list[Tensor]:
    return tangents_along(problem, [direction if i == place else None for i in range(len(problem.places))])


def absent_tangents(problem: Problem) -> None:
    """An input without a tangent counts as one whose tangent is zeros."""
    directions: list[Tensor | None] = [*random_directions(problem)]
    for place, x in enumerate(problem.checked):
        zeros, absent = list(directions), list(directions)
        zeros[place], absent[place] = zeros_like(x), None
        for i, (expected, got) in enumerate(
            zip(tangents_along(problem, zeros), tangents_along(problem, absent), strict=True)
        ):
            if not allclose(expected, got):
                raise GradcheckError(
                    f"Mismatch in tangent values for output with index: {i} when input: {x} has an undefined tangent "
                    f"value.  Got: {got} but expected: {expected}"
                )


def zeros_give_zeros(problem: Problem, masked: bool) -> None:
    """Gradients of zeros are zeros, of the dtype and shape of their inputs."""
    zeros = [zeros_like(y) for y in problem.outputs]
    for g, x in zip(_gradients(problem, problem.outputs, zeros), problem.checked, strict=True):
        if g is None:
            continue
        if not (allclose(g, zeros_like(g)) if masked else g.eq(0).all()):
            raise GradcheckError("backward not multiplied by grad_output")
        if g.dtype != x.dtype:
            raise GradcheckError("grad is incorrect type")
        if g.size() != x.size():
            raise GradcheckError("grad is incorrect size")


def absent_gradients(problem: Problem) -> None:
    """Outputs without a gradient count as outputs whose gradient is zeros: of all of them, and of one among several."""
    count = len(problem.outputs)
    for undefined in [range(count), *([i] for i in range(count if count > 1 else 0))]:
        outputs = [_Undefined.apply(y) if i in undefined else y for i, y in enumerate(_outputs(problem))]
        try:
            gradients = _gradients(problem, outputs, [zeros_like(y) for y in outputs])
        except RuntimeError as error:
            _warn()
            raise GradcheckError(
                "Expected backward function to handle undefined output grads: a derivative is given None for an output "
                "that nothing depends on."
            ) from error
        if any(g is not None and not g.eq(0).all() for g in gradients):
            _warn()
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are undefined or zero."
            )


def _outputs(problem: Problem) -> list[Tensor]:
    """The outputs of a new call, whose graph nobody has walked."""
    results = problem.call()
    return [results[i] for i in differentiable(results)]


def _gradients(
    problem: Problem, outputs: Sequence[Tensor], vectors: Sequence[Tensor], **options: bool
) -> Sequence[Tensor | None]:
    if not outputs:
        return [None] * len(problem.checked)
    return grad(outputs, problem.checked, vectors, allow_unused=True, **options)


def _warn() -> None:
    warnings.warn(
        "Backwards compatibility: New undefined gradient support checking feature is enabled by default, but it may "
        "break existing callers of this function. If this is true for you, you can call this function with "
        '"check_undefined_grad=False" to disable the feature',
        stacklevel=5,
    )
