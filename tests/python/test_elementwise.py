"""Element-wise functions against NumPy: ordinary points, special values, layouts, and every integer dtype."""

import operator

import numpy as np
import pytest
from hypothesis import given, strategies as st

import arcgrad as torch
from agreement import DTYPES, FLOATS, INTEGERS, NUMPY_OF, assert_close, assert_equals, name_of, waves

INF, NAN = float("inf"), float("nan")
SPECIAL = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.5,
    -2.5,
    1e-30,
    -1e-30,
    80.0,
    -80.0,
    1e30,
    -1e30,
    INF,
    -INF,
    NAN,
]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


UNARY = {
    "abs": np.abs,
    "neg": np.negative,
    "sign": lambda a: np.where(np.isnan(a), 0, np.sign(a)).astype(a.dtype),
    "square": np.square,
    "reciprocal": np.reciprocal,
    "sqrt": np.sqrt,
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "sigmoid": sigmoid,
    "relu": lambda a: np.where(np.isnan(a), a, np.maximum(a, 0)),
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "trunc": np.trunc,
}
# exp and its kin magnify the relative error of a reduced argument, and tan does near its poles.
SLACK = {
    "exp": 4,
    "exp2": 4,
    "expm1": 4,
    "sinh": 8,
    "cosh": 4,
    "tan": 16,
    "sigmoid": 4,
    "rsqrt": 2,
    "asinh": 4,
}


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("name", UNARY)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_unary_functions_agree_with_numpy_at_ordinary_points(name, dtype):
    x = torch.cat([waves(97, scale=0.98), waves(97, scale=5.0)]).to(dtype)
    exact = UNARY[name](x.double().numpy())
    assert_close(getattr(torch, name)(x), exact, slack=SLACK.get(name, 1))
    assert_close(getattr(x, name)(), exact, slack=SLACK.get(name, 1))


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("name", UNARY)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_unary_functions_agree_with_numpy_at_special_values(name, dtype):
    x = torch.tensor(SPECIAL, dtype=dtype)
    if name in ("sin", "cos", "tan"):
        x = x[x.abs() < 1e6]  # beyond, the reduction of the argument is the platform's own
    expected = UNARY[name](x.numpy())
    got = getattr(torch, name)(x).numpy()
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=1e-5 if dtype is torch.float32 else 1e-12)
    zero = (expected == 0) & (got == 0) & (name not in ("round", "ceil", "trunc", "relu", "sign"))
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "sinc"])
@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
def test_huge_angles_among_many_have_the_bits_that_they_have_alone_and_change_no_other(name, dtype):
    function = getattr(torch, name)
    x = torch.linspace(-50, 50, 5000, dtype=dtype)
    expected = function(x)
    # Both ends of whatever is computed at once, and places in between.
    places = torch.tensor([0, 511, 512, 1023, 1024, 2047, 2048, 3333, 4095, 4999])
    x[places] = 1e22
    expected[places] = function(torch.tensor([1e22], dtype=dtype))
    assert torch.equal(function(x), expected)
    if name == "sin" and dtype is torch.float64:
        assert expected[0] == -0.8522008497671888


@given(st.integers(0, 600), st.integers(0, 40), st.floats(0.5, 20))
def test_an_element_of_gelu_has_the_bits_that_it_has_alone(size, start, scale):
    x = torch.from_numpy(np.random.default_rng(size).normal(size=size + start, scale=scale).astype(np.float32))[start:]
    gelu = torch.nn.functional.gelu
    expected = [gelu(x[i : i + 1]).item() for i in range(size)]
    assert gelu(x).tolist() == expected
    assert gelu(torch.stack([x, x], dim=1)[:, 1]).tolist() == expected
    assert gelu(x.expand(2, size))[1].tolist() == expected


BINARY = {
    "add": (operator.add, np.add),
    "sub": (operator.sub, np.subtract),
    "mul": (operator.mul, np.multiply),
    "div": (operator.truediv, np.true_divide),
    "floor_divide": (operator.floordiv, np.floor_divide),
    "remainder": (operator.mod, np.remainder),
    "maximum": (None, np.maximum),
    "minimum": (None, np.minimum),
    "fmod": (None, np.fmod),
    "atan2": (None, np.arctan2),
    "pow": (operator.pow, np.power),
    "eq": (operator.eq, np.equal),
    "ne": (operator.ne, np.not_equal),
    "lt": (operator.lt, np.less),
    "le": (operator.le, np.less_equal),
    "gt": (operator.gt, np.greater),
    "ge": (operator.ge, np.greater_equal),
}


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("name", BINARY)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_binary_functions_agree_with_numpy_on_every_pair_of_special_values(name, dtype):
    values = torch.tensor([v for v in SPECIAL if abs(v) < 1e6 or v != v or v in (INF, -INF)], dtype=dtype)
    x, y = values[:, None], values[None, :]
    dunder, reference = BINARY[name]
    a, b = np.broadcast_arrays(x.numpy(), y.numpy())
    expected = reference(a, b)
    if name in ("floor_divide", "remainder"):
        # At infinite dividends and zero divisors NumPy and PyTorch go apart; test_division covers those.
        sound = np.isfinite(a) & np.isfinite(b) & (b != 0)
    else:
        sound = np.ones(a.shape, bool)
    for got in [getattr(torch, name)(x, y), getattr(x, name)(y), *([dunder(x, y)] if dunder else [])]:
        rtol = {torch.float32: 2e-6, torch.float64: 1e-14}[dtype]
        np.testing.assert_allclose(got.numpy()[sound], expected[sound], rtol=rtol)


@pytest.mark.parametrize("dtype", INTEGERS, ids=name_of)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "floor_divide", "remainder", "maximum", "lt", "eq"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_binary_functions_of_integers_wrap_and_floor_as_numpy(name, dtype):
    limits = np.iinfo(NUMPY_OF[dtype])
    values = np.array([limits.min, limits.min + 1, 1, 2, 3, 7, limits.max - 1, limits.max], NUMPY_OF[dtype])
    divisors = values[values != 0]
    a, b = np.broadcast_arrays(values[:, None], divisors[None, :])
    got = getattr(torch, name)(torch.from_numpy(a.copy()), torch.from_numpy(b.copy()))
    assert_equals(got, BINARY[name][1](a, b))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64], ids=name_of)
def test_the_least_integer_divided_by_minus_one_does_not_trap(dtype):
    least = np.iinfo(NUMPY_OF[dtype]).min
    x, y = torch.tensor([least], dtype=dtype), torch.tensor([-1], dtype=dtype)
    assert (x // y).item() == least
    assert (x % y).item() == 0


@pytest.mark.parametrize("mode", [None, "trunc", "floor"])
def test_division_rounds_by_mode(mode):
    a, b = np.array([7.0, -7.0, 7.0, -7.0]), np.array([2.0, 2.0, -2.0, -2.0])
    expected = {None: a / b, "trunc": np.trunc(a / b), "floor": np.floor(a / b)}[mode]
    assert_equals(torch.div(torch.from_numpy(a), torch.from_numpy(b), rounding_mode=mode), expected)


def test_bitwise_and_logical_operators_agree_with_numpy():
    a = np.array([[0, 1, -1, 6, 127, -128]], np.int8)
    b = a.T.copy()
    x, y = torch.from_numpy(a), torch.from_numpy(b)
    assert_equals(x & y, a & b)
    assert_equals(x | y, a | b)
    assert_equals(x ^ y, a ^ b)
    assert_equals(~x, ~a)
    p, q = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])
    assert (p & q).tolist() == [True, False, False, False]
    assert (p | q).tolist() == [True, True, True, False]
    assert (p ^ q).tolist() == [False, True, True, False]
    assert (~p).tolist() == [False, False, True, True]
    assert torch.logical_and(x, y).dtype is torch.bool
    assert torch.logical_not(torch.tensor([0.0, NAN, 2.0])).tolist() == [True, False, False]
    assert torch.logical_xor(torch.tensor([1, 0]), torch.tensor([1.0, 2.0])).tolist() == [False, True]


def test_tests_for_nan_and_infinity():
    x = torch.tensor(SPECIAL)
    assert_equals(torch.isnan(x), np.isnan(x.numpy()))
    assert_equals(torch.isinf(x), np.isinf(x.numpy()))
    assert_equals(torch.isfinite(x), np.isfinite(x.numpy()))
    assert not torch.isnan(torch.tensor([1, 2])).any().item()


def test_scalars_stand_on_either_side_of_an_operator():
    x = torch.tensor([1.0, 2.0, 4.0])
    assert (1 + x).tolist() == [2, 3, 5]
    assert (1 - x).tolist() == [0, -1, -3]
    assert (3 * x).tolist() == [3, 6, 12]
    assert (4 / x).tolist() == [4, 2, 1]
    assert (5 // x).tolist() == [5, 2, 1]
    assert (5 % x).tolist() == [0, 1, 1]
    assert (2**x).tolist() == [2, 4, 16]
    assert (x < 2).tolist() == [True, False, False]
    assert (-x).tolist() == [-1, -2, -4]
    assert (+x).tolist() == [1, 2, 4]
    assert abs(-x).tolist() == [1, 2, 4]


def test_add_and_sub_take_alpha():
    x, y = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])
    assert torch.add(x, y, alpha=2).tolist() == [21, 42]
    assert x.sub(y, alpha=0.5).tolist() == [-4, -8]


def test_clamp_takes_either_bound_and_keeps_nan():
    x = torch.tensor([-2.0, 0.5, 3.0, NAN])
    assert x.clamp(-1, 1).tolist()[:3] == [-1, 0.5, 1]
    assert x.clamp(min=0).tolist()[:3] == [0, 0.5, 3]
    assert x.clamp(max=0).tolist()[:3] == [-2, 0, 0]
    assert torch.clamp(x, 2, 1).tolist()[:3] == [1, 1, 1]
    assert torch.isnan(x.clamp(-1, 1)).tolist() == [False, False, False, True]
    assert torch.clamp(x, min=torch.tensor(1.0)).tolist()[:3] == [1, 1, 3]


def test_pow_of_integers_is_exact_and_refuses_negative_exponents():
    assert (torch.tensor([2, 3, -2]) ** 5).tolist() == [32, 243, -32]
    with pytest.raises(RuntimeError, match="negative integer powers are not allowed"):
        torch.tensor([2, 3]) ** -1


def test_powers_by_common_exponents():
    x = torch.tensor([-4.0, -0.0, 0.25, 4.0])
    assert (x**0).tolist() == [1, 1, 1, 1]
    assert (x**1).tolist() == [-4, 0, 0.25, 4]
    assert (x**2).tolist() == [16, 0, 0.0625, 16]
    assert (x**3).tolist() == [-64, 0, 0.015625, 64]
    assert (x**0.5).tolist()[2:] == [0.5, 2]
    assert (x**-1).tolist() == [-0.25, -INF, 4, 0.25]


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_where_chooses_by_condition_with_broadcasting(dtype):
    condition = torch.tensor([[True], [False]])
    x, y = torch.ones(3).to(dtype), torch.zeros(2, 1).to(dtype)
    assert_equals(torch.where(condition, x, y), np.array([[1] * 3, [0] * 3]).astype(NUMPY_OF[dtype]))


def test_where_with_scalars_and_with_the_condition_alone():
    condition = torch.tensor([True, False, True])
    assert torch.where(condition, 1.0, torch.zeros(3)).tolist() == [1, 0, 1]
    assert [i.tolist() for i in torch.where(condition)] == [[0, 2]]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 1000, 4097])
def test_every_length_is_computed_to_its_last_element(size):
    a = np.sin(np.arange(size, dtype=np.float32))
    x = torch.from_numpy(a.copy())
    assert_equals(x + x * 2, a + a * 2)
    assert_close(x.tanh(), np.tanh(a.astype(np.float64)))


@given(st.integers(0, 3), st.integers(1, 3), st.booleans(), st.booleans())
def test_results_do_not_depend_on_the_layout_of_the_operands(start, step, flip_a, flip_b):
    base = waves(12, 12)
    a, b = base[start::step, start::step], base[start::step, start::step].exp()
    a, b = (a.T if flip_a else a), (b.T if flip_b else b)
    for f in [torch.add, torch.mul, torch.div, torch.maximum]:
        assert_equals(f(a, b), f(a.contiguous(), b.contiguous()).numpy())
    assert_close(torch.atan2(a, b), torch.atan2(a.contiguous(), b.contiguous()).numpy())
    assert_close(a.tanh(), a.contiguous().tanh().numpy())


def test_out_receives_the_result():
    out = torch.empty(3)
    given_back = torch.add(torch.ones(3), 1, out=out)
    assert given_back is out
    assert out.tolist() == [2, 2, 2]


def test_nextafter_passes_the_gradient_of_its_first_operand_where_it_moves():
    a = torch.tensor([1.0, 2.0, 1.0, NAN, INF], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([2.0, 1.0, 1.0, 1.0, INF], dtype=torch.float64, requires_grad=True)
    torch.nextafter(a, b).sum().backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([1.0, 1.0, 0.0, 1.0, 0.0], [0.0] * 5)


def test_the_real_part_is_the_tensor():
    x = waves(3)
    assert torch.real(x) is x
    with pytest.raises(RuntimeError, match="imag is not implemented for tensors with non-complex dtypes"):
        torch.imag(x)


def test_division_answers_by_its_old_names():
    x = torch.tensor([1.0, 4.0])
    assert (x.__div__(2).tolist(), x.__rdiv__(2).tolist()) == ([0.5, 2.0], [2.0, 0.5])
    assert x.__idiv__(2) is x
    assert x.tolist() == [0.5, 2.0]


@pytest.mark.parametrize("shape", [(3, 5), (5, 130), (40, 513), (2, 3, 700), (300, 700)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_an_operand_that_repeats_a_number_counts_in_every_place_of_it(shape, dtype):
    draw = np.random.RandomState(0)
    x = draw.standard_normal(shape).astype(np.float32)
    for axes in [(-1,), (0,), tuple(range(len(shape))), tuple(range(len(shape) - 1))]:
        extents = [1 if axis in axes or axis - len(shape) in axes else n for axis, n in enumerate(shape)]
        few = draw.randint(-9, 9, extents).astype(dtype)
        repeated = torch.from_numpy(few).expand(*shape)
        for answer, expected in (
            (torch.from_numpy(x) * repeated, x * few),
            (repeated - torch.from_numpy(x), few - x),
            (torch.from_numpy(x.T.copy()) + repeated.permute(*range(len(shape))[::-1]), x.T + few.T),
        ):
            np.testing.assert_array_equal(answer.numpy(), expected.astype(answer.numpy().dtype))
