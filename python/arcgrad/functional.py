"""Functions whose arguments Python takes apart before the core sees them."""

from __future__ import annotations

from ._core import Tensor, einsum as _einsum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ._size import Size

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _spell(subscripts: Iterable[Any]) -> str:
    letters = []
    for subscript in subscripts:
        if subscript is Ellipsis:
            letters.append("...")
        elif 0 <= subscript < len(_LETTERS):
            letters.append(_LETTERS[subscript])
        else:
            raise ValueError(
                f"einsum(): subscript in subscript list is not within the valid range [0, 52) (it is {subscript})"
            )
    return "".join(letters)


def einsum(*args: Any) -> Tensor:
    """Sums of products named by the letters of their axes.

    Either ``einsum("ij,jk->ik", a, b)`` (operands as arguments or as one sequence), or the letters as lists of numbers
    below 52 and ``...`` after each operand, with the output's list last if it is not the usual one:
    ``einsum(a, [0, 1], b, [1, 2], [0, 2])``.
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, "
            "or at least one operand and its subscripts list"
        )
    if isinstance(args[0], str):
        return _einsum(*args)
    operands = list(args[0::2])
    output = ""
    if not isinstance(operands[-1], Tensor):
        output = "->" + _spell(operands.pop())
    equation = ",".join(_spell(subscripts) for subscripts in args[1::2][: len(operands)])
    return _einsum(equation + output, *operands)


def broadcast_shapes(*shapes: int | Iterable[int]) -> Size:
    """The shape that all of these shapes broadcast to; an int stands for a shape of one axis.

    Raises:
        RuntimeError: two extents along an axis differ and neither is 1.
    """
    from ._size import Size

    whole: list[int] = []
    for shape in shapes:
        extents = [shape] if isinstance(shape, int) else list(shape)
        if any(extent < 0 for extent in extents):
            raise RuntimeError(f"Trying to create tensor with negative dimension ({min(extents)}): ({extents})")
        whole = [1] * (len(extents) - len(whole)) + whole
        for i in range(1, len(extents) + 1):
            if whole[-i] == 1:
                whole[-i] = extents[-i]
            elif extents[-i] not in (1, whole[-i]):
                raise RuntimeError(
                    "Shape mismatch: objects cannot be broadcast to a single shape "
                    f"(the extents {whole[-i]} and {extents[-i]} of {shapes} differ)"
                )
    return Size(whole)
