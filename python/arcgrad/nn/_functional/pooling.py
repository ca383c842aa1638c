"""Pooling: maxima and averages over windows, and over as many windows as the output shall have."""

from __future__ import annotations

import arcgrad

from ... import _core as _nn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ... import Tensor


def _single(value: int | Sequence[int]) -> int:
    return value if isinstance(value, int) else value[0]


def max_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the maximum of each window of (batch, channels, height, width); of equal ones the first has the gradient.

    With `return_indices`, also each maximum's place in its flattened plane. The stride defaults to the kernel's size.
    """
    stride = kernel_size if stride is None else stride
    if return_indices:
        return _nn.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)
    return _nn.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the maximum of each window of (batch, channels, length)."""
    size = _single(kernel_size)
    step = size if stride is None else _single(stride)
    result = max_pool2d(
        input.unsqueeze(-2),
        (1, size),
        (1, step),
        (0, _single(padding)),
        (1, _single(dilation)),
        ceil_mode,
        return_indices,
    )
    if isinstance(result, tuple):
        return result[0].squeeze(-2), result[1].squeeze(-2)
    return result.squeeze(-2)


def avg_pool2d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Return the mean of each window of (batch, channels, height, width), padding counted unless told otherwise."""
    stride = kernel_size if stride is None else stride
    return _nn.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)


def avg_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of each window of (batch, channels, length)."""
    size = _single(kernel_size)
    step = size if stride is None else _single(stride)
    pooled = avg_pool2d(input.unsqueeze(-2), (1, size), (1, step), (0, _single(padding)), ceil_mode, count_include_pad)
    return pooled.squeeze(-2)


def _windows(size: int, count: int) -> list[tuple[int, int]]:
    """Return the starts and lengths of `count` windows that cover `size` elements evenly; neighbours may overlap."""
    starts = [index * size // count for index in range(count)]
    ends = [-(-(index + 1) * size // count) for index in range(count)]
    return [(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _adapt(input: Tensor, dim: int, count: int | None, maximum: bool) -> Tensor:
    """Reduce dimension `dim` to `count` elements, the mean or the maximum of a window each."""
    size = input.shape[dim]
    if count is None or count == size:
        return input
    parts = []
    for start, length in _windows(size, count):
        window = input.narrow(dim, start, length)
        parts.append(window.amax(dim, keepdim=True) if maximum else window.mean(dim, keepdim=True))
    return arcgrad.cat(parts, dim)


def adaptive_avg_pool1d(input: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """Return the means of as many windows along the last dimension as `output_size` asks for."""
    return _adapt(input, -1, _single(output_size), False)


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Return the means of a grid of `output_size` windows over the last two dimensions; None keeps a dimension."""
    if output_size is None or isinstance(output_size, int):
        output_size = (output_size, output_size)
    height, width = (old if new is None else new for new, old in zip(output_size, input.shape[-2:], strict=True))
    rows, columns = input.shape[-2:]
    if height == width == 1:
        return input.mean((-2, -1), keepdim=True)
    if height and width and rows % height == 0 and columns % width == 0:
        return avg_pool2d(input, (rows // height, columns // width))
    return _adapt(_adapt(input, -1, width, False), -2, height, False)


def adaptive_max_pool1d(input: Tensor, output_size: int | Sequence[int]) -> Tensor:
    """Return the maxima of as many windows along the last dimension as `output_size` asks for."""
    return _adapt(input, -1, _single(output_size), True)


def adaptive_max_pool2d(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Return the maxima of a grid of `output_size` windows over the last two dimensions; None keeps a dimension."""
    if output_size is None or isinstance(output_size, int):
        output_size = (output_size, output_size)
    return _adapt(_adapt(input, -1, output_size[1], True), -2, output_size[0], True)
