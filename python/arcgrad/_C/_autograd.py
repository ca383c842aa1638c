"""PyTorch's internal names for saved tensors, versions and the running pass."""

from __future__ import annotations

from .._core import (
    SavedTensor as SavedTensor,
    _disable_saved_tensors_hooks,
    _pass_facts,
    _pop_saved_tensors_hooks as _pop_saved_tensors_default_hooks,
    _push_saved_tensors_hooks as _push_saved_tensors_default_hooks,
    _saved_tensors_hooks_refusal as _saved_tensors_hooks_get_disabled_error_message,
    _set_version as _unsafe_set_version_counter,
)

__all__ = [
    "SavedTensor",
    "_get_current_graph_task_keep_graph",
    "_pop_saved_tensors_default_hooks",
    "_push_saved_tensors_default_hooks",
    "_saved_tensors_hooks_disable",
    "_saved_tensors_hooks_enable",
    "_saved_tensors_hooks_get_disabled_error_message",
    "_saved_tensors_hooks_is_enabled",
    "_unsafe_set_version_counter",
]


def _get_current_graph_task_keep_graph() -> bool:
    """Whether the backward pass of this thread keeps the graph; outside of passes it is kept."""
    facts: tuple[bool, bool] | None = _pass_facts()
    return facts is None or facts[0]


def _saved_tensors_hooks_is_enabled() -> bool:
    """Whether saved tensor hooks may be used on this thread."""
    return _saved_tensors_hooks_get_disabled_error_message() is None


def _saved_tensors_hooks_enable() -> None:
    """Allow saved tensor hooks on this thread again."""
    _disable_saved_tensors_hooks(None)


def _saved_tensors_hooks_disable(message: str) -> None:
    """Refuse saved tensor hooks on this thread from now on, with this sentence."""
    _disable_saved_tensors_hooks(message)
