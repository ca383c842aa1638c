"""The limits of each dtype: `finfo` and `iinfo`."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._core import dtype

_FLOATS = {
    # Digits that survive a decimal round trip, significant bits, least exponent of a normal number.
    _core.float32: (6, 24, -126),
    _core.float64: (15, 53, -1022),
}


class finfo:
    """The limits of a floating-point dtype (the default one if none is given)."""

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: dtype | None = None) -> None:
        dtype = _core.get_default_dtype() if type is None else type
        if dtype not in _FLOATS:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        digits, significant, least = _FLOATS[dtype]
        self.bits = dtype.itemsize * 8
        self.dtype = str(dtype).removeprefix("torch.")
        self.eps = 2.0 ** (1 - significant)
        self.max = (2.0 - self.eps) * 2.0 ** (1 - least)
        self.min = -self.max
        self.resolution = float(f"1e-{digits}")
        self.smallest_normal = self.tiny = 2.0**least

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)


class iinfo:
    """The limits of an integer dtype."""

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: dtype) -> None:
        if type.is_floating_point or type is _core.bool:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        self.bits = type.itemsize * 8
        self.dtype = str(type).removeprefix("torch.")
        self.max = 2 ** (self.bits - type.is_signed) - 1
        self.min = -(2 ** (self.bits - 1)) if type.is_signed else 0

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)
