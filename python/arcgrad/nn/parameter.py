"""Parameter: the tensor that a module registers and an optimizer trains."""

from __future__ import annotations

import arcgrad

from .. import Tensor
from .._core import _disabled_torch_function_impl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Parameter(Tensor):
    """A leaf tensor that a `Module` registers when it is assigned as an attribute.

    Args:
        data: the values, of any shape; shared, not copied. None stands for an empty tensor.
        requires_grad: whether backward passes accumulate into `.grad`.

    An operation on a parameter returns an ordinary `Tensor`.
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:  # noqa: D102
        if data is None:
            data = arcgrad.empty(0)
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
