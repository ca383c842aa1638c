"""`assert_close`: whether two values, or the values in two nested containers, are equal within tolerances.

First the containers are walked and every pair of values in them is matched with a way to compare it; then the pairs are
compared, and the first that differs is told. So a difference in structure is told before any difference in value.
"""

from __future__ import annotations

import cmath
import functools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import Tensor, as_tensor, dtype as _dtype, float32, float64, int64, isclose, promote_types, tensor
from ._report import numbers_differ, tensors_differ

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# For each dtype the relative and the absolute tolerance; others are compared exactly.
_TOLERANCES = {float32: (1.3e-6, 1e-5), float64: (1e-7, 1e-7)}


class _DifferenceError(Exception):
    """Two values differ, or cannot be compared: what to raise, and where in the containers they are."""

    def __init__(self, kind: type[Exception], message: str, path: tuple[Any, ...]) -> None:
        super().__init__(message)
        self.kind, self.message, self.path = kind, message, path

    def error(self, message: str | Callable[[str], str] | None) -> Exception:
        if isinstance(message, str):
            return self.kind(message)
        generated = self.message
        if self.path:
            generated += f"\n\nThe failure occurred for item {''.join(str([item]) for item in self.path)}"
        return self.kind(message(generated) if message is not None else generated)


@dataclass(frozen=True)
class _Options:
    """How values are compared."""

    allow_subclasses: bool
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool

    def tolerances(self, dtypes: Sequence[_dtype], path: tuple[Any, ...]) -> tuple[float, float]:
        if (self.rtol is None) != (self.atol is None):
            missing = "rtol" if self.rtol is None else "atol"
            raise _DifferenceError(
                ValueError,
                f"Both 'rtol' and 'atol' must be either specified or omitted, but got no {missing}.",
                path,
            )
        if self.rtol is not None and self.atol is not None:
            return self.rtol, self.atol
        known = [_TOLERANCES.get(dtype, (0.0, 0.0)) for dtype in dtypes]
        return max(r for r, _ in known), max(a for _, a in known)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise unless `|actual - expected| <= atol + rtol * |expected|` everywhere.

    Tensors and what can be made tensors, numbers, booleans and None are compared, also inside sequences and mappings.

    Args:
        actual: What is to be judged.
        expected: What it should be.
        allow_subclasses: Whether tensors of different, related classes may be equal.
        rtol: Relative tolerance; given together with `atol`, or left to the dtypes: 1.3e-6 for float32, 1e-7 for
            float64, 0 for integers.
        atol: Absolute tolerance; by default 1e-5 for float32, 1e-7 for float64, 0 for integers.
        equal_nan: Whether two NaN are equal.
        check_device: Whether devices must be equal.
        check_dtype: Whether dtypes must be equal; if not, both are promoted.
        check_layout: Whether layouts must be equal.
        check_stride: Whether strides must be equal.
        msg: What the error is to say, or a function of what it would say.

    Raises:
        AssertionError: The values differ.
        TypeError: Values cannot be compared.
        ValueError: Only one of `rtol` and `atol` was given.
    """
    # Frames from here on are left out of pytest's tracebacks.
    __tracebackhide__ = True
    options = _Options(allow_subclasses, rtol, atol, equal_nan, check_device, check_dtype, check_layout, check_stride)
    try:
        comparisons = _pairs(actual, expected, (), options)
    except _DifferenceError as difference:
        raise difference.error(None) from None
    for compare in comparisons:
        try:
            compare()
        except _DifferenceError as difference:
            raise difference.error(msg) from None


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """Raise unless two tensors are close; deprecated, use `assert_close`.

    Raises:
        AssertionError: The values differ.
    """
    warnings.warn(
        "`torch.testing.assert_allclose()` is deprecated since 1.12 and will be removed in a future release. Please "
        "use `torch.testing.assert_close()` instead.",
        FutureWarning,
        stacklevel=2,
    )
    if not isinstance(actual, Tensor):
        actual = tensor(actual)
    if not isinstance(expected, Tensor):
        expected = tensor(expected, dtype=actual.dtype)
    if rtol is None and atol is None:
        older = {float32: (1e-4, 1e-5), float64: (1e-5, 1e-8)}
        known = [older.get(x.dtype, (0.0, 0.0)) for x in (actual, expected)]
        rtol, atol = max(r for r, _ in known), max(a for _, a in known)
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False, msg=msg or None)


def _pairs(actual: Any, expected: Any, path: tuple[Any, ...], options: _Options) -> list[Callable[[], None]]:
    """A comparison for each pair of values in two nested containers."""
    pairs: list[Callable[[], None]] = []
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            message = f"The length of the sequences mismatch: {len(actual)} != {len(expected)}"
            raise _DifferenceError(AssertionError, message, path)
        for i in range(len(actual)):
            pairs += _pairs(actual[i], expected[i], (*path, i), options)
        return pairs
    if isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if set(actual) != set(expected):
            raise _DifferenceError(
                AssertionError,
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {_ordered(set(expected) - set(actual))}\n"
                f"Additional keys in the actual mapping: {_ordered(set(actual) - set(expected))}",
                path,
            )
        for key in _ordered(actual):
            pairs += _pairs(actual[key], expected[key], (*path, key), options)
        return pairs
    return [_pair(actual, expected, path, options)]


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _ordered(keys: Any) -> list[Any]:
    try:
        return sorted(keys)
    except TypeError:
        return list(keys)


def _pair(actual: Any, expected: Any, path: tuple[Any, ...], options: _Options) -> Callable[[], None]:
    """How to compare two values that are not both containers."""
    if actual is None or expected is None:
        return functools.partial(_identical, "None", actual, expected, path)
    if isinstance(actual, (bool, np.bool_)) and isinstance(expected, (bool, np.bool_)):
        return functools.partial(_identical, "Booleans", bool(actual), bool(expected), path)
    if all(isinstance(value, (int, float, complex, np.number)) for value in (actual, expected)):
        a, b = (value.item() if isinstance(value, np.number) else value for value in (actual, expected))
        tolerances = options.tolerances([int64 if isinstance(value, int) else float64 for value in (a, b)], path)
        return functools.partial(_numbers, a, b, path, options, tolerances)
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    if related and (options.allow_subclasses or type(actual) is type(expected)):
        try:
            a, b = (value if isinstance(value, Tensor) else as_tensor(value) for value in (actual, expected))
        except (TypeError, ValueError, RuntimeError):
            pass
        else:
            return functools.partial(_tensors, a, b, path, options, options.tolerances([a.dtype, b.dtype], path))
    raise _DifferenceError(
        TypeError,
        f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.",
        path,
    )


def _identical(what: str, actual: Any, expected: Any, path: tuple[Any, ...]) -> None:
    if actual is not expected:
        raise _DifferenceError(AssertionError, f"{what} mismatch: {actual} is not {expected}", path)


def _numbers(
    actual: Any, expected: Any, path: tuple[Any, ...], options: _Options, tolerances: tuple[float, float]
) -> None:
    if options.check_dtype and type(actual) is not type(expected):
        message = f"The (d)types do not match: {type(actual)} != {type(expected)}."
        raise _DifferenceError(AssertionError, message, path)
    if actual == expected or (options.equal_nan and cmath.isnan(actual) and cmath.isnan(expected)):
        return
    rtol, atol = tolerances
    difference = abs(actual - expected)
    if not (cmath.isfinite(difference) and difference <= atol + rtol * abs(expected)):
        raise _DifferenceError(AssertionError, numbers_differ(actual, expected, rtol, atol), path)


def _tensors(
    actual: Tensor, expected: Tensor, path: tuple[Any, ...], options: _Options, tolerances: tuple[float, float]
) -> None:
    for name, a, b, wanted in (
        ("shape", actual.shape, expected.shape, True),
        ("layout", actual.layout, expected.layout, options.check_layout),
        ("stride()", actual.stride(), expected.stride(), options.check_stride),
        ("device", actual.device, expected.device, options.check_device),
        ("dtype", actual.dtype, expected.dtype, options.check_dtype),
    ):
        if wanted and a != b:
            message = f"The values for attribute '{name}' do not match: {a} != {b}."
            raise _DifferenceError(AssertionError, message, path)
    rtol, atol = tolerances
    dtype = promote_types(actual.dtype, expected.dtype)
    actual, expected = actual.detach().to(dtype), expected.detach().to(dtype)
    close = isclose(actual, expected, rtol=rtol, atol=atol, equal_nan=options.equal_nan)
    if close.all():
        return
    if actual.dim() == 0:
        message = numbers_differ(actual.item(), expected.item(), rtol, atol)
    else:
        message = tensors_differ(actual, expected, close, rtol, atol)
    raise _DifferenceError(AssertionError, message, path)
