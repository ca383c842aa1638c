"""What a checkpointed call keeps although it could compute it again, as far as a budget of bytes goes.

Computing again begins at the beginning and stops after the last tensor that is missing. So the tensors that were saved
last are kept: those before them are what a pass has to compute, and nothing beyond.
"""

from __future__ import annotations

import collections
from typing import Any

from ..._core import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Iterable

    from .frame import Holder


class Budget:
    """The last saved tensors that fit; memory counts once, and not at all where it is somebody else's."""

    def __init__(self, size: int, others: Iterable[Any]) -> None:
        self.size = size
        self._free = {x._storage_address() for x in others if isinstance(x, Tensor)}
        self._kept: collections.deque[tuple[weakref.ref[Holder], int, int]] = collections.deque()
        self._owners: collections.Counter[int] = collections.Counter()
        self._used = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, holder: weakref.ref[Holder], x: Tensor) -> None:
        """Have a holder keep its tensor, and those before it give theirs away until all fit."""
        memory = x._storage_address()
        size = 0 if memory in self._free else x.numel() * x.element_size()
        self._kept.append((holder, memory, size))
        self._used += 0 if self._owners[memory] else size
        self._owners[memory] += 1
        alive = holder()
        if alive is not None:
            alive.kept = x, x._version
        while self._used > self.size:
            self._give_away()

    def _give_away(self) -> None:
        holder, memory, size = self._kept.popleft()
        self._owners[memory] -= 1
        self._used -= 0 if self._owners[memory] else size
        alive = holder()
        if alive is not None:
            alive.kept = None


def owned_by(function: Callable[..., Any]) -> list[Tensor]:
    """The parameters and buffers of a module, or of the module whose method it is: they stay, whoever saves them."""
    module = getattr(function, "__self__", function)
    members = [getattr(module, name, None) for name in ("parameters", "buffers")]
    return [x for member in members if callable(member) for x in member()]
