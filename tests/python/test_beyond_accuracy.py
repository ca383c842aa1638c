"""Beyond PyTorch: the numbers of docs/differences.md, against mathematics, NumPy and finite differences."""

import math
import operator

import numpy as np
import pytest

import arcgrad as torch
from agreement import waves
from finite_differences import by_differences

INF = float("inf")


def far_numbers(dtype):
    """Numbers of every size from 1 up, and those whose multiple of pi/2 is nearest."""
    largest = 1e308 if dtype == torch.float64 else 1e38
    steps = np.geomspace(1.0, largest, 2000)
    hardest = [6381956970095103 * 2.0**797] if dtype == torch.float64 else [16367173 * 2.0**72]
    return torch.tensor([*steps, *-steps, *hardest, 1e22 if dtype == torch.float64 else 1e15], dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_angles_may_be_of_any_size(name, dtype):
    x = far_numbers(dtype)
    expected = [getattr(math, name)(number) for number in x.tolist()]
    # The reduction by libm keeps 7 units in the last place of the number nearest to a multiple of pi/2.
    rtol = 8 * torch.finfo(dtype).eps
    np.testing.assert_allclose(getattr(x, name)().tolist(), expected, rtol=rtol)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("name", "slope"),
    [("sin", math.cos), ("cos", lambda x: -math.sin(x)), ("tan", lambda x: 1 + math.tan(x) ** 2)],
)
def test_so_may_angles_in_derivatives(name, slope, dtype):
    x = far_numbers(dtype).requires_grad_()
    expected = [slope(number) for number in x.tolist()]
    getattr(x, name)().sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), expected, rtol=20 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "name", ["sin", "cos", "tan", "sinc", "exp", "exp2", "log", "log2", "log10", "sigmoid", "nn.functional.silu"]
)
def test_a_number_that_takes_more_steps_changes_no_bit_of_its_neighbours(name, dtype):
    """Blocks in which some number is very large, or zero, or negative, or none, are computed another way."""
    function = operator.attrgetter(name)(torch)
    x = (waves(3000, scale=9.0).abs() + 0.01).to(dtype)
    plain = function(x)
    for stranger in (1e20, -1e20, 100.0, -100.0, 1000.0, 0.0, 1e-40, INF, -INF, math.nan):
        for place in (0, 500, 1023, 1024, 2999):
            beside = x.clone()
            beside[place] = stranger
            among, alone = function(beside), function(beside[place : place + 1])
            torch.testing.assert_close(among[place : place + 1], alone, rtol=0, atol=0, equal_nan=True)
            among[place] = plain[place]
            assert torch.equal(among, plain)


def test_infinity_has_no_sine():
    for name in ("sin", "cos", "tan"):
        assert torch.isnan(getattr(torch.tensor([INF, -INF, float("nan"), 1.0]), name)()).tolist() == [True] * 3 + [
            False
        ]


def bessel_j(order, x):
    """Bessel's integral by the trapezoidal rule, which converges geometrically on a period."""
    angle = np.linspace(0.0, 2 * np.pi, 400, endpoint=False)
    return np.cos(order * angle - np.multiply.outer(x, np.sin(angle))).mean(axis=-1)


@pytest.mark.parametrize(("order", "name"), [(0, "bessel_j0"), (1, "bessel_j1")])
def test_bessel_functions_are_exact_near_their_roots(order, name):
    x = np.linspace(-20.0, 20.0, 401)
    got = getattr(torch.special, name)(torch.from_numpy(x))
    np.testing.assert_allclose(got.numpy(), bessel_j(order, x), rtol=0, atol=1e-14)


def test_as_strided_scatter_passes_the_gradient_of_what_it_did_not_overwrite():
    x, written = waves(3, 3), waves(2, 2, phase=1.0)

    def scattered(x):
        return torch.as_strided_scatter(x, written, (2, 2), (1, 2)) ** 2

    (expected,) = by_differences(lambda x: scattered(x).sum().item(), [x])
    x.requires_grad_()
    scattered(x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-8)
    assert x.grad.flatten()[:4].tolist() == [0.0] * 4


def test_the_gradient_of_logcumsumexp_in_single_precision_is_that_in_double():
    values, weights = [1e4, 0.3, 1.0, -2.0], torch.tensor([0.3, -0.7, 0.1, 0.4])
    gradients = []
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor(values, dtype=dtype, requires_grad=True)
        x.logcumsumexp(0).backward(weights.to(dtype))
        gradients.append(x.grad.tolist())
    np.testing.assert_allclose(*gradients, rtol=1e-6)


def test_the_tangent_of_logcumsumexp_is_the_mean_of_tangents_weighted_by_exponentials():
    numbers = np.random.default_rng(3)
    x, v = numbers.uniform(-9, 9, 40), numbers.standard_normal(40)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(torch.from_numpy(x), torch.from_numpy(v))
        tangent = torch.autograd.forward_ad.unpack_dual(torch.logcumsumexp(dual, 0)).tangent
    weights = np.exp(x - x.max())
    np.testing.assert_allclose(tangent, np.cumsum(weights * v) / np.cumsum(weights), rtol=1e-10, atol=1e-12)


def test_normalizing_one_element_has_no_gradient():
    x = torch.tensor([[0.7], [-3.0]], requires_grad=True)
    torch.nn.functional.layer_norm(x, (1,)).backward(torch.tensor([[0.9], [7.0]]))
    assert x.grad.tolist() == [[0.0], [0.0]]


@pytest.mark.parametrize("length", [8, 16, 17, 100, 5000])
def test_the_index_of_a_mode_is_that_of_its_last_occurrence(length):
    line = [k % 2 for k in range(length)]
    value, index = torch.mode(torch.tensor(line))
    assert value.item() == 0
    assert index.item() == (length - 1) // 2 * 2
