"""How tensors come to be: from Python data, by filling, by counting, and like one another."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

import arcgrad as torch
from agreement import DTYPES, FLOATS, assert_close, assert_equals, name_of


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1, "int64", ()),
        (1.0, "float32", ()),
        (True, "bool", ()),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        ([1, 2], "int64", (2,)),
        ([1, 2.5], "float32", (2,)),
        ([True, False], "bool", (2,)),
        ([True, 2], "int64", (2,)),
        ([[1, 2], [3, 4]], "int64", (2, 2)),
        (((1.0,), (2.0,)), "float32", (2, 1)),
        ([[[1]]], "int64", (1, 1, 1)),
        (range(3), "int64", (3,)),
    ],
)
def test_tensor_infers_dtype_and_shape(data, dtype, shape):
    x = torch.tensor(data)
    assert name_of(x.dtype) == dtype
    assert tuple(x.shape) == shape


def test_tensor_keeps_the_dtype_of_numpy_data():
    assert torch.tensor(np.float64(2.0)).dtype is torch.float64
    assert torch.tensor(np.zeros(2, np.int16)).dtype is torch.int16
    assert torch.tensor([np.float64(1.0), np.float64(2.0)]).tolist() == [1.0, 2.0]


def test_tensor_copies_its_data():
    a = np.zeros(3)
    x = torch.tensor(a)
    a[0] = 1
    assert x.tolist() == [0, 0, 0]


def test_tensor_reads_numbers_out_of_zero_dim_tensors_in_a_list():
    assert torch.tensor([torch.tensor(1.0), torch.tensor(2.0)]).tolist() == [1.0, 2.0]


def test_tensor_with_requires_grad_is_a_leaf():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    assert x.is_leaf
    assert x.requires_grad
    assert x.grad is None
    assert x.grad_fn is None


def test_tensor_holds_the_extremes_of_int64():
    extremes = [-(2**63), 2**63 - 1]
    assert torch.tensor(extremes).tolist() == extremes


def test_as_tensor_of_a_tensor_is_that_tensor():
    x = torch.ones(2)
    assert torch.as_tensor(x) is x
    assert torch.as_tensor(x, dtype=torch.float64).dtype is torch.float64
    assert torch.as_tensor([1, 2]).tolist() == [1, 2]


def test_as_tensor_shares_memory_with_a_numpy_array():
    a = np.zeros(2)
    torch.as_tensor(a)[0] = 5
    assert a[0] == 5


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)], ids=str)
def test_zeros_ones_full_and_empty_have_the_shape_and_dtype_asked_for(shape, dtype):
    for fill, x in [(0, torch.zeros(shape, dtype=dtype)), (1, torch.ones(shape, dtype=dtype))]:
        assert (tuple(x.shape), x.dtype) == (shape, dtype)
        assert (x == fill).all().item()
    x = torch.full(shape, 1, dtype=dtype)
    assert (tuple(x.shape), x.dtype) == (shape, dtype)
    assert (x == 1).all().item()
    x = torch.empty(shape, dtype=dtype)
    assert (tuple(x.shape), x.dtype) == (shape, dtype)


def test_sizes_may_be_given_apart_or_together():
    for x in [torch.zeros(2, 3), torch.zeros((2, 3)), torch.zeros([2, 3]), torch.zeros(size=(2, 3))]:
        assert tuple(x.shape) == (2, 3)
    assert tuple(torch.zeros(torch.Size([2, 3])).shape) == (2, 3)
    assert tuple(torch.zeros(np.int64(2), 3).shape) == (2, 3)


def test_full_infers_the_dtype_of_its_value():
    assert torch.full((2,), 1).dtype is torch.int64
    assert torch.full((2,), 1.5).dtype is torch.float32
    assert torch.full((2,), True).dtype is torch.bool


def test_like_functions_take_shape_and_dtype_and_may_override_the_dtype():
    x = torch.ones(2, 3, dtype=torch.int16)
    for like in [torch.zeros_like, torch.ones_like, torch.empty_like]:
        assert (tuple(like(x).shape), like(x).dtype) == ((2, 3), torch.int16)
        assert like(x, dtype=torch.float64).dtype is torch.float64
    assert torch.full_like(x, 7).tolist() == [[7] * 3] * 2
    assert torch.rand_like(torch.ones(2)).shape == torch.randn_like(torch.ones(2)).shape


def test_like_functions_do_not_inherit_requires_grad():
    x = torch.ones(2, requires_grad=True)
    assert not torch.zeros_like(x).requires_grad
    assert torch.ones_like(x, requires_grad=True).requires_grad


def test_like_functions_keep_the_order_of_dense_strides():
    x = torch.ones(2, 3).T
    assert torch.zeros_like(x).stride() == x.stride()


def test_new_functions_take_the_dtype_of_their_tensor():
    x = torch.ones(2, dtype=torch.float64)
    assert x.new_zeros(3).dtype is torch.float64
    assert x.new_ones((2, 2)).tolist() == [[1, 1], [1, 1]]
    assert x.new_full((2,), 3).tolist() == [3, 3]
    assert x.new_tensor([1, 2]).dtype is torch.float64


@pytest.mark.parametrize("shape", [(0,), (1,), (3,), (2, 4), (4, 2), (0, 3)], ids=str)
def test_eye_has_ones_on_the_diagonal_alone(shape):
    assert_equals(torch.eye(*shape), np.eye(*shape, dtype=np.float32))


@pytest.mark.parametrize("args", [(5,), (2, 7), (7, 2, -1), (0, 10, 3), (10, 0, -3), (0,), (3, 3), (-2, 2)], ids=str)
def test_arange_of_integers_is_int64_and_equals_range(args):
    x = torch.arange(*args)
    assert x.dtype is torch.int64
    assert x.tolist() == list(range(*args))


@pytest.mark.parametrize("args", [(0.0, 1.0, 0.1), (1.0, 2.0, 0.3), (5.0, 0.0, -0.7), (2.5,)], ids=str)
def test_arange_of_floats_does_not_accumulate_the_rounding_of_its_steps(args):
    start, end, step = (0.0, *args, 1.0) if len(args) == 1 else args
    count = math.ceil((end - start) / step)
    assert_close(torch.arange(*args, dtype=torch.float64), np.array([start + k * step for k in range(count)]))
    assert torch.arange(*args).dtype is torch.float32


def test_arange_with_keywords():
    assert torch.arange(start=1, end=4, step=2).tolist() == [1, 3]
    assert torch.arange(end=3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("steps", [0, 1, 2, 5, 100])
@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
def test_linspace_hits_both_ends_exactly_and_is_even(steps, dtype):
    x = torch.linspace(-1.5, 4.25, steps, dtype=dtype)
    assert_close(x, np.linspace(-1.5, 4.25, steps))
    if steps > 1:
        assert (x[0].item(), x[-1].item()) == (-1.5, 4.25)


@given(st.lists(st.floats(width=32), max_size=20))
def test_tensor_and_tolist_are_inverse(values):
    back = torch.tensor(values).tolist()
    assert len(back) == len(values)
    assert all(a == b or (a != a and b != b) for a, b in zip(back, values, strict=True))


@given(st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=2), max_size=8))
def test_int64_values_survive_the_round_trip(rows):
    assert torch.tensor(rows, dtype=torch.int64).tolist() == rows


def test_sixty_four_dimensions_are_allowed():
    x = torch.ones([1] * 64)
    assert x.dim() == 64
    assert (x + 1).sum().item() == 2


def test_zero_size_tensors_have_no_elements_and_still_a_shape():
    x = torch.zeros(3, 0, 2)
    assert x.numel() == 0
    assert x.tolist() == [[], [], []]
    assert tuple((x + 1).shape) == (3, 0, 2)
    assert x.sum().item() == 0


def test_the_default_device_is_the_cpu_and_no_other_can_be():
    for device in ("cpu", torch.device("cpu"), None):
        torch.set_default_device(device)
        assert torch.get_default_device() == torch.device("cpu")
    with pytest.raises(RuntimeError, match="device 'cuda' is not available: arcgrad computes on the CPU only"):
        torch.set_default_device("cuda")
    with pytest.raises(RuntimeError, match="Expected one of cpu, cuda, "):
        torch.set_default_device("abacus")
    with pytest.raises(TypeError):
        torch.set_default_device(1.5)
