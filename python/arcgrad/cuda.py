"""What programs ask before they use a GPU: there is none here."""

from __future__ import annotations


def is_available() -> bool:
    """Return False."""
    return False


def device_count() -> int:
    """Return 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Do nothing, as PyTorch does without a GPU."""


def manual_seed_all(seed: int) -> None:
    """Do nothing, as PyTorch does without a GPU."""


def synchronize(device: object = None) -> None:
    """Do nothing: every operation has ended when its call returns."""


def empty_cache() -> None:
    """Do nothing: no GPU holds memory."""
