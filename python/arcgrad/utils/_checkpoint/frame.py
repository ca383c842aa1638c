"""A checkpointed call: what it saves is dropped, and computed again when a backward pass asks for it.

While the function runs, each tensor that it saves is replaced by a *holder*, numbered in the order of saving. When a
pass unpacks the first of them, the function runs again and fills the holders, by number. A pass fills and empties
holders of its own, so that a graph that is kept can be walked again.

Note [Who keeps whom]: the graph keeps the holders and, through its hooks, the frame; the frame knows its holders only
weakly. So a frame goes with its graph, and what was computed again for a node that is gone is not even kept.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import weakref
from typing import Any

from ..._core import Tensor, _pass_number, _track_passes, empty
from ...autograd import Function, enable_grad
from ...autograd.graph import saved_tensors_hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from .budget import Budget
    from .trace import Trace

# Numbers for what is unpacked outside of any pass; each time is one of its own.
_outside = itertools.count(-2, -1)

_TIP = (
    "\nTip: To see a more detailed error message, either pass `debug=True` to\n"
    "`torch.utils.checkpoint.checkpoint(...)` or wrap the code block\n"
    "with `with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):` to\n"
    "enable checkpoint‑debug mode globally.\n"
)


class CheckpointError(RuntimeError):
    """Computing again did not give what was computed first."""


class _Enough(BaseException):
    """All that will be asked for has been computed again. Not an Exception, lest the function itself catches it."""


class Holder:
    """Stands for a saved tensor in the graph."""

    def __init__(self) -> None:
        # By pass: the tensor and its version when it was saved again, until it is handed out.
        self.recomputed: dict[int, tuple[Tensor, int]] = {}
        # The tensor and its version, if it is within the budget.
        self.kept: tuple[Tensor, int] | None = None


class _SavedInputs(Function):
    """A node that keeps the call's arguments as any node keeps what it saves: packed by the hooks around the call."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return empty(0)


class Frame:
    """A call whose saved tensors are to be computed again."""

    def __init__(
        self,
        rerun: Callable[..., Any],
        *,
        early_stop: bool,
        describe: Callable[[Tensor], Any],
        budget: Budget | None,
        trace: Trace | None,
    ) -> None:
        _track_passes()
        self._rerun, self._early_stop, self._describe = rerun, early_stop, describe
        self._budget, self._trace = budget, trace
        self._holders: list[weakref.ref[Holder]] = []
        self._descriptions: list[Any] = []
        self._is_complete = False
        self._passes: set[int] = set()
        # Nodes of one pass may run on several threads, and all need the one recomputation.
        self._lock = threading.RLock()

    def save_inputs(self, args: tuple[Any, ...]) -> None:
        """Keep the arguments."""
        self._others = [None if isinstance(x, Tensor) else x for x in args]
        self._places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
        anchor = empty(0, requires_grad=True)
        self._saved: Any = _SavedInputs.apply(anchor, *(args[i] for i in self._places))

    @contextlib.contextmanager
    def saving(self, around: AbstractContextManager[Any]) -> Any:
        """The context in which the function runs first."""
        with saved_tensors_hooks(self._pack, self._unpack), around:
            yield
        self._is_complete = True

    @property
    def needed(self) -> int:
        """How many tensors are computed again: up to the last that is missing."""
        return len(self._holders) - (0 if self._budget is None else len(self._budget))

    def _pack(self, x: Tensor) -> Holder:
        holder = Holder()
        self._holders.append(weakref.ref(holder))
        self._descriptions.append(self._describe(x))
        if self._trace is not None:
            self._trace.note(x, again=False)
        if self._budget is not None:
            self._budget.keep(self._holders[-1], x)
        return holder

    def _unpack(self, holder: Holder) -> Tensor:
        if holder.kept is not None:
            return _unwritten(*holder.kept)
        number = _pass_number()
        if number == -1:
            number = next(_outside)
        try:
            with self._lock:
                if number not in self._passes:
                    self._recompute(number)
            return self._handed_out(holder, number)
        except CheckpointError as error:
            if self._trace is None:
                raise
            raise CheckpointError(self._trace.explained(error)) from error

    def _handed_out(self, holder: Holder, number: int) -> Tensor:
        saved = holder.recomputed.pop(number, None)
        if saved is None:
            raise CheckpointError(
                "torch.utils.checkpoint: Unpack is being triggered for a tensor that was already unpacked once. If you "
                "are calling ctx.saved_tensors in backward, make sure to do so only once. Otherwise please open an "
                "issue with details on your use case."
            )
        return _unwritten(*saved)

    def _recompute(self, number: int) -> None:
        again = _Again(self, number)
        if self._trace is not None:
            self._trace.begin_again()
        tensors = iter(self._saved.grad_fn.saved_tensors)
        args = list(self._others)
        for place in self._places:
            args[place] = next(tensors)
        with contextlib.suppress(_Enough), saved_tensors_hooks(again.pack, lambda x: x), enable_grad():
            self._rerun(*args)
        self._passes.add(number)
        if not again.is_surplus_ignored:
            self._check(again)

    def _check(self, again: _Again) -> None:
        if again.count != (self.needed if self._early_stop else len(self._holders)):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {len(self._holders)}\nNumber of tensors "
                f"saved during recomputation: {again.count}.\n{_TIP}"
            )
        different = [
            f"tensor at position {i}:\nsaved metadata: {self._descriptions[i]}\nrecomputed metadata: {description}\n"
            for i, description in again.descriptions.items()
            if description != self._descriptions[i]
        ]
        if different:
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
                f"during the forward pass.\n{''.join(different)}.\n{_TIP}"
            )


class _Again:
    """A recomputation: fills the holders of a frame for a pass."""

    def __init__(self, frame: Frame, number: int) -> None:
        self._frame, self._number = frame, number
        self.count = 0
        self.descriptions: dict[int, Any] = {}
        self.is_surplus_ignored = False

    def pack(self, x: Tensor) -> Tensor:
        frame, index = self._frame, self.count
        self.count += 1
        if frame._trace is not None:
            frame._trace.note(x, again=True)
        if index >= len(frame._holders):
            # A pass inside the function, which has itself not yet ended, asks for what was saved so far.
            if frame._is_complete:
                raise CheckpointError(
                    "torch.utils.checkpoint: trying to save more tensors during recomputation than during the original "
                    f"forward pass.\n{_TIP}"
                )
            self.is_surplus_ignored = True
            return x
        holder = frame._holders[index]()
        if holder is not None and holder.kept is None:
            holder.recomputed[self._number] = x, x._version
            self.descriptions[index] = frame._describe(x)
        if frame._early_stop and self.count == frame.needed:
            raise _Enough
        return x


def _unwritten(x: Tensor, version: int) -> Tensor:
    """The tensor, if it is what it was when it was saved."""
    if x._version != version:
        raise RuntimeError(
            "one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[{x.type()} {list(x.shape)}] is at version {x._version}; expected version {version} instead (it was "
            "saved inside a checkpointed function, which then wrote to it)"
        )
    return x
