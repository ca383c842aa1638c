"""A list of events as a table of fixed columns."""

from __future__ import annotations

import math

from .text import format_memory, format_time, format_time_share

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..profiler_util import EventList

    # A column: its title, its width, and the text of a cell.
    Column = tuple[str, int, Callable[[Any], str]]

_WIDTH = 12
_GAP = "  "
_FLOPS = ["FLOPs", "KFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs"]


def _clipped(text: str, width: int | None) -> str:
    if width is None or len(text) < width:
        return text
    return text[: width - 3] + "..."


def _text_width(texts: list[str], title: str, most: int | None) -> int:
    width = max(len(title), *map(len, texts)) + 4
    return width if most is None else min(width, most)


def _flops_column(events: list[Any]) -> list[Column]:
    counts = [event.flops for event in events if event.flops]
    if not counts:
        return []
    power = min(int(math.log10(min(counts)) / 3), len(_FLOPS) - 1)
    return [(f"Total {_FLOPS[power]}", _WIDTH, lambda e: f"{e.flops / 1000**power:.3f}" if e.flops else "--")]


def _columns(events: EventList, widths: dict[str, int | None], time_unit: str | None) -> list[Column]:
    total = sum(event.self_cpu_time_total for event in events)
    name = _text_width([event.key for event in events], "Name", widths["name"])
    columns: list[Column] = [
        ("Name", name, lambda e: _clipped(e.key, name)),
        ("Self CPU %", _WIDTH, lambda e: format_time_share(e.self_cpu_time_total, total)),
        ("Self CPU", _WIDTH, lambda e: format_time(e.self_cpu_time_total, time_unit)),
        ("CPU total %", _WIDTH, lambda e: "0.00%" if e.is_async else format_time_share(e.cpu_time_total, total)),
        ("CPU total", _WIDTH, lambda e: format_time(e.cpu_time_total, time_unit)),
        ("CPU time avg", _WIDTH, lambda e: format_time(e.cpu_time, time_unit)),
    ]
    if events._profile_memory:
        columns += [
            ("CPU Mem", _WIDTH, lambda e: format_memory(e.cpu_memory_usage)),
            ("Self CPU Mem", _WIDTH, lambda e: format_memory(e.self_cpu_memory_usage)),
        ]
    columns.append(("# of Calls", _WIDTH, lambda e: str(e.count)))
    if any(event.input_shapes for event in events):
        shapes = _text_width([str(event.input_shapes) for event in events], "Input Shapes", widths["shapes"])
        columns.append(("Input Shapes", shapes, lambda e: str(e.input_shapes)[:shapes]))
    if any(event.stack for event in events):
        lines = [line for event in events for line in event.stack or ()]
        source = _text_width(lines, "Source Location", widths["src"])
        columns.append(("Source Location", source, lambda e: _clipped(e.stack[0], source) if e.stack else ""))
    return columns + (_flops_column(events) if events._with_flops else [])


def table(
    events: EventList,
    sort_by: str | None,
    row_limit: int,
    widths: dict[str, int | None],
    header: str | None,
    top_level_events_only: bool,
    time_unit: str | None,
) -> str:
    """The events as text, the greatest by `sort_by` first."""
    if not events:
        return ""
    rows: list[Any] = list(events)
    if sort_by is not None:
        rows.sort(key=lambda event: getattr(event, sort_by), reverse=True)
    if top_level_events_only:
        rows = [row for row in rows if row.cpu_parent is None]
    if row_limit >= 0:
        rows = rows[:row_limit]
    columns = _columns(events, widths, time_unit)
    rule = "".join("-" * width + _GAP for _, width, _ in columns)

    double_rule = "=" * len(rule.rstrip())

    def line(cells: list[str]) -> str:
        return "".join(f"{cell:>{width}}" + _GAP for cell, (_, width, _) in zip(cells, columns, strict=True))

    lines = []
    if header is not None:
        lines += [double_rule, header]
    if top_level_events_only:
        lines += [double_rule, "This report only display top-level ops statistics"]
    lines += [rule, line([title for title, _, _ in columns]), rule]
    for row in rows:
        lines.append(line([cell(row) for _, _, cell in columns]))
        # What else is known of the stack stands below its first line.
        for entry in row.stack[1:] if row.stack else []:
            cells = [_clipped(entry, width) if title == "Source Location" else "" for title, width, _ in columns]
            lines.append(line(cells))
    total = sum(event.self_cpu_time_total for event in events)
    lines += [rule, f"Self CPU time total: {format_time(total, time_unit)}", ""]
    return "\n".join(lines)
