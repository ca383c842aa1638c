"""Forward mode: tensors that carry a tangent, the derivative of their value in a direction, along the computation.

Inside a `dual_level`, `make_dual` gives a tensor a tangent, whatever is computed from it has one too, and
`unpack_dual` reads it off. With `v` as the tangent of `x`, the tangent of `f(x)` is the Jacobian-vector product; it
costs about as much as `f` itself, however many elements `x` has. A backward pass inside the level has tangents too:
those of the gradients are Hessian-vector products.

    with dual_level():
        y = f(make_dual(x, v))
        value, tangent = unpack_dual(y)

Tangents end with their level, wherever the tensors are. `no_grad` leaves them alone; `inference_mode` does not.
"""

from __future__ import annotations

from typing import NamedTuple

from .. import Tensor
from .._core import (
    _enter_dual_level,
    _exit_dual_level,
    _make_dual,
    _mode,
    _set_mode,
    _unpack_dual,
)
from .grad_mode import _FORWARD, _decorated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    _F = TypeVar("_F", bound=Callable[..., Any])

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]

# The level in force, for all threads: 0, or -1 outside of levels.
_current_level = -1


def enter_dual_level() -> int:
    """Begin a level, and return its number, 0.

    Raises RuntimeError inside a level: they do not nest. `dual_level` is the same as a context manager.
    """
    global _current_level
    _current_level = _enter_dual_level()
    return _current_level


def exit_dual_level(*, level: int | None = None) -> None:
    """End the level; all tangents are gone.

    Raises RuntimeError outside of levels, and when `level` is not the one in force.
    """
    global _current_level
    if level is None:
        level = _current_level
    if level != _current_level:
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    _exit_dual_level(level)
    _current_level = level - 1


class dual_level:
    """A level for as long as the context lasts; as a decorator, for each call. Entering gives its number, 0.

    Raises RuntimeError inside a level: they do not nest.
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        exit_dual_level()

    def __call__(self, function: _F) -> _F:  # noqa: D102
        decorated: _F = _decorated(function, self.__class__)
        return decorated


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """Return a tensor with the memory and the history of `tensor`, and with this tangent.

    Both are of one shape and of floating-point dtypes. The tangent is used as it is, unless it lies differently in
    memory than `tensor`; then a copy is. In-place operations on the dual tensor write to both memories.

    Raises ValueError for a dtype without derivatives; RuntimeError outside of levels, where the shapes differ, and
    where one of both has a tangent already.
    """
    if level is None:
        level = _current_level
    if level < 0:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    if not tensor.is_floating_point():
        raise ValueError(f"Expected primal to be floating point or complex, but got: {tensor.dtype}")
    if not tangent.is_floating_point():
        raise ValueError(f"Expected tangent to be floating point or complex, but got: {tangent.dtype}")
    return _make_dual(tensor, tangent, level)


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns: the value, and the tangent if there is one."""

    primal: Tensor
    tangent: Tensor | None


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """Return the value of a tensor, as a view without a tangent, and its tangent: None for a tensor that has none.

    Both can be differentiated. Outside of levels the value is the tensor itself.
    """
    if level is None:
        level = _current_level
    if level < 0:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(*_unpack_dual(tensor, level))


def _is_fwd_grad_enabled() -> bool:
    """Whether this thread propagates tangents."""
    return bool(_mode() & _FORWARD)


class _set_fwd_grad_enabled:
    """Tangents are propagated, or not, from now on; as a context manager, until it ends."""

    def __init__(self, mode: bool) -> None:
        self._before = _mode() & _FORWARD
        _set_mode(_mode() | _FORWARD if mode else _mode() & ~_FORWARD)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _set_mode(_mode() & ~_FORWARD | self._before)
