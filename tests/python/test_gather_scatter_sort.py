"""Gathering, scattering, selecting by index, sorting and the like, against NumPy or written out by hand."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import arcgrad as torch
from agreement import DTYPES, assert_close, assert_equals, name_of, waves

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_gather_reads_along_one_dim(dim):
    x = waves(3, 4, 5)
    index = torch.from_numpy(np.arange(24).reshape(2, 3, 4) % 3)
    inside = tuple(slice(None) if d == dim % 3 else slice(n) for d, n in enumerate(index.shape))
    expected = np.take_along_axis(x.numpy()[inside], index.numpy(), axis=dim)
    assert_equals(x.gather(dim, index), expected)
    assert_equals(torch.gather(x, dim, index), expected)


def test_take_along_dim_broadcasts_and_flattens():
    x = waves(3, 4)
    index = torch.tensor([[0], [3], [1]])
    assert_equals(torch.take_along_dim(x, index, 1), np.take_along_axis(x.numpy(), index.numpy(), 1))
    assert_equals(x.take_along_dim(torch.tensor([[2]]), dim=1), x.numpy()[:, 2:3])
    assert_equals(x.take_along_dim(torch.tensor([11, 0])), x.numpy().reshape(-1)[[11, 0]])


def test_scatter_writes_what_gather_reads():
    x = torch.zeros(2, 4)
    index = torch.tensor([[3, 0], [1, 2]])
    source = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = x.scatter(1, index, source)
    assert y.tolist() == [[2, 0, 0, 1], [0, 3, 4, 0]]
    assert_equals(y.gather(1, index), source.numpy())
    assert x.sum().item() == 0
    assert torch.scatter(x, 1, index, 7.0).tolist() == [[7, 0, 0, 7], [0, 7, 7, 0]]
    assert x.scatter_(1, index, source) is x


def test_scatter_add_adds_repeated_positions():
    x = torch.ones(3)
    index = torch.tensor([0, 0, 2])
    assert x.scatter_add(0, index, torch.tensor([1.0, 2.0, 4.0])).tolist() == [4, 1, 5]
    assert x.tolist() == [1, 1, 1]
    x.scatter_add_(0, index, torch.ones(3))
    assert x.tolist() == [3, 1, 2]


def test_gradients_of_gather_and_scatter_are_one_anothers_functions():
    x = waves(3, 4).requires_grad_()
    source = waves(3, 2).requires_grad_()
    index = torch.tensor([[0, 3], [1, 1], [2, 0]])
    g = waves(3, 2, phase=1.0)
    (dx,) = torch.autograd.grad(x.gather(1, index), x, g)
    assert_equals(dx, torch.zeros(3, 4, dtype=torch.float64).scatter_add(1, index, g).numpy())
    g = waves(3, 4, phase=1.0)
    dx, ds = torch.autograd.grad(x.scatter_add(1, index, source), [x, source], g)
    assert_equals(dx, g.numpy())
    assert_equals(ds, g.gather(1, index).numpy())


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_index_select_takes_whole_slices(dim):
    x = waves(3, 4, 5)
    assert_equals(x.index_select(dim, torch.tensor([2, 0, 2])), np.take(x.numpy(), [2, 0, 2], axis=dim))


def test_index_add_adds_whole_slices_with_alpha():
    x = torch.zeros(3, 2)
    y = x.index_add(0, torch.tensor([0, 2, 0]), torch.ones(3, 2), alpha=2)
    assert y.tolist() == [[4, 4], [0, 0], [2, 2]]
    assert x.index_add_(0, torch.tensor([1]), torch.ones(1, 2)) is x


def test_index_fill_and_index_copy_write_whole_slices():
    x = torch.zeros(3, 2)
    assert x.index_fill(0, torch.tensor([1]), 5).tolist() == [[0, 0], [5, 5], [0, 0]]
    assert x.index_copy(1, torch.tensor([1]), torch.ones(3, 1)).tolist() == [[0, 1]] * 3


def test_masked_fill_broadcasts_its_mask_and_takes_a_zero_dim_value():
    x = torch.zeros(2, 3)
    mask = torch.tensor([True, False, True])
    assert x.masked_fill(mask, 2).tolist() == [[2, 0, 2]] * 2
    assert x.masked_fill(mask, torch.tensor(3.0)).tolist() == [[3, 0, 3]] * 2
    assert x.tolist() == [[0, 0, 0]] * 2


def test_masked_select_and_nonzero_read_in_row_order():
    x = torch.tensor([[1, 0, 2], [0, 3, 0]])
    assert torch.masked_select(x, x > 1).tolist() == [2, 3]
    assert x.nonzero().tolist() == [[0, 0], [0, 2], [1, 1]]
    assert [i.tolist() for i in x.nonzero(as_tuple=True)] == [[0, 0, 1], [0, 2, 1]]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_sort_orders_values_and_tells_where_they_were(dim, descending):
    x = waves(3, 4, 5)
    values, indices = x.sort(dim, descending)
    expected = np.sort(x.numpy(), axis=dim)
    assert_equals(values, np.flip(expected, dim) if descending else expected)
    assert_equals(x.gather(dim, indices), values.numpy())
    assert indices.dtype is torch.int64
    assert_equals(x.argsort(dim, descending), indices.numpy())


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_every_dtype_sorts(dtype):
    x = torch.tensor([1, 0, 1, 0]).to(dtype)
    assert_equals(torch.sort(x).values, np.sort(x.numpy()))


def test_a_stable_sort_keeps_the_order_of_equals_and_nan_is_the_greatest():
    x = torch.tensor([2.0, 1.0, 2.0, 1.0])
    assert torch.sort(x, stable=True).indices.tolist() == [1, 3, 0, 2]
    assert torch.sort(x, stable=True, descending=True).indices.tolist() == [0, 2, 1, 3]
    y = torch.sort(torch.tensor([NAN, INF, -INF])).indices.tolist()
    assert y == [2, 1, 0]


@given(st.lists(st.integers(-5, 5), max_size=40))
def test_sorting_any_list_agrees_with_python(values):
    x = torch.tensor(values, dtype=torch.int64)
    assert torch.sort(x).values.tolist() == sorted(values)
    assert torch.sort(x, stable=True).indices.tolist() == sorted(range(len(values)), key=values.__getitem__)


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("k", [0, 1, 3, 5])
def test_topk_takes_the_first_of_the_sorted(k, largest):
    x = waves(4, 5)
    top = x.topk(k, largest=largest)
    expected = x.sort(-1, descending=largest)
    assert_equals(top.values, expected.values[:, :k].numpy())
    assert_equals(x.gather(1, top.indices), top.values.numpy())
    assert_equals(torch.topk(x, min(k, 4), dim=0)[0], x.sort(0, descending=True)[0][: min(k, 4)].numpy())


def test_the_gradient_of_sort_and_topk_returns_to_the_place_of_origin():
    x = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)
    g = torch.tensor([10.0, 20.0, 30.0])
    assert torch.autograd.grad(x.sort().values, x, g)[0].tolist() == [30, 10, 20]
    assert torch.autograd.grad(x.topk(2).values, x, g[:2])[0].tolist() == [10, 0, 20]


def test_one_hot_counts_classes_or_takes_their_number():
    x = torch.tensor([[0, 2], [1, 0]])
    assert torch.nn.functional.one_hot(x).tolist() == [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0]]]
    assert tuple(torch.nn.functional.one_hot(x, 5).shape) == (2, 2, 5)
    with pytest.raises(RuntimeError):
        torch.nn.functional.one_hot(x, 2)
    with pytest.raises(RuntimeError):
        torch.nn.functional.one_hot(torch.tensor([-1]))


def test_cumulative_and_sorted_results_of_zero_size_tensors_are_of_zero_size():
    x = torch.zeros(0, 3)
    assert tuple(x.sort(0).values.shape) == (0, 3)
    assert tuple(x.cumsum(0).shape) == (0, 3)
    assert tuple(x.topk(2).indices.shape) == (0, 2)
    assert tuple(x.gather(0, torch.zeros(0, 3, dtype=torch.int64)).shape) == (0, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x, i: x.gather(0, i + 3),
        lambda x, i: x.gather(0, i - 4),
        lambda x, i: x.gather(1, torch.zeros(4, 1, dtype=torch.int64)),
        lambda x, i: x.scatter(0, i + 3, x),
        lambda x, i: x.scatter_add(0, i + 3, x),
        lambda x, i: x.scatter(1, torch.zeros(1, 9, dtype=torch.int64), x),
        lambda x, i: x.topk(4, 0),
        lambda x, i: x.topk(-1, 0),
        lambda x, i: x.index_add(0, torch.tensor([0]), torch.ones(2, 3)),
        lambda x, i: x.gather(0, i.float()),
        lambda x, i: x.gather(0, i[0]),
        lambda x, i: x.masked_fill(i, 1.0),
        lambda x, i: x.masked_fill(torch.ones(2, dtype=torch.bool), 1.0),
    ],
)
def test_misfits_raise(wrong):
    with pytest.raises((RuntimeError, IndexError)):
        wrong(torch.ones(3, 3), torch.zeros(3, 3, dtype=torch.int64))


def test_index_select_out_of_range_is_an_index_error():
    with pytest.raises(IndexError):
        torch.ones(3).index_select(0, torch.tensor([3]))
    with pytest.raises(IndexError):
        torch.nn.functional.embedding(torch.tensor([5]), torch.ones(3, 2))


def test_softmax_of_gathered_rows_is_differentiable_twice():
    x = waves(3, 4).requires_grad_()
    y = x.index_select(0, torch.tensor([0, 0, 2])).softmax(1)
    (g,) = torch.autograd.grad((y * waves(3, 4, phase=1)).sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.square().sum(), x)
    assert_close(h[1], np.zeros(4))
    assert not (h[0] == 0).any().item()
