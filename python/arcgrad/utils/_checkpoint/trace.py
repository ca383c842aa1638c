"""For `debug=True`: what a checkpointed call saved, and from where, first and again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ..._core import Tensor

_PACKAGE = str(Path(__file__).parents[2])


class Trace:
    """Describes saved tensors by where they were saved, besides what they are."""

    def __init__(self) -> None:
        self._lines: dict[bool, list[str]] = {False: [], True: []}

    def begin_again(self) -> None:
        """Forget what was computed again for an earlier pass."""
        self._lines[True].clear()

    def note(self, x: Tensor, again: bool) -> None:
        """Note that a tensor was saved: at first, or again."""
        self._lines[again].append(f"{x.dtype} {list(x.shape)}, saved at {_place()}")

    def explained(self, error: Exception) -> str:
        """The error's message, with both lists."""
        first, second = self._lines[False], self._lines[True]
        pairs = enumerate(zip(first, second, strict=False))
        place = next((i for i, (a, b) in pairs if a != b), min(len(first), len(second)))
        return (
            " An error happened while unpacking tensors; dumping logs of latest computation\nbecause you passed "
            "`debug=True` to `torch.utils.checkpoint.checkpoint()`.\n\n"
            f"Tensors saved during the original forward:\n\n{_numbered(first)}\n\n"
            f"Tensors saved during recomputation:\n\n{_numbered(second)}\n\n"
            " ERROR: Detected non-determinism while running activation checkpointing\n\n"
            f" You are seeing this error because you passed `debug=True` to checkpoint: {error}\n"
            f" The lists differ from tensor {place} on."
        )


def _numbered(lines: list[str]) -> str:
    return "\n".join(f"{i}: {line}" for i, line in enumerate(lines))


def _place() -> str:
    """The innermost line that is not the library's own."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}:{frame.f_code.co_name}"
