"""Forward mode: tangents as PyTorch propagates them, the levels they live in, and what they must not leave behind."""

import copy
import gc
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import arcgrad as torch
import arcgrad.autograd.forward_ad as fw
from agreement import assert_close, waves
from conftest import DATA

sys.path.insert(0, str(DATA))
import forward_ad as programs

sys.path.remove(str(DATA))


@pytest.fixture(autouse=True)
def _no_level_is_left():
    yield
    while fw._current_level >= 0:
        fw.exit_dual_level()


@pytest.fixture(scope="module")
def answers():
    return programs.run(torch, fw)


@pytest.mark.parametrize("name", programs.PROGRAMS)
def test_programs_answer_as_pytorch_does(name, answers, recorded):
    expected, found = recorded("forward_ad")[name], answers[name]
    if isinstance(expected, str) and "Error: " in expected:
        # PyTorch's sentence, after which ours may say more; without the advice to report it.
        assert isinstance(found, str), found
        found = found.replace(f"{torch.__name__}.", "torch.")
        assert found.startswith(expected.split("\n")[0])
    else:
        assert agrees(found, expected), f"{found} instead of {expected}"


def agrees(found, expected):
    if isinstance(expected, list):
        found = list(found) if isinstance(found, (list, tuple)) else []
        return len(found) == len(expected) and all(map(agrees, found, expected))
    if isinstance(expected, float):
        return isinstance(found, float) and abs(found - expected) <= 1e-12 * max(1.0, abs(expected))
    return type(found) is type(expected) and found == expected


def test_a_level_has_the_number_0_and_there_is_one():
    assert fw._current_level == -1
    with fw.dual_level() as level:
        assert level == fw._current_level == 0
        with pytest.raises(RuntimeError, match="Nested forward mode AD is not supported at the moment"):
            fw.enter_dual_level()
        assert fw._current_level == 0
    assert fw._current_level == -1


def test_there_is_no_dual_tensor_outside_of_levels():
    x = torch.ones(2)
    with pytest.raises(RuntimeError, match="Trying to create a dual Tensor for forward AD but no level exists"):
        fw.make_dual(x, x)
    assert fw.unpack_dual(x).primal is x
    with pytest.raises(RuntimeError, match="Dual level must be a positive number"):
        fw.exit_dual_level()


def test_a_level_ends_when_its_body_fails():
    with pytest.raises(ZeroDivisionError), fw.dual_level():
        raise ZeroDivisionError
    assert fw._current_level == -1


def test_a_level_decorates():
    @fw.dual_level()
    def slope(x):
        return fw.unpack_dual(fw.make_dual(x, torch.ones_like(x)) ** 2).tangent

    assert slope(torch.tensor([3.0])).tolist() == [6.0]
    assert fw._current_level == -1


def test_tangents_end_with_their_level():
    x = torch.tensor([1.0, 2.0])
    with fw.dual_level():
        dual = fw.make_dual(x, x)
        y = dual * 2
        view = y[0]
    assert fw.unpack_dual(y) == (y, None)
    assert "tangent" not in repr(y)
    with fw.dual_level():
        for tensor in (x, dual, y, view, dual * 2):
            assert fw.unpack_dual(tensor).tangent is None
        assert fw.unpack_dual(fw.make_dual(dual, torch.tensor([5.0, 6.0])) * 2).tangent.tolist() == [10.0, 12.0]


def test_a_tangent_lives_as_long_as_its_tensor_and_no_longer():
    with fw.dual_level():
        tangent = torch.ones(2)
        gone = weakref.ref(tangent)
        dual = fw.make_dual(torch.ones(2), tangent)
        del tangent
        assert fw.unpack_dual(dual).tangent.tolist() == [1.0, 1.0]
        del dual
        gc.collect()
        assert gone() is None


def test_a_graph_that_leads_from_a_tangent_to_its_tensor_is_freed():
    # y is saved by its node; its tangent was computed from y, so its graph leads to that node.
    program = """
import resource, arcgrad as torch, arcgrad.autograd.forward_ad as fw
def once():
    with fw.dual_level():
        x = torch.ones(1 << 18, requires_grad=True)
        y = fw.make_dual(x, torch.ones(1 << 18, requires_grad=True)).exp()
        for _ in range(3):
            y = (y * y).tanh()
for _ in range(5): once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(60): once()
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
# 60 times about 10 MB, were they kept.
assert after - before < 60 << 10, (before, after)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_long_level_keeps_no_trace_of_tensors_that_are_gone():
    program = """
import resource, arcgrad as torch, arcgrad.autograd.forward_ad as fw
with fw.dual_level():
    x = fw.make_dual(torch.ones(2), torch.ones(2))
    for _ in range(20000): x * 2
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200000): x * 2
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert after - before < 4 << 10, (before, after)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_importing_arcgrad_does_not_import_forward_mode():
    program = """
import sys, arcgrad
assert 'arcgrad.autograd.forward_ad' not in sys.modules
repr(arcgrad.ones(2)), (arcgrad.ones(2) + 1)
assert 'arcgrad.autograd.forward_ad' not in sys.modules
assert arcgrad.autograd.forward_ad.dual_level
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_a_square_in_place_uses_the_value_of_before():
    # PyTorch uses the overwritten value for the second factor.
    with fw.dual_level():
        x = fw.make_dual(torch.tensor([3.0]), torch.tensor([1.0]))
        x.mul_(x)
        assert fw.unpack_dual(x).tangent.tolist() == [6.0]
        # The same through another tensor of the same memory.
        x = fw.make_dual(torch.tensor([3.0]), torch.tensor([1.0]))
        x.mul_(x.view(1))
        assert fw.unpack_dual(x).tangent.tolist() == [6.0]


def test_the_gradient_of_a_leaf_never_has_half_a_tangent():
    # PyTorch drops the tangent of the first gradient that arrives and adds that of the second.
    x = torch.tensor([2.0], requires_grad=True)
    with fw.dual_level():
        for _ in range(2):
            (fw.make_dual(x, torch.tensor([1.0])) ** 3).sum().backward()
        assert x.grad.tolist() == [24.0]
        assert fw.unpack_dual(x.grad).tangent is None


def test_another_thread_sees_the_level():
    found = []
    with fw.dual_level():
        dual = fw.make_dual(torch.tensor([3.0]), torch.tensor([1.0]))

        def work():
            other = fw.make_dual(torch.tensor([4.0]), torch.tensor([10.0]))
            found.append(fw.unpack_dual(dual * other).tangent.tolist())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [[34.0]]


FUNCTIONS = {
    "a network": lambda x, w: torch.nn.functional.softmax((x @ w).tanh(), dim=1).log(),
    "norms": lambda x, w: torch.nn.functional.layer_norm(x @ w, (4,)) * w.norm(),
    "reductions": lambda x, w: (x.logsumexp(0) * x.std(0) + x.prod(0), w.var(1), w.amax(0)),
    "sorted": lambda x, w: (x.sort(1).values.cumsum(1).exp(), w.topk(2, 0).values ** 2),
    "convolved": lambda x, w: torch.nn.functional.conv1d(x.unsqueeze(0), w.reshape(2, 3, 2)).exp(),
    "attention": lambda x, w: torch.nn.functional.scaled_dot_product_attention(x @ w, w, w),
    "writes": lambda x, w: written(x, w),
    "losses": lambda x, w: torch.nn.functional.cross_entropy(x @ w, torch.tensor([0, 3, 1])),
}


def written(x, w):
    y = torch.zeros(3, 4, dtype=torch.float64)
    y[:, 1:] = x[:, :3] * 2
    y.t()[0].copy_(w[0, :3])
    y[1].mul_(w[1]).exp_()
    return y


def outputs(y):
    return list(y) if isinstance(y, tuple) else [y]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_tangents_are_those_of_finite_differences(name):
    function, inputs, directions = case(name)
    step = 1e-6
    ends = [outputs(function(*[x + s * step * v for x, v in zip(inputs, directions, strict=True)])) for s in (1, -1)]
    with fw.dual_level():
        found = outputs(function(*map(fw.make_dual, inputs, directions)))
        for high, low, y in zip(*ends, found, strict=True):
            difference = (high - low) / (2 * step)
            np.testing.assert_allclose(fw.unpack_dual(y).tangent.numpy(), difference.numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_forward_over_reverse_and_reverse_over_forward_are_reverse_over_reverse(name):
    function, inputs, directions = case(name)
    for x in inputs:
        x.requires_grad_()

    def total(y):
        return sum((part * waves(*part.shape, phase=k)).sum() for k, part in enumerate(outputs(y)))

    gradients = torch.autograd.grad(total(function(*inputs)), inputs, create_graph=True)
    along = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
    expected = torch.autograd.grad(along, inputs)

    with fw.dual_level():
        y = total(function(*map(fw.make_dual, inputs, directions)))
        of_tangents = torch.autograd.grad(fw.unpack_dual(y).tangent, inputs, retain_graph=True)
        of_gradients = [fw.unpack_dual(g).tangent for g in torch.autograd.grad(y, inputs)]
        for want, *found in zip(expected, of_tangents, of_gradients, strict=True):
            for one in found:
                assert_close(one, want, slack=1e3)


def case(name):
    inputs = [waves(3, 3, phase=1.0) + 0.1 * waves(3, 3, phase=5.0), waves(3, 4, phase=2.0)]
    return FUNCTIONS[name], inputs, [waves(3, 3, phase=3.0), waves(3, 4, phase=4.0)]


def test_a_deep_copy_of_a_module_made_in_a_level_is_plain():
    with fw.dual_level():
        module = torch.nn.Linear(2, 1)
        parameter = module.weight.detach()
        del module.weight
        module.weight = fw.make_dual(parameter, torch.ones_like(parameter))
        y = module(torch.ones(1, 2))
        assert fw.unpack_dual(y).tangent.tolist() == [[2.0]]
        assert fw.unpack_dual(copy.deepcopy(module)(torch.ones(1, 2))).tangent is None
