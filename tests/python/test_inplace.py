"""In-place twins: the numbers of their functions, the same object back, and refusal of misfits."""

import operator

import numpy as np
import pytest

import arcgrad as torch
from agreement import assert_equals, waves

UNARY = [
    "abs",
    "neg",
    "square",
    "reciprocal",
    "sqrt",
    "rsqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "atanh",
    "sigmoid",
    "relu",
    "floor",
    "ceil",
    "round",
    "trunc",
    "sign",
]
BINARY = ["add", "sub", "mul", "div", "pow", "remainder", "fmod", "atan2", "floor_divide", "eq", "lt", "gt"]


@pytest.mark.parametrize("name", UNARY)
def test_unary_twins_write_what_their_function_answers(name):
    x = waves(11, scale=0.4) + 0.5
    expected = getattr(x, name)().numpy().copy()
    assert getattr(x, name + "_")() is x
    assert_equals(x, expected)


@pytest.mark.parametrize("name", BINARY)
def test_binary_twins_write_what_their_function_answers(name):
    x, y = waves(3, 4).abs() + 0.5, waves(4, phase=1.0).abs() + 0.2
    expected = getattr(x, name)(y).to(torch.float64).numpy().copy()
    assert getattr(x, name + "_")(y) is x
    assert_equals(x, expected)
    if name == "atan2":
        return  # takes no Python number
    x = waves(3, 4)
    expected = getattr(x, name)(2).to(torch.float64).numpy().copy()
    np.testing.assert_array_equal(getattr(x, name + "_")(2).numpy(), expected)


@pytest.mark.parametrize(
    "op", [operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.ipow]
)
def test_augmented_assignments_write_in_place(op):
    plain = {
        "iadd": "add",
        "isub": "sub",
        "imul": "mul",
        "itruediv": "truediv",
        "ifloordiv": "floordiv",
        "ipow": "pow",
    }
    x = waves(4).abs()
    alias = x
    expected = getattr(operator, plain[op.__name__])(x, 2).numpy().copy()
    x = op(x, 2)
    assert x is alias
    assert_equals(alias, expected)


def test_copy_broadcasts_and_casts():
    x = torch.zeros(2, 3)
    x.copy_(torch.tensor([1, 2, 3]))
    assert x.tolist() == [[1, 2, 3]] * 2
    i = torch.zeros(2, dtype=torch.int8)
    i.copy_(torch.tensor([1.9, -1.9]))
    assert i.tolist() == [1, -1]


def test_fill_zero_and_clamp():
    x = torch.ones(3)
    assert x.fill_(4) is x
    assert x.fill_(torch.tensor(5.0)).tolist() == [5, 5, 5]
    assert x.zero_().tolist() == [0, 0, 0]
    assert torch.tensor([-2.0, 2.0]).clamp_(-1, 1).tolist() == [-1, 1]
    assert torch.eye(2).masked_fill_(torch.eye(2) == 1, 3).tolist() == [[3, 0], [0, 3]]


def test_addcmul_addcdiv_and_lerp():
    x, a, b = torch.ones(2), torch.full((2,), 6.0), torch.full((2,), 2.0)
    assert x.addcmul(a, b, value=0.5).tolist() == [7, 7]
    assert x.addcdiv(a, b, value=2).tolist() == [7, 7]
    assert x.lerp(a, 0.5).tolist() == [3.5, 3.5]
    assert x.addcmul_(a, b) is x
    assert x.tolist() == [13, 13]


def test_swapping_metadata_in_place_keeps_the_storage():
    x = torch.arange(6).view(2, 3)
    address = x.data_ptr()
    x.transpose_(0, 1)
    assert tuple(x.shape) == (3, 2)
    x.unsqueeze_(0)
    assert tuple(x.shape) == (1, 3, 2)
    x.squeeze_(0)
    assert x.data_ptr() == address


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: torch.ones(2, dtype=torch.int64).add_(0.5),
        lambda: torch.ones(2, dtype=torch.int64).mul_(torch.ones(2)),
        lambda: torch.ones(2, dtype=torch.int64).div_(2),
        lambda: torch.ones(2, dtype=torch.bool).add_(1),
        lambda: torch.ones(2, dtype=torch.int32).sqrt_(),
    ],
)
def test_results_that_do_not_fit_the_dtype_raise(wrong):
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        wrong()


def test_an_in_place_result_may_not_be_larger_than_its_target():
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        torch.ones(1).add_(torch.ones(3))
    x = torch.ones(3)
    with pytest.raises(RuntimeError):
        x.copy_(torch.ones(2))
    assert x.tolist() == [1, 1, 1]


def test_expanded_tensors_refuse_writes():
    for write in [
        lambda x: x.add_(1),
        lambda x: x.mul_(torch.ones(3)),
        lambda x: x.copy_(torch.zeros(3)),
        lambda x: x.exp_(),
    ]:
        with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
            write(torch.ones(1).expand(3))


def test_partly_overlapping_operands_are_refused():
    x = torch.arange(4.0)
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor refer"):
        x[1:].add_(x[:-1])
    x.add_(x)
    assert x.tolist() == [0, 2, 4, 6]


def test_a_failed_write_changes_nothing():
    x = torch.ones(3)
    with pytest.raises(RuntimeError):
        x.add_(torch.ones(2))
    assert x.tolist() == [1, 1, 1]
    assert x._version == 0


def test_writes_through_strided_views_touch_nothing_else():
    x = torch.zeros(4, 4)
    x[::2, 1::2] += 1
    x.T[0].fill_(7)
    assert x.tolist() == [[7, 1, 0, 1], [7, 0, 0, 0], [7, 1, 0, 1], [7, 0, 0, 0]]


def test_uniform_normal_and_bernoulli_fill_in_place():
    torch.manual_seed(3)
    x = torch.empty(1000)
    assert x.uniform_(2, 3) is x
    assert (x >= 2).all().item()
    assert (x < 3).all().item()
    assert abs(x.normal_(1, 0.1).mean().item() - 1) < 0.02
    assert set(x.bernoulli_(0.5).tolist()) == {0.0, 1.0}
