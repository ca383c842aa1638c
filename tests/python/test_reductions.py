"""Reductions against NumPy: every choice of dimensions, empty and 0-d input, ties, NaN, and long sums."""

import itertools

import numpy as np
import pytest

import arcgrad as torch
from agreement import DTYPES, FLOATS, INTEGERS, NUMPY_OF, assert_close, assert_equals, name_of, waves

NAN, INF = float("nan"), float("inf")
SHAPE = (3, 4, 5)
AXES = [c for n in range(1, 4) for c in itertools.combinations(range(3), n)]
MANY = {
    "sum": np.sum,
    "mean": np.mean,
    "amax": np.max,
    "amin": np.min,
    "var": lambda a, **k: np.var(a, ddof=1, **k),
    "std": lambda a, **k: np.std(a, ddof=1, **k),
    "logsumexp": lambda a, **k: np.log(np.sum(np.exp(a), **k)),
    "any": np.any,
    "all": np.all,
}
ONE = {"prod": np.prod, "argmax": np.argmax, "argmin": np.argmin}


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dims", AXES, ids=str)
@pytest.mark.parametrize("name", MANY)
def test_reductions_over_several_dims_agree_with_numpy(name, dims, keepdim):
    x = waves(*SHAPE)
    if name in ("any", "all"):
        x = x > 0.6 if name == "any" else x < 0.6
    expected = MANY[name](x.numpy(), axis=dims, keepdims=keepdim)
    negative = [d - 3 for d in dims]
    got = [getattr(torch, name)(x, dims, keepdim=keepdim), getattr(x, name)(dim=negative, keepdim=keepdim)]
    if len(dims) == 1:
        got.append(getattr(x, name)(dims[0], keepdim=keepdim))
    for y in got:
        if y.dtype is torch.bool:
            assert_equals(y, expected)
        else:
            assert_close(y, expected, slack=8)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
@pytest.mark.parametrize("name", ONE)
def test_reductions_over_one_dim_agree_with_numpy(name, dim, keepdim):
    x = waves(*SHAPE)
    got = getattr(torch, name)(x, dim, keepdim=keepdim)
    expected = ONE[name](x.numpy(), axis=dim, keepdims=keepdim)
    if name == "prod":
        assert_close(got, expected, slack=8)
    else:
        assert_equals(got, expected)


@pytest.mark.parametrize("name", [*MANY, *ONE, "max", "min", "norm"])
def test_reductions_of_everything_answer_with_a_zero_dim_tensor(name):
    x = waves(*SHAPE)
    reference = {**MANY, **ONE, "max": np.max, "min": np.min, "norm": np.linalg.norm}[name]
    if name in ("any", "all"):
        x = x > 0.99
    y = getattr(x, name)(dim=(0, 1, 2)) if name == "logsumexp" else getattr(torch, name)(x)
    flat = x.numpy().reshape(-1)
    assert tuple(y.shape) == ()
    np.testing.assert_allclose(y.item(), reference(flat), rtol=1e-12)


@pytest.mark.parametrize("name", ["max", "min"])
def test_max_and_min_of_a_dim_give_values_and_indices_by_name_and_position(name):
    x = waves(*SHAPE)
    pair = getattr(torch, name)(x, dim=1)
    values, indices = pair
    assert_equals(values, getattr(np, name)(x.numpy(), axis=1))
    assert_equals(indices, getattr(np, "arg" + name)(x.numpy(), axis=1))
    assert pair.values is values
    assert pair.indices is indices


def test_ties_are_won_by_the_first_and_nan_by_everyone():
    assert torch.tensor([1.0, 3.0, 3.0]).argmax().item() == 1
    assert torch.tensor([3.0, 1.0, 1.0]).argmin().item() == 1
    assert torch.tensor([1.0, NAN, 3.0]).argmax().item() == 1
    assert torch.isnan(torch.tensor([1.0, NAN, 3.0]).max()).item()
    assert torch.isnan(torch.tensor([1.0, NAN, 3.0]).amin()).item()


def test_the_gradient_of_tied_extremes_is_shared_evenly_or_goes_to_the_index():
    x = torch.tensor([1.0, 3.0, 3.0], requires_grad=True)
    assert torch.autograd.grad(x.max(), x)[0].tolist() == [0, 0.5, 0.5]
    assert torch.autograd.grad(x.amax(), x)[0].tolist() == [0, 0.5, 0.5]
    assert torch.autograd.grad(x.max(0).values, x)[0].tolist() == [0, 1, 0]


@pytest.mark.parametrize("dtype", INTEGERS, ids=name_of)
def test_integer_sums_and_products_do_not_overflow_the_small_dtype(dtype):
    x = torch.full((100,), 100, dtype=dtype)
    assert x.sum().item() == 10_000
    assert x.sum(0).dtype is torch.int64
    assert x[:3].prod().item() == 1_000_000
    assert x.sum(dtype=torch.float64).dtype is torch.float64


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_extremes_keep_the_dtype(dtype):
    x = torch.tensor([1, 0, 1]).to(dtype)
    for y in [x.max(), x.amin(), x.max(0).values]:
        assert y.dtype is dtype
    if dtype is not torch.bool:
        assert x.argmax().dtype is torch.int64


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
def test_any_and_all_take_every_dtype(dtype):
    x = torch.tensor([[0, 1], [0, 0]]).to(dtype)
    kind = torch.uint8 if dtype is torch.uint8 else torch.bool
    assert x.any(1).dtype is kind
    assert x.any(1).tolist() == [True, False]
    assert x.all(0).tolist() == [False, False]


def test_empty_reductions_answer_with_the_neutral_element_or_fail():
    x = torch.zeros(0, 3)
    assert x.sum().item() == 0
    assert x.prod().item() == 1
    assert x.sum(0).tolist() == [0, 0, 0]
    assert x.prod(0).tolist() == [1, 1, 1]
    assert x.logsumexp(0).tolist() == [-INF] * 3
    assert torch.isnan(x.mean()).item()
    assert x.all().item() is True
    assert x.any().item() is False
    assert tuple(x.amax(1).shape) == (0,)
    with pytest.raises(RuntimeError):
        x.max()
    with pytest.raises(IndexError):
        x.argmax(0)
    with pytest.raises(IndexError):
        x.amax(0)


def test_zero_dim_tensors_reduce_over_dim_zero_and_minus_one():
    x = torch.tensor(3.0)
    for dim in (0, -1):
        assert x.sum(dim).item() == 3
        assert x.max(dim).indices.item() == 0
        assert x.cumsum(dim).item() == 3
    with pytest.raises(IndexError):
        x.sum(1)


def test_an_empty_list_of_dims_reduces_everything():
    assert waves(2, 3).sum([]).dim() == 0


@pytest.mark.parametrize("correction", [0, 1, 2])
def test_var_and_std_take_a_correction(correction):
    x = waves(4, 5)
    assert_close(x.var(1, correction=correction), np.var(x.numpy(), axis=1, ddof=correction), slack=8)
    assert_close(x.std(0, correction=correction), np.std(x.numpy(), axis=0, ddof=correction), slack=8)
    assert_close(x.var(unbiased=False), np.var(x.numpy()), slack=8)


def test_var_of_one_element_is_nan_with_correction_one():
    with pytest.warns(UserWarning, match="degrees of freedom is <= 0"):
        assert torch.isnan(torch.ones(1).var()).item()


def test_var_is_sound_far_from_zero():
    x = waves(1000).float() + 10_000
    assert x.var().item() == pytest.approx(np.var(x.double().numpy(), ddof=1), rel=1e-3)


@pytest.mark.parametrize("p", [0, 1, 2, 3, 0.5, INF, -INF])
def test_norms_of_every_order_agree_with_numpy(p):
    x = waves(4, 5)
    expected = np.linalg.norm(x.numpy(), ord=p, axis=1)
    assert_close(x.norm(p, 1), expected, slack=8)
    assert_close(torch.norm(x, p=p, dim=1, keepdim=True), expected[:, None], slack=8)


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_cumsum_agrees_with_numpy(dim):
    x = waves(*SHAPE)
    assert_close(x.cumsum(dim), np.cumsum(x.numpy(), axis=dim), slack=8)


def test_logsumexp_does_not_overflow_or_underflow():
    x = torch.tensor([[1000.0, 1000.0], [-1000.0, -1000.0], [-INF, 0.0], [INF, 0.0]])
    np.testing.assert_allclose(x.logsumexp(1).numpy(), [1000 + np.log(2), -1000 + np.log(2), 0, INF], rtol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS, ids=name_of)
@pytest.mark.parametrize("size", [1, 7, 8, 9, 63, 1000, 100_003])
def test_long_sums_lose_no_more_than_pairwise_summation_does(size, dtype):
    x = (waves(size) + 1.5).to(dtype)
    exact = float(np.sum(x.numpy().astype(np.longdouble)))
    eps = float(np.finfo(NUMPY_OF[dtype]).eps)
    assert x.sum().item() == pytest.approx(exact, rel=8 * eps)
    assert x.mean().item() == pytest.approx(exact / size, rel=8 * eps)


@pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[::2], lambda x: x[:, 1:3], lambda x: x.expand(2, 6, 5)])
@pytest.mark.parametrize("name", ["sum", "amax", "prod", "var"])
def test_reductions_of_views_equal_those_of_their_copies(name, view):
    x = view(waves(6, 5))
    for dim in range(x.dim()):
        assert_close(getattr(x, name)(dim), getattr(x.contiguous(), name)(dim).numpy(), slack=8)


DOWN = {
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(0),
    "prod": lambda x: x.prod(0),
    "norm": lambda x: np.sqrt((x * x).sum(0)),
    "var": lambda x: x.var(0, ddof=1),
    "amax": lambda x: x.max(0),
    "any": lambda x: (x > 1).any(0),
}


@pytest.mark.parametrize("name", DOWN)
@pytest.mark.parametrize("columns", [63, 64, 65, 130, 200])
@pytest.mark.parametrize("rows", [2, 31, 33, 65, 150])
def test_each_of_many_columns_is_reduced_over_all_of_its_rows(name, columns, rows):
    x = np.random.RandomState(rows * columns).uniform(0.9, 1.1, (rows, columns)).astype(np.float32)
    # Each row counts in some column: where it is left out, that column's answer is another.
    x[np.arange(rows), np.arange(rows) % columns] = 2.0
    t = torch.from_numpy(x)
    got = (t > 1).any(0) if name == "any" else torch.norm(t, dim=0) if name == "norm" else getattr(t, name)(0)
    np.testing.assert_allclose(got.numpy(), DOWN[name](x.astype(np.float64)), rtol=2e-5)


def test_softmax_and_log_softmax_sum_to_one_and_survive_large_input():
    x = torch.tensor([[1000.0, 1001.0], [-1000.0, -1001.0], [0.0, -INF]])
    y = torch.softmax(x, dim=1)
    np.testing.assert_allclose(y.sum(1).numpy(), 1, rtol=1e-6)
    np.testing.assert_allclose(torch.log_softmax(x, 1).exp().numpy(), y.numpy(), rtol=1e-5)
    assert y[2].tolist() == [1, 0]
    for dim in range(3):
        e = np.exp(waves(*SHAPE).numpy())
        assert_close(waves(*SHAPE).softmax(dim), e / e.sum(dim, keepdims=True), slack=8)


def test_the_euclidean_norm_has_no_second_derivative_at_zero():
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(torch.linalg.vector_norm(x), x, create_graph=True)
    assert first.tolist() == [0.0, 0.0]
    (second,) = torch.autograd.grad(first.sum(), x)
    assert second.isnan().all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("length", [5, 63, 64, 200, 1025, 2048 + 7, 9000])
def test_one_nan_anywhere_is_the_extreme_of_its_row_alone(length, dtype):
    rows = np.resize(np.random.RandomState(0).standard_normal(997), (9, length)).astype(dtype)
    for row, place in enumerate(np.linspace(0, length - 1, 8).astype(int)):
        rows[row, place] = NAN
    rows[8, 0], rows[8, -1] = INF, -INF
    x = torch.from_numpy(rows)
    for mine, theirs in ((x.amax(1), rows.max(1)), (x.amin(1), rows.min(1)), (x.abs().amax(1), abs(rows).max(1))):
        np.testing.assert_array_equal(mine.numpy(), theirs)
    norm = torch.linalg.vector_norm(x, INF, dim=1)
    np.testing.assert_array_equal(norm.numpy(), abs(rows).max(1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes_and_sums_of_lines_with_special_numbers_are_numpys(dtype):
    generator = np.random.default_rng(7)
    for length in (1, 7, 8, 31, 32, 63, 64, 65, 100, 150, 2100):
        lines = generator.standard_normal((40, length)).astype(dtype)
        for line, place in zip(lines, generator.integers(0, length, 40), strict=True):
            line[place] = generator.choice([np.nan, np.inf, -np.inf, -0.0, 1e30, -1e30])
        lines[:5, 0], lines[:5, -1] = np.inf, -np.inf
        x = torch.from_numpy(lines)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(x.amax(1).numpy(), lines.max(1))
            np.testing.assert_array_equal(x.amin(1).numpy(), lines.min(1))
            np.testing.assert_array_equal(x.argmax(1).numpy(), lines.argmax(1))
            np.testing.assert_allclose(x.sum(1).numpy(), lines.sum(1), rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(x.amax().numpy(), lines.max())
