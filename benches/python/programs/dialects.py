"""The peers with NumPy's names, each in one place: NumPy (which has no gradients), JAX, JAX under jit, and MLX.

JAX and MLX differentiate functions, and compute when they are waited for: whatever is timed waits for every value.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy

from programs import Work


@dataclass(frozen=True)
class Dialect:
    """What the peers do not share."""

    # The module that has NumPy's names.
    np: Any
    array: Callable
    # Waits for every array of a nest; None where each value is there at once.
    wait: Callable | None = None
    compiled: Callable | None = None
    # From a function, its inputs and a cotangent to its value and its inputs' gradients.
    pullback: Callable | None = None
    value_and_grad: Callable | None = None
    # From a function and its inputs to a function of the cotangent alone.
    backward: Callable | None = None
    # Functions that NumPy has no name for.
    beyond: dict[str, Callable] = field(default_factory=dict)
    # Images are (batch, height, width, channels).
    channels_last: bool = False

    def arrays(self, nest):
        """The nest with the peer's arrays in the place of NumPy's."""
        if isinstance(nest, (tuple, list)):
            return type(nest)(map(self.arrays, nest))
        return self.array(nest) if isinstance(nest, numpy.ndarray) else nest

    def work(self, expression, inputs, answer="{}", **functions):
        """The expression timed with what it needs of the inputs; `answer` picks what is compared from its value."""
        used = compile(expression, expression, "eval").co_names
        inputs = {name: self.arrays(value) for name, value in inputs.items() if name in used}
        names = {"np": self.np, "wait": self.wait, **self.beyond, **functions}
        if self.compiled:
            call = f"compiled({', '.join(inputs)})"
            names["compiled"] = self.compiled(eval(f"lambda {', '.join(inputs)}: {expression}", names))
        else:
            call = expression
        return Work(f"wait({call})" if self.wait else call, names | inputs, answer=answer.format(call))

    def gradient(self, function, inputs, cotangent):
        """The function's value and its inputs' gradients, of which the gradients are compared."""
        names = {"inputs": inputs, "cotangent": cotangent}
        pullback = functools.partial(self.pullback, function)
        return self.work("pullback(inputs, cotangent)", names, answer="{}[1]", pullback=pullback)

    def backward_alone(self, function, inputs, cotangent):
        """The gradients of a function that has been computed before."""
        names = {"back": self.backward(function, *self.arrays(inputs)), "cotangent": cotangent}
        return self.work("back(cotangent)", names)


def numpy_dialect(module):
    """NumPy."""
    return Dialect(module, module.asarray)


def jax_dialect(jax, compiled=None):
    """JAX, one operation at a time unless `compiled` is its compiler."""

    def pullback(function, inputs, cotangent):
        value, back = jax.vjp(function, *inputs)
        return value, back(cotangent)

    def conv2d(x, weight, stride, padding, groups):
        paddings = [(padding, padding)] * 2
        return jax.lax.conv_general_dilated(x, weight, (stride, stride), paddings, feature_group_count=groups)

    def attention(q, k, v):
        return jax.nn.softmax(q @ k.swapaxes(2, 3) * q.shape[3] ** -0.5, axis=3) @ v

    return Dialect(
        jax.numpy,
        jax.numpy.asarray,
        wait=jax.block_until_ready,
        compiled=compiled,
        pullback=pullback,
        value_and_grad=jax.value_and_grad,
        backward=lambda function, *inputs: jax.vjp(function, *inputs)[1],
        beyond={
            "sigmoid": jax.nn.sigmoid,
            "gelu": functools.partial(jax.nn.gelu, approximate=False),
            "logsumexp": jax.nn.logsumexp,
            "softmax": jax.nn.softmax,
            "log_softmax": jax.nn.log_softmax,
            "layer_norm": jax.nn.standardize,
            "conv2d": conv2d,
            "attention": attention,
        },
    )


def mlx_dialect(mx):
    """MLX, without its compiler."""
    from mlx import nn

    def pullback(function, inputs, cotangent):
        values, gradients = mx.vjp(function, list(inputs), [cotangent])
        return values[0], gradients

    return Dialect(
        mx,
        mx.array,
        wait=mx.eval,
        pullback=pullback,
        value_and_grad=mx.value_and_grad,
        beyond={
            "sigmoid": mx.sigmoid,
            "gelu": nn.gelu,
            "logsumexp": mx.logsumexp,
            "softmax": mx.softmax,
            "log_softmax": nn.log_softmax,
            "layer_norm": lambda x: mx.fast.layer_norm(x, None, None, 1e-5),
            "conv2d": mx.conv2d,
            "attention": lambda q, k, v: mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[3] ** -0.5),
        },
        channels_last=True,
    )


DIALECTS = {
    "numpy": numpy_dialect,
    "jax": jax_dialect,
    "jax-jit": lambda jax: jax_dialect(jax, jax.jit),
    "mlx": mlx_dialect,
}
