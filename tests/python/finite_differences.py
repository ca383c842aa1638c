"""Gradients of first and second order against finite differences, through the public Python API alone.

For y = f(x) and fixed weights v, the scalar s(x) = <v, f(x)> has the gradient g(x) = J(x)' v, and
for fixed u the scalar <u, g(x)> has the gradient H u. Central differences of the two scalars judge
both, element by element.
"""

import numpy as np

import arcgrad as torch
from agreement import waves

STEP = 1e-5
TOLERANCE = {"rtol": 2e-6, "atol": 2e-8}


def by_differences(scalar, inputs):
    """The gradient of `scalar` at `inputs` by central differences, one array for each input."""
    gradients = []
    for k, x in enumerate(inputs):
        a = x.detach().numpy()
        gradient = np.zeros(a.shape)
        for index in np.ndindex(a.shape):
            values = []
            for sign in (1, -1):
                shifted = a.copy()
                shifted[index] += sign * STEP
                moved = [torch.tensor(shifted) if j == k else y.detach() for j, y in enumerate(inputs)]
                values.append(scalar(*[m.requires_grad_() for m in moved]))
            gradient[index] = (values[0] - values[1]) / (2 * STEP)
        gradients.append(gradient)
    return gradients


def weighted(outputs, phase):
    """<v, outputs>, for weights that are fixed by the shapes."""
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    terms = [(y * waves(*y.shape, phase=phase + k)).sum() for k, y in enumerate(outputs)]
    return sum(terms[1:], terms[0])


def gradient(f, inputs):
    s = weighted(f(*inputs), 0.9)
    gradients = torch.autograd.grad(s, inputs, create_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(gradients, inputs, strict=True)]


def check_first_and_second(f, inputs):
    """Fails where the gradient of `f`, or the gradient of its gradient, is not that of finite differences."""
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    first = gradient(f, inputs)
    expected = by_differences(lambda *xs: weighted(f(*xs), 0.9).item(), inputs)
    for k, (g, e) in enumerate(zip(first, expected, strict=True)):
        assert g.shape == inputs[k].shape
        np.testing.assert_allclose(g.detach().numpy(), e, **TOLERANCE, err_msg=f"first order, input {k}")

    s = weighted(first, 2.1)
    if s.requires_grad:
        second = torch.autograd.grad(s, inputs, allow_unused=True)
        second = [torch.zeros_like(x) if g is None else g for g, x in zip(second, inputs, strict=True)]
    else:
        second = [torch.zeros_like(x) for x in inputs]
    expected = by_differences(lambda *xs: weighted(gradient(f, xs), 2.1).item(), inputs)
    for k, (g, e) in enumerate(zip(second, expected, strict=True)):
        np.testing.assert_allclose((g + 0).numpy(), e, **TOLERANCE, err_msg=f"second order, input {k}")
