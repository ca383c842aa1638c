"""Finding mistakes: which operation's derivative failed, and where it was recorded."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from .._core import Node, _first_nonfinite, _set_watch, _watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .. import Tensor

__all__ = ["NonFinite", "detect_anomaly", "first_nonfinite", "set_detect_anomaly"]

_ORIGINS, _RANGES, _LIVES, _ANOMALIES, _NAN = 1, 2, 4, 8, 16


def is_anomaly_enabled() -> bool:
    """Whether a failing backward pass tells where the operation that failed was recorded. Process-wide."""
    return _watch() & _ANOMALIES != 0


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection makes a backward pass fail at the first NaN."""
    return _watch() & _NAN != 0


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Turn anomaly detection on or off, for all threads."""
    wanted = (_ANOMALIES if enabled else 0) | (_NAN if check_nan else 0)
    _set_watch(_watch() & ~(_ANOMALIES | _NAN) | wanted)


class set_detect_anomaly:
    """Anomaly detection is on, or not, from now on; as a context manager, until it ends."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.prev, self.prev_check_nan = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        set_anomaly_enabled(self.prev, self.prev_check_nan)


class detect_anomaly:
    """While in force, a backward pass that fails warns with the call stack that recorded the operation that failed.

    With `check_nan`, a backward pass fails (RuntimeError) where a derivative gives a NaN. Operations note where they
    are recorded, on all threads.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self.prev, self.prev_check_nan = is_anomaly_enabled(), is_anomaly_check_nan_enabled()
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        set_anomaly_enabled(True, self.check_nan)

    def __exit__(self, *args: object) -> None:
        set_anomaly_enabled(self.prev, self.prev_check_nan)


class Switch:
    """Something to note of recorded operations, process-wide: from now on, or as a context manager until it ends."""

    _bit: int

    def __init__(self, mode: bool = True) -> None:
        self._before = _watch() & self._bit
        _set_watch(_watch() | self._bit if mode else _watch() & ~self._bit)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        _set_watch(_watch() & ~self._bit | self._before)


class record_origins(Switch):
    """Operations note the line that recorded them, and in-place operations the line that wrote.

    Errors about saved tensors that were overwritten or freed, `first_nonfinite` and `graph.live_nodes` then name lines.
    On all threads, from now on; as a context manager, until it ends.
    """

    _bit = _ORIGINS


class record_ranges(Switch):
    """Recorded operations note the range of their outputs, for `first_nonfinite` to know them all.

    Each output is read once more. On all threads, from now on; as a context manager, until it ends.
    """

    _bit = _RANGES


class track_nodes(Switch):
    """Recorded operations are noted, for `graph.live_nodes` to count those that are alive.

    On all threads, from now on; as a context manager, until it ends.
    """

    _bit = _LIVES


@dataclass(frozen=True)
class NonFinite:
    """Where the first NaN or infinity was born."""

    name: str
    """The operation's node, as in `LogBackward0`."""
    line: str | None
    """Where it was recorded; None unless `graph.record_origins` or `detect_anomaly` was in force."""
    value: float
    index: tuple[int, ...]
    """The first place of its kind in the output."""
    inputs: tuple[tuple[float, float] | None, ...]
    """The least and greatest finite element of each input, None where they are not known."""
    suspects: tuple[str, ...]
    """Operations on the way whose outputs nobody kept: one of these may have made it. None under `record_ranges`."""
    node: Node
    message: str
    """All of this in a sentence."""

    def __str__(self) -> str:
        return self.message


def first_nonfinite(loss: Tensor) -> NonFinite | None:
    """The first operation, in the order of the forward pass, whose output has a NaN or infinity; None if none is found.

    What is looked at is what the graph of `loss` still holds: leaves, what operations saved, and `loss` itself. So call
    it before backward, which frees this. If the forward pass ran under `graph.record_ranges`, all outputs are known,
    then and later; under `graph.record_origins` the answer names the line.
    """
    found: Any = _first_nonfinite(loss)
    return None if found is None else NonFinite(*found)
