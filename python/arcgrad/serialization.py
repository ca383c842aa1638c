"""Saving and loading: a pickle whose reader makes tensors, containers and numbers, and calls nothing else."""

from __future__ import annotations

import contextlib
import pickle

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO, Any

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "save"]

# What a file may name. Each is a plain container, or makes a tensor out of bytes and numbers.
_SAFE = {
    ("arcgrad._core", "_rebuild_subclass"),
    ("arcgrad._core", "_rebuild_tensor"),
    ("arcgrad._size", "Size"),
    ("arcgrad.nn.parameter", "Parameter"),
    ("arcgrad", "Tensor"),
    ("arcgrad", "device"),
    ("arcgrad", "Generator"),
    ("collections", "OrderedDict"),
    ("collections", "Counter"),
    ("collections", "defaultdict"),
    ("builtins", "complex"),
    ("builtins", "frozenset"),
    ("builtins", "set"),
    ("builtins", "slice"),
    ("builtins", "range"),
    ("builtins", "bytearray"),
    *(("arcgrad", dtype) for dtype in ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64")),
}

_added: dict[tuple[str, str], Any] = {}


def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Let files that are loaded with `weights_only` name these functions and classes, too."""
    for thing in safe_globals:
        _added[thing.__module__, thing.__qualname__] = thing


def get_safe_globals() -> list[Any]:
    """Return what `add_safe_globals` has added."""
    return list(_added.values())


def clear_safe_globals() -> None:
    """Forget what `add_safe_globals` has added."""
    _added.clear()


class _Reader(pickle.Unpickler):
    """Reads a pickle and refuses every name that is not known to be harmless."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _added:
            return _added[module, name]
        if (module, name) in _SAFE:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(
            f"Weights only load failed: the file names {module}.{name}, which is none of what tensors and containers "
            "are made of. If you trust the file, allow the name with "
            f"torch.serialization.add_safe_globals([{name}]), or load with weights_only=False, which can run any code."
        )


@contextlib.contextmanager
def _opened(f: str | os.PathLike[str] | IO[bytes], mode: str) -> Iterator[IO[bytes]]:
    if hasattr(f, "read") or hasattr(f, "write"):
        yield f  # type: ignore[misc]
    else:
        with open(f, mode) as file:  # noqa: PTH123
            yield file


def save(obj: object, f: str | os.PathLike[str] | IO[bytes], pickle_protocol: int = 4) -> None:
    """Write an object of tensors, containers and numbers (a `state_dict`, say) to a file.

    Args:
        obj: what to save.
        f: a path, or a file open for writing bytes.
        pickle_protocol: the version of pickle's format.
    """
    with _opened(f, "wb") as file:
        pickle.Pickler(file, protocol=pickle_protocol).dump(obj)


def load(
    f: str | os.PathLike[str] | IO[bytes],
    map_location: Callable[..., Any] | str | dict[str, str] | object | None = None,
    *,
    weights_only: bool = True,
) -> Any:
    """Read what `save` wrote.

    Args:
        f: a path, or a file open for reading bytes.
        map_location: accepted for PyTorch's sake; there is one device.
        weights_only: refuse files that name anything but tensors and containers. Without it, a file can run any code.

    Raises:
        pickle.UnpicklingError: the file names something else, or is no file of `save`'s.
    """
    with _opened(f, "rb") as file:
        return _Reader(file).load() if weights_only else pickle.Unpickler(file).load()
