"""The order in which a problem's derivatives are checked."""

from __future__ import annotations

from . import agreement, rules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .problem import Problem


def check(
    problem: Problem,
    *,
    fast: bool,
    forward: bool,
    backward: bool,
    batched: bool,
    sums: bool,
    undefined: bool,
    masked: bool,
) -> None:
    """Raise GradcheckError at the first of the chosen checks that fails."""
    agree = agreement.fast if fast else agreement.slow
    if backward:
        agree(problem, forward=False)
    if forward:
        agree(problem, forward=True)
        if undefined:
            rules.absent_tangents(problem)
    if sums:
        rules.sum_of_tangents(problem)
    if not backward:
        return
    if batched:
        rules.batch_of_gradients(problem)
    rules.zeros_give_zeros(problem, masked)
    if undefined:
        rules.absent_gradients(problem)
