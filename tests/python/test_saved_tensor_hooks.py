"""What saved-tensor hooks leave behind, and what a pass does about hooks that were entered in it and forgotten."""

import gc
import weakref

import arcgrad as torch
from arcgrad.autograd.graph import saved_tensors_hooks


def test_hooks_entered_inside_of_a_pass_end_with_it():
    def scope():
        def unpack(x):
            entered().__enter__()
            return x

        hooks = saved_tensors_hooks(lambda x: x, unpack)
        entered = weakref.ref(hooks)
        x = torch.randn(3, requires_grad=True)
        with hooks:
            x.sin().sum().backward()
        return weakref.ref(unpack)

    gc.disable()
    try:
        assert scope()() is None
    finally:
        gc.enable()


def test_hooks_of_outside_stay_in_force_after_a_pass_inside_of_them():
    packed = []

    def pack(x):
        packed.append(x)
        return x

    x = torch.randn(3, requires_grad=True)
    with saved_tensors_hooks(pack, lambda x: x):
        x.exp().sum().backward()
        before = len(packed)
        x.exp()
    assert before == 1
    assert len(packed) == 2
    x.exp()
    assert len(packed) == 2


def test_a_second_derivative_saves_what_its_formula_names_and_nothing_made_of_numbers():
    # The derivative of x ** 3, to be differentiated again, keeps the gradient times 3, and x: each comes back doubled.
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = (x**3).sum()
    with saved_tensors_hooks(lambda x: 2 * x, lambda x: x):
        (g,) = torch.autograd.grad(y, x, create_graph=True)
        g.sum().backward()
    assert x.grad.tolist() == [24.0, 48.0]


def test_a_hook_is_handed_the_tensor_itself_that_a_custom_function_saves_and_has_no_history():
    class Keep(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, constant):
            ctx.save_for_backward(x, constant)
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            saved.append(ctx.saved_tensors)
            return grad, None

    saved, packed = [], []
    x, constant = torch.ones(2, requires_grad=True), torch.ones(2)
    with saved_tensors_hooks(lambda x: packed.append(x) or x, lambda x: x):
        y = Keep.apply(x, constant)
    y.sum().backward()
    assert packed[1] is constant
    assert packed[0] is not x
    assert not packed[0].requires_grad
    assert saved[0][1] is constant
