"""gradcheck and gradgradcheck: PyTorch's verdicts and messages, and that they leave no trace."""

import re
import warnings

import pytest

import arcgrad as torch
from agreement import assert_close, waves
from arcgrad.autograd.gradcheck import GradcheckError
from recorded_calls import calls, ours, setup, theirs


@pytest.fixture
def scope():
    return setup("gradcheck")


def told(message):
    """A message up to the advice, which is ours, with the numbers of a recomputation in slow mode."""
    message = re.sub(r"\nThe above quantities.*?slow mode:\n", "", message, flags=re.DOTALL)
    return re.split(r"\n\n(?:NOTE:|If the derivative)|Please look at|: a derivative|\.$", message)[0]


@pytest.mark.parametrize("call", calls("gradcheck"))
def test_judges_as_pytorch_does(call, scope):
    kind, answer, warned = theirs("gradcheck", call)
    mine = ours(call, scope)
    assert mine[0] == kind, mine[1]
    assert mine[1] == answer if kind == "ok" else told(mine[1]) == told(answer)
    assert mine[2] == warned


def test_inputs_are_left_as_they_were_and_graphs_of_before_can_be_walked():
    x = waves(2, 2).requires_grad_()
    bits, version = x.detach().clone(), x._version
    loss = (x * x).sum()
    assert torch.autograd.gradcheck(torch.sin, (x,))
    assert torch.equal(x, bits)
    assert x._version == version
    assert x.grad is None
    loss.backward()
    assert_close(x.grad, 2 * bits)


def test_a_function_that_raises_midway_leaves_the_inputs_as_they_were():
    x = waves(3).requires_grad_()
    bits = x.detach().clone()

    def function(a):
        if not torch.equal(a, bits):
            raise ArithmeticError("moved")
        return a * 2

    with pytest.raises(ArithmeticError, match="moved"):
        torch.autograd.gradcheck(function, (x,), raise_exception=False)
    assert torch.equal(x, bits)


def test_the_name_can_be_called_however_it_was_imported(alone):
    imports = (
        "import arcgrad",
        "import arcgrad.autograd.gradcheck",
        "from arcgrad.autograd.gradcheck import gradcheck",
    )
    for first in imports:
        program = (
            f"{first}\nimport arcgrad\nx = arcgrad.ones(2, dtype=arcgrad.float64, requires_grad=True)\n"
            "print(arcgrad.autograd.gradcheck(arcgrad.sin, x), arcgrad.autograd.gradgradcheck(arcgrad.sin, x))"
        )
        assert alone(program) == ["True True"]


def test_what_it_needs_is_imported_when_it_is_called(alone):
    program = "import sys, arcgrad; print([m for m in sys.modules if 'gradcheck' in m or 'arcgrad.testing' in m])"
    assert alone(program) == ["[]"]


@pytest.mark.parametrize("fast_mode", [False, True])
def test_modules_parameters_are_checked_though_the_module_takes_them_by_itself(fast_mode):
    module = torch.nn.Linear(3, 2).double()
    x = waves(4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, *_: module(x).tanh(), (x, *module.parameters()), fast_mode=fast_mode)


def test_an_output_that_is_no_tensor_is_passed_over():
    x = waves(2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: (a * 3, None, "text"), (x,))


def test_versions_are_put_back_by_those_who_put_back_the_bits():
    x = torch.ones(2)
    with torch.autograd._unsafe_preserve_version_counter(x):
        x.add_(1)
        assert x._version == 1
    assert x._version == 0


def test_its_errors_are_runtime_errors():
    assert issubclass(GradcheckError, RuntimeError)


def test_single_precision_is_warned_of_once_for_each_input():
    x = torch.ones(2, requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.autograd.gradcheck(lambda a, b: a * b, (x, x), atol=1e-1, rtol=1e-1, eps=1e-2)
    assert [str(warning.message)[:9] for warning in caught] == ["Input #0 ", "Input #1 "]


@pytest.mark.parametrize("forward", [False, True])
def test_a_derivative_that_draws_random_numbers_has_no_batch(forward):
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            torch.randn_like(g)
            return g * 2

        @staticmethod
        def jvp(ctx, t):
            torch.randn_like(t)
            return t * 2

    x = waves(2).requires_grad_()
    batched = (
        {"check_forward_ad": True, "check_batched_forward_grad": True} if forward else {"check_batched_grad": True}
    )
    assert torch.autograd.gradcheck(Doubled.apply, (x,), check_forward_ad=forward)
    with pytest.raises(RuntimeError, match="vmap: We do not yet support calling random operations inside of vmap"):
        torch.autograd.gradcheck(Doubled.apply, (x,), **batched)
