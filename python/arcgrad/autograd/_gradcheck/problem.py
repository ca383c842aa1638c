"""A function at inputs whose derivatives are to be checked."""

from __future__ import annotations

import warnings
from typing import Any

from ..._core import Tensor, float64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def as_tuple(value: Any) -> tuple[Any, ...]:
    """What a function takes or returns, as a tuple."""
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def differentiable(values: tuple[Any, ...]) -> list[int]:
    """The places of tensors that require gradients."""
    return [i for i, x in enumerate(values) if isinstance(x, Tensor) and x.requires_grad]


class Problem:
    """A function at inputs, with what it returned there.

    Attributes:
        inputs: All arguments of the function.
        places: Where among them are those that require gradients.
        results: All that the function returned, as it was recorded.
        kept: Where among them are those that require gradients, the outputs; or, if there are none, all of a float
            dtype.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: Any,
        *,
        eps: float,
        atol: float,
        rtol: float,
        nondet_tol: float,
        check_grad_dtypes: bool,
    ) -> None:
        self._func = func
        self.inputs = as_tuple(inputs)
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.check_grad_dtypes = check_grad_dtypes
        self.places = differentiable(self.inputs)
        self._check_inputs()
        self.results = self.call()
        outputs = differentiable(self.results)
        floats = [i for i, y in enumerate(self.results) if isinstance(y, Tensor) and y.is_floating_point()]
        self.kept = outputs or floats
        self.outputs: list[Tensor] = [self.results[i] for i in outputs]

    @property
    def checked(self) -> list[Tensor]:
        """The inputs that require gradients."""
        return [self.inputs[place] for place in self.places]

    def call(self, *inputs: Any) -> tuple[Any, ...]:
        """What the function returns for the problem's inputs, or for others."""
        return as_tuple(self._func(*(inputs or self.inputs)))

    def _check_inputs(self) -> None:
        for i, x in zip(self.places, self.checked, strict=True):
            if x.dtype != float64:
                warnings.warn(
                    f"Input #{i} requires gradient and is not a double precision floating point or complex. This "
                    "check will likely fail if all the inputs are not of double precision floating point or complex. ",
                    stacklevel=4,
                )
            if any(stride == 0 and size > 1 for stride, size in zip(x.stride(), x.size(), strict=True)):
                raise RuntimeError(
                    f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                    "non-overlapping to be able to compute the numerical gradients correctly. You should call "
                    ".contiguous on the input before passing it to gradcheck."
                )
        if not self.places:
            raise ValueError(
                "gradcheck expects at least one input tensor to require gradient, but none of them have "
                "requires_grad=True."
            )
