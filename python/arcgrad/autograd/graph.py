"""The graph itself, as far as a user may look at it."""

from .._core import Node

__all__ = ["Node"]
