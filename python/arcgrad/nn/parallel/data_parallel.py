"""`DataParallel`, which without GPUs is the module that it wraps."""

from __future__ import annotations

from ..modules.module import Module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["DataParallel"]


class DataParallel(Module):
    """Hand calls on to `module`, as PyTorch's does on a machine without GPUs; its parameters are named `module.*`."""

    def __init__(
        self,
        module: Module,
        device_ids: Sequence[Any] | None = None,
        output_device: Any = None,
        dim: int = 0,
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[Any] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Call the module."""
        return self.module(*inputs, **kwargs)
