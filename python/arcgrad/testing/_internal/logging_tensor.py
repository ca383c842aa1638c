"""A tensor that says which functions were called with it.

`LoggingTensor` follows every operation, and what an operation makes of one is one. Code that treats tensors by type,
or that loses the class of its arguments on the way, shows itself when it is given one. Unlike PyTorch's, which is asked
below autograd (`__torch_dispatch__`), this one is asked above it (`__torch_function__`): the log holds the calls that
the program makes, and none that a backward pass makes.
"""

from __future__ import annotations

import contextlib
import itertools
import logging

from ... import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["LoggingTensor", "capture_logs"]

_LOGGER = logging.getLogger("arcgrad.LoggingTensor")
_NUMBERS = itertools.count()


def _name(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"${value.__dict__.setdefault('_number_in_logs', next(_NUMBERS))}"
    if isinstance(value, (tuple, list)):
        inner = ", ".join(map(_name, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    return repr(value)


class LoggingTensor(Tensor):
    """A leaf tensor over `elem`'s data that logs what is done with it.

    Args:
        elem: the values; shared, not copied.
        requires_grad: whether operations on it are recorded.
    """

    def __new__(cls, elem: Tensor, *, requires_grad: bool = False) -> LoggingTensor:
        made: LoggingTensor = Tensor._make_subclass(cls, elem.detach(), requires_grad)
        return made

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Call `func`, log the call, and return its tensors as objects of this class."""
        answer = super().__torch_function__(func, types, args, kwargs)
        if _LOGGER.isEnabledFor(logging.INFO):
            given = [_name(a) for a in args] + [f"{k}={_name(v)}" for k, v in (kwargs or {}).items()]
            _LOGGER.info("%s = %s(%s)", _name(answer), func.__qualname__, ", ".join(given))
        return answer


class _Collector(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())


@contextlib.contextmanager
def capture_logs() -> Iterator[list[str]]:
    """Collect the lines that logging tensors write, in a list that the context manager yields."""
    lines: list[str] = []
    collector, level = _Collector(lines), _LOGGER.level
    _LOGGER.addHandler(collector)
    _LOGGER.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        _LOGGER.removeHandler(collector)
        _LOGGER.setLevel(level)
