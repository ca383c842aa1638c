"""Training steps in NumPy's names, for the peers of dialects.py that differentiate."""

import itertools

import numpy

from programs import Work, draw
from programs.arrays import DIFFERENTIATING, cross_entropy_in, speak


def sgd(_np, parameters, gradients, state, rate):
    """Parameters and state after a step of plain gradient descent."""
    return [p - rate * g for p, g in zip(parameters, gradients, strict=True)], state


def adam(np, parameters, gradients, state, rate):
    """Parameters and state after a step of Adam; the state is the number of steps and the two running means."""
    count, means, squares = state
    count = count + 1
    means = [0.9 * mean + 0.1 * g for mean, g in zip(means, gradients, strict=True)]
    squares = [0.999 * square + 0.001 * g * g for square, g in zip(squares, gradients, strict=True)]
    rate, correction = rate / (1 - 0.9**count), np.sqrt(1 - 0.999**count)
    moved = [
        p - rate * mean / (np.sqrt(square) / correction + 1e-8)
        for p, mean, square in zip(parameters, means, squares, strict=True)
    ]
    return moved, (count, means, squares)


def layers(widths):
    """Weights and biases of linear layers between the widths, as `training.load_weights` draws them."""
    parameters = []
    for inward, outward in itertools.pairwise(widths):
        parameters += [draw.normal(outward, inward, scale=0.5 * inward**-0.5), draw.normal(outward, scale=0.5)]
    return parameters


def training_step(dialect, parameters, loss_of, optimizer):
    """A step on `loss_of(parameters)` that waits for the new parameters too and gives the loss before it."""
    step_of = {"SGD": sgd, "Adam": adam}[optimizer]
    zeros = [numpy.zeros_like(parameter) for parameter in parameters]
    state = (numpy.zeros((), numpy.float32), zeros, zeros) if optimizer == "Adam" else ()
    held = dialect.arrays((parameters, state))

    def update(parameters, state):
        loss, gradients = dialect.value_and_grad(loss_of)(parameters)
        return loss, step_of(dialect.np, parameters, gradients, state, 1e-3)

    update = dialect.compiled(update) if dialect.compiled else update

    def step():
        nonlocal held
        loss, held = update(*held)
        dialect.wait(held)
        return loss.item()

    return Work("step()", {"step": step})


def perceptron(activation, parameters, x):
    """Linear layers with the activation between."""
    *inner, weight, bias = parameters
    for w, b in zip(inner[::2], inner[1::2], strict=True):
        x = activation(x @ w.T + b)
    return x @ weight.T + bias


def register_small_mlp(width, optimizer):
    def build(dialect):
        parameters = layers([width] * 4)
        x, y = (dialect.array(draw.normal(32, width)) for _ in range(2))

        def loss_of(parameters):
            return ((perceptron(dialect.np.tanh, parameters, x) - y) ** 2).mean()

        return training_step(dialect, parameters, loss_of, optimizer)

    speak(f"width {width}, {optimizer}", DIFFERENTIATING, build)


def large_mlp(dialect):
    parameters = layers([784, 512, 512, 10])
    x, y = dialect.array(draw.normal(256, 784)), dialect.array(draw.labels(256, 10))
    cross_entropy = cross_entropy_in(dialect)

    def loss_of(parameters):
        return cross_entropy(perceptron(lambda x: dialect.np.maximum(x, 0), parameters, x), y)

    return training_step(dialect, parameters, loss_of, "SGD")


for size, algorithm in ((16, "SGD"), (64, "SGD"), (256, "SGD"), (16, "Adam")):
    register_small_mlp(size, algorithm)
speak("MLP 784-512-512-10, batch 256", DIFFERENTIATING, large_mlp)
