"""Which dtype an operation answers with, for every pair of operands, as PyTorch recorded it; and casts."""

import operator

import pytest

import arcgrad as torch
from agreement import DTYPES, FLOATS, INTEGERS, name_of

DUNDERS = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "true_divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "pow": operator.pow,
    "bitwise_and": operator.and_,
    "lt": operator.lt,
}
OPS = [*DUNDERS, "maximum", "logical_or", "result_type"]


def operand(text):
    kind, name = text.split(":")
    if kind == "scalar":
        return {"bool": True, "int": 1, "float": 1.5}[name]
    return torch.ones((2,) if kind == "tensor" else (), dtype=getattr(torch, name))


def answer(op, left, right):
    try:
        out = DUNDERS.get(op, getattr(torch, op))(operand(left), operand(right))
    except Exception as error:
        return type(error).__name__
    return name_of(getattr(out, "dtype", out))


@pytest.mark.parametrize("op", OPS)
def test_every_pair_of_operands_promotes_as_recorded(op, recorded):
    answers = recorded("promotion")
    differing = []
    for left, row in answers["table"][op].items():
        for right, expected in zip(answers["operands"], row.split(), strict=True):
            if expected != "-" and (got := answer(op, left, right)) != expected:
                differing.append(f"{op}({left}, {right}): {got}, PyTorch {expected}")
    assert not differing, f"{len(differing)} differ\n" + "\n".join(differing[:20])


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_dtypes_print_their_name_and_are_singletons(dtype):
    assert str(dtype) == repr(dtype)
    assert name_of(dtype) in str(dtype)
    assert torch.zeros(1, dtype=dtype).dtype is dtype


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_is_floating_point_is_true_for_floats_alone(dtype):
    assert torch.zeros(1, dtype=dtype).is_floating_point() == (dtype in FLOATS)
    assert dtype.is_floating_point == (dtype in FLOATS)


@pytest.mark.parametrize(
    ("alias", "dtype"),
    [("float", "float32"), ("double", "float64"), ("short", "int16"), ("int", "int32"), ("long", "int64")],
)
def test_dtype_aliases_are_the_same_object(alias, dtype):
    assert getattr(torch, alias) is getattr(torch, dtype)


@pytest.mark.parametrize("dtype", INTEGERS, ids=name_of)
@pytest.mark.parametrize("name", ["sqrt", "exp", "sin", "tanh", "sigmoid", "log1p", "reciprocal", "rsqrt"])
def test_transcendental_functions_of_integers_are_float32(name, dtype):
    assert getattr(torch, name)(torch.ones(2, dtype=dtype)).dtype is torch.float32


@pytest.mark.parametrize("name", ["abs", "neg", "square", "sign", "floor", "ceil", "round", "trunc"])
def test_functions_that_stay_among_the_integers_keep_the_dtype(name):
    for dtype in INTEGERS:
        assert getattr(torch, name)(torch.ones(2, dtype=dtype)).dtype is dtype


@pytest.mark.parametrize("name", ["sum", "prod", "cumsum"])
def test_sums_and_products_of_integers_and_bool_are_int64(name):
    for dtype in [torch.bool, *INTEGERS]:
        args = (0,) if name == "cumsum" else ()
        assert getattr(torch.ones(3, dtype=dtype), name)(*args).dtype is torch.int64


def test_in_place_results_keep_the_dtype_of_the_left_operand():
    x = torch.ones(2, dtype=torch.float32)
    x += torch.ones(2, dtype=torch.float64)
    assert x.dtype is torch.float32
    i = torch.ones(2, dtype=torch.int8)
    i += torch.ones(2, dtype=torch.int64)
    assert i.dtype is torch.int8


def test_casts_to_integers_truncate_toward_zero():
    x = torch.tensor([-1.9, -0.5, 0.5, 1.9])
    for dtype in [torch.int8, torch.int16, torch.int32, torch.int64]:
        assert x.to(dtype).tolist() == [-1, 0, 0, 1]


def test_casts_between_integers_wrap_around():
    assert torch.tensor([256 + 5, -1, 128]).to(torch.uint8).tolist() == [5, 255, 128]
    assert torch.tensor([200, 255], dtype=torch.uint8).to(torch.int8).tolist() == [-56, -1]


def test_casts_to_bool_ask_for_difference_from_zero():
    assert torch.tensor([0.0, -0.0, 0.1, float("nan")]).to(torch.bool).tolist() == [False, False, True, True]


def test_to_the_same_dtype_is_the_same_tensor():
    x = torch.ones(2)
    assert x.to(torch.float32) is x
    assert x.to(torch.float32, copy=True) is not x
    assert x.float() is x
    assert x.type_as(torch.ones(1)).dtype is torch.float32


@pytest.mark.parametrize(
    ("method", "dtype"),
    [
        ("float", torch.float32),
        ("double", torch.float64),
        ("char", torch.int8),
        ("byte", torch.uint8),
        ("short", torch.int16),
        ("int", torch.int32),
        ("long", torch.int64),
        ("bool", torch.bool),
    ],
)
def test_the_shorthand_casts_answer_with_their_dtype(method, dtype):
    assert getattr(torch.ones(2), method)().dtype is dtype


def test_a_cast_between_floats_is_differentiable_and_returns_the_gradient_in_the_input_dtype():
    x = torch.ones(3, requires_grad=True)
    (x.double() * 2).sum().backward()
    assert x.grad.dtype is torch.float32
    assert x.grad.tolist() == [2, 2, 2]
