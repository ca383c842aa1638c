"""Graphs of random shape, differentiated by the engine and by a plain reverse sweep over NumPy arrays."""

import numpy as np
from hypothesis import given, strategies as st

import arcgrad as torch

# name -> (on tensors, on arrays, the derivative with respect to each operand, on arrays)
OPS = {
    "add": (lambda a, b: a + b, lambda a, b: a + b, [lambda a, b: 1.0, lambda a, b: 1.0]),
    "sub": (lambda a, b: a - b, lambda a, b: a - b, [lambda a, b: 1.0, lambda a, b: -1.0]),
    "mul": (lambda a, b: a * b, lambda a, b: a * b, [lambda a, b: b, lambda a, b: a]),
    "sin": (lambda a: a.sin(), np.sin, [np.cos]),
    "tanh": (lambda a: a.tanh(), np.tanh, [lambda a: 1 - np.tanh(a) ** 2]),
    "half": (lambda a: a * 0.5, lambda a: a * 0.5, [lambda a: 0.5]),
    "square": (lambda a: a**2, lambda a: a**2, [lambda a: 2 * a]),
    "detach": (lambda a: a.detach(), lambda a: a, [lambda a: 0.0]),
    "writes in place": (
        lambda a, b: a.clone().mul_(b).add_(a),
        lambda a, b: a * b + a,
        [lambda a, b: b + 1, lambda a, b: a],
    ),
}
LEAVES = 3


@st.composite
def graphs(draw):
    """A list of (op, operands), each operand a leaf or an earlier node; the root sums some of the nodes."""
    nodes = []
    for k in range(draw(st.integers(1, 25))):
        op = draw(st.sampled_from(sorted(OPS)))
        operands = st.integers(0, LEAVES + k - 1)
        nodes.append((op, [draw(operands) for _ in OPS[op][2]]))
    roots = draw(st.lists(st.integers(0, LEAVES + len(nodes) - 1), min_size=1, max_size=4))
    return nodes, roots


def arrays():
    return [np.sin(np.arange(3) + k) * 0.8 for k in range(LEAVES)]


def swept(nodes, roots):
    """The value of the root and the gradient of each leaf, by a reverse sweep."""
    values = arrays()
    for op, operands in nodes:
        values.append(OPS[op][1](*[values[i] for i in operands]))
    gradients = [np.zeros(3) for _ in values]
    for r in roots:
        gradients[r] += 1.0
    for k in reversed(range(len(nodes))):
        op, operands = nodes[k]
        inputs = [values[i] for i in operands]
        for i, derivative in zip(operands, OPS[op][2], strict=True):
            gradients[i] = gradients[i] + gradients[LEAVES + k] * derivative(*inputs)
    return sum(values[r].sum() for r in roots), gradients[:LEAVES]


def built(nodes, roots):
    leaves = [torch.from_numpy(a).requires_grad_() for a in arrays()]
    values = list(leaves)
    for op, operands in nodes:
        values.append(OPS[op][0](*[values[i] for i in operands]))
    return leaves, sum(values[r].sum() for r in roots)


@given(graphs())
def test_a_random_graph_has_the_gradient_of_a_plain_reverse_sweep(graph):
    value, expected = swept(*graph)
    leaves, y = built(*graph)
    np.testing.assert_allclose(y.item(), value, rtol=1e-9, atol=1e-12)
    if not y.requires_grad:
        assert not any(g.any() for g in expected)
        return
    y.backward()
    for leaf, g in zip(leaves, expected, strict=True):
        got = np.zeros(3) if leaf.grad is None else leaf.grad.numpy()
        np.testing.assert_allclose(got, g, rtol=1e-9, atol=1e-12)


@given(graphs())
def test_grad_and_backward_agree_bit_for_bit_and_a_second_pass_doubles(graph):
    leaves, y = built(*graph)
    if not y.requires_grad:
        return
    by_grad = torch.autograd.grad(y, leaves, retain_graph=True, allow_unused=True)
    y.backward(retain_graph=True)
    for leaf, g in zip(leaves, by_grad, strict=True):
        assert (leaf.grad is None) == (g is None)
        assert g is None or torch.equal(leaf.grad, g)
    y.backward()
    for leaf, g in zip(leaves, by_grad, strict=True):
        assert g is None or torch.equal(leaf.grad, g + g)
