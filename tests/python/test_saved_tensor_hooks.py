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
