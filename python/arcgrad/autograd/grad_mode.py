"""Gradient modes: whether this thread records what it computes.

Each is a context manager and a decorator, of functions, generators and coroutines. A decorated generator or coroutine
has the mode while its own body runs, and whoever resumes it keeps theirs.
"""

from __future__ import annotations

from .._core import _is_multithreading_enabled, _mode, _set_mode, _set_multithreading_enabled, _set_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Any, TypeVar

    from .._core import Tensor

    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]

_GRAD, _INFERENCE, _FORWARD = 1, 2, 4

# Flags of code objects, as `inspect` names them; importing it would cost as much as importing everything else.
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200


class _Mode:
    """A mode to enter, as often and as deeply nested as one likes."""

    _before: list[int]

    def __enter__(self) -> None:
        before = _mode()
        # A list, because one object may be entered inside itself, or decorate a function that calls itself.
        self.__dict__.setdefault("_before", []).append(before)
        _set_mode(self._changed(before))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _set_mode(self._before.pop())

    def _changed(self, before: int) -> int:
        raise NotImplementedError

    def _fresh(self) -> _Mode:
        """A context of its own for each call of a decorated function."""
        return self.__class__()

    def __call__(self, function: _F) -> _F:
        decorated: _F = _decorated(function, self._fresh)
        return decorated


def _decorated(function: Any, context: Callable[[], AbstractContextManager[Any]]) -> Any:
    """The function, its body always run in a context of its own."""
    from functools import wraps

    if isinstance(function, type):
        # Of a class, the making of instances is decorated.
        import warnings

        warnings.warn(
            "Decorating classes is deprecated and will be disabled in future versions. You should only decorate "
            "functions or methods. To preserve the current behavior of class decoration, you can directly decorate the "
            "`__init__` method and nothing else.",
            FutureWarning,
            stacklevel=3,
        )
        making: Any = function
        making.__init__ = _decorated(making.__init__, context)
        return function
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & _ASYNC_GENERATOR:

        @wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            steps = function(*args, **kwargs)
            step = steps.asend(None)
            try:
                while True:
                    try:
                        value = await _Steps(step.__await__(), context)
                    except StopAsyncIteration:
                        return
                    try:
                        sent = yield value
                    except GeneratorExit:
                        await _Steps(steps.aclose().__await__(), context)
                        raise
                    except BaseException as error:
                        step = steps.athrow(error)
                    else:
                        step = steps.asend(sent)
            finally:
                await _Steps(steps.aclose().__await__(), context)

    elif flags & _COROUTINE:

        @wraps(function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            return await _Steps(function(*args, **kwargs).__await__(), context)

    elif flags & _GENERATOR:

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return (yield from _stepped(function(*args, **kwargs), context))

    else:

        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with context():
                return function(*args, **kwargs)

    return wrapper


def _stepped(steps: Any, context: Callable[[], AbstractContextManager[Any]]) -> Generator[Any, Any, Any]:
    """Each step of a generator in the context, what lies between in the caller's own."""
    try:
        with context():
            value = next(steps)
        while True:
            try:
                sent = yield value
            except GeneratorExit:
                with context():
                    steps.close()
                raise
            except BaseException as error:
                with context():
                    value = steps.throw(error)
            else:
                with context():
                    value = steps.send(sent)
    except StopIteration as stop:
        return stop.value


class _Steps:
    """Something to await whose own steps are in the context."""

    def __init__(self, steps: Iterator[Any], context: Callable[[], AbstractContextManager[Any]]) -> None:
        self._steps, self._context = steps, context

    def __await__(self) -> Generator[Any, Any, Any]:
        return _stepped(_Iterator(self._steps), self._context)


class _Iterator:
    """An awaitable's steps with all the methods of a generator, which not every iterator has."""

    def __init__(self, steps: Any) -> None:
        self._steps = steps

    def __iter__(self) -> _Iterator:
        return self

    def __next__(self) -> Any:
        return next(self._steps)

    def send(self, value: Any) -> Any:
        if value is None:
            return next(self._steps)
        return self._steps.send(value)

    def throw(self, error: BaseException) -> Any:
        throw = getattr(self._steps, "throw", None)
        if throw is None:
            raise error
        return throw(error)

    def close(self) -> None:
        close = getattr(self._steps, "close", None)
        if close is not None:
            close()


class _Plain(_Mode):
    """A mode without arguments: `@no_grad` is as good as `@no_grad()`."""

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        if function is None:
            return super().__new__(cls)
        return _decorated(function, cls)


class no_grad(_Plain):
    """Nothing is recorded."""

    def _changed(self, before: int) -> int:
        return before & ~_GRAD


class enable_grad(_Plain):
    """Operations are recorded, also inside `no_grad`."""

    def _changed(self, before: int) -> int:
        return before | _GRAD


class set_grad_enabled(_Mode):
    """Operations are recorded, or not, from now on; as a context manager, until it ends."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        before = _mode()
        self._before = [before]
        _set_mode(self._changed(before))

    def __enter__(self) -> None:
        # Already in force since the object was made.
        if not self._before:
            super().__enter__()
        else:
            _set_mode(self._changed(_mode()))

    def __call__(self, function: _F) -> _F:  # noqa: D102
        # The decorator says what holds inside the function, not from here on.
        _set_mode(self._before.pop())
        return super().__call__(function)

    def _fresh(self) -> _Mode:
        return _Switch(self.mode)

    def _changed(self, before: int) -> int:
        return before | _GRAD if self.mode else before & ~_GRAD

    def __repr__(self) -> str:
        return f"{self.__class__.__module__}.{self.__class__.__name__}(mode={self.mode})"


class _Switch(_Mode):
    """`set_grad_enabled` that waits until it is entered."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def _changed(self, before: int) -> int:
        return before | _GRAD if self.mode else before & ~_GRAD


class inference_mode(_Mode):
    """Nothing is recorded, and new tensors can never take part in a graph; with `mode=False`, recording is back."""

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:  # noqa: D102
        if isinstance(mode, bool):
            return super().__new__(cls)
        return _decorated(mode, cls)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode

    def _fresh(self) -> _Mode:
        return self.__class__(self.mode)

    def _changed(self, before: int) -> int:
        return _INFERENCE if self.mode else _GRAD | _FORWARD


class set_multithreading_enabled:
    """Backward passes that this thread begins may use several threads, or not, from now on.

    As a context manager, until it ends. Gradients have the same bits either way.
    """

    def __init__(self, mode: bool) -> None:
        self.mode = mode
        self.prev = _is_multithreading_enabled()
        _set_multithreading_enabled(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        _set_multithreading_enabled(self.prev)


class _unsafe_preserve_version_counter:
    """Writes inside are not counted: saved tensors do not notice them, and a backward pass may be silently wrong."""

    def __init__(self, tensors: Tensor | tuple[Tensor, ...]) -> None:
        self._tensors = tensors if isinstance(tensors, tuple) else (tensors,)
        self._versions = tuple([tensor._version for tensor in self._tensors])

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        _set_version(self._tensors, self._versions)
