"""Views share storage, strides and offsets say how, and one version counter counts every write to it."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import arcgrad as torch
from agreement import assert_equals

VIEWS = {
    "view": lambda x: x.view(6, 4),
    "view of one inferred size": lambda x: x.view(3, -1),
    "view_as": lambda x: x.view_as(torch.zeros(4, 6)),
    "reshape": lambda x: x.reshape(4, 6),
    "transpose": lambda x: x.transpose(0, 2),
    "permute": lambda x: x.permute(1, 2, 0),
    "mT": lambda x: x.mT,
    "movedim": lambda x: x.movedim(0, -1),
    "expand": lambda x: x[:1].expand(5, 3, 4),
    "expand_as": lambda x: x[:1].expand_as(torch.zeros(5, 3, 4)),
    "squeeze": lambda x: x[:1].squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "flatten": lambda x: x.flatten(),
    "unfold": lambda x: x.unfold(2, 2, 1),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "select": lambda x: x.select(1, 2),
    "diagonal": lambda x: x.diagonal(0, 1, 2),
    "split": lambda x: x.split(2, 1)[1],
    "chunk": lambda x: x.chunk(2, 2)[0],
    "unbind": lambda x: x.unbind(1)[1],
    "slice": lambda x: x[:, 1:, ::2],
    "iteration": lambda x: next(iter(x)),
    "detach": lambda x: x.detach(),
}

COPIES = {
    "clone": lambda x: x.clone(),
    "contiguous of a transpose": lambda x: x.transpose(0, 1).contiguous(),
    "reshape of a transpose": lambda x: x.transpose(0, 1).reshape(-1),
    "flip": lambda x: x.flip(0),
    "to another dtype": lambda x: x.to(torch.float64),
    "advanced indexing": lambda x: x[torch.tensor([0])],
    "cat": lambda x: torch.cat([x]),
    "stack": lambda x: torch.stack([x]),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_write_through_a_view_is_seen_by_its_base_and_counted_by_both(name):
    x = torch.arange(24, dtype=torch.float32).view(2, 3, 4).clone()
    y = VIEWS[name](x)
    before = x._version
    assert y._version == before
    with torch.no_grad():
        y[(0,) * y.dim()] = -1
    assert x._version == y._version == before + 1
    assert (x == -1).sum().item() == 1


@pytest.mark.parametrize("name", VIEWS)
def test_a_write_to_the_base_is_seen_by_its_view(name):
    x = torch.zeros(2, 3, 4)
    y = VIEWS[name](x)
    x.fill_(3)
    assert (y == 3).all().item()


@pytest.mark.parametrize("name", COPIES)
def test_a_write_to_a_copy_leaves_the_original_alone(name):
    x = torch.zeros(2, 3, 4)
    y = COPIES[name](x)
    before = x._version
    y.fill_(1)
    assert (x == 0).all().item()
    assert x._version == before


def test_detach_and_data_share_storage_but_data_counts_versions_apart():
    x = torch.zeros(2, requires_grad=True)
    x.detach().add_(1)
    assert x.tolist() == [1, 1]
    assert x._version == 1
    x.data.add_(1)
    assert x.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("make", "stride", "offset"),
    [
        (lambda x: x, (12, 4, 1), 0),
        (lambda x: x.transpose(0, 2), (1, 4, 12), 0),
        (lambda x: x[1], (4, 1), 12),
        (lambda x: x[:, 1:, ::2], (12, 4, 2), 4),
        (lambda x: x[:1].expand(7, 3, 4), (0, 4, 1), 0),
        (lambda x: x.diagonal(0, 1, 2), (12, 5), 0),
        (lambda x: x.diagonal(1, 1, 2), (12, 5), 1),
        (lambda x: x.diagonal(-1, 1, 2), (12, 5), 4),
        (lambda x: x.unfold(2, 3, 1), (12, 4, 1, 1), 0),
        (lambda x: x.permute(2, 0, 1), (1, 12, 4), 0),
        (lambda x: x.view(4, 6), (6, 1), 0),
        (lambda x: x.unsqueeze(0), (24, 12, 4, 1), 0),
        (lambda x: x.unsqueeze(-1), (12, 4, 1, 1), 0),
    ],
)
def test_strides_and_offset_are_pytorchs(make, stride, offset):
    y = make(torch.zeros(2, 3, 4))
    assert y.stride() == stride
    assert y.storage_offset() == offset
    assert tuple(y.stride(d) for d in range(y.dim())) == stride


def test_is_contiguous_ignores_the_strides_of_size_one_dimensions():
    x = torch.zeros(2, 3)
    assert x.is_contiguous()
    assert not x.T.is_contiguous()
    assert x[:, :1].T.is_contiguous() is False
    assert x[:1].T.is_contiguous()
    assert torch.zeros(0, 3).T.is_contiguous()
    assert x.contiguous() is x


def test_views_of_one_storage_share_its_address():
    x = torch.zeros(4)
    assert x[1:].data_ptr() == x.data_ptr() + 4
    assert x.view(2, 2).data_ptr() == x.data_ptr()
    assert x.clone().data_ptr() != x.data_ptr()


def test_element_size_and_counts():
    x = torch.zeros(2, 3, dtype=torch.float64)
    assert (x.element_size(), x.numel(), x.nelement(), x.dim(), x.ndim) == (8, 6, 6, 2, 2)
    assert (x.size(), x.size(1), x.size(-2)) == (x.shape, 3, 2)


def test_view_joins_and_splits_dimensions_that_strides_can_express():
    x = torch.arange(24).view(2, 3, 4)
    assert_equals(x[:, :, ::2].view(2, 3, 2, 1), x.numpy()[:, :, ::2].reshape(2, 3, 2, 1))
    assert_equals(x.transpose(0, 1).view(3, 2, 2, 2), x.numpy().transpose(1, 0, 2).reshape(3, 2, 2, 2))


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.add_(1),
        lambda x: x.mul_(2),
        lambda x: x.zero_(),
        lambda x: x.fill_(1),
        lambda x: x.copy_(torch.ones(2)),
        lambda x: x.__setitem__(0, 1),
        lambda x: x.__setitem__(slice(None), torch.zeros(2)),
        lambda x: x.__iadd__(1),
        lambda x: x[0].add_(1),
        lambda x: x.view(1, 2).add_(1),
        lambda x: x.exp_(),
        lambda x: x.masked_fill_(torch.tensor([True, False]), 2),
        lambda x: x.index_add_(0, torch.tensor([0]), torch.ones(1)),
        lambda x: x.scatter_(0, torch.tensor([0]), 1.0),
        lambda x: x.uniform_(),
        lambda x: x.normal_(),
    ],
)
def test_every_write_raises_the_version_by_one(write):
    x = torch.ones(2)
    with torch.no_grad():
        before = x._version
        write(x)
        assert x._version == before + 1


def test_reading_does_not_raise_the_version():
    x = torch.ones(2)
    _ = (x + 1, x[0], x.sum(), x.numpy(), x.tolist(), repr(x), x.clone(), x.detach(), x.view(2, 1))
    assert x._version == 0


STEP = st.one_of(
    st.tuples(st.just("transpose"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("slice"), st.integers(0, 3), st.integers(0, 1), st.integers(1, 2)),
    st.tuples(st.just("unsqueeze"), st.integers(0, 4), st.none()),
    st.tuples(st.just("reshape"), st.none(), st.none()),
)


@given(st.lists(STEP, max_size=6))
def test_chains_of_views_read_and_compute_as_numpy(steps):
    a = np.arange(24.0).reshape(2, 3, 4)
    x = torch.from_numpy(a.copy())
    for kind, p, *rest in steps:
        dims = a.ndim
        if kind == "transpose":
            a, x = a.swapaxes(p % dims, rest[0] % dims), x.transpose(p % dims, rest[0] % dims)
        elif kind == "slice":
            index = (slice(None),) * (p % dims) + (slice(rest[0], None, rest[1]),)
            a, x = a[index], x[index]
        elif kind == "unsqueeze":
            a, x = np.expand_dims(a, p % (dims + 1)), x.unsqueeze(p % (dims + 1))
        else:
            a, x = a.reshape(-1, 1), x.reshape(-1, 1)
        assert_equals(x, a)
        assert_equals(x * 2 + x, a * 2 + a)
        np.testing.assert_allclose(x.sum().item(), a.sum())
        assert_equals(x.contiguous(), a)


@given(st.data())
def test_broadcasting_is_numpys(data):
    sizes = st.lists(st.sampled_from([1, 1, 2, 3]), max_size=4)
    left, right = tuple(data.draw(sizes)), tuple(data.draw(sizes))
    a, b = np.random.default_rng(0).normal(size=left), np.random.default_rng(1).normal(size=right)
    x, y = torch.from_numpy(np.asarray(a)), torch.from_numpy(np.asarray(b))
    try:
        expected = a + b
    except ValueError:
        with pytest.raises(RuntimeError, match="must match the size of tensor b"):
            x + y
        return
    assert_equals(x + y, np.asarray(expected))
    assert tuple(torch.broadcast_shapes(left, right)) == expected.shape


@given(st.lists(st.sampled_from([1, 2, 3]), max_size=3), st.lists(st.sampled_from([1, 2, 3]), max_size=3))
def test_a_gradient_is_summed_down_to_the_shape_that_was_broadcast(left, right):
    try:
        shape = np.broadcast_shapes(tuple(left), tuple(right))
    except ValueError:
        return
    x = torch.ones(left, requires_grad=True)
    y = torch.ones(right, requires_grad=True)
    (x * y).sum().backward()
    size = np.prod(shape, dtype=int)
    assert (x.grad == size / x.numel()).all().item()
    assert (y.grad == size / y.numel()).all().item()
    assert (x.grad.shape, y.grad.shape) == (x.shape, y.shape)


def test_a_view_of_another_dtype_shows_the_same_bytes():
    x = torch.arange(8, dtype=torch.float32)
    bits = x.view(torch.int32)
    assert bits.tolist() == x.numpy().view(np.int32).tolist()
    assert bits.data_ptr() == x.data_ptr()
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int64, torch.float64, torch.bool):
        y = x.view(4, 2).view(dtype=dtype)
        assert y.dtype == dtype
        assert y.numpy().tobytes() == x.numpy().tobytes()
        assert y.view(torch.float32).tolist() == x.view(4, 2).tolist()
    assert x[2:4].view(torch.int64).storage_offset() == 1
    assert x[2:4].view(torch.int16).storage_offset() == 4
    assert x.view(2, 4).t().view(torch.int32).stride() == (1, 4)
    assert torch.zeros(2, 3, 4, dtype=torch.int64).transpose(0, 1).view(torch.float32).stride() == (8, 24, 1)
    assert torch.zeros(1, 2).expand(3, 2).view(torch.float64).stride() == (0, 1)
    assert torch.tensor([2, 0], dtype=torch.uint8).view(torch.bool).tolist() == [True, False]
    assert x.view(float).dtype == torch.float64


def test_a_view_of_another_dtype_is_no_view_to_the_graph_but_shares_the_version():
    x = torch.ones(4, requires_grad=True)
    y = x * 2
    for dtype in (torch.int32, torch.float64, torch.float32):
        z = y.view(dtype)
        assert not z.requires_grad
        assert z.grad_fn is None
        assert z._base is None
    y.view(torch.int32).zero_()
    assert y.tolist() == [0] * 4
    assert y._version == 1
    w = x.exp()
    w.view(torch.int32).add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        w.sum().backward()


# PyTorch's sentences.
ASKEW = [
    (lambda x: x[1:].view(torch.int64), "self.size(-1) must be divisible by 2 to view Float as Long"),
    (lambda x: x.view(2, 4)[:, 1:3].view(torch.int64), "self.storage_offset() must be divisible by 2"),
    (lambda x: x[::2].view(torch.float64), "self.stride(-1) must be 1 to view Float as Double"),
    (lambda x: x[::2].view(torch.int16), "self.stride(-1) must be 1 to view Float as Short"),
    (lambda x: x.as_strided((2, 2), (3, 1)).view(torch.int64), "self.stride(0) must be divisible by 2"),
    (lambda x: x[0].view(torch.int16), "self.dim() cannot be 0 to view Float as Short (different element sizes)"),
]


@pytest.mark.parametrize(("call", "sentence"), ASKEW)
def test_bytes_that_are_no_elements_of_the_other_dtype(call, sentence):
    with pytest.raises(RuntimeError) as error:
        call(torch.arange(8.0))
    assert sentence in str(error.value)


def test_odd_requests_for_a_view_of_another_dtype():
    x = torch.arange(8.0)
    for call in [lambda: x.view(torch.int32, 2), lambda: x.view(dtype=None), lambda: x.view("int32"), lambda: x.view()]:
        with pytest.raises(TypeError):
            call()
    with pytest.raises(RuntimeError, match="calculation overflowed"):
        torch.empty(0, 2**60, dtype=torch.float64).view(torch.uint8)
    askew = torch.from_numpy(np.zeros(17, dtype=np.uint8)[1:])
    with pytest.raises(RuntimeError, match="not aligned as float64 must be"):
        askew.view(torch.float64)
    assert askew.clone().view(torch.float64).tolist() == [0.0, 0.0]


def test_memory_seen_as_two_dtypes_overlaps_by_its_bytes():
    x = torch.arange(4, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="some elements of the input tensor and the written-to tensor refer"):
        x[:2].add_(x.view(torch.float32)[2:4])
    x[2:].add_(x.view(torch.float32)[:2])
    y = torch.ones(4)
    y.copy_(y.view(torch.int32))
    assert y.tolist() == [0x3F800000] * 4
