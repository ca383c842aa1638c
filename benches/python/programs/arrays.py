"""Programs in NumPy's names, for the peers of dialects.py; each draws its numbers as PyTorch's text does."""

import functools

import numpy

from programs import REGISTRY, draw
from programs.dialects import DIALECTS
from programs.elementwise import SIZES, operands
from programs.graphs import BRANCHES, FANS
from programs.networks import CONVOLUTIONS, SEQUENCES
from programs.products import BATCHES, SQUARES, WIDTHS
from programs.reductions import COLUMNS, ROWS
from programs.small import EXPRESSIONS

JAX = ("jax", "jax-jit")
DIFFERENTIATING = (*JAX, "mlx")
ALL = ("numpy", *DIFFERENTIATING)

ELEMENTWISE = {
    "add": (ALL, "x + y"),
    "mul, broadcast": (ALL, "x * row"),
    "exp": (ALL, "np.exp(x)"),
    "log": (ALL, "np.log(positive)"),
    "tanh": (ALL, "np.tanh(x)"),
    "sigmoid": (DIFFERENTIATING, "sigmoid(x)"),
    "gelu": (DIFFERENTIATING, "gelu(x)"),
}
REDUCTIONS = {
    "sum()": (ALL, "x.sum()"),
    "sum(0)": (ALL, "x.sum(0)"),
    "sum(1)": (ALL, "x.sum(1)"),
    "max(1)": (ALL, "x.max(1)"),
    "var(0)": (ALL, "x.var(0, ddof=1)"),
    "logsumexp(1)": (DIFFERENTIATING, "logsumexp(x, 1)"),
}
REDUCTIONS_AND_BACKWARD = {
    "sum(1)": "x.sum(1)",
    "var(0)": "x.var(0, ddof=1)",
    "softmax": "softmax(x, axis=1)",
    "log_softmax": "log_softmax(x, axis=1)",
    "layer_norm": "layer_norm(x)",
    "cross_entropy": "cross_entropy(x, target)",
}


def speak(name, peers, build):
    """Let each of the peers run what `build` makes of its dialect as the program `name`."""
    for peer in peers:
        dialect = DIALECTS[peer]
        REGISTRY[name].on(peer)(lambda module, dialect=dialect: build(dialect(module)))


def register_forward(name, peers, expression, inputs):
    speak(name, peers, lambda dialect: dialect.work(expression, inputs()))


def square_inputs(n):
    return {"a": draw.normal(n, n), "b": draw.normal(n, n)}


def linear_inputs(batch, width):
    x, weight = draw.normal(batch, width), draw.normal(width, width, scale=width**-0.5)
    return {"x": x, "W": weight, "b": draw.normal(width)}


def chain(dialect):
    def product(x):
        for _ in range(10):
            x = x * c
        return x

    x, c = draw.normal(4), dialect.array(draw.normal(4))
    return dialect.gradient(product, (x,), numpy.ones(4, numpy.float32))


def register_branches(count, n):
    def build(dialect):
        np = dialect.np
        x = dialect.array(draw.normal(n, n, scale=0.1))
        weights = [draw.normal(n, n, scale=n**-0.5) for _ in range(count)]

        def total(*weights):
            sums = []
            for weight in weights:
                h = x
                for _ in range(4):
                    h = np.tanh(h @ weight)
                sums.append(h.sum())
            return sum(sums)

        return dialect.backward_alone(total, weights, numpy.ones((), numpy.float32))

    speak(f"{count} branches, n = {n}", JAX, build)


def fused(dialect):
    np = dialect.np
    x = draw.normal(4_000_000)
    return dialect.gradient(lambda x: np.exp(np.tanh(2 * x + 1)).sum(), (x,), numpy.ones((), numpy.float32))


def register_reduction(name, expression):
    def build(dialect):
        x, target = draw.normal(ROWS, COLUMNS), dialect.array(draw.labels(ROWS, COLUMNS))
        cotangent = draw.normal(ROWS, COLUMNS)
        names = {"np": dialect.np, "target": target, "cross_entropy": cross_entropy_in(dialect), **dialect.beyond}
        function = eval(f"lambda x: {expression}", names)
        seeds = {2: cotangent, 1: cotangent[0], 0: numpy.ones((), numpy.float32)}
        return dialect.gradient(function, (x,), seeds[function(dialect.array(x)).ndim])

    speak(f"{name}, {ROWS} x {COLUMNS}, backward too", DIFFERENTIATING, build)


def cross_entropy_in(dialect):
    """The mean cross-entropy of rows of logits and class numbers, in the dialect."""

    def cross_entropy(x, target):
        logarithms = dialect.beyond["log_softmax"](x, axis=1)
        return -dialect.np.take_along_axis(logarithms, target[:, None], axis=1).mean()

    return cross_entropy


def register_convolution(name):
    batch, inward, outward, side, kernel, stride, groups, _ = CONVOLUTIONS[name]
    expression = f"conv2d(x, weight, {stride}, {kernel // 2}, groups={groups})"

    def operands_of():
        fan = inward // groups * kernel * kernel
        x = draw.normal(batch, inward, side, side)
        return x, draw.normal(outward, inward // groups, kernel, kernel, scale=fan**-0.5)

    def forward(dialect):
        x, weight = operands_of()
        if not dialect.channels_last:
            return dialect.work(expression, {"x": x, "weight": weight})
        last = {"x": x.transpose(0, 2, 3, 1).copy(), "weight": weight.transpose(0, 2, 3, 1).copy()}
        return dialect.work(expression, last, answer="{}.transpose(0, 3, 1, 2)")

    def backward(dialect):
        inputs = operands_of()
        function = eval(f"lambda x, weight: {expression}", dict(dialect.beyond))
        return dialect.backward_alone(function, inputs, draw.normal(*function(*dialect.arrays(inputs)).shape))

    speak(f"{name}, forward", DIFFERENTIATING, forward)
    speak(f"{name}, backward", JAX, backward)


def register_attention(sequence):
    def build(dialect):
        q, k, v, cotangent = (draw.normal(1, 8, sequence, 64) for _ in range(4))
        return dialect.gradient(dialect.beyond["attention"], (q, k, v), cotangent)

    speak(f"sequence {sequence}", DIFFERENTIATING, build)


for each in EXPRESSIONS:
    register_forward(each, ALL, each, lambda: {"a": draw.normal(4), "b": draw.normal(4)})
speak("chain of 10 multiplications", DIFFERENTIATING, chain)
for side in BRANCHES:
    for fan in FANS:
        register_branches(fan, side)
for side in SQUARES:
    register_forward(f"{side} x {side}", ALL, "a @ b", functools.partial(square_inputs, side))
for rows in BATCHES:
    for columns in WIDTHS:
        inputs_of = functools.partial(linear_inputs, rows, columns)
        register_forward(f"batch {rows}, width {columns}", ALL, "x @ W.T + b", inputs_of)
for each, (speakers, text) in ELEMENTWISE.items():
    for label, size in SIZES.items():
        register_forward(f"{each}, {label}", speakers, text, functools.partial(operands, size))
speak("exp(tanh(2x + 1)).sum(), 4M", DIFFERENTIATING, fused)
for each, (speakers, text) in REDUCTIONS.items():
    register_forward(f"{each}, {ROWS} x {COLUMNS}", speakers, text, lambda: {"x": draw.normal(ROWS, COLUMNS)})
for each, text in REDUCTIONS_AND_BACKWARD.items():
    register_reduction(each, text)
for each in CONVOLUTIONS:
    register_convolution(each)
for length in SEQUENCES:
    register_attention(length)
