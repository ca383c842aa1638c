"""Which recorded operations are alive, and a check that none outlives its use."""

from __future__ import annotations

from dataclasses import dataclass

from .._core import _live_mark, _live_nodes
from .anomaly_mode import record_origins, track_nodes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .. import Tensor


@dataclass(frozen=True)
class LiveNodes:
    """Living nodes of one name and line."""

    name: str
    line: str | None
    """Where they were recorded; None unless `record_origins` was in force."""
    count: int
    saved_bytes: int
    """Bytes of the tensors they saved; what several nodes saved counts for each, what hooks packed for none."""

    def __str__(self) -> str:
        place = "" if self.line is None else f" ({self.line})"
        return f"{self.count} x {self.name}, {self.saved_bytes} bytes saved{place}"


def live_nodes(tensors: Tensor | Sequence[Tensor] | None = None) -> list[LiveNodes]:
    """How many recorded operations are alive and what they saved, by name and line, most bytes first.

    Of the graphs of `tensors`; left out, of all operations that were recorded while `track_nodes` was in force.
    Accumulators of leaves are not counted.
    """
    return [LiveNodes(*row) for row in _live_nodes(tensors, 0)]


class assert_no_leaks:
    """A context at whose end no operation that was recorded in it may be alive.

    AssertionError says which are, and from where. Operations are noted on all threads while it lasts. Garbage is
    collected before the check. An exception from within passes as it is.
    """

    def __enter__(self) -> None:
        self._modes = [record_origins(), track_nodes()]
        self._mark = _live_mark()

    def __exit__(self, kind: type[BaseException] | None, *args: object) -> None:
        for mode in reversed(self._modes):
            mode.__exit__()
        if kind is not None:
            return
        import gc

        gc.collect()
        left = [LiveNodes(*row) for row in _live_nodes(None, self._mark)]
        if left:
            count = sum(row.count for row in left)
            raise AssertionError(
                f"{count} recorded operations are still alive: somebody holds a tensor with a history (a loss that is "
                "summed up without detach() or item(), a .grad made with create_graph=True)\n"
                + "\n".join(f"  {row}" for row in left)
            )
