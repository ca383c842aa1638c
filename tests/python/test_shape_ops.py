"""Reshaping, reordering, joining and cutting against NumPy; gradients move without changing."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import arcgrad as torch
from agreement import assert_equals, waves

CASES = {
    "reshape": (lambda x: x.reshape(4, -1), lambda a: a.reshape(4, -1)),
    "torch.reshape": (lambda x: torch.reshape(x, (3, 8)), lambda a: a.reshape(3, 8)),
    "view of a tuple": (lambda x: x.view((6, 4)), lambda a: a.reshape(6, 4)),
    "transpose": (lambda x: x.transpose(0, -1), lambda a: a.swapaxes(0, -1)),
    "permute": (lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    "torch.permute": (lambda x: torch.permute(x, (-1, 0, 1)), lambda a: a.transpose(2, 0, 1)),
    "mT": (lambda x: x.mT, lambda a: a.swapaxes(-1, -2)),
    "T": (lambda x: x[0].T, lambda a: a[0].T),
    "t": (lambda x: x[0].t(), lambda a: a[0].T),
    "expand": (lambda x: x[:, :1].expand(-1, 5, -1), lambda a: np.broadcast_to(a[:, :1], (2, 5, 4))),
    "expand to more dims": (lambda x: x.expand(3, 2, 3, 4), lambda a: np.broadcast_to(a, (3, 2, 3, 4))),
    "broadcast_to": (lambda x: x.broadcast_to(2, 2, 3, 4), lambda a: np.broadcast_to(a, (2, 2, 3, 4))),
    "squeeze": (lambda x: x[None, :, :1].squeeze(), lambda a: a[:, 0]),
    "squeeze of one dim": (lambda x: x[None, :, :1].squeeze(0), lambda a: a[:, :1]),
    "squeeze of a wide dim": (lambda x: x.squeeze(1), lambda a: a),
    "squeeze of dims": (lambda x: x[None, :, :1].squeeze((0, 2)), lambda a: a[:, 0]),
    "unsqueeze": (lambda x: x.unsqueeze(-1), lambda a: a[..., None]),
    "flatten": (lambda x: x.flatten(1), lambda a: a.reshape(2, 12)),
    "flatten between": (lambda x: torch.flatten(x, 0, 1), lambda a: a.reshape(6, 4)),
    "ravel": (lambda x: x.ravel(), lambda a: a.ravel()),
    "unfold": (
        lambda x: x.unfold(2, 2, 2),
        lambda a: np.lib.stride_tricks.sliding_window_view(a, 2, axis=2)[:, :, ::2],
    ),
    "narrow": (lambda x: x.narrow(2, 1, 2), lambda a: a[:, :, 1:3]),
    "select": (lambda x: x.select(1, -1), lambda a: a[:, -1]),
    "movedim": (lambda x: x.movedim(0, 2), lambda a: np.moveaxis(a, 0, 2)),
    "movedim of several": (lambda x: x.movedim((0, 1), (1, 2)), lambda a: np.moveaxis(a, (0, 1), (1, 2))),
    "flip": (lambda x: x.flip(0, 2), lambda a: np.flip(a, (0, 2))),
    "torch.flip": (lambda x: torch.flip(x, [1]), lambda a: np.flip(a, 1)),
    "diagonal": (lambda x: x.diagonal(0, 1, 2), lambda a: a.diagonal(0, 1, 2)),
    "diagonal above": (lambda x: x.diagonal(1, dim1=0, dim2=2), lambda a: a.diagonal(1, 0, 2)),
    "diagonal below": (lambda x: x.diagonal(offset=-1), lambda a: a.diagonal(-1, 0, 1)),
    "tril": (lambda x: x.tril(), np.tril),
    "triu": (lambda x: torch.triu(x, diagonal=1), lambda a: np.triu(a, 1)),
    "tril below": (lambda x: x.tril(-1), lambda a: np.tril(a, -1)),
    "cat": (lambda x: torch.cat([x, x[:, :1]], dim=1), lambda a: np.concatenate([a, a[:, :1]], 1)),
    "cat of the last dim": (lambda x: torch.cat((x, x), -1), lambda a: np.concatenate([a, a], -1)),
    "stack": (lambda x: torch.stack([x, x * 1], dim=-1), lambda a: np.stack([a, a], -1)),
    "split": (lambda x: x.split(2, dim=2)[1], lambda a: a[:, :, 2:]),
    "split by sizes": (lambda x: torch.split(x, [1, 3], -1)[1], lambda a: a[:, :, 1:]),
    "chunk": (lambda x: x.chunk(2, 1)[1], lambda a: a[:, 2:]),
    "unbind": (lambda x: x.unbind(2)[3], lambda a: a[:, :, 3]),
    "contiguous": (lambda x: x.transpose(0, 1).contiguous(), lambda a: a.swapaxes(0, 1)),
    "clone": (lambda x: x.clone(), lambda a: a),
    "repeat": (lambda x: x.repeat(2, 1, 2), lambda a: np.tile(a, (2, 1, 2))),
    "roll": (lambda x: x.roll(1, 2), lambda a: np.roll(a, 1, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_move_as_in_numpy(name):
    f, reference = CASES[name]
    x = waves(2, 3, 4)
    assert_equals(f(x), reference(x.numpy()))


@pytest.mark.parametrize("name", CASES)
def test_gradients_move_back_to_where_the_values_came_from(name):
    f, reference = CASES[name]
    x = waves(2, 3, 4).requires_grad_()
    y = f(x)
    g = torch.arange(1.0, y.numel() + 1, dtype=torch.float64).view(y.shape)
    y.backward(g)
    # Where a value came from: move the positions (counted from one; zero is a hole) as the values moved.
    origin = reference(np.arange(1, 25).reshape(2, 3, 4)).reshape(-1)
    expected = np.zeros(25)
    np.add.at(expected, origin, g.numpy().reshape(-1))
    np.testing.assert_array_equal(x.grad.numpy().reshape(-1), expected[1:])


SAME_SHAPE_RULE = [
    "transpose",
    "permute",
    "mT",
    "T",
    "t",
    "squeeze",
    "unsqueeze",
    "ravel",
    "movedim",
    "flip",
    "tril",
]
SAME_SHAPE_RULE += [
    "diagonal",
    "triu",
    "cat",
    "cat of the last dim",
    "stack",
    "chunk",
    "clone",
    "repeat",
    "roll",
]


@pytest.mark.parametrize("name", SAME_SHAPE_RULE)
def test_zero_size_tensors_pass_through(name):
    f, reference = CASES[name]
    y = f(torch.zeros(2, 3, 0, requires_grad=True))
    assert tuple(y.shape) == reference(np.zeros((2, 3, 0))).shape
    y.sum().backward()


def test_split_leaves_a_short_last_piece_and_chunk_makes_pieces_even():
    x = torch.arange(7)
    assert [p.tolist() for p in x.split(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [p.tolist() for p in x.chunk(3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [p.tolist() for p in x.chunk(4)] == [[0, 1], [2, 3], [4, 5], [6]]
    assert [p.tolist() for p in torch.arange(5).chunk(4)] == [[0, 1], [2, 3], [4]]
    assert [p.tolist() for p in x.split([2, 5])] == [[0, 1], [2, 3, 4, 5, 6]]


def test_cat_promotes_and_skips_the_legacy_empty_tensor():
    assert torch.cat([torch.ones(1), torch.ones(1, dtype=torch.int64)]).dtype is torch.float32
    assert tuple(torch.cat([torch.zeros(0), torch.ones(2, 3)]).shape) == (2, 3)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize(
    "shape",
    [(2, 3, 4), (40, 3, 2), (40, 2, 30), (3, 1, 30_000), (2, 0, 3)],
    ids=["few lines", "many short pieces", "many long pieces", "a large tensor", "no elements"],
)
def test_joining_puts_every_element_where_numpy_puts_it(shape, dim):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    others = {
        "in order": torch.from_numpy(-x),
        "turned": torch.from_numpy(-x.transpose(2, 1, 0).copy()).permute(2, 1, 0),
        "one number": torch.tensor(7.0).expand(shape),
        "another dtype": torch.from_numpy(-x.astype(np.int32)),
    }
    for name, other in others.items():
        for pair in ([torch.from_numpy(x), other], [other, torch.from_numpy(x)]):
            arrays = [each.numpy() for each in pair]
            np.testing.assert_array_equal(torch.cat(pair, dim).numpy(), np.concatenate(arrays, dim), err_msg=name)
            np.testing.assert_array_equal(torch.stack(pair, dim).numpy(), np.stack(arrays, dim), err_msg=name)


def test_joined_tensors_of_unlike_dimensions_are_refused_whichever_comes_first():
    x, line = torch.ones(2, 3), torch.ones(3)
    for wrong in ([x, line], [line, x]):
        with pytest.raises(RuntimeError, match="same number of dimensions"):
            torch.cat(wrong, dim=-1)


def test_shapes_that_do_not_fit_raise():
    x = torch.ones(2, 3)
    for wrong in [
        lambda: x.reshape(5),
        lambda: x.reshape(-1, -1),
        lambda: x.reshape(-1, 4),
        lambda: x.view(7),
        lambda: x.expand(4, 3),
        lambda: x.expand(3),
        lambda: x.permute(0),
        lambda: x.permute(0, 0),
        lambda: torch.cat([x, torch.ones(3, 2)]),
        lambda: torch.stack([x, torch.ones(3, 2)]),
        lambda: x.split([1, 3]),
        lambda: x.split(-1),
        lambda: x.chunk(0),
        lambda: x.narrow(0, 1, 2),
        lambda: x.flip(0, 0),
        lambda: x.unfold(0, 3, 1),
        lambda: x.unfold(0, 1, 0),
        lambda: x.diagonal(0, 1, 1),
        lambda: torch.tril(torch.ones(2)),
    ]:
        with pytest.raises(RuntimeError):
            wrong()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.transpose(0, 2),
        lambda x: x.unsqueeze(4),
        lambda x: x.squeeze(2),
        lambda x: x.select(0, 2),
        lambda x: x.select(2, 0),
        lambda x: x.movedim(0, 2),
        lambda x: x.flatten(0, 2),
        lambda x: x.unbind(2),
        lambda x: x.sum(2),
        lambda x: x.flip(2),
        lambda x: x.size(2),
        lambda x: x.softmax(-3),
        lambda x: torch.cat([x], 2),
        lambda x: torch.stack([x], 4),
        lambda x: x.diagonal(0, 0, 2),
    ],
)
def test_a_dim_out_of_range_is_an_index_error(wrong):
    with pytest.raises(IndexError):
        wrong(torch.ones(2, 3))


@given(st.permutations(range(4)), st.permutations(range(4)))
def test_a_permutation_is_undone_by_its_inverse(p, q):
    x = waves(2, 3, 4, 5)
    y = x.permute(p)
    assert tuple(y.shape) == tuple(x.shape[d] for d in p)
    inverse = [p.index(d) for d in range(4)]
    assert_equals(y.permute(inverse), x.numpy())
    assert_equals(y.permute(q), x.numpy().transpose(p).transpose(q))


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "bool"])
@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((16, 16), (1, 0)),
        ((37, 530), (1, 0)),
        ((3, 45, 7, 50), (0, 3, 2, 1)),
        ((20, 33, 18), (2, 0, 1)),
        ((5, 1030, 67), (2, 1, 0)),
    ],
)
def test_permuted_copies_are_numpys(shape, order, dtype):
    """In blocks and beside them, serial and parallel, with other axes between the two that are exchanged."""
    a = (np.arange(np.prod(shape)).reshape(shape) * 7 % 31 > 15) if dtype == "bool" else None
    a = np.arange(np.prod(shape)).reshape(shape).astype(dtype) if a is None else a
    copied = torch.from_numpy(a).permute(order).contiguous()
    assert copied.is_contiguous()
    np.testing.assert_array_equal(copied.numpy(), a.transpose(order))
    # Every other row, from the third on.
    np.testing.assert_array_equal(
        torch.from_numpy(a)[3::2].permute(order).contiguous().numpy(), a[3::2].transpose(order)
    )


def test_a_copy_of_what_is_broadcast_repeats_it():
    a = np.arange(300.0, dtype="float32")
    column, row = torch.from_numpy(a)[:, None], torch.from_numpy(a)
    np.testing.assert_array_equal(column.expand(300, 500).contiguous().numpy(), np.repeat(a[:, None], 500, 1))
    np.testing.assert_array_equal(row.expand(500, 300).contiguous().numpy(), np.repeat(a[None], 500, 0))
