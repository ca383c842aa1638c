"""Special functions of two numbers against 60 digits, and derivatives that PyTorch, too, refuses to give."""

import pytest

import arcgrad as torch
from arcgrad.autograd import forward_ad, gradcheck, gradgradcheck

# a, x, P(a, x) and Q(a, x) as mpmath gives them: both ends of every way to compute them.
INCOMPLETE_GAMMA = [
    (1e-200, 0.8380776331506962, 1.0, 2.9009298545118507e-201),
    (0.001, 1e-10, 0.9778006565986258, 0.022199343401374194),
    (0.001, 0.3, 0.9990941619116933, 0.000905838088306647),
    (0.01, 1.05, 0.9979599184768839, 0.002040081523116111),
    (0.3, 0.02, 0.34299751585698796, 0.6570024841430121),
    (0.5, 0.5, 0.6826894921370859, 0.3173105078629141),
    (0.9, 1.0, 0.6753924416740532, 0.3246075583259468),
    (1.0, 1e-300, 1e-300, 1.0),
    (1.0, 40.0, 1.0, 4.248354255291589e-18),
    (2.5, 0.1, 0.0008861387888124426, 0.9991138612111875),
    (2.5, 9.0, 0.9970535954121197, 0.0029464045878802906),
    (5.0, 5.0, 0.5595067149347875, 0.4404932850652124),
    (9.9, 60.0, 0.9999999999999998, 2.3658824022319783e-16),
    (10.0, 3.0, 0.0011024881301154798, 0.9988975118698845),
    (15.0, 17.0, 0.7191671700878751, 0.2808328299121248),
    (30.0, 1.0, 1.4330814167223182e-33, 1.0),
    (30.0, 800.0, 1.0, 6.660391517094648e-295),
    (100.0, 100.0, 0.5132987982791487, 0.48670120172085135),
    (100.0, 85.0, 0.06074409565146008, 0.9392559043485399),
    (1000.0, 1100.0, 0.99894067674607, 0.0010593232539299773),
    (20000.0, 19500.0, 0.00018327005188799395, 0.999816729948112),
    (1000000.0, 1000500.0, 0.6915504757714972, 0.3084495242285028),
    (10000000.0, 10000000.0, 0.5000420522087237, 0.4999579477912763),
    (1e11, 1e-30, 0.0, 1.0),
    (1e11, 1e300, 1.0, 0.0),
]
INF, NAN = float("inf"), float("nan")
# As PyTorch answers at the ends.
ENDS = [
    (0.0, 1.0, 1.0, 0.0),
    (1.0, 0.0, 0.0, 1.0),
    (0.0, 0.0, NAN, NAN),
    (1.0, INF, 1.0, 0.0),
    (INF, 1.0, 0.0, 1.0),
    (INF, INF, NAN, NAN),
    (-1.0, 1.0, NAN, NAN),
    (1.0, -1.0, NAN, NAN),
    (NAN, 1.0, NAN, NAN),
    (1.0, NAN, NAN, NAN),
]


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(("a", "x", "p", "q"), INCOMPLETE_GAMMA)
def test_incomplete_gamma_functions_are_right_to_the_last_digits(a, x, p, q):
    # A probability of 1e-295 is the exponential of -678, which has lost as many units as that.
    assert torch.igamma(double(a), double(x)).item() == pytest.approx(p, rel=2e-13 if p < 1e-100 else 2e-14)
    assert torch.igammac(double(a), double(x)).item() == pytest.approx(q, rel=2e-13 if q < 1e-100 else 2e-14)


@pytest.mark.parametrize(("a", "x", "p", "q"), ENDS)
def test_incomplete_gamma_functions_at_the_ends(a, x, p, q):
    assert torch.igamma(double(a), double(x)).item() == pytest.approx(p, nan_ok=True)
    assert torch.igammac(double(a), double(x)).item() == pytest.approx(q, nan_ok=True)


@pytest.mark.parametrize("a", [1.5e8, 3e10])
def test_incomplete_gamma_functions_of_large_numbers_add_up_and_meet_their_slope(a):
    x = (a + a**0.5 * torch.linspace(-6, 6, 25, dtype=torch.float64)).requires_grad_()
    below, above = torch.igamma(double(a), x), torch.igammac(double(a), x)
    assert torch.allclose(below + above, torch.ones_like(x), rtol=1e-15)
    step = a**0.5 * 1e-3
    slope = (torch.igamma(double(a), x + step) - torch.igamma(double(a), x - step)).div(2 * step)
    normal = (-((x - a) ** 2) / (2 * a)).exp() / (2 * torch.pi * a) ** 0.5
    assert torch.allclose(slope, normal, rtol=3e-3)
    # The wings of the two ways to compute them meet.
    assert torch.igamma(double(1e8), double(1e8 - 3e4)).item() == pytest.approx(
        torch.igamma(double(1e8 + 1), double(1e8 + 1 - 3e4)).item(), rel=1e-7
    )


@pytest.mark.parametrize("f", [torch.igamma, torch.igammac, torch.special.zeta])
def test_the_derivative_by_the_second_number_is_right_to_second_order(f):
    a, b = double(2.5, 3.5), double(1.5, 2.5).requires_grad_()
    assert gradcheck(lambda b: f(a, b), (b,), check_forward_ad=True)
    assert gradgradcheck(lambda b: f(a, b), (b,))


@pytest.mark.parametrize(
    ("f", "name"),
    [(torch.igamma, "igamma: input"), (torch.igammac, "igammac: input"), (torch.special.zeta, "zeta")],
)
def test_the_derivative_by_the_first_number_is_refused_and_not_forgotten(f, name):
    a, b = double(2.5).requires_grad_(), double(1.5).requires_grad_()
    y = f(a, b)
    with pytest.raises(NotImplementedError, match=f"the derivative for '{name}' is not implemented"):
        y.backward(retain_graph=True)
    assert torch.autograd.grad(y, b)[0].item() != 0
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(a.detach(), torch.ones(1, dtype=torch.float64))
        with pytest.raises(NotImplementedError, match=r"Trying to use forward AD with .* that does not support it"):
            f(dual, b)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (torch.unique, "_unique2"),
        (lambda x: torch.unique(x, dim=0), "unique_dim"),
        (torch.unique_consecutive, "unique_consecutive"),
    ],
)
def test_the_derivative_of_unique_is_refused_and_not_forgotten(call, name):
    x = double(2.0, 1.0, 2.0).requires_grad_()
    y = call(x)
    assert y.requires_grad
    with pytest.raises(NotImplementedError, match=f"the derivative for '{name}' is not implemented"):
        (y.sum() + x.sum()).backward()
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True)
    assert (values.requires_grad, inverse.requires_grad, counts.requires_grad) == (True, False, False)
    assert not torch.unique(x.detach()).requires_grad
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.detach(), torch.ones(3, dtype=torch.float64))
        with pytest.raises(NotImplementedError, match=r"Trying to use forward AD with .* that does not support it"):
            call(dual)


def test_unique_answers_in_full_by_its_inner_names():
    x = double(2.0, 1.0, 2.0)
    assert [part.tolist() for part in torch._VF.unique_dim(x, 0)] == [[1.0, 2.0], [1, 0, 1], [1, 2]]
    assert [part.tolist() for part in torch._unique2(x, True, True)] == [[1.0, 2.0], [1, 0, 1], []]
    assert [part.tolist() for part in torch._unique(x)] == [[1.0, 2.0], []]
