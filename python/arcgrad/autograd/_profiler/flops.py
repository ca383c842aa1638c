"""How much an operation computes, by the shapes of its inputs."""

from __future__ import annotations

import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Where the two factors of a product stand among the inputs.
_FACTORS = {
    "aten::addmm": 1,
    "aten::baddbmm": 1,
    "aten::bmm": 0,
    "aten::linear": 0,
    "aten::matmul": 0,
    "aten::mm": 0,
}


def flops(name: str, shapes: Sequence[Sequence[int]]) -> int | None:
    """What an operation of this name computes, a multiply-add counting twice; None for one that is not counted."""
    if name in ("aten::mul", "aten::add") and shapes:
        return math.prod(shapes[0])
    first = _FACTORS.get(name)
    if first is None or len(shapes) < first + 2:
        return None
    a, b = shapes[first : first + 2]
    if len(a) < 2 or len(b) < 2:
        return None
    from ... import broadcast_shapes

    columns = b[-2] if name == "aten::linear" else b[-1]
    return 2 * math.prod(broadcast_shapes(a[:-2], b[:-2])) * a[-2] * a[-1] * columns
