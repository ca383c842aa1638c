"""A profiler of operations: which ran, when, inside of which, for how long, in forward and backward passes."""

from __future__ import annotations

import contextlib
import re
import warnings

from .._core import _begin_range, _is_profiled, _start_profile, _stop_profile
from ._profiler.flops import flops
from ._traces import _PACKAGE
from .profiler_util import EventList, FunctionEvent, FunctionEventAvg, Kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Any

    from typing_extensions import Self

__all__ = [
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "Kernel",
    "kineto_available",
    "profile",
    "record_function",
]

_USER = 7
_CALL = re.compile(r'File "(.*)", line (\d+), in (.*)')


def kineto_available() -> bool:
    """Whether PyTorch's tracing library is built in: no, ranges are timed by arcgrad itself."""
    return False


class profile:
    """Times every operation and every node of backward passes, on all threads, while the `with` block runs.

    ```python
    with torch.autograd.profiler.profile(record_shapes=True) as prof:
        loss = model(x).sum()
        loss.backward()
    print(prof.key_averages().table(sort_by="self_cpu_time_total"))
    ```

    Args:
        enabled: if false, nothing is timed.
        record_shapes: note the shapes of the inputs, by which `key_averages` can then tell calls apart.
        with_flops: count the operations of products and sums; notes the shapes.
        profile_memory: note the bytes that were allocated in each event less those freed. Those that other threads
            allocate and free meanwhile count, too.
        with_stack: note the lines of the program that led to each event.
        use_cpu: must be true.
        use_kineto: whether true or not makes no difference; so it is with all other arguments.

    One profile at a time: a second one that is begun meanwhile raises RuntimeError.
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = False,
        use_cpu: bool = True,
        experimental_config: object = None,
        acc_events: bool = False,
        custom_trace_id_callback: object = None,
        post_processing_timeout_s: float | None = None,
        activity_filters: object = None,
    ) -> None:
        if not use_cpu:
            raise AssertionError("Device-only events supported only with Kineto (use_kineto=True)")
        if use_cuda or use_device not in (None, "cpu"):
            warnings.warn("there is no device but the CPU: it alone is profiled", stacklevel=2)
        self.enabled = enabled
        self.entered = False
        self.record_shapes = record_shapes or with_flops
        self.with_flops = with_flops
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self._start_ns = 0
        self._is_finished = False
        self._events = self._list(())

    def _list(self, events: Any) -> EventList:
        return EventList(events, profile_memory=self.profile_memory, with_flops=self.with_flops)

    def __enter__(self) -> Self | None:
        if not self.enabled:
            return None
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        started: int | None = _start_profile(self.record_shapes, self.with_stack, self.profile_memory)
        if started is None:
            raise RuntimeError("somebody profiles already: end that profile first")
        self.entered = True
        self._start_ns = started
        return self

    def __exit__(self, *exception: object) -> None:
        if self.entered and not self._is_finished:
            self._events = self._list(self._event(*fields) for fields in _stop_profile())
            self._events._build_tree()
            self._is_finished = True

    def __del__(self) -> None:
        # Entered and forgotten: nobody else could profile any more.
        if getattr(self, "entered", False) and not self._is_finished:
            _stop_profile()

    def _event(
        self,
        id: int,
        name: str,
        scope: int,
        thread: int,
        end_thread: int,
        start_ns: int,
        end_ns: int,
        sequence: int | None,
        forward_thread: int | None,
        shapes: list[list[int]],
        memory: int,
        stack: list[str] | None,
    ) -> FunctionEvent:
        return FunctionEvent(
            id,
            # The steps of a schedule are summed as one.
            "ProfilerStep*" if name.startswith("ProfilerStep#") else name,
            thread,
            (start_ns - self._start_ns) / 1000,
            (end_ns - self._start_ns) / 1000,
            fwd_thread=forward_thread or 0,
            input_shapes=shapes,
            stack=_lines(stack or ()),
            scope=scope,
            cpu_memory_usage=memory,
            is_async=thread != end_thread,
            sequence_nr=-1 if sequence is None else sequence,
            flops=flops(name, shapes) if self.with_flops else None,
            trace_name=name,
            is_user_annotation=scope == _USER,
        )

    @property
    def function_events(self) -> EventList:
        """The events, in the order in which they began; none before the block has ended."""
        return self._events

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int | None = 75,
        max_name_column_width: int | None = 55,
        max_shapes_column_width: int | None = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """The events as a table: see `EventList.table`."""
        return self._events.table(
            sort_by,
            row_limit,
            max_src_column_width,
            max_name_column_width,
            max_shapes_column_width,
            header,
            top_level_events_only,
        )

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False
    ) -> EventList:
        """The events of each name as one sum: see `EventList.key_averages`."""
        return self._events.key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def total_average(self) -> FunctionEventAvg:
        """All events as one sum."""
        return self._events.total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all events, in microseconds, each moment counted once."""
        return self._events.self_cpu_time_total

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write a trace for Chrome's `chrome://tracing` or ui.perfetto.dev, as JSON."""
        self._events.export_chrome_trace(path)

    def export_stacks(self, path: str | os.PathLike[str], metric: str = "self_cpu_time_total") -> None:
        """Write the stacks for a flame graph: see `EventList.export_stacks`."""
        self._events.export_stacks(path, metric)

    def __repr__(self) -> str:
        return str(self._events) if self._is_finished else "<unfinished torch.autograd.profile>"


def _lines(stack: Sequence[str]) -> list[str]:
    """The calls of a printed stack that are not arcgrad's own, innermost first, as in `train.py(12): step`."""
    calls = [found.groups() for entry in reversed(stack) if (found := _CALL.search(entry))]
    return [f"{path}({line}): {name}" for path, line, name in calls if not path.startswith(_PACKAGE)]


class record_function(contextlib.ContextDecorator):
    """Gives a range of the program a name in the profile: as a context manager, or as a decorator of a function.

    Costs next to nothing while nobody profiles. `args` is kept and not shown.
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._range: Any = None

    def _recreate_cm(self) -> record_function:
        # A range for each call of a decorated function, which may call itself.
        return type(self)(self.name, self.args)

    def __enter__(self) -> Self:
        self._range = _begin_range(self.name) if _is_profiled() else None
        return self

    def __exit__(self, *exception: object) -> None:
        if self._range is not None:
            self._range.end()
            self._range = None
