"""Functions of weights: linear maps, convolutions, embeddings and attention."""

from __future__ import annotations

import arcgrad

from ... import _core as _nn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ... import Tensor

# The core's own functions: no Python frame stands between the caller and the kernel.
conv1d = _nn.conv1d
conv2d = _nn.conv2d
conv3d = _nn.conv3d
conv_transpose1d = _nn.conv_transpose1d
conv_transpose2d = _nn.conv_transpose2d
conv_transpose3d = _nn.conv_transpose3d
linear = _nn.linear
one_hot = _nn.one_hot
pad = _nn.pad


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return y[..., k] = sum over i, j of input1[..., i] weight[k, i, j] input2[..., j], plus `bias`."""
    left = input1.unsqueeze(-2).unsqueeze(-2) @ weight
    y = (left @ input2.unsqueeze(-2).unsqueeze(-1)).squeeze(-1).squeeze(-1)
    return y if bias is None else y + bias


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return the rows of `weight` (entries, size) that the integers of `input` name, of shape (*input.shape, size).

    Args:
        padding_idx: a row that receives no gradient; negative counts from the end.
        max_norm: rows used are first scaled, in place, to a norm of at most this.
        scale_grad_by_freq: divide each row's gradient by how often it was used. Not supported.
        sparse: accepted; gradients are dense.

    Raises:
        ValueError: `padding_idx` is outside the table.
        NotImplementedError: `scale_grad_by_freq` is set.
    """
    if scale_grad_by_freq:
        raise NotImplementedError("embedding: scale_grad_by_freq is not supported")
    if padding_idx is not None:
        entries = weight.shape[0]
        if not -entries <= padding_idx < entries:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx %= entries
    if max_norm is not None:
        _renormalize(weight, input, max_norm, norm_type)
    return _nn.embedding(input, weight, padding_idx)


def _renormalize(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows of `weight` that `input` names down to `max_norm`, in place and unrecorded."""
    with arcgrad.no_grad():
        for row in sorted(set(input.reshape(-1).tolist())):
            norm = weight[row].norm(norm_type).item()
            if norm > max_norm:
                # The small term keeps a row just scaled from being scaled again for its rounding.
                weight[row].mul_(max_norm / (norm + 1e-7))


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return softmax(query keyᵀ scale + mask) value over the last two axes (Vaswani et al., 2017).

    Shapes: query (..., l, e), key (..., s, e), value (..., s, v), result (..., l, v). `attn_mask` broadcasts to
    (..., l, s): a bool mask says which keys take part, a float mask is added to the scores. The default scale is
    1 / sqrt(e). With `enable_gqa`, each key and value head serves several query heads.

    Raises:
        RuntimeError: both a mask and `is_causal` are given, or shapes do not fit.
    """
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if enable_gqa:
        groups = query.size(-3) // key.size(-3)
        key = key.repeat_interleave(groups, -3)
        value = value.repeat_interleave(groups, -3)
    # Without columns all scores are zero, whatever the scale.
    scale = max(query.size(-1), 1) ** -0.5 if scale is None else scale
    if attn_mask is None and dropout_p == 0.0 and _alike(query, key, value):
        return _nn._attention(query, key, value, is_causal, scale)
    # Half of the scale on each side keeps the products within range.
    factor: float = scale**0.5
    scores = (query * factor) @ (key.transpose(-2, -1) * factor)
    if is_causal:
        attn_mask = arcgrad.ones(query.size(-2), key.size(-2), dtype=arcgrad.bool).tril()
    if attn_mask is not None:
        masked = attn_mask.dtype == arcgrad.bool
        scores = scores.masked_fill(~attn_mask, -arcgrad.inf) if masked else scores + attn_mask
    weights = scores.softmax(-1)
    if attn_mask is not None and attn_mask.dtype == arcgrad.bool:
        # A query that no key may answer takes nothing.
        weights = weights.masked_fill(~attn_mask.any(-1, keepdim=True), 0.0)
    if dropout_p > 0.0:
        weights = _nn.dropout(weights, dropout_p, True)
    return weights @ value


def _alike(query: Tensor, key: Tensor, value: Tensor) -> bool:
    """Tell whether the three fit together as they are, without broadcasting or promotion."""
    return (
        query.is_floating_point()
        and query.dtype == key.dtype == value.dtype
        and query.dim() == key.dim() == value.dim() >= 2
        and query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
        and query.size(-1) == key.size(-1)
        and 0 < key.size(-2) == value.size(-2)
    )
