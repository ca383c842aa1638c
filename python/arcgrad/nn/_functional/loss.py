"""Loss functions, with PyTorch's reductions: 'none', 'mean' and 'sum'."""

from __future__ import annotations

import warnings

import arcgrad

from ... import Tensor, _core as _nn

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

# The least value of a logarithm in `binary_cross_entropy`, and of the denominator x (1 - x) of its derivative: with
# them a certain and wrong prediction has a large loss and gradient, but finite ones.


def _reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """Return `reduction`, or what the two older arguments mean where one of them is given."""
    if size_average is None and reduce is None:
        return reduction
    mean = size_average is None or size_average
    old = "none" if reduce is False else "mean" if mean else "sum"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{old}' instead.", stacklevel=3
    )
    return old


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def _reduce_weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Reduce `loss` times `weight`; the mean is over the weights' sum."""
    if weight is None:
        return _reduce(loss, reduction)
    if weight.shape != loss.shape:
        raise ValueError("Inputs and weights must have the same size.")
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else _reduce(loss, reduction)


def _warn_of_broadcast(input: Tensor, target: Tensor) -> None:
    if target.shape != input.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Return (input - target)², reduced; shapes broadcast, with a warning."""
    _warn_of_broadcast(input, target)
    reduction = _reduction(size_average, reduce, reduction)
    if weight is None:
        return _nn.mse_loss(input, target, reduction=reduction)
    return _reduce_weighted(_nn.mse_loss(input, target, reduction="none"), weight, reduction)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Return |input - target|, reduced; shapes broadcast, with a warning."""
    _warn_of_broadcast(input, target)
    return _reduce_weighted((input - target).abs(), weight, _reduction(size_average, reduce, reduction))


def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Return d² / (2 beta) where |d| < beta, else |d| - beta / 2, reduced; d = input - target.

    Raises:
        RuntimeError: `beta` is negative.
    """
    _warn_of_broadcast(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return _nn.smooth_l1_loss(input, target, reduction=_reduction(size_average, reduce, reduction), beta=beta)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Return d² / 2 where |d| <= delta, else delta (|d| - delta / 2), reduced; d = input - target (Huber, 1964).

    Raises:
        RuntimeError: `delta` is not positive.
    """
    _warn_of_broadcast(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if weight is None:
        return _nn.huber_loss(input, target, reduction=reduction, delta=delta)
    return _reduce_weighted(_nn.huber_loss(input, target, reduction="none", delta=delta), weight, reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return -weight (t log x + (1 - t) log(1 - x)), reduced, for probabilities x; each logarithm is at least -100.

    Raises:
        ValueError: input and target differ in shape.
        RuntimeError: an input lies outside [0, 1].
    """
    reduction = _reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    # One comparison each, so that a NaN fails both and is reported like any other number outside the interval.
    if not bool(((input >= 0) & (input <= 1)).all()):
        raise RuntimeError("all elements of input should be between 0 and 1")
    return _nn.binary_cross_entropy(input, target, weight=weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Return the binary cross-entropy of sigmoid(input), computed stably from the logits; `pos_weight` scales the ones.

    Raises:
        ValueError: input and target differ in shape.
    """
    reduction = _reduction(size_average, reduce, reduction)
    if target.shape != input.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")
    return _nn.binary_cross_entropy_with_logits(
        input, target, weight=weight, reduction=reduction, pos_weight=pos_weight
    )


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return minus the log-probability of each target class, reduced (the mean is weighted by `weight`).

    Args:
        input: log-probabilities of shape (classes), (batch, classes) or (batch, classes, ...).
        target: int64 classes of shape (), (batch) or (batch, ...); `ignore_index` counts nowhere.
    """
    reduction = _reduction(size_average, reduce, reduction)
    return _nn.nll_loss(input, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the cross-entropy of the softmax of logits with class numbers or class probabilities, reduced.

    Args:
        input: logits of shape (classes), (batch, classes) or (batch, classes, ...).
        target: int64 classes of the input's shape without its class dimension, or probabilities of the input's shape.
        label_smoothing: the share of the target that is spread evenly over all classes, within [0, 1].
    """
    reduction = _reduction(size_average, reduce, reduction)
    return _nn.cross_entropy(
        input,
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Return target (log target - input), reduced, for log-probabilities `input`, and `target` if `log_target`.

    'batchmean' divides the sum by the first dimension, which is the divergence's definition; 'mean' does not.
    """
    reduction = _reduction(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size. 'batchmean' divides "
            "only by the batch size, and aligns with the KL div math definition.",
            stacklevel=2,
        )
    loss = target.exp() * (target - input) if log_target else arcgrad.xlogy(target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.dim() else loss.sum()
    return _reduce(loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return rate - target log(rate), reduced; `input` is the rate's logarithm if `log_input`, else the rate.

    `full` adds Stirling's approximation of log(target!) for targets above 1.
    """
    reduction = _reduction(size_average, reduce, reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * arcgrad.pi * target).log()
        loss = loss + arcgrad.where(target > 1, stirling, arcgrad.zeros_like(stirling))
    return _reduce(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Return (log var + (input - target)² / var) / 2, reduced, with the variance at least `eps`.

    Raises:
        ValueError: a variance is negative.
    """
    if not isinstance(var, Tensor):
        var = arcgrad.full_like(input, var)
    if bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    if var.dim() == input.dim() - 1 and tuple(var.shape) == tuple(input.shape[:-1]):
        var = var.unsqueeze(-1)
    # The floor is no function of the input: its gradient passes through as though it were not there.
    floored = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (floored.log() + (input - target) ** 2 / floored)
    if full:
        loss = loss + 0.5 * arcgrad.log(arcgrad.full_like(loss.detach(), 2 * arcgrad.pi))
    return _reduce(loss, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return max(0, -target (input1 - input2) + margin), reduced; the target is 1 where input1 should rank higher."""
    loss = (-target * (input1 - input2) + margin).clamp(min=0)
    return _reduce(loss, _reduction(size_average, reduce, reduction))


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return x where the target is 1 and max(0, margin - x) where it is -1, reduced."""
    zero = arcgrad.zeros_like(input)
    far = arcgrad.where(target != 1, (margin - input).clamp(min=0), zero)
    near = arcgrad.where(target != -1, input, zero)
    return _reduce(far + near, _reduction(size_average, reduce, reduction))


def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return log(1 + exp(-target x)), reduced, for targets of 1 and -1."""
    loss = arcgrad.log1p(arcgrad.exp(-target * input))
    return _reduce(loss, _reduction(size_average, reduce, reduction))


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return 1 - cos where the target is 1 and max(0, cos - margin) where it is -1, reduced; cos along dimension -1."""
    # Added inside the roots, so that the gradient at a zero vector is finite.
    eps = 1e-12
    product = (input1 * input2).sum(-1)
    norms = ((input1 * input1).sum(-1) + eps) * ((input2 * input2).sum(-1) + eps)
    cosine = product / norms.sqrt()
    zero = arcgrad.zeros_like(cosine)
    alike = arcgrad.where(target == 1, 1 - cosine, zero)
    unlike = arcgrad.where(target == -1, (cosine - margin).clamp(min=0), zero)
    return _reduce(alike + unlike, _reduction(size_average, reduce, reduction))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return max(0, d(anchor, positive) - d(anchor, negative) + margin), reduced; d is the p-norm along dimension -1.

    With `swap`, the negative's distance is the lesser of those to the anchor and to the positive.
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (a - b + eps).norm(p, -1)

    far = distance(anchor, negative)
    if swap:
        far = arcgrad.minimum(far, distance(positive, negative))
    loss = (distance(anchor, positive) - far + margin).clamp(min=0)
    return _reduce(loss, _reduction(size_average, reduce, reduction))
