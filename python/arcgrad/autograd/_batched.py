"""Gradients of a batch of gradients: what `grad(..., is_grads_batched=True)` does.

A derivative takes gradients of its output's shape, so a batch is walked row by row over the one graph, and the answers
are stacked.
"""

from __future__ import annotations

from .._core import Tensor, _grad, stack, zeros_like
from .grad_mode import _Switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def batched_grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any,
    retain_graph: bool | None,
    create_graph: bool,
    allow_unused: bool | None,
    materialize_grads: bool,
) -> tuple[Tensor, ...]:
    """As `grad`; each gradient in `grad_outputs` has a leading axis, of the same size in all, and so has each answer.

    Raises RuntimeError where a gradient's other axes are not its output's shape, ValueError where sizes differ.
    """
    results = [outputs] if not isinstance(outputs, (list, tuple)) or hasattr(outputs, "node") else outputs
    batches = _batches(results, [grad_outputs] if isinstance(grad_outputs, Tensor) else grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    rows = list(zip(*(batch.unbind() for batch in batches), strict=True))
    if not rows:
        raise IndexError("index 0 is out of bounds for dimension 0 with size 0: the batch of gradients is empty")
    answers = [
        _grad(outputs, inputs, row, keep or i + 1 < len(rows), create_graph, allow_unused, materialize_grads)
        for i, row in enumerate(rows)
    ]
    with _Switch(create_graph):
        return tuple(_stacked(column) for column in zip(*answers, strict=True))


def _batches(outputs: Sequence[Any], gradients: Sequence[Tensor | None] | None) -> list[Tensor]:
    """The gradients, one for each output, that begin with an axis of the batch."""
    if gradients is None or any(g is None for g in gradients):
        raise ValueError(
            "grad() with is_grads_batched=True: every output needs its batch of gradients, and none is made up"
        )
    batches = [g for g in gradients if g is not None]
    for i, (y, g) in enumerate(zip(outputs, batches, strict=False)):
        if g.dim() == 0:
            raise IndexError("invalid index of a 0-dim tensor: a batch of gradients has at least one dimension")
        if isinstance(y, Tensor) and g.shape[1:] != y.shape:
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch "
                "dimension. The sizes of the remaining dimensions are expected to match the shape of corresponding "
                f"output, but a mismatch was detected: grad_output[{i}] has a shape of {g.shape} and output[{i}] has a "
                f"shape of {y.shape}."
            )
    sizes = [g.shape[0] for g in batches]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the "
            "mapped dimension"
        )
    return batches


def _stacked(rows: Sequence[Tensor | None]) -> Any:
    """A batch of gradients from its rows, or None for an input that none depends on."""
    some = next((g for g in rows if g is not None), None)
    return None if some is None else stack([zeros_like(some) if g is None else g for g in rows])
