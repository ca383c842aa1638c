"""Operators by the namespaces in which PyTorch registers them: here those of the profiler."""

from __future__ import annotations

from . import profiler as profiler

__all__ = ["profiler"]
