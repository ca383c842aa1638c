"""How tensors are printed: `repr`, `str`, `format` and the options that govern them.

The text is PyTorch's, character for character. A tensor is first reduced to nested lists of Python numbers
(only the corners of a large one), then one width and one notation are chosen for all its elements.
"""

from __future__ import annotations

import math

import arcgrad

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from . import Tensor

__all__ = ["get_printoptions", "set_printoptions"]

# Stands in a nested list where rows or elements are left out.
_ELLIPSIS = object()


class _Options:
    """The print options in force; `sci_mode` is None where each tensor decides for itself."""

    __slots__ = ("edgeitems", "linewidth", "precision", "sci_mode", "threshold")

    def __init__(self) -> None:
        self.precision = 4
        self.threshold: float = 1000
        self.edgeitems = 3
        self.linewidth = 80
        self.sci_mode: bool | None = None


_options = _Options()

_PROFILES: dict[str, dict[str, float]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed; an argument left at None keeps its present value.

    Args:
        precision: digits after the decimal point (4).
        threshold: tensors with more elements than this are summarized (1000).
        edgeitems: elements shown at each end of a summarized dimension (3).
        linewidth: columns before a line is broken (80).
        profile: 'default', 'short' or 'full' (nothing summarized), applied before the other arguments.
        sci_mode: force scientific notation on or off; None leaves the choice to each tensor's values.
    """
    if profile is not None:
        for name, value in _PROFILES.get(profile, {}).items():
            setattr(_options, name, value)
    if precision is not None:
        _options.precision = precision
    if threshold is not None:
        _options.threshold = threshold
    if edgeitems is not None:
        _options.edgeitems = edgeitems
    if linewidth is not None:
        _options.linewidth = linewidth
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """Return the print options in force, as keyword arguments of `set_printoptions`."""
    return {name: getattr(_options, name) for name in ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")}


def _values(tensor: Tensor, summarize: bool) -> Any:
    """Return the elements to show as nested lists, with `_ELLIPSIS` where a dimension is cut."""
    edge = _options.edgeitems
    if tensor.dim() == 0 or not summarize:
        return tensor.tolist()
    length = tensor.shape[0]
    if tensor.dim() == 1:
        if edge == 0:
            return [_ELLIPSIS]
        if length > 2 * edge:
            return [*tensor[:edge].tolist(), _ELLIPSIS, *tensor[length - edge :].tolist()]
        return tensor.tolist()
    if edge == 0:
        return [_ELLIPSIS]
    if length > 2 * edge:
        first = [_values(tensor[i], True) for i in range(edge)]
        last = [_values(tensor[i], True) for i in range(length - edge, length)]
        return [*first, _ELLIPSIS, *last]
    return [_values(tensor[i], True) for i in range(length)]


def _flatten(values: Any, into: list[Any]) -> list[Any]:
    if isinstance(values, list):
        for value in values:
            _flatten(value, into)
    elif values is not _ELLIPSIS:
        into.append(values)
    return into


def _real_format(values: list[float]) -> tuple[int, Callable[[float], str]]:
    """Choose one notation for all floating-point `values`; return the column's width and the formatter.

    Zeros and non-finite values have no say: the width is that of the widest other value. Scientific notation is used
    where the magnitudes span more than a factor of 1000, exceed 1e8 or fall below 1e-4, unless `sci_mode` decides.
    """
    precision = _options.precision
    shown = [value for value in values if value != 0 and math.isfinite(value)]
    whole = all(value == math.ceil(value) for value in shown)
    scientific = False
    width = 1
    if shown:
        magnitudes = [abs(value) for value in shown]
        low, high = min(magnitudes), max(magnitudes)
        scientific = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
        if _options.sci_mode is not None:
            scientific = _options.sci_mode
        if scientific:
            width = max(len(f"{value:.{precision}e}") for value in shown)
        elif whole:
            width = max(len(f"{value:.0f}") for value in shown) + 1
        else:
            width = max(len(f"{value:.{precision}f}") for value in shown)

    def one(value: float) -> str:
        if scientific:
            return f"{value:{width}.{precision}e}"
        if not whole:
            return f"{value:.{precision}f}"
        return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"

    return width, one


def _element_format(tensor: Tensor, values: list[Any]) -> tuple[int, Callable[[Any], str]]:
    """Return the width of a column and the function that writes one element, padded to it."""
    if tensor.is_floating_point():
        width, one = _real_format(values)
    else:
        width, one = max((len(str(value)) for value in values), default=1), str
    return width, lambda value: one(value).rjust(width)


def _row(values: list[Any], indent: int, width: int, write: Callable[[Any], str]) -> str:
    """Write one dimension's elements, broken into lines of as many elements as fit."""
    # An element takes its width, a comma and a space.
    per_line = max(1, (_options.linewidth - indent) // (width + 2))
    # Between elements the gap is set off by a second space; alone it is not.
    gap = " ..." if len(values) > 1 else "..."
    cells = [gap if value is _ELLIPSIS else write(value) for value in values]
    lines = [", ".join(cells[start : start + per_line]) for start in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(values: Any, dims: int, indent: int, width: int, write: Callable[[Any], str]) -> str:
    if dims == 0:
        return write(values)
    if dims == 1:
        return _row(values, indent, width, write)
    parts = ["..." if value is _ELLIPSIS else _nested(value, dims - 1, indent + 1, width, write) for value in values]
    # Blank lines part the matrices of a stack, one more for each further dimension.
    return "[" + ("," + "\n" * (dims - 1) + " " * (indent + 1)).join(parts) + "]"


def _tail(tensor: Tensor) -> list[str]:
    """Return what follows the elements: size, dtype, then how the tensor takes part in autograd."""
    parts = []
    default = arcgrad.get_default_dtype()
    if tensor.numel() == 0:
        if tensor.dim() != 1:
            parts.append(f"size={tuple(tensor.shape)}")
        if tensor.dtype != default:
            parts.append(f"dtype={tensor.dtype}")
    else:
        if _options.edgeitems == 0:
            # Nothing of a summarized tensor is shown then, so its shape could not be read off the brackets.
            parts.append(f"size={tuple(tensor.shape)}")
        if tensor.dtype not in (default, arcgrad.int64, arcgrad.bool):
            parts.append(f"dtype={tensor.dtype}")
    try:
        node = tensor.grad_fn
    except RuntimeError:
        # Reading the history of a view that an in-place write made invalid raises; printing it must not.
        parts.append("grad_fn=<Invalid>")
        return parts
    if node is not None:
        parts.append(f"grad_fn=<{_node_name(node)}>")
    elif tensor.requires_grad:
        parts.append("requires_grad=True")
    tangent = _core._tangent(tensor)
    if tangent is not None:
        parts.append(f"tangent={tangent}")
    return parts


def _node_name(node: Any) -> str:
    name = type(node).__name__
    if name in ("Node", "CppFunction"):
        # One class serves many kinds of node: the kind is the node's own name.
        name = str(node.name()).rsplit("::", 1)[-1]
    return name


def _str(tensor: Tensor) -> str:
    """Return the text of `tensor` as PyTorch would print it.

    Shapes and dtypes of every kind are accepted; nothing is recorded for autograd.
    """
    kind = type(tensor)
    prefix = "tensor(" if kind is arcgrad.Tensor or kind.__name__ == "Parameter" else f"{kind.__name__}("
    indent = len(prefix)
    if tensor.numel() == 0:
        text = "[]"
    else:
        plain = tensor.detach()
        values = _values(plain, plain.numel() > _options.threshold)
        width, write = _element_format(plain, _flatten(values, []))
        text = _nested(values, plain.dim(), indent, width, write)
    text = prefix + text
    column = len(text) - text.rfind("\n") + 1
    for part in _tail(tensor):
        if column + len(part) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + part
            column = indent + len(part)
        else:
            text += ", " + part
            column += len(part) + 2
    return text + ")"


def _format(tensor: Tensor, spec: str) -> str:
    """Return `format(tensor, spec)`: a tensor of no dimensions formats as its number, any other as its text."""
    if tensor.dim() == 0 and type(tensor) is arcgrad.Tensor:
        return format(tensor.item(), spec)
    return object.__format__(tensor, spec)
