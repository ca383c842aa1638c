"""The old constructors with a dtype in their name: `FloatTensor(2, 3)`, `LongTensor([1, 2])`."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _TensorType(type):
    """A class whose instances are all tensors of one dtype."""

    dtype: _core.dtype

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _core.Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *args: Any) -> _core.Tensor:
        return _core.Tensor(*args).to(cls.dtype) if _is_sizes(args) else _core.tensor(*args, dtype=cls.dtype)


def _is_sizes(args: tuple[Any, ...]) -> bool:
    from ._size import Size

    return not args or len(args) > 1 or isinstance(args[0], (int, Size))


class FloatTensor(metaclass=_TensorType):
    """Tensors of float32."""

    dtype = _core.float32


class DoubleTensor(metaclass=_TensorType):
    """Tensors of float64."""

    dtype = _core.float64


class ByteTensor(metaclass=_TensorType):
    """Tensors of uint8."""

    dtype = _core.uint8


class CharTensor(metaclass=_TensorType):
    """Tensors of int8."""

    dtype = _core.int8


class ShortTensor(metaclass=_TensorType):
    """Tensors of int16."""

    dtype = _core.int16


class IntTensor(metaclass=_TensorType):
    """Tensors of int32."""

    dtype = _core.int32


class LongTensor(metaclass=_TensorType):
    """Tensors of int64."""

    dtype = _core.int64


class BoolTensor(metaclass=_TensorType):
    """Tensors of truth values."""

    dtype = _core.bool
