"""The memory that tensors look into, as objects: what `Tensor.untyped_storage()` and `.storage()` answer."""

from __future__ import annotations

from . import _core
from ._core import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["TypedStorage", "UntypedStorage"]


class _Storage:
    """The whole memory of a tensor, which it keeps alive; two are equal if they are the same memory."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor.detach()

    def data_ptr(self) -> int:
        """The address of the first byte."""
        address: int = self._tensor._storage_address()
        return address

    def nbytes(self) -> int:
        """The number of bytes."""
        count: int = self._tensor._storage_bytes()
        return count

    def element_size(self) -> int:
        """The number of bytes in an element."""
        return 1

    def size(self) -> int:
        """The number of elements."""
        return self.nbytes() // self.element_size()

    @property
    def device(self) -> _core.device:
        """Where the memory lies: the CPU."""
        return self._tensor.device

    def tolist(self) -> list[Any]:
        """The elements."""
        raise NotImplementedError

    def __len__(self) -> int:
        return self.size()

    def __getitem__(self, index: int) -> Any:
        return self.tolist()[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.data_ptr() == other.data_ptr() and self.nbytes() == other.nbytes()

    def __hash__(self) -> int:
        return hash((type(self), self.data_ptr()))


class UntypedStorage(_Storage):
    """A tensor's memory as bytes."""

    def tolist(self) -> list[int]:
        """The bytes."""
        import ctypes

        return list(ctypes.string_at(self.data_ptr(), self.nbytes()))

    def __repr__(self) -> str:
        lines = "".join(f" {byte}\n" for byte in self)
        return f"{lines}[arcgrad.storage.UntypedStorage(device={self.device}) of size {self.size()}]"


class TypedStorage(_Storage):
    """A tensor's memory as elements of the tensor's dtype."""

    @property
    def dtype(self) -> _core.dtype:
        """The type of the elements."""
        return self._tensor.dtype

    def element_size(self) -> int:
        """The number of bytes in an element."""
        return int(self._tensor.itemsize)

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._tensor)

    def tolist(self) -> list[Any]:
        """The elements as Python's numbers."""
        elements: list[Any] = self._tensor.as_strided((self.size(),), (1,), 0).tolist()
        return elements

    def __repr__(self) -> str:
        lines = "".join(f" {element}\n" for element in self)
        return f"{lines}[arcgrad.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {self.size()}]"
