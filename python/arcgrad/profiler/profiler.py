"""Profiles of some steps of a long run."""

from __future__ import annotations

import enum
import os
import pathlib
import socket
import time
import warnings

from ..autograd import profiler as _profiler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from typing_extensions import Self

    from ..autograd.profiler_util import EventList

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(enum.Enum):
    """What may be profiled. There is no device but the CPU."""

    CPU = 0
    CUDA = 3


class ProfilerAction(enum.Enum):
    """What is done during a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """What can be profiled here."""
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """A plan for `profile`: skip some steps, then in cycles wait, profile and forget (warm up), profile and keep.

    `repeat` is the number of cycles, 0 for as many as there are; `skip_first_wait` leaves out the wait of the first.
    """
    if min(wait, warmup, active, repeat, skip_first) < 0 or active == 0:
        raise AssertionError("Invalid profiler schedule arguments")
    if warmup == 0:
        warnings.warn("Profiler won't be using warmup, this can skew profiler results", stacklevel=2)
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        if skip_first_wait:
            step += wait
        if repeat and step // cycle >= repeat:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None) -> Callable[[profile], None]:
    """An `on_trace_ready` that writes each profile into a folder as a trace of its own."""
    worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"

    def write(prof: profile) -> None:
        folder = pathlib.Path(dir_name)
        folder.mkdir(parents=True, exist_ok=True)
        prof.export_chrome_trace(folder / f"{worker}.{time.time_ns()}.pt.trace.json")

    return write


class profile:
    """Profiles the `with` block; with a `schedule` those of its steps that the schedule names.

    ```python
    with torch.profiler.profile(
        schedule=torch.profiler.schedule(wait=1, warmup=1, active=3),
        on_trace_ready=lambda prof: print(prof.key_averages().table(sort_by="self_cpu_time_total")),
    ) as prof:
        for batch in batches:
            train(batch)
            prof.step()
    ```

    Args:
        activities: what to profile; there is but the CPU.
        schedule: for the number of a step, what to do in it; without one everything is profiled.
        on_trace_ready: called with this object when a profile is complete.
        record_shapes: as for `autograd.profiler.profile`, and so with the next three.
        profile_memory: see there.
        with_stack: see there.
        with_flops: see there.
        with_modules: makes no difference, as all further arguments.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], object] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: object = None,
        execution_trace_observer: object = None,
        acc_events: bool = False,
        custom_trace_id_callback: object = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        self.activities = set(supported_activities() if activities is None else activities)
        if not self.activities & supported_activities():
            raise AssertionError("No valid profiler activities found")
        self.schedule = schedule
        self.on_trace_ready = on_trace_ready
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_flops = with_flops
        self.step_num = 0
        self.profiler: _profiler.profile | None = None
        self._running: _profiler.profile | None = None
        self._step: _profiler.record_function | None = None
        self._is_started = False

    @property
    def current_action(self) -> ProfilerAction:
        """What is done in this step."""
        return ProfilerAction.RECORD if self.schedule is None else self.schedule(self.step_num)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin with the first step."""
        self._is_started = True
        self._begin()

    def step(self) -> None:
        """Say that a step is over and the next one begins; outside of `start` and `stop` there is none."""
        if not self._is_started:
            return
        before = self.current_action
        self._end_step()
        self.step_num += 1
        if before is ProfilerAction.WARMUP:
            self._drop()
        elif before is ProfilerAction.RECORD_AND_SAVE or self.current_action is ProfilerAction.NONE:
            self._finish()
        self._begin()

    def stop(self) -> None:
        """Begin no further step."""
        self._is_started = False
        try:
            self._end_step()
            if self.current_action is ProfilerAction.WARMUP:
                self._drop()
            self._finish()
        finally:
            self._drop()  # a schedule that raises must not leave the process profiled

    def _begin(self) -> None:
        if self.current_action is ProfilerAction.NONE:
            return
        if self._running is None:
            self._running = _profiler.profile(
                record_shapes=self.record_shapes,
                with_flops=self.with_flops,
                profile_memory=self.profile_memory,
                with_stack=self.with_stack,
            )
            self._running.__enter__()
        if self.schedule is not None:
            self._step = _profiler.record_function(f"ProfilerStep#{self.step_num}").__enter__()

    def _end_step(self) -> None:
        if self._step is not None:
            self._step.__exit__(None, None, None)
            self._step = None

    def _drop(self) -> None:
        """Forget what was profiled so far."""
        if self._running is not None:
            self._running.__exit__(None, None, None)
            self._running = None

    def _finish(self) -> None:
        """Keep what was profiled so far and tell of it."""
        finished = self._running
        self._drop()
        if finished is not None:
            self.profiler = finished
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)

    def _finished(self) -> _profiler.profile:
        if self.profiler is None:
            raise AssertionError("no profile is complete")
        return self.profiler

    def events(self) -> EventList:
        """The events of the latest complete profile."""
        return self._finished().function_events

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, group_by_overload_name: bool = False
    ) -> EventList:
        """The events of each name as one sum: see `EventList.key_averages`."""
        return self._finished().key_averages(group_by_input_shape, group_by_stack_n, group_by_overload_name)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write a trace for Chrome's `chrome://tracing` or ui.perfetto.dev, as JSON."""
        self._finished().export_chrome_trace(path)

    def export_stacks(self, path: str | os.PathLike[str], metric: str = "self_cpu_time_total") -> None:
        """Write the stacks for a flame graph: see `EventList.export_stacks`."""
        self._finished().export_stacks(path, metric)
