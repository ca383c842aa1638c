"""Parameter: the tensor that a module registers and an optimizer trains."""

from __future__ import annotations

import arcgrad

from .. import Tensor
from .._core import _disabled_torch_function_impl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _ParameterMeta(type):
    """Counts tensors of other classes, once `Parameter` was called with them, among the parameters."""

    def __instancecheck__(cls, instance: object) -> bool:
        if super().__instancecheck__(instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A leaf tensor that a `Module` registers when it is assigned as an attribute.

    Args:
        data: the values, of any shape; shared, not copied. None stands for an empty tensor.
        requires_grad: whether backward passes accumulate into `.grad`.

    An operation on a parameter returns an ordinary `Tensor`. Of a tensor of a class of your own it makes a leaf of that
    class, which is an instance of `Parameter` too. Raises RuntimeError where such a class's `detach` leaves the class.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:  # noqa: D102
        if data is None:
            data = arcgrad.empty(0)
        if type(data) is not Tensor and type(data) is not Parameter:
            marked: Parameter = _of_own_class(data, requires_grad)
            return marked
        made: Parameter = Tensor._make_subclass(cls, data.detach(), requires_grad)
        return made

    __torch_function__ = _disabled_torch_function_impl  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        known: Parameter | None = memo.get(id(self))
        if known is None:
            known = type(self)(self.detach().clone(), self.requires_grad)
            memo[id(self)] = known
        return known

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


def _of_own_class(data: Tensor, requires_grad: bool) -> Any:
    """A leaf on the memory of `data` and of its class, marked as a parameter."""
    made = data.detach().requires_grad_(requires_grad)
    if type(made) is not type(data):
        raise RuntimeError(
            f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns an "
            f"instance of the same type, but return type {type(made).__name__} was found instead."
        )
    made._is_param = True  # type: ignore[attr-defined]
    return made
