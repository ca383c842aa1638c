"""NumPy both ways without a copy, for every dtype, layout and lifetime, and the refusals."""

import gc
import operator

import numpy as np
import pytest

import arcgrad as torch
from agreement import DTYPES, NUMPY_OF, assert_equals, name_of


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)], ids=str)
def test_every_dtype_goes_both_ways_without_a_copy(shape, dtype):
    a = np.ones(shape, NUMPY_OF[dtype])
    x = torch.from_numpy(a)
    assert x.dtype is dtype
    b = x.numpy()
    assert b.dtype == a.dtype
    assert b.shape == shape
    a[...] = 0
    assert not x.any().item()
    assert not b.any()
    assert np.shares_memory(a, b) or a.size == 0


def test_writes_are_seen_on_both_sides():
    a = np.zeros(3)
    x = torch.from_numpy(a)
    x.add_(1)
    assert a.tolist() == [1, 1, 1]
    a[0] = 5
    assert x[0].item() == 5


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T,
        lambda a: a[::2, 1:],
        lambda a: a[1],
        lambda a: np.broadcast_to(a[0], (3, 4)).copy(),
        lambda a: a.transpose()[1:, ::3],
        lambda a: np.asfortranarray(a),
    ],
)
def test_strided_arrays_keep_their_layout(view):
    a = view(np.arange(24.0).reshape(6, 4))
    x = torch.from_numpy(a)
    assert_equals(x, a)
    assert x.stride() == tuple(s // 8 for s in a.strides)
    assert_equals(x * 2, a * 2)


@pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[1:, ::2], lambda x: x[0], lambda x: x[:1].expand(5, 4)])
def test_strided_tensors_keep_their_layout(view):
    x = view(torch.arange(24.0).view(6, 4))
    a = x.numpy()
    assert a.tolist() == x.tolist()
    assert a.strides == tuple(4 * s for s in x.stride())


def test_an_array_outlives_its_tensor_and_a_tensor_its_array():
    a = torch.arange(1000).numpy()
    gc.collect()
    assert a.sum() == 499500
    x = torch.from_numpy(np.arange(1000))
    gc.collect()
    assert x.sum().item() == 499500


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # PyTorch's own lags NumPy
def test_asarray_and_array_read_tensors():
    x = torch.tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert np.asarray(x, dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(torch.tensor(3)).item() == 3
    assert np.asarray([torch.tensor(1.0), torch.tensor(2.0)]).tolist() == [1, 2]


def test_numpy_functions_accept_tensors():
    x = torch.tensor([[3.0, 4.0]])
    assert np.linalg.norm(x) == 5
    assert np.sum(x.numpy()) == 7
    assert np.allclose(x, [[3, 4]])


def test_arrays_stand_beside_tensors_in_expressions():
    x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    assert (x + torch.from_numpy(np.ones(2))).tolist() == [2, 3]
    assert (x * np.float64(2)).tolist() == [2, 4]
    assert (x + np.int64(1)).tolist() == [2, 3]
    assert type(x * np.float64(2)) is type(x)


def test_a_numpy_scalar_does_not_widen_the_dtype():
    assert (torch.ones(2) * np.float64(2)).dtype is torch.float32


def test_read_only_arrays_are_announced():
    a = np.ones(3)
    a.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        torch.from_numpy(a)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: torch.from_numpy([1, 2]), TypeError),
        (lambda: torch.from_numpy(np.array(["a"])), TypeError),
        (lambda: torch.from_numpy(np.array([object()])), TypeError),
        (lambda: torch.from_numpy(np.zeros(2, dtype=[("a", "f4")])), TypeError),
        (lambda: torch.from_numpy(np.zeros(2, ">f8")), ValueError),
        (lambda: torch.from_numpy(np.arange(4)[::-1]), ValueError),
        (lambda: torch.from_numpy(np.float64(1)), TypeError),
    ],
)
def test_arrays_that_cannot_be_shared_are_refused(wrong, error):
    with pytest.raises(error):
        wrong()


def test_tensors_that_require_grad_are_refused_unless_detached():
    x = torch.ones(2, requires_grad=True)
    for wrong in [x.numpy, lambda: np.asarray(x), (x * 2).numpy]:
        with pytest.raises(RuntimeError, match="Can't call numpy\\(\\) on Tensor that requires grad"):
            wrong()
    assert x.detach().numpy().tolist() == [1, 1]
    assert x.numpy(force=True).tolist() == [1, 1]


def test_misaligned_and_big_offset_arrays_read_right():
    raw = np.zeros(8 * 5 + 1, np.uint8)
    a = raw[1:].view(np.float64)
    a[...] = np.arange(5)
    assert torch.tensor(a).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"])
def test_a_tensor_with_an_array_gives_a_tensor_of_numpys_numbers(name):
    operation = getattr(operator, name)
    t, n = torch.tensor([4.0, 5.0]), np.array([1.0, 3.0])
    answer = operation(t, n)
    expected = operation(np.array([4.0, 5.0]), n)
    assert isinstance(answer, torch.Tensor) or np.isscalar(answer)
    assert torch.as_tensor(answer).dtype == torch.float64
    assert torch.as_tensor(answer).tolist() == expected.tolist()


def test_a_tensor_is_compared_with_an_array_element_by_element():
    t, n = torch.tensor([1.0, 5.0]), np.array([1.0, 3.0])
    assert (t == n).tolist() == [True, False]
    assert (t != n).tolist() == [False, True]
    assert (t < n).tolist() == [False, False]
    assert (t >= n).tolist() == [True, True]
    assert t != "n"


@pytest.mark.parametrize("size", [3, 600, 70_000, 1_000_000])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_number_that_numpy_changed_after_it_was_saved_is_found_wherever_it_is(size, place):
    array = np.random.RandomState(0).standard_normal(size).astype(np.float32)
    x = torch.from_numpy(array).requires_grad_()
    at = round(place * (size - 1))
    for function in (lambda x: x * x, lambda x: x.exp() * 2 * x):
        before = function(x).sum()
        after = function(x).sum()
        gradient, *_ = torch.autograd.grad(before, x)
        assert np.isfinite(gradient.numpy()).all()
        array[at] = -array[at]
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            after.backward()
