"""What surrounds training: the loading of data, checkpoints, hooks' handles."""

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import checkpoint as checkpoint, data as data, hooks as hooks

__all__ = ["checkpoint", "data", "hooks"]


def __getattr__(name: str) -> "Any":
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f".{name}", __name__)
