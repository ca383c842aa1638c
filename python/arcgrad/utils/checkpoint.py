"""Less memory for more time: what a part of a program saves for backward is dropped, and computed again when needed.

How this is done is in `_checkpoint`: `frame.py` for the kind to be used, `reentrant.py` for the older one.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

from .._core import Tensor, get_rng_state, is_grad_enabled, set_rng_state
from ..random import fork_rng
from ._checkpoint.budget import Budget, owned_by
from ._checkpoint.frame import CheckpointError, Frame
from ._checkpoint.reentrant import CheckpointFunction, check_backward_validity, detach_variable
from ._checkpoint.trace import Trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    _ContextFn = Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]]

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "DefaultDeviceType",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]

_debug_enabled: bool | None = None
_early_stop_enabled: bool | None = None

_DESCRIBED_BY: dict[str, Callable[[Tensor], Any]] = {
    "default": lambda x: {"shape": x.shape, "dtype": x.dtype, "device": x.device},
    "none": lambda _: None,
}


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """While in force, `debug` of every `checkpoint` is `enabled`; None leaves it to each call."""
    global _debug_enabled
    before, _debug_enabled = _debug_enabled, enabled
    try:
        yield
    finally:
        _debug_enabled = before


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """While in force, `early_stop` of every `checkpoint` is `enable`."""
    global _early_stop_enabled
    before, _early_stop_enabled = _early_stop_enabled, enable
    try:
        yield
    finally:
        _early_stop_enabled = before


def noop_context_fn() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Two contexts that do nothing: what surrounds a checkpointed function where nothing else is asked for."""
    return contextlib.nullcontext(), contextlib.nullcontext()


class DefaultDeviceType:
    """The kind of device whose random stream is kept besides the CPU's; there is none but the CPU."""

    _device_type = "cpu"

    @staticmethod
    def set_device_type(device: str = "cpu") -> None:
        """Set the kind of device.

        Raises:
            ValueError: It is not "cpu".
        """
        if device != "cpu":
            raise ValueError(f"device type {device!r} is not available: arcgrad computes on the CPU only")

    @staticmethod
    def get_device_type() -> str:
        """Return "cpu"."""
        return DefaultDeviceType._device_type


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: _ContextFn = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    budget: int | None = None,
    **kwargs: Any,
) -> Any:
    """Return `function(*args, **kwargs)`, whose saved tensors are dropped, and computed again when backward needs them.

    The function is to compute the same when it is called again. Random numbers are the same ones, unless
    `preserve_rng_state=False` is given. Tensors that it takes from elsewhere must not have been written to by then.

    Args:
        function: Anything that can be called.
        args: Its arguments; tensors among them are saved, and checked against being written to.
        use_reentrant: False for the kind described here. True for the older one, which runs a backward pass inside the
            backward pass: it needs an argument that requires gradients, and works with `backward()` towards all leaves
            only.
        context_fn: Returns two contexts, for the first run and for computing again.
        determinism_check: "default" compares shapes and dtypes of what is computed again with those of before; "none"
            does not.
        debug: Whether an error about a difference lists what was saved, and where, in either run.
        early_stop: Whether computing again stops as soon as all that is needed is there.
        budget: Bytes of saved tensors to keep. Those that were saved last are kept, and the rest is computed again: the
            larger the budget, the shorter the way. The arguments and a module's parameters do not count.
        kwargs: `preserve_rng_state`, and the function's keyword arguments.

    Raises:
        CheckpointError: In backward, where computing again gave something else.
        ValueError: The options contradict each other.
    """
    if use_reentrant is None:
        _warn_of_default(
            "checkpoint", "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an exception."
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        if budget is not None:
            raise ValueError("Passing `budget` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)
    if determinism_check not in _DESCRIBED_BY:
        raise ValueError(f"determinism_check should be one of {list(_DESCRIBED_BY)}, but got {determinism_check}")
    if budget is not None and budget < 0:
        raise ValueError(f"budget should be a number of bytes, at least 0, but got {budget}")
    trace = Trace() if (debug if _debug_enabled is None else _debug_enabled) else None
    if trace is not None and context_fn is not noop_context_fn:
        raise ValueError("debug=True is incompatible with non-default context_fn")
    first, again = context_fn()
    if not is_grad_enabled():
        return function(*args, **kwargs)
    state = get_rng_state() if preserve else None

    def rerun(*args: Any) -> None:
        with fork_rng(enabled=state is not None):
            if state is not None:
                set_rng_state(state)
            with again:
                function(*args, **kwargs)

    frame = Frame(
        rerun,
        early_stop=early_stop if _early_stop_enabled is None else _early_stop_enabled,
        describe=_DESCRIBED_BY[determinism_check],
        budget=None if budget is None else Budget(budget, [*args, *kwargs.values(), *owned_by(function)]),
        trace=trace,
    )
    frame.save_inputs(args)
    is_done = False
    with frame.saving(first):
        result = function(*args, **kwargs)
        is_done = True
    if not is_done:
        raise RuntimeError(
            "torch.utils.checkpoint: the forward context provided by context_fn suppressed an exception raised during "
            "the checkpointed forward. This is not supported because checkpoint cannot return a value for a failed "
            "forward."
        )
    return result


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Return what a chain of functions makes of `input`; all but the last of its `segments` are checkpointed.

    Args:
        functions: A `Sequential`, or a sequence of functions of one argument.
        segments: How many parts of equal length; what remains belongs to the last.
        input: The first function's argument.
        use_reentrant: As in `checkpoint`.
        kwargs: `preserve_rng_state`.

    Raises:
        ValueError: Another keyword argument was given.
    """
    if use_reentrant is None:
        _warn_of_default(
            "checkpoint.checkpoint_sequential",
            "In version 2.9 we will raise an exception if use_reentrant is not passed.",
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    chain = list(functions.children() if hasattr(functions, "children") else functions)
    length = len(chain) // segments
    ends = range(length, length * segments, length) if length else ()
    first = 0
    for end in ends:
        input = checkpoint(_composed(chain[first:end]), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
        first = end
    return _composed(chain[first:])(input)


def _composed(functions: list[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(input: Any) -> Any:
        for function in functions:
            input = function(input)
        return input

    return run


def _warn_of_default(name: str, version: str) -> None:
    warnings.warn(
        f"torch.utils.{name}: the use_reentrant parameter should be passed explicitly. {version} "
        "use_reentrant=False is recommended, but if you need to preserve the current default behavior, you can pass "
        "use_reentrant=True. Refer to docs for more details on the differences between the two variants.",
        stacklevel=3,
    )
