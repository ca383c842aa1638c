"""Functions whose arguments Python takes apart before the core sees them."""

from ._core import Tensor
from ._core import einsum as _einsum

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _spell(subscripts):
    letters = []
    for subscript in subscripts:
        if subscript is Ellipsis:
            letters.append("...")
        elif 0 <= subscript < len(_LETTERS):
            letters.append(_LETTERS[subscript])
        else:
            raise ValueError(
                "einsum(): subscript in subscript list is not within the valid range [0, 52) "
                f"(it is {subscript})"
            )
    return "".join(letters)


def einsum(*args):
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
