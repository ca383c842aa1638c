"""Hooks on tensors and custom functions: what they may return and raise, and a backward inside them."""

import pytest

import arcgrad as torch


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_a_hook_sees_the_gradient_and_may_replace_it():
    x = leaf(1.0, 2.0)
    seen = []
    y = x * 3
    y.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert seen == [[1, 1]]
    assert x.grad.tolist() == [30, 30]


def test_a_removed_hook_is_not_called():
    x = leaf(1.0)
    handle = x.register_hook(lambda g: g * 100)
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2]


def test_the_exception_of_a_hook_arrives_unchanged_and_the_next_backward_works():
    class MineError(Exception):
        pass

    raised = MineError("from the hook")

    def fail(g):
        raise raised

    x = leaf(1.0)
    handle = x.register_hook(fail)
    with pytest.raises(MineError) as caught:
        (x * 2).sum().backward()
    assert caught.value is raised
    assert x.grad is None
    handle.remove()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2]


def test_a_hook_may_not_change_the_shape():
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: torch.ones(3))
    with pytest.raises(RuntimeError, match="has changed the size of value"):
        (x * 2).sum().backward()


def test_a_backward_inside_a_hook_works():
    x, w = leaf(2.0), leaf(3.0)

    def inner(g):
        with torch.enable_grad():  # a backward without create_graph runs its hooks without a graph
            (w * w).sum().backward()

    y = x * 2
    y.register_hook(inner)
    y.sum().backward()
    assert w.grad.tolist() == [6]
    assert x.grad.tolist() == [2]


class Cube(torch.autograd.Function):
    """x to the third, with a derivative written by hand."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


def test_a_custom_function_is_differentiated_by_its_own_rule_to_second_order():
    x = leaf(2.0)
    y = Cube.apply(x)
    assert y.grad_fn.name() == "CubeBackward"
    (g,) = torch.autograd.grad(y, x, create_graph=True)
    (h,) = torch.autograd.grad(g, x)
    assert (g.item(), h.item()) == (12, 12)


def broken(answer):
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a * b

        @staticmethod
        def backward(ctx, g):
            return answer(g)

    return Broken.apply(leaf(1.0, 2.0), leaf(3.0, 4.0)).sum()


def test_a_custom_backward_must_return_one_gradient_for_each_input():
    for answer in [lambda g: g, lambda g: (g, g, g)]:
        with pytest.raises(RuntimeError, match="incorrect number of gradients"):
            broken(answer).backward()


def test_a_custom_backward_must_return_gradients_of_the_shape_of_the_input():
    with pytest.raises(RuntimeError, match="invalid gradient at index 0"):
        broken(lambda g: (torch.ones(3), g)).backward()


def test_the_exception_of_a_custom_backward_arrives_unchanged():
    def fail(g):
        raise LookupError("inside")

    with pytest.raises(LookupError, match="inside"):
        broken(fail).backward()
