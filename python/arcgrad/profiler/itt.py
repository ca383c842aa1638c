"""What programs ask before they mark ranges for Intel's tracer: it is not built in."""

from __future__ import annotations


def is_available() -> bool:
    """Return False."""
    return False
