"""Times, shares and bytes as text."""

from __future__ import annotations

_TIMES = {"s": 1e6, "ms": 1e3, "us": 1.0}
_BYTES = {"GB": 1 << 30, "MB": 1 << 20, "KB": 1 << 10}


def format_time(time_us: float, time_unit: str | None = None) -> str:
    """Microseconds in the unit that suits them, or in `time_unit` (`us`, `ms` or `s`)."""
    if time_unit is None:
        time_unit = next((unit for unit, size in _TIMES.items() if time_us >= size), "us")
    if time_unit not in _TIMES:
        raise ValueError(f"time_unit must be one of {', '.join(_TIMES)}, not {time_unit!r}")
    return f"{time_us / _TIMES[time_unit]:.3f}{time_unit}"


def format_time_share(time_us: float, total_time_us: float) -> str:
    """A part of a time in per cent."""
    return f"{time_us * 100 / total_time_us:.2f}%" if total_time_us else "NaN"


def format_memory(nbytes: int) -> str:
    """Bytes in the unit that suits them."""
    for unit, size in _BYTES.items():
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} B"
