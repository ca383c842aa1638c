"""The error of each function stays within what its docstring states, over a sweep; docs/accuracy.md states the same."""

import ast
import pathlib
import re
import struct
import warnings
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pytest

import arcgrad as torch
from arcgrad.nn import functional

ROOT = pathlib.Path(__file__).parents[2]
INFINITY = float("inf")
# Points of each part of a sweep.
POINTS = 50_000
# The functions whose names in tests/data/real.txt are Rust's.
RECORDED_AS = {"log": "ln", "log1p": "ln_1p", "logsigmoid": "log_sigmoid"}


class Statement(NamedTuple):
    """What a docstring or a line of the page says."""

    float32: float
    float64: float
    # Values below one may be off by as many ulp of one.
    of_one: bool
    # The range of each argument for which it is said; empty where for all.
    ranges: tuple


def ranges_in(text):
    found = re.findall(r"\w+ from (-?[\d.e]+) to (-?[\d.e]*\d)", text)
    return tuple((float(low), float(high)) for low, high in found)


STATEMENT = re.compile(r"[Ww]ithin (\d[\d.]*) ulp in float32 and (\d[\d.]*\d|\d) in float64(.*)")


def stated(function):
    """The statement in a docstring."""
    words = " ".join(function.__doc__.split())
    found = STATEMENT.search(words)
    assert found, f"{function.__name__} states no bound: {words}"
    return Statement(
        float(found[1]), float(found[2]), "of 1 where the value is smaller" in found[3], ranges_in(found[3])
    )


def on_page():
    """The statements of docs/accuracy.md by name."""
    lines = re.findall(
        r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| (the value(?: or 1)?) \| (.+) \|$",
        (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return {
        name: Statement(float(float32), float(float64), unit == "the value or 1", ranges_in(where))
        for name, float32, float64, unit, where in lines
    }


PAGE = on_page()
EVERYTHING = (-INFINITY, INFINITY)
POSITIVE = (0, INFINITY)
# Where functions exist and are finite, of all numbers; a function of two arguments has two ranges.
DOMAINS = {
    "acosh": ((1, INFINITY),), "asin": ((-1, 1),), "acos": ((-1, 1),), "atanh": ((-1, 1),), "erfinv": ((-1, 1),),
    "log1p": ((-1, INFINITY),), "ndtri": ((0, 1),), "exp": ((-745, 710),), "exp2": ((-1074, 1024),),
    "expm1": ((-INFINITY, 710),), "sinh": ((-711, 711),), "cosh": ((-711, 711),), "sigmoid": ((-745, INFINITY),),
    "silu": ((-745, INFINITY),), "mish": ((-745, INFINITY),), "softplus": ((-745, INFINITY),),
    "logsigmoid": ((-INFINITY, 745),), "erfc": ((-INFINITY, 27),), "erfcx": ((-26, INFINITY),),
    "ndtr": ((-38, INFINITY),), "gelu": ((-38, INFINITY),), "normal_density": ((-38, 38),),
    "log_ndtr": ((-INFINITY, 38),), "i0": ((-710, 710),), "i1": ((-710, 710),), "pow": (POSITIVE, (-1000, 1000)),
    "xlogy": (EVERYTHING, POSITIVE), "xlog1py": (EVERYTHING, (-1, INFINITY)),
}  # fmt: skip
DOMAINS |= dict.fromkeys(["log", "log2", "log10", "sqrt", "rsqrt", "entr"], (POSITIVE,))
DOMAINS |= dict.fromkeys(["atan2", "div", "hypot", "logaddexp", "logaddexp2"], (EVERYTHING, EVERYTHING))


def softplus(x):
    return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 21))))


PI = np.longdouble("3.14159265358979323846264338327950288")
# The same functions in NumPy, which has extended precision on some machines.
EXTENDED = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "sqrt": np.sqrt, "reciprocal": np.reciprocal, "div": np.divide, "pow": np.power,
    "atan2": np.arctan2, "hypot": np.hypot, "logaddexp": np.logaddexp, "logaddexp2": np.logaddexp2,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "logsigmoid": lambda x: -np.log1p(np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "softplus": softplus,
    "mish": lambda x: x * np.tanh(softplus(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "entr": lambda x: -x * np.log(x),
    "sinc": lambda x: np.sin(PI * x) / (PI * x),
    "xlogy": lambda x, y: x * np.log(y),
    "xlog1py": lambda x, y: x * np.log1p(y),
}  # fmt: skip


def order(x):
    """The place of a float among all of its dtype, counted from zero."""
    bits = int(np.abs(x).view(f"i{x.itemsize}"))
    return -bits if np.signbit(x) else bits


def sweep(low, high, dtype, numbers):
    """Numbers of a range: evenly among all there are, evenly between -20 and 20, and around one."""
    largest = np.finfo(dtype).max
    low, high = (dtype(np.clip(bound, -float(largest), float(largest))) for bound in (low, high))
    places = numbers.integers(order(low), order(high), POINTS, endpoint=True)
    everywhere = np.copysign(np.abs(places).astype(f"i{low.itemsize}").view(dtype), places).astype(dtype)
    middle = numbers.uniform(max(low, -20), min(high, 20), POINTS).astype(dtype)
    around_one = (1 + numbers.standard_normal(POINTS) / 10).astype(dtype)
    x = np.concatenate([everywhere, middle, around_one])
    return x[(low < x) & (x < high)]


def arguments(name, dtype):
    """What to call a function with: a sweep for each argument, put together by chance."""
    numbers = np.random.default_rng(len(name))
    ranges = PAGE[name].ranges or DOMAINS.get(name, (EVERYTHING,))
    sweeps = [sweep(*bounds, dtype, numbers) for bounds in ranges]
    count = min(len(x) for x in sweeps)
    return [x[:count] if len(sweeps) == 1 else numbers.permutation(x)[:count] for x in sweeps]


def call(name, inputs):
    return getattr(torch, name)(*(torch.from_numpy(x) for x in inputs)).numpy()


def errors(name, got, exact):
    """Distances from the exact values, in ulp of the dtype of what was got."""
    limits = np.finfo(got.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.abs(exact).astype(got.dtype)
        distance = np.abs(got.astype(np.longdouble) - exact)
    counted = np.isfinite(size) & (size >= 1024 * limits.tiny)
    unit = np.spacing(np.where(counted, size, 1)).astype(np.longdouble)
    if PAGE[name].of_one:
        unit = np.maximum(unit, limits.eps)
    # A NaN where there is a value is as wrong as can be.
    distance[np.isnan(distance)] = INFINITY
    return np.where(counted, distance / unit, 0)


def assert_within(bound, error, inputs):
    worst = int(np.argmax(error))
    assert error[worst] <= bound, f"{error[worst]:.3f} ulp at {[x[worst] for x in inputs]}, stated are {bound}"


@pytest.mark.parametrize("name", PAGE)
def test_the_page_and_every_docstring_state_the_same(name):
    for place in (torch, torch.Tensor, functional, torch.special):
        if hasattr(place, name):
            assert stated(getattr(place, name)) == PAGE[name], place


@pytest.mark.parametrize("name", PAGE)
def test_float32_stays_within_its_bound(name):
    inputs = arguments(name, np.float32)
    # The other tests hold float64 to some ulp, a billion times less than what is looked for here.
    exact = call(name, [x.astype(np.float64) for x in inputs])
    bound = stated(getattr(torch, name)).float32
    assert_within(bound, errors(name, call(name, inputs), exact.astype(np.longdouble)), inputs)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="NumPy has no extended precision on this machine")
@pytest.mark.parametrize("name", EXTENDED)
def test_float64_stays_within_its_bound(name):
    inputs = arguments(name, np.float64)
    with np.errstate(all="ignore"):
        exact = EXTENDED[name](*(x.astype(np.longdouble) for x in inputs))
    bound = stated(getattr(torch, name)).float64
    assert_within(bound, errors(name, call(name, inputs), exact), inputs)


def recorded():
    """The lines of tests/data/real.txt: the arguments, the nearest float64, and what it lacks in ulp."""
    lines = defaultdict(list)
    for line in (ROOT / "tests" / "data" / "real.txt").read_text().splitlines():
        name, *bits, rest = line.split(" ")
        lines[name].append([*(struct.unpack(">d", bytes.fromhex(each))[0] for each in bits), float(rest)])
    return {name: np.array(each).T for name, each in lines.items()}


RECORDED = recorded()
# Rounded once: there is nothing to record.
ROUNDED_ONCE = {"sqrt", "div", "reciprocal"}


def test_all_functions_have_recorded_values():
    assert {name for name in PAGE if RECORDED_AS.get(name, name) not in RECORDED} == ROUNDED_ONCE


@pytest.mark.parametrize("name", [name for name in PAGE if name not in ROUNDED_ONCE])
def test_float64_stays_within_its_bound_of_values_in_300_bits(name):
    *inputs, value, rest = RECORDED[RECORDED_AS.get(name, name)]
    inputs = [np.ascontiguousarray(x) for x in inputs]
    unit = np.spacing(np.abs(value))
    error = np.abs((call(name, inputs) - value) / unit - rest)
    if PAGE[name].of_one:
        error *= np.minimum(unit / np.finfo(np.float64).eps, 1)
    error[np.abs(value) < 1024 * np.finfo(np.float64).tiny] = 0
    assert_within(stated(getattr(torch, name)).float64, error, inputs)


def named_without_bound():
    """The functions that the page names as stating nothing."""
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    section = re.search(r"^## Functions that state no bound$(.*?)^## ", page, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"`(\w+)`", section[1]))


def public_functions():
    """Every function that gives a tensor, under the name that it calls itself; not those that write in place."""
    stub = ast.parse((ROOT / "python" / "arcgrad" / "_core.pyi").read_text(encoding="utf-8"))
    names = {
        each.name
        for each in stub.body
        if isinstance(each, ast.FunctionDef) and each.returns and ast.unparse(each.returns) == "Tensor"
    }
    functions = [getattr(torch, name) for name in names if hasattr(torch, name)]
    functions += [getattr(functional, name) for name in functional.__all__]
    return {each.__name__: each for each in functions if not each.__name__.endswith("_")}


# Ways to call a function of one to three tensors and some numbers.
WAYS = [
    lambda x, y, z: (x,),
    lambda x, y, z: (x, y),
    lambda x, y, z: (x, y, z),
    lambda x, y, z: (x > y, y, z),
    lambda x, y, z: (x, torch.tensor([0.25])),
    lambda x, y, z: (2, x),
    lambda x, y, z: (x, 2),
    lambda x, y, z: (x, 0.25, 0.75),
]  # fmt: skip
# Each number of one operand with each of the other, of which there is one in one of these ways.
ONLY_SEEMS_ELEMENTWISE = {"kron"}
# Inside the domain of every function, and outside that of some.
UNIT = np.float32([[0.11, 0.93, 0.42, 0.77, 0.58], [0.31, 0.12, 0.84, 0.63, 0.29], [0.54, 0.26, 0.71, 0.37, 0.88]])
WIDE = UNIT * np.float32(8) - np.float32(4)
WIDE[0, 2] = INFINITY


def is_elementwise(function, way):
    """Whether each float of the result is computed, not copied or drawn, from its own place of the arguments."""

    def call_with(values):
        result = function(*way(*(torch.tensor(row) for row in values)))
        assert result.dtype.is_floating_point
        assert result.shape == (values.shape[1],)
        return result.numpy()

    differs = False
    for values in (UNIT, WIDE):
        try:
            whole, again, turned = call_with(values), call_with(values), call_with(values[:, ::-1].copy())
            part = call_with(values[:, 1:3].copy())
        except (AssertionError, AttributeError, IndexError, NotImplementedError, RuntimeError, TypeError, ValueError):
            return False
        for got, wanted in ((again, whole), (turned, whole[::-1]), (part, whole[1:3])):
            if not np.array_equal(got, wanted, equal_nan=True):
                return False
        copies = any(np.array_equal(whole, row) for row in values)
        differs |= not copies and len(np.unique(whole)) > 1
    return differs


def test_every_elementwise_function_is_on_the_page():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            name
            for name, function in public_functions().items()
            if any(is_elementwise(function, way) for way in WAYS) and not STATEMENT.search(function.__doc__ or "")
        }
    assert found - ONLY_SEEMS_ELEMENTWISE == named_without_bound()
