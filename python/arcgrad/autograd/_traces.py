"""Call stacks that were kept as code objects and offsets, and the warnings that tell of them."""

from __future__ import annotations

import pathlib
import sys
import traceback
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType

    # A frame: what it ran, and the offset of the instruction that it was at.
    Frame = tuple[CodeType, int]

_PACKAGE = str(pathlib.Path(__file__).parent.parent)


def _line_number(code: CodeType, offset: int) -> int:
    for start, end, line in code.co_lines():
        if start <= offset < end and line is not None:
            return line
    return code.co_firstlineno


def line(frames: Sequence[Frame]) -> str:
    """The innermost line that is not arcgrad's own, as in `train.py:12, in step`; frames come innermost first."""
    own = (frame for frame in frames if not frame[0].co_filename.startswith(_PACKAGE))
    code, offset = next(own, frames[0])
    return f"{code.co_filename}:{_line_number(code, offset)}, in {code.co_name}"


def trace(frames: Sequence[Frame]) -> str:
    """The stack as Python prints it, outermost call first."""
    summaries = [
        traceback.FrameSummary(code.co_filename, _line_number(code, offset), code.co_name)
        for code, offset in reversed(frames)
    ]
    return "".join(traceback.format_list(summaries))


def entries(text: str) -> list[str]:
    """A printed stack call by call."""
    found: list[str] = []
    for row in text.splitlines(keepends=True):
        if row.startswith("  File ") or not found:
            found.append(row)
        else:
            found[-1] += row
    return found


def warn(nodes: Sequence[tuple[str, str | None]]) -> None:
    """Warn of the node that failed, and of those in whose derivatives it was recorded, each with its stack."""
    for place, (name, stack) in enumerate(nodes):
        if stack is None:
            message = (
                f"Error detected in {name}. No forward pass information available. Enable detect anomaly during "
                "forward pass for more information."
            )
        elif place == 0:
            message = f"Error detected in {name}. Traceback of forward call that caused the error:\n{stack}"
        else:
            message = (
                f"\n\nPrevious calculation was induced by {name}. Traceback of forward call that induced the previous "
                f"calculation:\n{stack}"
            )
        try:
            warnings.warn(message, UserWarning, stacklevel=2)
        except Warning:
            # Warnings that are errors: the pass has an error of its own, so this one is only shown.
            traceback.print_exc(file=sys.stderr)
