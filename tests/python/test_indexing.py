"""Reading and writing by index: integers, slices, `...`, `None`, masks and integer tensors, all mixed."""

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

import arcgrad as torch
from agreement import assert_equals

SHAPE = (4, 3, 5)


def counted(shape=SHAPE):
    a = np.arange(np.prod(shape, dtype=np.int64)).reshape(shape)
    return a, torch.from_numpy(a.copy())


def to_torch(index):
    """The same index with its arrays as tensors."""
    if isinstance(index, tuple):
        return tuple(to_torch(part) for part in index)
    return torch.from_numpy(index.copy()) if isinstance(index, np.ndarray) else index


BASIC = [
    0,
    -1,
    slice(None),
    slice(1, 3),
    slice(None, None, 2),
    slice(-2, None),
    slice(10, 20),
    slice(3, 1),
    slice(-100, 100, 3),
    ...,
    None,
    (0, 1),
    (0, 1, 2),
    (slice(None), 1),
    (..., 0),
    (..., None),
    (None, 0, None, slice(1, 2), None),
    (0, ..., 1),
    (slice(None, None, 2), slice(None, None, 3), slice(1, None, 2)),
    (),
]


@pytest.mark.parametrize("index", BASIC, ids=str)
def test_basic_indices_read_as_numpy_reads(index):
    a, x = counted()
    assert_equals(x[index], a[index])


@pytest.mark.parametrize("index", BASIC, ids=str)
def test_basic_indices_give_views_of_the_same_storage(index):
    _, x = counted()
    view = x[index]
    version = x._version
    view.zero_()
    assert x._version == version + 1
    assert (x[index] == 0).all().item()


@pytest.mark.parametrize("index", BASIC, ids=str)
def test_basic_indices_write_as_numpy_writes(index):
    a, x = counted()
    a[index] = -7
    x[index] = -7
    assert_equals(x, a)


MASK3 = (np.arange(60).reshape(SHAPE) % 7) == 0
ADVANCED = [
    np.array([0, 2, 2, -1]),
    np.array([[0, 1], [2, 3]]),
    np.array([], dtype=np.int64),
    (np.array([0, 1]), np.array([2, 0])),
    (np.array([[0], [1]]), np.array([2, 0])),
    (slice(None), np.array([2, 0])),
    (slice(None), slice(None), np.array([4, 0, 1])),
    (np.array([0, 1]), slice(None), np.array([4, 3])),
    (slice(None), np.array([0, 2]), np.array([1, 1])),
    (0, np.array([0, 2])),
    (np.array([3, 1]), 2),
    (np.array([0, 1]), None, np.array([2, 2])),
    (..., np.array([0, 4])),
    (np.array([1]), ..., 0),
    (None, np.array([1, 2])),
    MASK3,
    np.array([True, False, True, False]),
    (slice(None), np.array([True, False, True])),
    (np.array([True, False, True, True]), np.array([0, 1, 2])),
    (np.array([True, False, False, True]), 0),
    (np.array([True, False, True, True]), slice(None), np.array([0])),
    MASK3[:, :, 0],
    (MASK3[:, :, 0], 2),
    np.zeros(SHAPE, bool),
    (np.array([0, 1], np.int32), np.array([1, 2], np.int32)),
]


@pytest.mark.parametrize("index", ADVANCED, ids=lambda i: " ".join(str(i).split()))
def test_advanced_indices_read_as_numpy_reads(index):
    a, x = counted()
    assert_equals(x[to_torch(index)], a[index])


@pytest.mark.parametrize("index", ADVANCED, ids=lambda i: " ".join(str(i).split()))
def test_advanced_indices_write_one_value_and_many(index):
    a, x = counted()
    a[index] = -7
    x[to_torch(index)] = -7
    assert_equals(x, a)
    a, x = counted()
    values = -a[index] - 1  # fixed by the position, so that positions written twice agree
    a[index] = values
    x[to_torch(index)] = torch.from_numpy(values)
    assert_equals(x, a)


def test_an_integer_beside_an_array_selects_first_unlike_numpy():
    _, x = counted()
    assert tuple(x[0, :, torch.tensor([1, 2])].shape) == (3, 2)
    assert x[0, :, torch.tensor([1, 2])].tolist() == [[1, 2], [6, 7], [11, 12]]


def test_advanced_indices_give_copies():
    _, x = counted()
    x[torch.tensor([0, 1])].zero_()
    assert x[0, 0, 1].item() == 1


def test_lists_and_arrays_index_like_tensors():
    a, x = counted()
    assert_equals(x[[0, 2]], a[[0, 2]])
    assert_equals(x[[0, 2], [1, 1]], a[[0, 2], [1, 1]])
    assert_equals(x[np.array([0, 2])], a[[0, 2]])


def test_a_python_bool_adds_a_dimension_of_size_one_or_zero():
    a, x = counted()
    assert_equals(x[True], a[True])
    assert_equals(x[False], a[False])


def test_a_zero_dim_integer_tensor_selects():
    a, x = counted()
    assert_equals(x[torch.tensor(1)], a[1])
    assert_equals(x[np.int64(1)], a[1])
    assert_equals(x[torch.tensor(1) :], a[1:])


def test_a_zero_dim_tensor_can_be_indexed_by_none_ellipsis_and_mask():
    x = torch.tensor(3)
    assert x[None].tolist() == [3]
    assert x[...].item() == 3
    assert x[torch.tensor(True)].tolist() == [3]
    assert x[torch.tensor(False)].tolist() == []
    x[()] = 4
    assert x.item() == 4


def test_written_values_broadcast_and_take_the_dtype_of_the_target():
    x = torch.zeros(2, 3)
    x[:, 1:] = torch.tensor([1, 2])
    assert x.tolist() == [[0, 1, 2], [0, 1, 2]]
    i = torch.zeros(2, dtype=torch.int64)
    i[:] = 2.9
    assert i.tolist() == [2, 2]
    x[0] = torch.tensor([[5.0, 6.0, 7.0]])
    assert x[0].tolist() == [5, 6, 7]


def test_the_last_of_repeated_writes_is_one_of_those_written():
    x = torch.zeros(3)
    x[torch.tensor([1, 1])] = torch.tensor([5.0, 5.0])
    assert x.tolist() == [0, 5, 0]


def test_index_put_accumulates_repeated_positions():
    x = torch.zeros(3)
    x.index_put_((torch.tensor([1, 1, 2]),), torch.tensor([1.0, 2.0, 4.0]), accumulate=True)
    assert x.tolist() == [0, 3, 4]


def test_a_write_that_overlaps_its_source_reads_the_source_first_when_cloned():
    x = torch.arange(5)
    x[1:] = x[:-1].clone()
    assert x.tolist() == [0, 0, 1, 2, 3]


ONE_INDEX = st.one_of(
    st.integers(-6, 5),
    st.builds(
        slice,
        st.none() | st.integers(-7, 7),
        st.none() | st.integers(-7, 7),
        st.none() | st.integers(1, 3),
    ),
    st.just(None),
    st.just(...),
)


@given(st.lists(ONE_INDEX, max_size=5))
def test_any_mix_of_basic_indices_reads_writes_and_fails_as_numpy(parts):
    index = tuple(parts)
    assume(sum(p is ... for p in index) <= 1)
    a, x = counted()
    try:
        expected = a[index]
    except IndexError:
        with pytest.raises(IndexError):
            x[index]
        return
    assert_equals(x[index], expected)
    a[index] = -1
    x[index] = -1
    assert_equals(x, a)


@st.composite
def mixed_indices(draw):
    """Up to three entries, in which integer arrays of one shape and masks stand among basic entries."""
    shape = draw(st.sampled_from([(1,), (2,), (3, 1), (2, 2)]))
    index = []
    for size in SHAPE[: draw(st.integers(1, 3))]:
        kind = draw(st.sampled_from(["array", "slice", "int", "new", "mask"]))
        if kind == "array":
            numbers = st.integers(-size, size - 1)
            n = int(np.prod(shape))
            index.append(np.array(draw(st.lists(numbers, min_size=n, max_size=n))).reshape(shape))
        elif kind == "slice":
            index.append(slice(draw(st.integers(-3, 2)), draw(st.integers(0, 6)), draw(st.integers(1, 2))))
        elif kind == "int":
            index.append(draw(st.integers(-size, size - 1)))
        elif kind == "mask":
            index.append(np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size))))
        else:
            index.append(None)
            index.append(slice(None))
    return tuple(index)


def has_integer_beside_array(index):
    """NumPy counts an integer as an advanced index when arrays are present; PyTorch selects it first."""
    arrays = any(isinstance(i, np.ndarray) for i in index)
    return arrays and any(isinstance(i, int) for i in index)


@given(mixed_indices())
def test_any_mix_of_advanced_indices_reads_and_writes_as_numpy(index):
    assume(not has_integer_beside_array(index))
    a, x = counted()
    try:
        expected = a[index]
    except IndexError:
        with pytest.raises((IndexError, RuntimeError)):
            x[to_torch(index)]
        return
    assert_equals(x[to_torch(index)], expected)
    a[index] = -3
    x[to_torch(index)] = -3
    assert_equals(x, a)


def test_the_gradient_of_a_read_is_written_where_it_was_read_and_adds_up():
    x = torch.zeros(2, 3, requires_grad=True)
    (x[0, 1:].sum() + 2 * x[:, 2].sum()).backward()
    assert x.grad.tolist() == [[0, 1, 3], [0, 0, 2]]
    y = torch.zeros(3, requires_grad=True)
    (y[torch.tensor([0, 0, 2])] * torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert y.grad.tolist() == [3, 0, 4]
    z = torch.zeros(3, requires_grad=True)
    z[torch.tensor([True, False, True])].sum().backward()
    assert z.grad.tolist() == [1, 0, 1]


def test_the_gradient_of_a_write_is_cut_where_it_was_overwritten():
    x = torch.ones(4, requires_grad=True)
    v = torch.ones(2, requires_grad=True)
    y = x * 2
    y[1:3] = v * 3
    y.sum().backward()
    assert x.grad.tolist() == [2, 0, 0, 2]
    assert v.grad.tolist() == [3, 3]
    x.grad = None
    y = x * 2
    y[torch.tensor([0, 3])] = v[0] * 5
    y.sum().backward()
    assert x.grad.tolist() == [0, 2, 2, 0]
    assert v.grad.tolist() == [13, 3]
