"""Rows of a table gathered in bags: their sums, means and maxima."""

from __future__ import annotations

import math
import warnings

import arcgrad

from .linear import _renormalize, embedding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ... import Tensor

_MODES = ("sum", "mean", "max")


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Return for each bag of integers the sum, mean or maximum of the rows of `weight` (entries, size) that they name.

    The bags are the rows of a 2-dimensional `input`, or the stretches of a 1-dimensional one that begin at `offsets`.
    An empty bag gives zeros.

    Args:
        max_norm: rows used are first scaled, in place, to a norm of at most this.
        scale_grad_by_freq: divide each row's gradient by how often it was used. Not supported.
        sparse: accepted; gradients are dense.
        per_sample_weights: a factor for each integer; only for sums.
        include_last_offset: `offsets` ends with the end of the last bag.
        padding_idx: integers that count as absent from their bags.

    Raises:
        ValueError: shapes do not fit together, or there is no such mode.
        NotImplementedError: there are factors for means or maxima, or `scale_grad_by_freq` is set.
    """
    if weight.dtype in (arcgrad.int32, arcgrad.int64) and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        input, weight = weight, input
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the "
            f"same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    starts, count = _bags(input, offsets, include_last_offset)
    if mode not in _MODES:
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got "
            f"mode='{mode}'). Please open a feature request on GitHub."
        )
    if per_sample_weights is not None and per_sample_weights.dtype != weight.dtype:
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 "
            f"'per_sample_weights'; but type {weight.type()} does not equal {per_sample_weights.type()} "
            "(while checking arguments for embedding_bag)"
        )
    if padding_idx is not None:
        entries = weight.shape[0]
        if not -entries <= padding_idx < entries:
            raise RuntimeError(
                f"padding_idx must be within the number of embeddings, {-entries} through {entries - 1}, but got "
                f"{padding_idx}"
            )
        padding_idx %= entries
    if max_norm is not None:
        _renormalize(weight, input, max_norm, norm_type)
    if count == 0:
        return weight.new_zeros(0, weight.shape[1])
    indices = input.reshape(-1)
    # The last of the bags that begin at or before a place: those before it that begin there, too, are empty.
    bags = arcgrad.searchsorted(starts, arcgrad.arange(len(indices), dtype=starts.dtype), right=True) - 1
    factors = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    if padding_idx is not None:
        present = indices != padding_idx
        indices, bags = indices[present], bags[present]
        factors = None if factors is None else factors[present]
    rows = embedding(indices, weight, scale_grad_by_freq=scale_grad_by_freq)
    if factors is not None:
        rows = rows * factors.unsqueeze(1)
    if mode == "max":
        return _maxima(rows, bags, count)
    sums = rows.new_zeros(count, weight.shape[1]).index_add(0, bags, rows)
    if mode == "sum":
        return sums
    sizes = arcgrad.bincount(bags, minlength=count).clamp(min=1)
    return sums / sizes.to(sums.dtype).unsqueeze(1)


def _bags(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[Tensor, int]:
    """Return where the bags of a flat `input` begin, and how many there are."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        count, length = input.shape
        return arcgrad.arange(count) * length, count
    if input.dim() != 1:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if include_last_offset and len(offsets) < 1:
        raise RuntimeError("include_last_offset: number of offset should be at least 1")
    count = len(offsets) - include_last_offset
    if count > 0 and offsets[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, "
            f"got {offsets[0].item()}"
        )
    if len(offsets) > 0 and offsets[-1] > len(input):
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {len(input)} but got offsets[-1] of "
            f"{offsets[-1].item()}"
        )
    if (offsets[1:] < offsets[:-1]).any():
        raise RuntimeError(f"offsets have to be in ascending order, but got {offsets.tolist()}")
    return offsets[:count], count


def _maxima(rows: Tensor, bags: Tensor, count: int) -> Tensor:
    """Return the largest number of each column in each bag; the gradient goes to the first row that has it.

    A NaN is the largest where it comes first in its bag, and is passed over elsewhere, as in PyTorch.
    """
    shape = (count, rows.shape[1])
    within = bags.unsqueeze(1).expand(rows.shape)
    with arcgrad.no_grad():
        later = arcgrad.cat([bags.new_zeros(1, dtype=arcgrad.bool), bags[1:] == bags[:-1]])[: len(bags)]
        seen = rows.masked_fill(rows.isnan() & later.unsqueeze(1), -math.inf)
        largest = rows.new_zeros(shape).scatter_reduce(0, within, seen, "amax", include_self=False)
        places = arcgrad.arange(len(rows)).unsqueeze(1).expand(rows.shape)
        candidates = arcgrad.where((seen == largest.gather(0, within)) | seen.isnan(), places, len(rows))
        first = candidates.new_full(shape, len(rows)).scatter_reduce(0, within, candidates, "amin")
    # An empty bag has no first row; it reads the zeros behind the last.
    return arcgrad.cat([rows, rows.new_zeros(1, rows.shape[1])]).gather(0, first)
