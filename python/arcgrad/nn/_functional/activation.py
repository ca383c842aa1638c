"""Activation functions: element-wise ones, and those that normalize along a dimension."""

from __future__ import annotations

import warnings

import arcgrad

from ... import _core as _nn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ... import Tensor


def _unary(function: Callable[[Tensor], Tensor], input: Tensor, inplace: bool) -> Tensor:
    """Apply `function`; where `inplace`, to a copy, whose result is then written over `input`.

    The copy is what the function may keep for its derivative: the original no longer holds those values.
    """
    if inplace:
        return input.copy_(function(input.clone()))
    return function(input)


def _limits(input: Tensor, *limits: float) -> tuple[float, ...]:
    """Return the limits as numbers that leave the input its dtype: beside integers they are cut to integers."""
    return limits if input.is_floating_point() else tuple(map(int, limits))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return max(x, 0), element-wise; its derivative at 0 is 0."""
    if inplace:
        # The derivative needs only the result, so no copy is made.
        return input.copy_(arcgrad.relu(input))
    return arcgrad.relu(input)


def relu_(input: Tensor) -> Tensor:
    """Write `relu` over the input."""
    return relu(input, True)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """Return x where x > threshold, else `value`, element-wise; integers stay integers."""
    threshold, value = _limits(input, threshold, value)
    return _unary(lambda x: _nn.threshold(x, threshold, value), input, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x cut to [min_val, max_val], element-wise; integers stay integers.

    Raises:
        ValueError: `min_val` exceeds `max_val`.
        RuntimeError: the input is of truth values, or unsigned with a negative limit.
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype == arcgrad.bool:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    min_val, max_val = _limits(input, min_val, max_val)
    if input.dtype == arcgrad.uint8 and min(min_val, max_val) < 0:
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    return _unary(lambda x: _nn.hardtanh(x, min_val, max_val), input, inplace)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Return min(max(x, 0), 6), element-wise."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Return min(max(x + 3, 0), 6) / 6, element-wise."""
    return _unary(_nn.hardsigmoid, input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x min(max(x + 3, 0), 6) / 6, element-wise (Howard et al., 2019)."""
    return _unary(_nn.hardswish, input, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return x where x > 0, else alpha (exp(x) - 1), element-wise (Clevert et al., 2015).

    With the default parameters within 1.5 ulp in float32 and 1.5 in float64.
    """
    if inplace:
        return _unary(lambda x: _nn.elu(x, alpha), input, inplace)
    return _nn.elu(input, alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Return max(0, x) + min(0, alpha (exp(x / alpha) - 1)), element-wise.

    Raises:
        RuntimeError: `alpha` is zero.
    """
    return _unary(lambda x: _nn.celu(x, alpha), input, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return scale (max(0, x) + min(0, alpha (exp(x) - 1))), element-wise (Klambauer et al., 2017)."""
    return _unary(_nn.selu, input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """Return x where x > 0, else negative_slope x, element-wise."""
    if inplace:
        return _unary(lambda x: _nn.leaky_relu(x, negative_slope), input, inplace)
    return _nn.leaky_relu(input, negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Return x where x > 0, else w x, with one weight for all or one for each channel (dimension 1).

    Raises:
        RuntimeError: the number of weights is neither 1 nor the number of channels.
    """
    return _nn.prelu(input, weight)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Return x where x >= 0, else a x, with a random in [lower, upper] in training and their mean otherwise.

    Raises:
        ValueError: `lower` exceeds `upper`.
    """
    if lower > upper:
        raise ValueError("lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = arcgrad.empty_like(input).uniform_(lower, upper)
    return _unary(lambda x: arcgrad.where(x >= 0, x, slope * x), input, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """Return x times the normal distribution function of x; 'tanh' approximates it (Hendrycks et al., 2016).

    The exact one is within 6.5 ulp in float32 and 5.5 in float64.
    """
    return _nn.gelu(input, approximate=approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x sigmoid(x), element-wise.

    Within 3.0 ulp in float32 and 3.0 in float64.
    """
    if inplace:
        return _unary(_nn.silu, input, inplace)
    return _nn.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Return x tanh(softplus(x)), element-wise (Misra, 2019).

    Within 5.3 ulp in float32 and 6.0 in float64.
    """
    return _unary(_nn.mish, input, inplace)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Return log(1 + exp(beta x)) / beta, element-wise, and x itself where beta x > threshold.

    With the default parameters within 3.0 ulp in float32 and 3.1 in float64.
    """
    return _nn.softplus(input, beta, threshold)


def logsigmoid(input: Tensor) -> Tensor:
    """Return log(sigmoid(x)), element-wise, without overflow on either side.

    Within 3.0 ulp in float32 and 3.0 in float64.
    """
    return _nn.logsigmoid(input)


def softsign(input: Tensor) -> Tensor:
    """Return x / (1 + |x|), element-wise."""
    return _nn.softsign(input)


def tanhshrink(input: Tensor) -> Tensor:
    """Return x - tanh(x), element-wise."""
    return _nn.tanhshrink(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return x moved towards zero by `lambd`, and zero within it, element-wise.

    Raises:
        RuntimeError: `lambd` is negative.
    """
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return _nn.softshrink(input, lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return x where |x| > lambd, else 0, element-wise."""
    return _nn.hardshrink(input, lambd)


def sigmoid(input: Tensor) -> Tensor:
    """Return 1 / (1 + exp(-x)), element-wise.

    Within 2.7 ulp in float32 and 2.6 in float64.
    """
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """Return the hyperbolic tangent, element-wise.

    Within 2.6 ulp in float32 and 2.7 in float64.
    """
    return input.tanh()


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Return a sigmoid(b), where a and b are the halves of `input` along `dim` (Dauphin et al., 2016).

    Raises:
        RuntimeError: the size along `dim` is odd, or the input has no dimensions.
    """
    return _nn.glu(input, dim)


def _implicit_dim(name: str, input: Tensor, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel + 1,
    )
    return 0 if input.dim() in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Return exp(x) divided by its sum along `dim`; computed in `dtype` where given."""
    if dim is None:
        dim = _implicit_dim("softmax", input, _stacklevel)
    return arcgrad.softmax(input, dim) if dtype is None else arcgrad.softmax(input, dim, dtype=dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Return the softmax of -x along `dim`."""
    if dim is None:
        dim = _implicit_dim("softmin", input, _stacklevel)
    return softmax(-input, dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Return the logarithm of the softmax along `dim`, computed stably."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input, _stacklevel)
    return arcgrad.log_softmax(input, dim) if dtype is None else arcgrad.log_softmax(input, dim, dtype=dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """Return a random sample of the Gumbel-softmax distribution with temperature `tau` along `dim` (Jang et al., 2016).

    Where `hard`, the value is one-hot and the gradient is that of the soft sample.
    """
    gumbels = -arcgrad.empty_like(logits).exponential_().log()
    soft = arcgrad.softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    return arcgrad.zeros_like(logits).scatter_(dim, index, 1.0) - soft.detach() + soft
