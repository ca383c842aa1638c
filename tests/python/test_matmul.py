"""Matrix products in all their shapes and layouts against NumPy, and what cannot be multiplied."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import arcgrad as torch
from agreement import FLOATS, INTEGERS, assert_close, assert_equals, name_of, waves

SHAPES = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((1, 1), (1, 1)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((2, 0), (0, 3)),
    ((0, 2), (2, 3)),
    ((2, 3), (3, 0)),
    ((0, 2, 3), (3, 4)),
    ((0,), (0,)),
    ((17, 33), (33, 65)),
    ((1, 300), (300, 1)),
    ((130, 1), (1, 130)),
]


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize(("left", "right"), SHAPES, ids=str)
def test_matmul_of_every_shape_agrees_with_numpy(left, right, dtype):
    x, y = waves(*left, dtype=dtype), waves(*right, dtype=dtype, phase=1.1)
    expected = np.matmul(x.double().numpy(), y.double().numpy())
    assert_close(torch.matmul(x, y), expected, slack=16)
    assert_close(x @ y, expected, slack=16)


@pytest.mark.parametrize(("left", "right"), SHAPES, ids=str)
def test_the_gradient_of_matmul_is_the_product_with_the_transpose(left, right):
    x = waves(*left).requires_grad_()
    y = waves(*right, phase=1.1).requires_grad_()
    out = x @ y
    g = waves(*out.shape, phase=0.7)
    out.backward(g)
    a, b, c = x.detach().numpy(), y.detach().numpy(), g.numpy()
    a2 = a[None, :] if a.ndim == 1 else a
    b2 = b[:, None] if b.ndim == 1 else b
    c2 = np.expand_dims(c, -1) if b.ndim == 1 else c
    c2 = np.expand_dims(c2, -2) if a.ndim == 1 else c2

    def summed_to(array, shape):
        """Undoes broadcasting: sums the dimensions that `shape` lacks or holds with size one."""
        array = array.sum(tuple(range(array.ndim - len(shape))))
        ones = tuple(d for d, n in enumerate(shape) if n == 1)
        return array.sum(ones, keepdims=True).reshape(shape)

    da = summed_to(c2 @ np.swapaxes(b2, -1, -2), a2.shape).reshape(a.shape)
    db = summed_to(np.swapaxes(a2, -1, -2) @ c2, b2.shape).reshape(b.shape)
    assert_close(x.grad, da, slack=32)
    assert_close(y.grad, db, slack=32)


@pytest.mark.parametrize("dtype", INTEGERS, ids=name_of)
def test_integer_products_are_exact_and_wrap(dtype):
    x = torch.arange(6).view(2, 3).to(dtype)
    y = torch.arange(12).view(3, 4).to(dtype)
    assert_equals(x @ y, x.numpy() @ y.numpy())
    assert_equals(x[0] @ y[:, 0], x.numpy()[0] @ y.numpy()[:, 0])


def test_the_named_products_agree_with_numpy():
    a, b, v, w = waves(3, 4), waves(4, 5, phase=1.0), waves(4, phase=2.0), waves(4, phase=3.0)
    na, nb, nv, nw = a.numpy(), b.numpy(), v.numpy(), w.numpy()
    assert_close(torch.mm(a, b), na @ nb, slack=8)
    assert_close(a.mv(v), na @ nv, slack=8)
    assert_close(torch.dot(v, w), nv @ nw, slack=8)
    assert_close(torch.outer(v, w[:2]), np.outer(nv, nw[:2]), slack=8)
    batch_a, batch_b = waves(2, 3, 4), waves(2, 4, 5)
    assert_close(torch.bmm(batch_a, batch_b), batch_a.numpy() @ batch_b.numpy(), slack=8)
    c = waves(5, phase=4.0)
    assert_close(torch.addmm(c, a, b, beta=2, alpha=0.5), 2 * c.numpy() + 0.5 * (na @ nb), slack=8)
    assert_close(torch.nn.functional.linear(a, b.T, c), na @ nb + c.numpy(), slack=8)
    assert_close(torch.nn.functional.linear(batch_a, b.T), batch_a.numpy() @ nb, slack=8)


def test_addmm_with_beta_zero_ignores_nan_in_its_input():
    nan = torch.full((2, 2), float("nan"))
    assert torch.addmm(nan, torch.eye(2), torch.eye(2), beta=0).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ij->ji", [(2, 3)]),
        ("ij->", [(2, 3)]),
        ("ij->j", [(2, 3)]),
        ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]),
        ("i,j->ij", [(2,), (3,)]),
        ("i,i->", [(3,), (3,)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (4, 5)]),
        ("bi,io,bo->b", [(2, 3), (3, 4), (2, 4)]),
        ("ij,ij->ij", [(2, 3), (2, 3)]),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]),
        ("a,b,c->cab", [(2,), (3,), (4,)]),
    ],
)
def test_einsum_agrees_with_numpy(equation, shapes):
    xs = [waves(*s, phase=0.3 * k) for k, s in enumerate(shapes)]
    assert_close(torch.einsum(equation, *xs), np.einsum(equation, *[x.numpy() for x in xs]), slack=16)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.booleans(), st.booleans(), st.integers(1, 2))
def test_products_of_transposed_and_strided_matrices_equal_those_of_their_copies(m, k, n, ta, tb, step):
    a = waves(k * step, m * step)[::step, ::step].T if ta else waves(m * step, k * step)[::step, ::step]
    b = waves(n * step, k * step)[::step, ::step].T if tb else waves(k * step, n * step)[::step, ::step]
    assert_close(a @ b, a.numpy() @ b.numpy(), slack=16)


def test_expanded_operands_multiply():
    a = waves(3).expand(4, 3)
    assert_close(a @ a.T, a.numpy() @ a.numpy().T, slack=8)


def test_infinity_and_nan_pass_through_products():
    a = torch.tensor([[float("inf"), 0.0]])
    b = torch.tensor([[0.0], [1.0]])
    assert torch.isnan(a @ b).item()
    assert torch.isnan(torch.tensor([[float("nan"), 0.0]]) @ torch.ones(2, 1)).item()


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((2, 3), (2, 3)),
        ((3,), (4,)),
        ((2, 3), (4,)),
        ((3,), (4, 2)),
        ((2, 2, 3), (3, 3, 4)),
        ((5, 2, 3), (4, 2)),
    ],
    ids=str,
)
def test_shapes_that_cannot_be_multiplied_raise(left, right):
    with pytest.raises(RuntimeError):
        torch.ones(left) @ torch.ones(right)


def test_zero_dim_operands_and_strangers_cannot_be_multiplied():
    with pytest.raises(RuntimeError, match="both arguments to matmul need to be at least 1D"):
        torch.tensor(1.0) @ torch.ones(2)
    with pytest.raises(TypeError):
        torch.ones(2, 2) @ 3
    for wrong in [
        lambda: torch.mm(torch.ones(2), torch.ones(2, 2)),
        lambda: torch.dot(torch.eye(2), torch.eye(2)),
    ]:
        with pytest.raises(RuntimeError):
            wrong()
    with pytest.raises(RuntimeError):
        torch.bmm(torch.ones(2, 3), torch.ones(2, 3))


def test_a_product_with_more_rows_and_columns_than_are_packed_at_once():
    """Blocks of A pass by each block of B: on one thread, so that both are cut."""
    draw = np.random.RandomState(6)
    a, b = draw.standard_normal((520, 300)), draw.standard_normal((300, 4200))
    used = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for dtype in (np.float32, np.float64):
            y = torch.from_numpy(a.astype(dtype)) @ torch.from_numpy(b.astype(dtype))
            assert (np.abs(y.numpy() - a @ b) <= 8 * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))).all()
    finally:
        torch.set_num_threads(used)
