"""Gradients on request."""

from .._core import _grad as grad

__all__ = ["grad"]
