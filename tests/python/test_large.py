"""Results that go past the caches (Note [Past the caches]) or through a piece aside: NumPy's, and none beside them."""

import numpy as np
import pytest

import arcgrad as torch
from agreement import DTYPES, NUMPY_OF, assert_equals

# With the result, 36 MB of float32 for one operand and 54 for two, and no whole number of lines of a cache.
MANY = 4_500_001


def numbers(count, dtype="float32"):
    """As many whole numbers from -5 to 5, whose sums and products are exact in any dtype."""
    return (np.arange(count) * 7 % 11 - 5).astype(dtype)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_past_the_cache_are_numpys_on_any_number_of_threads(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        a, b = numbers(MANY), numbers(MANY)[::-1].copy()
        x, y = torch.from_numpy(a), torch.from_numpy(b)
        assert_equals(x + y, a + b)
        assert_equals(-x, -a)
        assert_equals(x * 3.0, a * np.float32(3))
        assert_equals(x < y, a < b)
        assert_equals(x.double(), a.astype("float64"))
        assert_equals(x.clone(), a)
        assert_equals(torch.where(x < y, x, y), np.where(a < b, a, b))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_arrays_of_every_dtype_are_filled_and_copied(dtype):
    of_numpy = NUMPY_OF[dtype]
    count = 36_000_007 // np.dtype(of_numpy).itemsize
    a = numbers(count, of_numpy)
    assert_equals(torch.from_numpy(a).clone(), a)
    assert_equals(torch.full((count,), 1, dtype=dtype), np.ones(count, of_numpy))


@pytest.mark.parametrize("skipped", [1, 3, 15, 16, 17])
def test_what_lies_beside_a_large_target_stays(skipped):
    a = numbers(MANY)
    target = torch.full((MANY + 40,), 9.0)
    within = slice(skipped, skipped + MANY)
    expected = np.full(MANY + 40, np.float32(9))
    target[within].copy_(torch.from_numpy(a))
    expected[within] = a
    assert_equals(target, expected)
    target[within].fill_(2.0)
    expected[within] = 2
    assert_equals(target, expected)
    torch.neg(torch.from_numpy(a), out=target[within])
    expected[within] = -a
    assert_equals(target, expected)


def test_lines_and_broadcast_rows_past_the_cache():
    a, row = numbers(4_600_000).reshape(4600, 1000), numbers(1000)
    x = torch.from_numpy(a)
    assert_equals(x * torch.from_numpy(row), a * row)
    target = np.full((4600, 1003), np.float32(9))
    torch.from_numpy(target)[:, 2:1002].copy_(x)
    expected = np.full((4600, 1003), np.float32(9))
    expected[:, 2:1002] = a
    assert_equals(torch.from_numpy(target), expected)
    assert_equals(x.t() + x.t(), a.T + a.T)


def test_gradients_past_the_cache():
    a = numbers(MANY)
    x = torch.from_numpy(a).requires_grad_()
    (x * x * x).sum().backward()
    assert_equals(x.grad, 3 * a * a)


@pytest.mark.parametrize("count", [1, 63, 511, 512, 513, 1025, 70_001, MANY])
def test_writes_in_place_are_the_functions_answers(count):
    a, b = numbers(count), numbers(count + 3)[3:]
    x, y = torch.from_numpy(a.copy()), torch.from_numpy(b)
    assert_equals(x.neg_(), -a)
    assert_equals(x.add_(y), -a + b)
    assert_equals(x.mul_(2.0), (-a + b) * 2)
    assert_equals(x.mul_(x), ((-a + b) * 2) ** 2)


@pytest.mark.parametrize("columns", [100, 200, 512, 700])
def test_writes_in_place_through_columns_leave_the_others(columns):
    a = numbers(130 * 1024).reshape(130, 1024)
    x = torch.from_numpy(a.copy())
    x[:, 5 : 5 + columns].mul_(2.0).add_(x[:, 5 : 5 + columns])
    expected = a.copy()
    expected[:, 5 : 5 + columns] *= 4
    assert_equals(x, expected)


def test_writes_in_place_convert_what_they_read():
    a, b = numbers(70_001), numbers(70_001, "int64")
    x = torch.from_numpy(a.copy())
    x[1:].add_(torch.from_numpy(b)[:-1])
    assert_equals(x[1:], a[1:] + b[:-1].astype("float32"))
