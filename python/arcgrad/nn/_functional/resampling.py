"""Resampling and rearranging of positions and channels."""

from __future__ import annotations

from ... import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ... import Tensor

channel_shuffle = _core.channel_shuffle
fold = _core.fold
interpolate = _core.interpolate
pixel_shuffle = _core.pixel_shuffle
pixel_unshuffle = _core.pixel_unshuffle
# At the top level `unfold` is a view of one axis.
unfold = _core.im2col


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Do as `interpolate`."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """Do as `interpolate`, with each output the element before it."""
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """Do as `interpolate`, along lines, with the corners kept in place."""
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
