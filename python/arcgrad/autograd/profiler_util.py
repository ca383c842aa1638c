"""The events of a profile: single ones, sums of those alike, and lists of both."""

from __future__ import annotations

import enum
import math
import pathlib
from collections import defaultdict
from typing import NamedTuple

from ._profiler.table import table as _table
from ._profiler.text import (
    format_memory as _format_memory,
    format_time as _format_time,
    format_time_share as _format_time_share,
)
from ._profiler.trace import export as _export

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from typing import Any

__all__ = [
    "DeviceType",
    "EventList",
    "FormattedTimesMixin",
    "FunctionEvent",
    "FunctionEventAvg",
    "Interval",
    "Kernel",
    "StringTable",
    "_format_memory",
    "_format_time",
    "_format_time_share",
]


class DeviceType(enum.Enum):
    """Where an event took place: here always on the CPU."""

    CPU = 0


class Kernel(NamedTuple):
    """Work on a device that an operation started."""

    name: str
    device: int | str
    duration: float


class Interval:
    """A span of time, in microseconds."""

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end

    def elapsed_us(self) -> float:
        """How long it is."""
        return self.end - self.start


class StringTable(defaultdict[str, str]):
    """Names in the form in which people read them: each is itself here, where no compiler mangled it."""

    def __missing__(self, key: str) -> str:
        self[key] = key
        return key


class FormattedTimesMixin:
    """Times per call, and all times as text."""

    count: int
    cpu_time_total: float
    self_cpu_time_total: float
    device_time_total: float
    self_device_time_total: float

    @property
    def cpu_time(self) -> float:
        """The mean time of a call, in microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def device_time(self) -> float:
        """The mean time of a call on a device."""
        return self.device_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        """`cpu_time` as text."""
        return _format_time(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        """`cpu_time_total` as text."""
        return _format_time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        """`self_cpu_time_total` as text."""
        return _format_time(self.self_cpu_time_total)

    @property
    def device_time_str(self) -> str:
        """`device_time` as text."""
        return _format_time(self.device_time)

    @property
    def device_time_total_str(self) -> str:
        """`device_time_total` as text."""
        return _format_time(self.device_time_total)

    @property
    def self_device_time_total_str(self) -> str:
        """`self_device_time_total` as text."""
        return _format_time(self.self_device_time_total)


class FunctionEvent(FormattedTimesMixin):
    """One range of time: an operation, a node of a backward pass, or what the user named."""

    def __init__(
        self,
        id: int,
        name: str,
        thread: int,
        start_us: float,
        end_us: float,
        overload_name: str | None = None,
        fwd_thread: int | None = None,
        input_shapes: list[list[int]] | None = None,
        stack: list[str] | None = None,
        scope: int = 0,
        use_device: str | None = None,
        cpu_memory_usage: int = 0,
        device_memory_usage: int = 0,
        is_async: bool = False,
        is_remote: bool = False,
        sequence_nr: int = -1,
        node_id: int = -1,
        device_type: DeviceType = DeviceType.CPU,
        device_index: int = 0,
        is_legacy: bool = False,
        flops: int | None = None,
        trace_name: str | None = None,
        is_user_annotation: bool = False,
    ) -> None:
        self.id = id
        self.node_id = node_id
        self.name = name
        self.overload_name = overload_name
        self.trace_name = name if trace_name is None else trace_name
        self.time_range = Interval(start_us, end_us)
        self.thread = thread
        self.fwd_thread = fwd_thread
        self.count = 1
        self.kernels: list[Kernel] = []
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None
        self.input_shapes = input_shapes
        self.stack = stack
        self.scope = scope
        self.use_device = use_device
        self.cpu_memory_usage = cpu_memory_usage
        self.device_memory_usage = device_memory_usage
        self.is_async = is_async
        self.is_remote = is_remote
        self.sequence_nr = sequence_nr
        self.device_type = device_type
        self.device_index = device_index
        self.is_legacy = is_legacy
        self.flops = flops
        self.is_user_annotation = is_user_annotation

    @property
    def key(self) -> str:
        """The name, by which events are summed."""
        return self.name

    @property
    def is_backward(self) -> bool:
        """Whether it is a node's derivative."""
        return self.scope == _BACKWARD

    def append_kernel(self, name: str, device: int, duration: float) -> None:
        """Add work that it started on a device."""
        self.kernels.append(Kernel(name, device, duration))

    def append_cpu_child(self, child: FunctionEvent) -> None:
        """Add an event that took place inside of this one."""
        self.cpu_children.append(child)

    def set_cpu_parent(self, parent: FunctionEvent) -> None:
        """Say inside of which event this one took place."""
        self.cpu_parent = parent

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        """How long it took, in microseconds."""
        return self.time_range.elapsed_us()

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        """How long it took less what its children took; nothing for a range that ended on another thread."""
        if self.is_async:
            return 0.0
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    @property
    def device_time_total(self) -> float:  # type: ignore[override]
        """How long its work on devices took."""
        return sum(kernel.duration for kernel in self.kernels)

    @property
    def self_device_time_total(self) -> float:  # type: ignore[override]
        """How long its work on devices took less that of its children."""
        return self.device_time_total - sum(child.device_time_total for child in self.cpu_children)

    @property
    def self_cpu_memory_usage(self) -> int:
        """The bytes allocated in it less those freed, without its children's."""
        if self.is_async:
            return 0
        return self.cpu_memory_usage - sum(child.cpu_memory_usage for child in self.cpu_children)

    @property
    def self_device_memory_usage(self) -> int:
        """The bytes allocated on a device less those freed, without its children's."""
        return self.device_memory_usage - sum(child.device_memory_usage for child in self.cpu_children)

    def __repr__(self) -> str:
        children = [child.id for child in self.cpu_children]
        return (
            f"<FunctionEvent id={self.id} name={self.name} node_id={self.node_id} cpu_time={self.cpu_time_str} "
            f"start_us={self.time_range.start} end_us={self.time_range.end} cpu_children={children} "
            f"thread={self.thread} input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} "
            f"is_async={self.is_async} seq_nr={self.sequence_nr}>"
        )


_BACKWARD = 1


class FunctionEventAvg(FormattedTimesMixin):
    """Events of one name, summed."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.overload_name: str | None = None
        self.count = 0
        self.node_id = 0
        self.is_async = False
        self.is_remote = False
        self.is_legacy = False
        self.is_user_annotation = False
        self.use_device: str | None = None
        self.device_type = DeviceType.CPU
        self.cpu_time_total = 0.0
        self.self_cpu_time_total = 0.0
        self.device_time_total = 0.0
        self.self_device_time_total = 0.0
        self.cpu_memory_usage = 0
        self.self_cpu_memory_usage = 0
        self.device_memory_usage = 0
        self.self_device_memory_usage = 0
        self.flops = 0
        self.input_shapes: list[list[int]] | str | None = None
        self.stack: list[str] | None = None
        self.scope: int | None = None
        self.cpu_children: list[FunctionEvent] | None = None
        self.cpu_parent: FunctionEvent | None = None

    def add(self, other: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Add an event, or a sum of events, of the same name.

        Raises ValueError for one of another name.
        """
        if self.key is None:
            self.key = other.key
            for fact in _SHARED:
                setattr(self, fact, getattr(other, fact))
        elif self.key != other.key:
            raise ValueError(f"an event of {other.key!r} cannot be added to those of {self.key!r}")
        for quantity in _SUMMED:
            setattr(self, quantity, getattr(self, quantity) + getattr(other, quantity))
        self.flops += other.flops or 0
        return self

    __iadd__ = add

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} count={self.count} input_shapes={self.input_shapes} "
            f"cpu_memory_usage={self.cpu_memory_usage}>"
        )


# What a sum takes over from its first event, and what it adds up.
_SHARED = (
    "overload_name",
    "node_id",
    "is_async",
    "is_remote",
    "is_legacy",
    "is_user_annotation",
    "use_device",
    "device_type",
    "input_shapes",
    "stack",
    "scope",
    "cpu_children",
    "cpu_parent",
)
_SUMMED = (
    "count",
    "cpu_time_total",
    "self_cpu_time_total",
    "device_time_total",
    "self_device_time_total",
    "cpu_memory_usage",
    "self_cpu_memory_usage",
    "device_memory_usage",
    "self_device_memory_usage",
)


class EventList(list["Any"]):
    """Events, or sums of them."""

    def __init__(
        self,
        events: Iterable[FunctionEvent | FunctionEventAvg] = (),
        *,
        use_device: str | None = None,
        profile_memory: bool = False,
        with_flops: bool = False,
    ) -> None:
        super().__init__(events)
        self._use_device = use_device
        self._profile_memory = profile_memory
        self._with_flops = with_flops

    def _like(self, events: Iterable[FunctionEvent | FunctionEventAvg]) -> EventList:
        return EventList(
            events, use_device=self._use_device, profile_memory=self._profile_memory, with_flops=self._with_flops
        )

    def _build_tree(self) -> None:
        self._populate_cpu_children()

    def _populate_cpu_children(self) -> None:
        """Make each event a child of the shortest one of its thread that holds it."""
        threads: dict[int, list[FunctionEvent]] = defaultdict(list)
        for event in self:
            if not event.is_async:
                threads[event.thread].append(event)
        for events in threads.values():
            # Of two that begin together the longer one comes first: it may hold the other.
            events.sort(key=lambda event: (event.time_range.start, -event.time_range.end))
            open_events: list[FunctionEvent] = []
            for event in events:
                span = event.time_range
                while open_events and not _holds(open_events[-1].time_range, span):
                    open_events.pop()
                if open_events:
                    open_events[-1].append_cpu_child(event)
                    event.set_cpu_parent(open_events[-1])
                open_events.append(event)

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all events, in microseconds, each moment counted once."""
        return math.fsum(event.self_cpu_time_total for event in self)

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int | None = 75,
        max_name_column_width: int | None = 55,
        max_shapes_column_width: int | None = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events as a table.

        `sort_by` is a quantity, as in `self_cpu_time_total`, `cpu_time` or `count`; the greatest come first. A
        `row_limit` of -1 shows all. With `top_level_events_only` what took place inside of other events is left out.
        """
        widths = {"name": max_name_column_width, "shapes": max_shapes_column_width, "src": max_src_column_width}
        return _table(self, sort_by, row_limit, widths, header, top_level_events_only, time_unit)

    def __str__(self) -> str:
        return self.table()

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write a trace for Chrome's `chrome://tracing` or ui.perfetto.dev, as JSON."""
        _export(self, path)

    def supported_export_stacks_metrics(self) -> list[str]:
        """What `export_stacks` can tell of each stack."""
        return ["self_cpu_time_total"]

    def export_stacks(self, path: str | os.PathLike[str], metric: str = "self_cpu_time_total") -> None:
        """Write one line for each event that has a stack, for a flame graph: the stack, outermost first, and the time.

        Raises ValueError for another metric.
        """
        if metric not in self.supported_export_stacks_metrics():
            raise ValueError(f"metric should be one of: {self.supported_export_stacks_metrics()}")
        lines = []
        for event in self:
            if event.stack and int(getattr(event, metric)) > 0:
                # A flame graph's own separators may not stand in an entry.
                stack = ";".join(entry.translate(str.maketrans(" ;", "__")) for entry in reversed(event.stack))
                lines.append(f"{stack} {int(getattr(event, metric))}\n")
        pathlib.Path(path).write_text("".join(lines), encoding="utf-8")

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False
    ) -> EventList:
        """The events of each name as one sum; if asked, of each shape of inputs and innermost lines, too."""
        sums: dict[tuple[Any, ...], FunctionEventAvg] = defaultdict(FunctionEventAvg)
        for event in self:
            key = (
                event.key,
                event.overload_name if group_by_overload_name else None,
                event.node_id,
                event.is_user_annotation,
                str(event.input_shapes) if group_by_input_shapes else None,
                tuple((event.stack or ())[:group_by_stack_n]),
            )
            sums[key].add(event)
        for total in sums.values():
            total.stack = (total.stack or [])[:group_by_stack_n]
            if not group_by_input_shapes:
                total.input_shapes = ""
            if not group_by_overload_name:
                total.overload_name = ""
        return self._like(sums.values())

    def total_average(self) -> FunctionEventAvg:
        """All events as one sum."""
        total = FunctionEventAvg()
        for event in self:
            total.key = None
            total.add(event)
        total.key = "Total"
        total.input_shapes, total.stack = None, None
        return total


def _holds(outer: Interval, inner: Interval) -> bool:
    return inner.start < outer.end and inner.end <= outer.end
