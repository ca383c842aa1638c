"""Modules spread over devices, of which here there is one."""

from .data_parallel import DataParallel

__all__ = ["DataParallel"]
