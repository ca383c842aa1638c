"""Collation: samples, however nested, put together into one batch of tensors."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, MutableMapping, Sequence

import arcgrad

from ... import Tensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["default_collate", "default_convert"]


def _is_numpy(value: Any, scalar: bool = False) -> bool:
    """Return whether `value` is a NumPy array or scalar, without importing NumPy where nobody has."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic if scalar else (numpy.ndarray, numpy.generic))


def default_convert(data: Any) -> Any:
    """Turn every NumPy array in `data` into a tensor, and keep everything else."""
    if isinstance(data, Tensor):
        return data
    if _is_numpy(data):
        return data if data.dtype.kind in "SUO" else arcgrad.as_tensor(data)
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple):
        parts = [default_convert(value) for value in data]
        return type(data)(*parts) if hasattr(data, "_fields") else parts
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return [default_convert(value) for value in data]
    return data


def default_collate(batch: Any) -> Any:
    """Put a list of samples together: tensors are stacked, numbers become a tensor, containers are entered.

    Text stays a list; tuples become lists; mappings and named tuples keep their type.

    Raises:
        RuntimeError: sequences of different lengths.
        TypeError: samples of a type that has no tensor.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return arcgrad.stack(list(batch), 0)
    if _is_numpy(first):
        if first.dtype.kind in "SUO":
            raise _unsupported(first.dtype)
        if _is_numpy(first, scalar=True):
            return arcgrad.as_tensor([value.item() for value in batch], dtype=arcgrad.as_tensor(first).dtype)
        return arcgrad.stack([arcgrad.as_tensor(value) for value in batch], 0)
    if isinstance(first, float):
        return arcgrad.tensor(batch, dtype=arcgrad.float64)
    if isinstance(first, int):
        return arcgrad.tensor(batch)
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        joined = {key: default_collate([sample[key] for sample in batch]) for key in first}
        if type(first) is dict:
            return joined
        return _like(first, joined)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(list(samples)) for samples in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        return [default_collate(list(samples)) for samples in zip(*batch, strict=True)]
    raise _unsupported(type(first))


def _like(mapping: Any, joined: dict[Any, Any]) -> Any:
    """Return `joined` as a mapping of the samples' own type, where that can be made."""
    try:
        if isinstance(mapping, MutableMapping):
            # A copy keeps what the type holds besides its items.
            result = copy.copy(mapping)
            result.update(joined)
            return result
        return type(mapping)(joined)
    except TypeError:
        return joined


def _unsupported(kind: Any) -> TypeError:
    return TypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {kind}"
    )
