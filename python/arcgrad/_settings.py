"""Questions and settings about the library as a whole."""

from __future__ import annotations

from ._core import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accept PyTorch's setting; all algorithms are deterministic, so it changes nothing."""


def are_deterministic_algorithms_enabled() -> bool:
    """Return True: the bits of a result never depend on the number of threads."""
    return True


def is_storage(obj: Any) -> bool:
    """Return whether an object is what `Tensor.storage()` or `Tensor.untyped_storage()` answers with."""
    from .storage import TypedStorage, UntypedStorage

    return isinstance(obj, (TypedStorage, UntypedStorage))


def typename(obj: Any) -> str:
    """Return the name of the type of an object; of a tensor, with its dtype, as in `torch.FloatTensor`."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    module = getattr(obj, "__module__", "") or type(obj).__module__
    name = getattr(obj, "__qualname__", None) or type(obj).__qualname__
    return str(name) if module in ("builtins", "__builtin__") else f"{module}.{name}"
