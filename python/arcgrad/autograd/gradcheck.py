"""Checks of gradients by finite differences; what they do is in `_gradcheck`, imported when one is called."""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """A derivative is not what finite differences, or the rules that a derivative obeys, say."""


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the derivatives of `func` with central differences, at `inputs`.

    The defaults are meant for inputs of float64. Inputs are moved in place while `func` runs, so that it sees the
    difference also where it uses them without taking them as arguments, and are put back as they were.

    Args:
        func: A function of the inputs that returns a tensor or a tuple of tensors.
        inputs: A tensor or a tuple; those that require gradients are checked.
        eps: How far inputs are moved, to either side.
        atol: Absolute tolerance.
        rtol: Relative tolerance.
        raise_exception: Whether a failure raises; otherwise it is returned as False.
        nondet_tol: How far two passes over the same graph may differ.
        check_undefined_grad: Whether absent gradients, or tangents, of outputs must be taken for zeros.
        check_grad_dtypes: Whether a gradient of another dtype than its input's is a failure.
        check_batched_grad: Whether a batch of gradients must give what one at a time gives.
        check_batched_forward_grad: Whether the tangent of a sum must be the sum of the tangents.
        check_forward_ad: Whether forward mode is checked.
        check_backward_ad: Whether backward mode is checked.
        fast_mode: Whether Jacobians are compared in one random direction only, and not element by element.
        masked: Whether a gradient for zeros need only be near zero.

    Returns:
        True, or False where a check failed and `raise_exception` is off.

    Raises:
        GradcheckError: A check failed.
        AssertionError: The options contradict each other, or an output's shape or dtype depends on the inputs' values.
        ValueError: No input requires gradients.
        RuntimeError: Elements of an input overlap in memory.
    """
    _demand(check_forward_ad or check_backward_ad, "Expected at least one of check_forward_ad or check_backward_ad")
    _demand(check_backward_ad or not check_batched_grad, "Setting check_batched_grad=True requires check_backward_ad")
    _demand(
        check_forward_ad or not check_batched_forward_grad,
        "Setting check_batched_forward_grad=True requires check_forward_ad",
    )
    from ._gradcheck import Problem, check

    try:
        problem = Problem(
            func, inputs, eps=eps, atol=atol, rtol=rtol, nondet_tol=nondet_tol, check_grad_dtypes=check_grad_dtypes
        )
        check(
            problem,
            fast=fast_mode,
            forward=check_forward_ad,
            backward=check_backward_ad,
            batched=check_batched_grad,
            sums=check_batched_forward_grad,
            undefined=check_undefined_grad,
            masked=bool(masked),
        )
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Compare the derivatives of the gradient of `func` with central differences, at `inputs` and `grad_outputs`.

    Args:
        func: A function of the inputs that returns a tensor or a tuple of tensors.
        inputs: A tensor or a tuple; those that require gradients are checked.
        grad_outputs: What the outputs' gradients are, for each output that requires gradients; drawn from -1..1 if
            left out.
        eps: As in `gradcheck`.
        atol: As in `gradcheck`.
        rtol: As in `gradcheck`.
        gen_non_contig_grad_outputs: Whether the gradients drawn are not contiguous in memory.
        raise_exception: As in `gradcheck`.
        nondet_tol: As in `gradcheck`.
        check_undefined_grad: As in `gradcheck`.
        check_grad_dtypes: As in `gradcheck`.
        check_batched_grad: As in `gradcheck`.
        check_fwd_over_rev: Whether forward mode through the gradient is checked.
        check_rev_over_rev: Whether backward mode through the gradient is checked.
        fast_mode: As in `gradcheck`.
        masked: As in `gradcheck`.

    Returns:
        True, or False where a check failed and `raise_exception` is off.

    Raises:
        GradcheckError: A check failed.
        AssertionError: The options contradict each other.
        ValueError: No input requires gradients.
    """
    _demand(
        check_fwd_over_rev or check_rev_over_rev, "Expected at least one of check_fwd_over_rev or check_rev_over_rev"
    )
    _demand(
        check_rev_over_rev or not check_undefined_grad, "Setting check_undefined_grad=True requires check_rev_over_rev"
    )
    _demand(check_rev_over_rev or not check_batched_grad, "Setting check_batched_grad=True requires check_rev_over_rev")
    from ._gradcheck import gradient_of

    gradient, arguments = gradient_of(func, inputs, grad_outputs, noncontiguous=gen_non_contig_grad_outputs)
    return gradcheck(
        gradient,
        arguments,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def _demand(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(f"{message} to be True")


class _CallableModule(ModuleType):
    """A module that can be called as the function of its name.

    Importing the module by itself binds it to the name that is the function's in `autograd`, and both are to work.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> bool:
        return gradcheck(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
