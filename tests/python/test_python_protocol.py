"""What Python asks of an object: length, iteration, truth, numbers, format, hash, copies, pickles."""

import copy
import math
import operator
import pickle

import numpy as np
import pytest

import arcgrad as torch
from agreement import DTYPES, assert_equals, name_of, waves


def test_len_and_iteration_walk_the_first_dimension():
    x = torch.arange(6).view(3, 2)
    assert len(x) == 3
    assert [row.tolist() for row in x] == [[0, 1], [2, 3], [4, 5]]
    assert [int(v) for v in torch.arange(3)] == [0, 1, 2]
    assert len(torch.zeros(0, 3)) == 0
    assert list(torch.zeros(0)) == []
    a, b, c = torch.arange(3)
    assert (a.item(), b.item(), c.item()) == (0, 1, 2)


def test_zero_dim_tensors_have_no_length_and_no_iteration():
    with pytest.raises(TypeError, match="0-d tensor"):
        len(torch.tensor(1))
    with pytest.raises(TypeError, match="0-d tensor"):
        iter(torch.tensor(1))


def test_iteration_keeps_the_graph():
    x = torch.ones(3, requires_grad=True)
    sum(k * v for k, v in enumerate(x)).backward()
    assert x.grad.tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1)], ids=str)
def test_tensors_of_one_element_become_python_numbers(shape, dtype):
    x = torch.ones(shape, dtype=dtype)
    assert bool(x) is True
    assert int(x) == 1
    assert float(x) == 1.0
    kind = bool if dtype is torch.bool else float if x.is_floating_point() else int
    assert type(x.item()) is kind
    assert complex(x) == 1


def test_tensors_of_other_sizes_have_no_truth_and_no_number():
    for x in [torch.ones(2), torch.ones(2, 2)]:
        with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
            bool(x)
        for convert in [float, int, complex]:
            with pytest.raises(ValueError, match="only one element tensors can be converted to Python scalars"):
                convert(x)
        with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
            x.item()
    with pytest.raises(RuntimeError):
        torch.zeros(0).item()
    with pytest.raises(RuntimeError):
        bool(torch.zeros(0))


def test_integers_serve_as_indices_and_floats_do_not():
    assert [10, 20, 30][torch.tensor(1)] == 20
    assert list(range(torch.tensor(3))) == [0, 1, 2]
    assert operator.index(torch.tensor([2])) == 2
    with pytest.raises(TypeError):
        operator.index(torch.tensor(1.0))
    with pytest.raises(TypeError):
        operator.index(torch.tensor([1, 2]))


def test_math_functions_and_rounding_take_zero_dim_tensors():
    assert math.sqrt(torch.tensor(9.0)) == 3
    assert math.isnan(torch.tensor(float("nan")))
    assert math.floor(float(torch.tensor(2.567))) == 2
    assert int(torch.tensor(2.9)) == 2
    assert int(torch.tensor(2**62)) == 2**62


def test_int_of_nan_and_infinity_fails_as_in_python():
    with pytest.raises(ValueError, match="cannot convert float NaN to integer"):
        int(torch.tensor(float("nan")))
    with pytest.raises(OverflowError):
        int(torch.tensor(float("inf")))


def test_formats_apply_to_zero_dim_tensors_as_to_numbers():
    assert f"{torch.tensor(3.14159):.2f}" == "3.14"
    assert f"{torch.tensor(42):5d}|" == "   42|"
    assert f"{torch.tensor(0.5):.0%}" == "50%"
    assert f"{torch.tensor(1.5)}" == "1.5"
    assert f"{torch.tensor([1, 2])}" == "tensor([1, 2])"
    with pytest.raises(TypeError):
        f"{torch.tensor([1.0, 2.0]):.2f}"


def test_tolist_gives_python_numbers():
    assert torch.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert type(torch.tensor([1.0]).tolist()[0]) is float
    assert torch.tensor(5).tolist() == 5
    assert torch.tensor([[True]]).tolist() == [[True]]
    assert torch.zeros(2, 0).tolist() == [[], []]
    assert torch.arange(4).view(2, 2).T.tolist() == [[0, 2], [1, 3]]


def test_hash_is_by_identity():
    x, y = torch.ones(2), torch.ones(2)
    assert hash(x) == hash(x)
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


def test_comparison_is_element_wise_and_with_strangers_falls_back():
    x = torch.tensor([1, 2, 3])
    assert (x == 2).tolist() == [False, True, False]
    assert (x != torch.tensor([1, 0, 3])).tolist() == [False, True, False]
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert (x == "a") is False
    with pytest.raises(TypeError):
        x < "a"  # noqa: B015


def test_membership_asks_for_any_equal_element():
    x = torch.tensor([1, 2, 3])
    assert 2 in x
    assert 5 not in x
    assert torch.tensor(3) in x


def test_equal_and_allclose_compare_whole_tensors():
    x = torch.tensor([1.0, 2.0])
    assert torch.equal(x, x.clone()) is True
    assert torch.equal(x, torch.ones(2)) is False
    assert torch.equal(x, torch.ones(3)) is False
    assert torch.allclose(x, x + 1e-9) is True
    assert torch.allclose(x, x + 1e-3) is False
    nan = torch.tensor([float("nan")])
    assert torch.allclose(nan, nan) is False
    assert torch.allclose(nan, nan, equal_nan=True) is True
    assert torch.isclose(x, torch.tensor([1.0, 3.0])).tolist() == [True, False]


def test_shape_is_a_tuple_with_numel():
    shape = torch.zeros(2, 3).shape
    assert isinstance(shape, tuple)
    assert shape == (2, 3)
    assert shape.numel() == 6
    assert type(shape[:1]) is type(shape)
    assert shape + (4,) == (2, 3, 4)  # noqa: RUF005
    assert torch.Size([2, 3]) == shape


def test_is_tensor_and_isinstance():
    assert torch.is_tensor(torch.ones(1))
    assert not torch.is_tensor(1)
    assert isinstance(torch.ones(1), torch.Tensor)


def test_tensors_take_attributes_and_weak_references():
    import weakref

    x = torch.ones(1)
    x.label = "weights"
    assert x.label == "weights"
    r = weakref.ref(x)
    del x
    assert r() is None


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_deepcopy_of_a_leaf_copies_numbers_flags_and_gradient(dtype):
    x = torch.tensor([[1, 0], [1, 1]]).to(dtype)
    y = copy.deepcopy(x)
    assert_equals(y, x.numpy())
    y.fill_(0)
    assert x.any().item()
    if x.is_floating_point():
        x.requires_grad_()
        (x * 2).sum().backward()
        y = copy.deepcopy(x)
        assert y.requires_grad
        assert y.grad.tolist() == x.grad.tolist()
        assert y.grad is not x.grad


def test_deepcopy_keeps_shared_storage_shared_and_strides():
    x = torch.arange(6.0).view(2, 3)
    pair = copy.deepcopy([x, x.T, x])
    assert pair[0] is pair[2]
    assert pair[1].stride() == (1, 3)
    pair[0].fill_(9)
    assert (pair[1] == 9).all().item()
    assert (x != 9).all().item()


def test_copy_copy_shares_storage():
    x = torch.ones(2)
    copy.copy(x).add_(1)
    assert x.tolist() == [2, 2]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_pickles_restore_numbers_shape_dtype_and_flag(protocol, dtype):
    for x in [waves(2, 3).to(dtype), torch.zeros((), dtype=dtype), torch.zeros((0, 2), dtype=dtype)]:
        y = pickle.loads(pickle.dumps(x, protocol))
        assert_equals(y, x.numpy())
        assert not y.requires_grad
    if dtype.is_floating_point:
        x = torch.ones(2, dtype=dtype, requires_grad=True)
        assert pickle.loads(pickle.dumps(x, protocol)).requires_grad


def test_a_pickled_view_is_restored_with_its_numbers():
    x = torch.arange(12.0).view(3, 4)[1:, ::2].T
    assert_equals(pickle.loads(pickle.dumps(x)), x.numpy())


def test_dtypes_and_sizes_pickle():
    for dtype in DTYPES:
        assert pickle.loads(pickle.dumps(dtype)) is dtype
        assert copy.deepcopy(dtype) is dtype
    shape = torch.zeros(2, 3).shape
    assert pickle.loads(pickle.dumps(shape)) == shape


def test_numpy_scalars_and_arrays_on_the_left_do_not_swallow_the_graph():
    x = torch.ones(2, requires_grad=True)
    y = 2.0 * x
    z = np.float32(2.0) * x.detach()
    assert y.requires_grad
    assert np.asarray(z).tolist() == [2, 2]
