"""arcgrad.testing: PyTorch's verdicts, messages and numbers."""

import pytest

import arcgrad as torch
from arcgrad.testing import assert_close, make_tensor
from recorded_calls import calls, is_same, ours, setup, theirs


@pytest.fixture
def scope():
    return setup("testing")


@pytest.mark.parametrize("call", calls("testing"))
def test_answers_as_pytorch_does(call, scope):
    kind, answer, warned = theirs("testing", call)
    mine = ours(call, scope)
    assert mine[0] == kind, mine[1]
    # The same stream of random numbers, to the bit; the messages, to the letter.
    assert is_same(mine[1], answer, rel_tol=0.0)
    assert [[name, text[:90]] for name, text in mine[2]] == [[name, text[:90]] for name, text in warned]


def test_it_is_imported_when_it_is_named(alone):
    program = (
        "import sys, arcgrad; print('arcgrad.testing' in sys.modules); "
        "arcgrad.testing.make_tensor; print('arcgrad.testing' in sys.modules)"
    )
    assert alone(program) == ["False", "True"]


def test_a_number_and_a_truth_are_of_different_types():
    # PyTorch fails with an internal error here.
    with pytest.raises(AssertionError, match=r"The \(d\)types do not match"):
        assert_close(1, True)


def test_subclasses_can_be_told_apart():
    parameter = torch.nn.Parameter(torch.ones(2))
    assert_close(parameter, torch.ones(2))
    with pytest.raises(TypeError, match="No comparison pair was able to handle inputs"):
        assert_close(parameter, torch.ones(2), allow_subclasses=False)


def test_what_is_compared_is_not_recorded():
    x = torch.ones(2, requires_grad=True)
    assert_close(x, x * 1)
    assert x.grad is None


def test_a_tensor_that_lies_apart_holds_what_was_asked_for():
    x = make_tensor(3, 4, dtype=torch.float64, low=2, high=3, noncontiguous=True)
    assert not x.is_contiguous()
    assert x.shape == (3, 4)
    assert bool(((x >= 2) & (x < 3)).all())
