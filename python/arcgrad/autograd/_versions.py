"""Writes that leave the bits as they were, and so the versions too."""

from __future__ import annotations

from .._core import Tensor, _restore_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class _unsafe_preserve_version_counter:
    """Puts back, on exit, the versions of these tensors: what was saved of them counts as not overwritten since.

    It is for those who put back the elements too; a gradient computed from other elements is silently wrong.
    """

    def __init__(self, tensors: Tensor | Iterable[Tensor]) -> None:
        self.tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
        self.versions = [x._version for x in self.tensors]

    def __enter__(self) -> None:
        pass

    def __exit__(self, *args: object) -> None:
        for x, version in zip(self.tensors, self.versions, strict=True):
            _restore_version(x, version)
