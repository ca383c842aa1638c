"""Taking calls of this package into one's own hands: `__torch_function__` of classes, and modes.

A class with a `__torch_function__` class method is asked whenever one of its objects is an argument (also inside a
tuple or list) of a function, a method, an operator or an attribute of this package. A `TorchFunctionMode` is asked for
every call of its thread while it is entered. Either gets `(func, types, args, kwargs)` and answers in the function's
place, or returns `NotImplemented` to pass. Calls made inside of a mode's own `__torch_function__` do not come back to
it.
"""

from __future__ import annotations

import functools
import importlib
import types

import arcgrad

from ._core import (
    Tensor,
    _disabled_torch_function_impl as _disabled_torch_function_impl,
    _offer,
    _overriding_arguments,
    _pop_torch_function_mode,
    _push_torch_function_mode,
    _torch_function_depth,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = [
    "TorchFunctionMode",
    "get_default_nowrap_functions",
    "get_overridable_functions",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]

# Attributes that hold a tensor of a class of its own.
_OWN_CLASS = ("_base", "grad")

# Where functions are written in Python that are to be taken as a whole.
_MODULES = ("arcgrad.functional", "arcgrad.linalg", "arcgrad.nn.functional")

# Those of them that only pass a call on, or are given no tensors.
_PASSING_ON = frozenset(["broadcast_shapes", "sigmoid", "tanh", "upsample", "upsample_bilinear", "upsample_nearest"])


class TorchFunctionMode:
    """A context in which every call of this package comes to `__torch_function__` first.

    Derive from it and override `__torch_function__(self, func, types, args=(), kwargs=None)`. Modes nest; the innermost
    is asked first, and a call that it makes goes to the next one outwards.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Answer for `func(*args, **kwargs)`; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} does not say what __torch_function__ does")

    def __enter__(self) -> Any:
        _push_torch_function_mode(self)
        return self

    def __exit__(self, *_: object) -> None:
        _pop_torch_function_mode()


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether an argument's class, or a mode of this thread, takes calls into its own hands."""
    return _torch_function_depth() > 0 or bool(_overriding_arguments(list(relevant_args)))


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """What the classes of `relevant_args`, or a mode, answer in the place of `public_api(*args, **kwargs)`.

    Raises TypeError when each of them returns NotImplemented.
    """
    takers = _overriding_arguments(list(relevant_args))
    kinds = tuple(type(taker) for taker in takers)
    if _torch_function_depth():
        mode = _pop_torch_function_mode()
        try:
            answer = mode.__torch_function__(public_api, kinds, args, kwargs)
        finally:
            _push_torch_function_mode(mode)
        if answer is not NotImplemented:
            return answer
    for kind in kinds:
        answer = kind.__torch_function__(public_api, kinds, args, kwargs)
        if answer is not NotImplemented:
            return answer
    name = f"{public_api.__module__}.{public_api.__name__}"
    raise TypeError(f"no implementation found for '{name}' on types that implement __torch_function__: {list(kinds)}")


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function overridable: `dispatcher`, given the call's arguments, returns those whose classes are asked."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return decorate


def is_tensor_like(inp: object) -> bool:
    """Whether `inp` is a tensor, or of a class with `__torch_function__`."""
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def get_default_nowrap_functions() -> set[Any]:
    """The functions whose results the default `__torch_function__` leaves in their own class."""
    return {vars(Tensor)[name].__get__ for name in _OWN_CLASS}


@functools.cache
def _written_in_python() -> dict[Any, list[types.FunctionType]]:
    """The public functions that are written in Python and taken as a whole, under the modules they are public in."""
    found = {}
    for name in _MODULES:
        module = importlib.import_module(name)
        functions = {k: f for k, f in vars(module).items() if not k.startswith("_") and k not in _PASSING_ON}
        found[module] = [f for f in functions.values() if isinstance(f, types.FunctionType)]
    return found


def _relay(*args: Any, _to: Any, **kwargs: Any) -> Any:
    return _to(args, kwargs)


def _make_ask(function: types.FunctionType) -> None:
    """Let a function offer each call to classes and modes before it does anything itself.

    The function stays the object that it is, wherever it was imported to: only its code is exchanged.
    """
    plain = types.FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    plain.__kwdefaults__ = function.__kwdefaults__
    plain.__annotations__ = function.__annotations__

    def offered(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        answer = _offer(function, args, kwargs)
        return plain(*args, **kwargs) if answer is NotImplemented else answer

    function.__wrapped__ = plain  # type: ignore[attr-defined]  # where `inspect.signature` looks
    function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), "_to": offered}
    # Last, in one step: another thread may be calling the function.
    function.__code__ = _relay.__code__.replace(co_name=function.__name__)


def _ask() -> None:
    """Let all functions written in Python offer their calls; called once, when first somebody may want one.

    Until then they ask nobody: to ask costs as much as half of a small operation.
    """
    for functions in _written_in_python().values():
        for function in functions:
            _make_ask(function)


@functools.cache
def get_overridable_functions() -> dict[Any, list[Any]]:
    """The functions of the package and the methods of Tensor that `__torch_function__` is asked about."""
    functions = [f for f in vars(arcgrad).values() if isinstance(f, types.BuiltinFunctionType)]
    methods = [m for m in vars(Tensor).values() if isinstance(m, types.MethodDescriptorType)]
    return {arcgrad: functions, Tensor: methods, **_written_in_python()}


@functools.cache
def is_tensor_method_or_property(func: Any) -> bool:
    """Whether `func` is a method of Tensor, or reads one of its attributes."""
    return func in get_overridable_functions()[Tensor] or getattr(func, "__name__", "") == "__get__"


def resolve_name(f: Any) -> str | None:
    """The dotted name of an overridable function, or None."""
    if isinstance(f, (types.MethodDescriptorType, types.WrapperDescriptorType)):
        return f"torch.Tensor.{f.__name__}"
    if getattr(f, "__name__", "") == "__get__":
        return f"torch.Tensor.{f.__self__.__name__}.__get__"
    if f in get_overridable_functions()[arcgrad]:
        return f"torch.{f.__name__}"
    for module, functions in _written_in_python().items():
        if f in functions:
            return f"torch.{module.__name__.removeprefix('arcgrad.')}.{f.__name__}"
    return None
