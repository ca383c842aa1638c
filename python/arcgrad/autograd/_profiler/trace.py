"""A list of events as a trace that Chrome and Perfetto draw."""

from __future__ import annotations

import json
import os
import pathlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..profiler_util import FunctionEvent

_USER = 7
_EVALUATION = "autograd::engine::evaluate_function: "


def _slice(event: FunctionEvent, process: int) -> dict[str, Any]:
    facts: dict[str, Any] = {"External id": event.id}
    if event.sequence_nr >= 0:
        facts |= {"Sequence number": event.sequence_nr, "Fwd thread id": event.fwd_thread}
    if event.input_shapes:
        facts["Input Dims"] = event.input_shapes
    if event.stack:
        facts["Call stack"] = ";".join(event.stack)
    return {
        "ph": "X",
        "cat": "user_annotation" if event.scope == _USER else "cpu_op",
        "name": event.trace_name,
        "pid": process,
        "tid": event.thread,
        "ts": event.time_range.start,
        "dur": event.time_range.elapsed_us(),
        "args": facts,
    }


def _arrows(events: list[FunctionEvent], process: int) -> Iterable[dict[str, Any]]:
    """An arrow from each operation to the derivative of what it recorded."""
    forward: dict[tuple[int, int], FunctionEvent] = {}
    for event in events:
        if event.sequence_nr < 0 or event.name.startswith(_EVALUATION):
            continue
        if not event.is_backward:
            # The innermost of those that share a number is the one that recorded the node.
            forward[event.thread, event.sequence_nr] = event
            continue
        source = forward.pop((event.fwd_thread or 0, event.sequence_nr), None)
        if source is None:
            continue
        for phase, end in (("s", source), ("f", event)):
            arrow = {"ph": phase, "cat": "fwdbwd", "name": "fwdbwd", "id": event.id, "pid": process, "tid": end.thread}
            yield arrow | {"ts": end.time_range.start} | ({"bp": "e"} if phase == "f" else {})


def export(events: list[FunctionEvent], path: str | os.PathLike[str]) -> None:
    """Write the trace as JSON."""
    process = os.getpid()
    names = [
        {"ph": "M", "name": "thread_name", "pid": process, "tid": thread, "args": {"name": f"thread {thread}"}}
        for thread in sorted({event.thread for event in events})
    ]
    slices = [_slice(event, process) for event in events if not event.is_async]
    trace = {"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": names + slices + [*_arrows(events, process)]}
    pathlib.Path(path).write_text(json.dumps(trace), encoding="utf-8")
