"""Backward passes inside of backward passes, deeper than Python's own stack reaches."""

import arcgrad as torch
from arcgrad.autograd import Function
from arcgrad.autograd.graph import saved_tensors_hooks

LEVELS = 1500


def nested(levels, at_the_bottom=lambda: None):
    """A function whose derivative starts a backward pass whose derivative starts one, and so on."""
    modes = []

    class Deeper(Function):
        @staticmethod
        def forward(ctx, x):
            with torch.enable_grad():
                ctx.x = x.detach().requires_grad_()
                ctx.x = ctx.x - 1
            return ctx.x.detach()

        @staticmethod
        def backward(ctx, g):
            modes.append(torch.is_grad_enabled())
            if ctx.x.item() <= 0:
                at_the_bottom()
                return g
            with torch.enable_grad():
                Deeper.apply(ctx.x).sum().backward()
            return g

    x = torch.tensor(float(levels), requires_grad=True)
    Deeper.apply(x).sum().backward()
    return x, modes


def test_passes_nest_deeper_than_pythons_recursion_limit():
    x, modes = nested(LEVELS)
    assert x.grad.item() == 1.0
    assert modes == [False] * LEVELS


def test_an_error_at_the_bottom_comes_up_through_every_level():
    def fail():
        raise KeyError("from the bottom")

    try:
        nested(LEVELS, fail)
    except KeyError as error:
        assert error.args == ("from the bottom",)
    else:
        raise AssertionError("the error was lost")
    x, _ = nested(3)
    assert x.grad.item() == 1.0


def test_saved_tensor_hooks_reach_the_bottom():
    packed = []

    def bottom():
        y = torch.ones(2, requires_grad=True)
        with torch.enable_grad():
            y.exp()

    with saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        nested(100, bottom)
    assert [t.tolist() for t in packed if t.shape == (2,)] == [torch.ones(2).exp().tolist()]
