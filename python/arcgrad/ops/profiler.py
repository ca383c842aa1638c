"""Named ranges as a pair of calls, for programs that cannot use `record_function`."""

from __future__ import annotations

from ..autograd.profiler import record_function

__all__ = ["_record_function_enter", "_record_function_exit"]


def _record_function_enter(name: str, args: str | None = None) -> record_function:
    """Begin a range; the answer ends it."""
    return record_function(name, args).__enter__()


def _record_function_exit(handle: record_function) -> None:
    """End a range."""
    handle.__exit__(None, None, None)
