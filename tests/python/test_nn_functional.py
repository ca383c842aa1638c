"""nn.functional against PyTorch's recorded outputs and gradients on small inputs, and its own laws."""

import json
import pathlib

import numpy as np
import pytest

import arcgrad as torch
from agreement import waves

F = torch.nn.functional
RECORDED = json.loads((pathlib.Path(__file__).parent.parent / "data" / "nn_functional.json").read_text())


def wave(*shape, phase=0.3):
    return waves(*shape, phase=phase)


@pytest.mark.parametrize(
    ("expression", "shape", "values", "gradients"),
    RECORDED["rows"],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_outputs_and_gradients_are_pytorchs(expression, shape, values, gradients):
    scope = {"torch": torch, "F": F, "wave": wave}
    for name, text in RECORDED["inputs"].items():
        scope[name] = eval(text, scope)
    for name in RECORDED["leaves"]:
        scope[name].requires_grad_()
    y = eval(expression, scope)
    assert list(y.shape) == shape
    np.testing.assert_allclose(y.detach().numpy().reshape(-1), values, rtol=1e-10, atol=1e-11)
    if gradients:
        (y * (wave(*y.shape, phase=0.5) if y.dim() else 1.0)).sum().backward()
    for name in RECORDED["leaves"]:
        if name in gradients:
            np.testing.assert_allclose(
                scope[name].grad.numpy().reshape(-1), gradients[name], rtol=1e-9, atol=1e-11, err_msg=name
            )
        else:
            assert scope[name].grad is None


def test_max_pool2d_returns_the_places_of_its_values():
    x = waves(1, 2, 4, 4)
    y, places = F.max_pool2d(x, 2, return_indices=True)
    assert places.dtype is torch.int64
    assert torch.equal(x.flatten(2).gather(2, places.flatten(2)).view(y.shape), y)


def test_conv2d_is_a_product_where_the_kernel_covers_the_image():
    x, w = waves(3, 2, 4, 4), waves(5, 2, 4, 4, phase=1.0)
    np.testing.assert_allclose(F.conv2d(x, w).flatten(1).numpy(), (x.flatten(1) @ w.flatten(1).T).numpy(), rtol=1e-12)


def test_conv2d_of_an_empty_batch_is_empty_and_differentiable():
    w = waves(3, 2, 2, 2).requires_grad_()
    y = F.conv2d(torch.zeros(0, 2, 4, 4, dtype=torch.float64), w)
    assert tuple(y.shape) == (0, 3, 3, 3)
    y.sum().backward()
    assert not w.grad.any().item()


def test_losses_survive_extreme_logits():
    x = torch.tensor([1000.0, -1000.0], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, torch.tensor([1.0, 0.0]))
    loss.backward()
    assert loss.item() == 0
    assert x.grad.tolist() == [0, 0]
    assert F.binary_cross_entropy_with_logits(x.detach(), torch.tensor([0.0, 1.0])).item() == 1000
    assert F.cross_entropy(torch.tensor([[1e4, -1e4]]), torch.tensor([1])).item() == 2e4


def test_cross_entropy_with_everything_ignored_is_nan():
    assert torch.isnan(F.cross_entropy(torch.ones(2, 3), torch.tensor([-100, -100]))).item()


def test_dropout_keeps_the_mean_and_zeroes_the_share_asked_for():
    torch.manual_seed(0)
    x = torch.ones(10_000)
    y = F.dropout(x, 0.25)
    assert abs((y == 0).float().mean().item() - 0.25) < 0.02
    assert sorted(set(y.tolist()))[1] == pytest.approx(1 / 0.75)
    assert F.dropout(x, 1.0).sum().item() == 0
    assert F.dropout(x, 0.9, training=False) is x or torch.equal(F.dropout(x, 0.9, training=False), x)


def test_a_mismatched_mse_target_is_announced():
    with pytest.warns(UserWarning, match="Using a target size"):
        F.mse_loss(torch.ones(2, 1), torch.ones(2))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64, torch.uint8], ids=str)
def test_limits_leave_integers_integers(dtype):
    x = torch.tensor([1, 7, 3], dtype=dtype)
    for y, expected in [
        (F.hardtanh(x, 0, 2), [1, 2, 2]),
        (F.hardtanh(x, 0.9, 2.7), [1, 2, 2]),
        (F.relu6(x), [1, 6, 3]),
        (F.threshold(x, 2.5, 5.7), [5, 7, 3]),
        (F.threshold(x.clone(), 3, 5, inplace=True), [5, 7, 5]),
    ]:
        assert (y.dtype, y.tolist()) == (dtype, expected)


def test_hardtanh_refuses_what_has_no_negative_limit():
    with pytest.raises(RuntimeError, match="Bool inputs not supported for hardtanh"):
        F.hardtanh(torch.tensor([True]))
    with pytest.raises(RuntimeError, match="cannot do hardtanh on an unsigned type with negative limits"):
        F.hardtanh(torch.tensor([1], dtype=torch.uint8))


def test_the_second_derivative_of_threshold_is_zero():
    x = wave(5).requires_grad_()
    (g,) = torch.autograd.grad(F.threshold(x, 0.2, 5.0).sum(), x, create_graph=True)
    assert g.tolist() == (x > 0.2).double().tolist()
    assert torch.autograd.grad(g.sum(), x)[0].tolist() == [0.0] * 5


def test_windows_of_truths_are_truths():
    x = torch.tensor([[[[True, False], [False, True]]]])
    assert F.unfold(x, 1).tolist() == [[[True, False, False, True]]]
    # Where windows meet, one true element is enough.
    windows = torch.tensor([[[True, False], [True, False]]])
    assert F.fold(windows, (1, 3), (1, 2)).tolist() == [[[[True, True, False]]]]


def test_batch_norm_by_running_statistics_is_one_node_that_is_affine():
    x, w, b = wave(3, 2).requires_grad_(), wave(2, phase=1.0).requires_grad_(), wave(2, phase=2.0).requires_grad_()
    mean, variance = wave(2, phase=3.0), wave(2, phase=4.0).abs()
    y = F.batch_norm(x, mean, variance, w, b)
    assert y.grad_fn.name() == "NativeBatchNormBackward0"
    scale = 1 / (variance + 1e-5).sqrt()
    np.testing.assert_allclose(y.detach().numpy(), ((x - mean) * scale * w + b).detach().numpy(), rtol=1e-12)
    # The statistics are those of the call, though they move on.
    mean.add_(1.0)
    variance.mul_(4.0)
    dx, dw, db = torch.autograd.grad(y.sum(), [x, w, b], create_graph=True)
    np.testing.assert_allclose(dx.detach().numpy(), (scale * w).expand(3, 2).detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(dw.detach().numpy(), ((x - mean + 1) * scale).sum(0).detach().numpy(), rtol=1e-12)
    assert db.tolist() == [3.0, 3.0]
    d2 = torch.autograd.grad(dx.sum() + dw.sum() + db.sum(), [x, w, b], allow_unused=True)
    np.testing.assert_allclose(d2[0].numpy(), scale.expand(3, 2).numpy(), rtol=1e-12)
    np.testing.assert_allclose(d2[1].numpy(), (3 * scale).numpy(), rtol=1e-12)


def test_batch_norm_of_a_line_is_only_for_nothing():
    nothing = torch.zeros(0)
    assert F.batch_norm(nothing, nothing, nothing).shape == (0,)
    with pytest.raises(IndexError, match=r"expected to be in range of \[-1, 0\], but got 1"):
        F.batch_norm(torch.ones(3), nothing, nothing)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 70, 8), (200, 3), (254, 2), (1, 1), (2, 2, 530, 40)])
def test_attention_without_a_mask_is_attention_with_one_that_hides_the_same(shape, causal):
    draw = np.random.RandomState(0)
    keys = shape[-2] + 3
    q, k, v = (draw.standard_normal((*shape[:-2], n, shape[-1])) for n in (shape[-2], keys, keys))
    seen = np.tri(shape[-2], keys, dtype=bool) if causal else np.ones((shape[-2], keys), dtype=bool)
    scores = np.where(seen, q @ k.swapaxes(-1, -2) / np.sqrt(shape[-1]), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    answers = []
    for options in ({"is_causal": causal}, {"attn_mask": torch.from_numpy(seen)}):
        leaves = [torch.from_numpy(x).requires_grad_() for x in (q, k, v)]
        y = F.scaled_dot_product_attention(*leaves, **options)
        np.testing.assert_allclose(y.detach().numpy(), weights @ v, rtol=1e-12, atol=1e-12)
        answers.append(torch.autograd.grad(y.sin().sum(), leaves))
    for tiled, plain in zip(*answers, strict=True):
        np.testing.assert_allclose(tiled.numpy(), plain.numpy(), rtol=1e-10, atol=1e-12)


def test_attention_of_heads_that_lie_between_one_another_is_that_of_heads_apart():
    source = np.random.RandomState(2)
    between = [torch.from_numpy(source.standard_normal((2, 300, 3, 8))).transpose(1, 2) for _ in range(3)]
    answers = []
    for inputs in (between, [x.contiguous() for x in between]):
        leaves = [x.requires_grad_() for x in inputs]
        y = F.scaled_dot_product_attention(*leaves)
        answers.append([y, *torch.autograd.grad(y.sin().sum(), leaves)])
    assert all(torch.equal(x, y) for x, y in zip(*answers, strict=True))


def test_attention_without_columns_is_the_mean_of_the_values():
    nothing = torch.ones(2, 3, 0, requires_grad=True)
    v = torch.arange(30.0).reshape(2, 5, 3).requires_grad_()
    for options in ({}, {"attn_mask": torch.ones(3, 5, dtype=torch.bool)}):
        y = F.scaled_dot_product_attention(nothing, torch.ones(2, 5, 0), v, **options)
        assert torch.allclose(y, v.mean(1, keepdim=True).expand(2, 3, 3))
        dq, dv = torch.autograd.grad(y.sum(), [nothing, v])
        assert dq.shape == (2, 3, 0)
        assert torch.allclose(dv, torch.full((2, 5, 3), 0.6))
    assert F.scaled_dot_product_attention(nothing, nothing, nothing).shape == (2, 3, 0)


@pytest.mark.parametrize("keys", [2, 257, 700])
def test_attention_of_the_largest_values_does_not_overflow(keys):
    large = float(np.finfo(np.float32).max) / 2
    q, k, v = torch.zeros(3, 4), torch.zeros(keys, 4), torch.full((keys, 2), large, requires_grad=True)
    y = F.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(y, torch.full((3, 2), large), rtol=1e-5)
    # One key that outweighs all others, in the last block.
    k = torch.zeros(keys, 1).index_fill(0, torch.tensor([keys - 1]), 300.0)
    v = torch.full((keys, 1), large).index_fill(0, torch.tensor([keys - 1]), 1.0)
    assert F.scaled_dot_product_attention(torch.ones(1, 1), k, v, scale=1.0).tolist() == [[1.0]]


def test_attention_of_nothing_takes_no_time_however_many_heads_it_has():
    nothing = torch.empty(2**36, 0, 0)
    assert F.scaled_dot_product_attention(nothing, torch.empty(2**36, 1, 0), torch.empty(2**36, 1, 0)).numel() == 0


@pytest.mark.parametrize("keys", [200, 600])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_attention_follows_scores_that_are_infinite_far_apart_or_no_numbers(keys, dtype):
    source = np.random.RandomState(3)
    with np.errstate(invalid="ignore"):
        for case in range(12):
            scores = source.standard_normal(keys).astype(dtype)
            if case % 6 == 1:  # the first block weighs nothing
                scores[: keys // 2] = -np.inf
            elif case % 6 == 2:  # nothing does
                scores[:] = -np.inf
            elif case % 6 == 3:
                scores[source.randint(keys)] = np.inf
            elif case % 6 == 4:
                scores[source.randint(keys)] = np.nan
            elif case % 6 == 5:  # each block makes the one before it weigh nothing, or weighs nothing itself
                scores = np.sort(scores * 300)[:: 1 if case < 6 else -1].copy()
            v = source.standard_normal((keys, 2)).astype(dtype)
            q, k, v = (
                torch.ones(1, 1, dtype=torch.from_numpy(v).dtype),
                torch.from_numpy(scores[:, None]),
                torch.from_numpy(v),
            )
            weights = np.exp(scores.astype(np.float64) - scores.max())
            y = F.scaled_dot_product_attention(q, k, v, scale=1.0).numpy()
            tolerance = 1e-5 if dtype == np.float32 else 1e-12
            np.testing.assert_allclose(y[0], weights / weights.sum() @ v.numpy(), rtol=tolerance, atol=tolerance)


def standardized(x, axes, eps):
    """Z and 1 / sqrt(variance + eps) of a NumPy array."""
    scale = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    return (x - x.mean(axis=axes, keepdims=True)) * scale, scale


CHANNELS = [(3, 4, 9), (2, 6, 3, 5), (40, 2, 14, 14), (1, 4, 3, 100, 70)]


@pytest.mark.parametrize("shape", CHANNELS)
@pytest.mark.parametrize("groups", [None, 1, 2])
def test_normalized_channels_and_their_gradients_are_what_the_formulas_say(shape, groups):
    source = np.random.RandomState(1)
    x, g = (source.standard_normal(shape) * 2 + 3 for _ in range(2))
    w, b = source.standard_normal((2, shape[1]))
    wide = (1, -1) + (1,) * (len(shape) - 2)
    images = tuple(i for i in range(len(shape)) if i != 1)
    # A view in which the numbers that share statistics are whole axes.
    seen, axes = (shape, images) if groups is None else ((shape[0], groups, -1), (2,))
    z, scale = standardized(x.reshape(seen), axes, 1e-5)
    h = (g * w.reshape(wide)).reshape(seen)
    mean = {"axis": axes, "keepdims": True}
    dx = scale * (h - h.mean(**mean) - z * (h * z).mean(**mean))
    z = z.reshape(shape)
    expected = (z * w.reshape(wide) + b.reshape(wide), dx.reshape(shape), (g * z).sum(images), g.sum(images))

    for dtype, room in ((torch.float64, 1e-10), (torch.float32, 2e-4)):
        leaves = [torch.tensor(each).to(dtype).requires_grad_() for each in (x, w, b)]
        if groups is None:
            y = F.batch_norm(leaves[0], None, None, leaves[1], leaves[2], True)
        else:
            y = F.group_norm(leaves[0], groups, leaves[1], leaves[2])
        found = (y, *torch.autograd.grad(y, leaves, torch.tensor(g).to(dtype)))
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine.detach().numpy(), theirs, rtol=room, atol=room * abs(theirs).max())


def test_given_statistics_are_constants_and_those_of_a_batch_are_followed():
    source = np.random.RandomState(2)
    x, g = source.standard_normal((2, 5, 3, 4, 4))
    start = np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.7, 3.0])
    mean, variance = (torch.tensor(each) for each in start)
    leaf = torch.tensor(x).requires_grad_()
    y = F.batch_norm(leaf, mean, variance, eps=0.1)
    wide = [each.reshape(1, 3, 1, 1) for each in start]
    np.testing.assert_allclose(y.detach().numpy(), (x - wide[0]) / np.sqrt(wide[1] + 0.1), rtol=1e-12)
    (dx,) = torch.autograd.grad(y, leaf, torch.tensor(g))
    np.testing.assert_allclose(dx.numpy(), g / np.sqrt(wide[1] + 0.1), rtol=1e-12)

    F.batch_norm(leaf, mean, variance, training=True, momentum=0.2)
    np.testing.assert_allclose(mean.numpy(), 0.8 * start[0] + 0.2 * x.mean((0, 2, 3)), rtol=1e-12)
    unbiased = x.transpose(1, 0, 2, 3).reshape(3, -1).var(1, ddof=1)
    np.testing.assert_allclose(variance.numpy(), 0.8 * start[1] + 0.2 * unbiased, rtol=1e-12)


def test_windows_may_step_and_reach_far_beyond_the_input():
    x = torch.arange(8.0).view(1, 1, 8)
    for stride in (2**40, 2**62, 2**63 - 1):
        assert F.avg_pool1d(x, 2, stride).tolist() == [[[0.5]]]
        assert F.avg_pool1d(x, 2, stride, ceil_mode=True).tolist() == [[[0.5]]]
        assert F.max_pool1d(x, 2, stride, ceil_mode=True).tolist() == [[[1.0]]]
        assert F.conv1d(x, torch.ones(1, 1, 3), stride=stride).tolist() == [[[3.0]]]
    assert F.avg_pool1d(x, 2**62, 2**62, 2**61, count_include_pad=False).tolist() == [[[3.5]]]
    for call in [
        lambda: F.avg_pool1d(x, 2**63 - 1),
        lambda: F.max_pool1d(x, 2**62, dilation=2**62),
    ]:
        with pytest.raises(RuntimeError, match="Output size is too small"):
            call()


def test_an_output_that_no_memory_can_hold_is_said_to_be_too_big():
    x, weight = torch.ones(1, 1, 8), torch.ones(1, 1, 3)
    for options in (
        {"stride": 2**62},
        {"stride": 2**63 - 1},
        {"dilation": 2**62},
        {"stride": 2**62, "output_padding": 5},
    ):
        with pytest.raises(
            RuntimeError, match=r"Calculated output size per channel: \(\d{19,}\). Output size is too big"
        ):
            F.conv_transpose1d(x, weight, **options)


def bags_by_hand(indices, weight, starts, mode, factors, padding):
    """One list a bag, with Python's own sums and maxima."""
    ends = [*starts[1:], len(indices)]
    answer = []
    for start, end in zip(starts, ends, strict=True):
        places = [i for i in range(start, end) if indices[i] != padding]
        rows = [[x * (factors[i] if factors else 1) for x in weight[indices[i]]] for i in places]
        if mode == "max":
            columns = [max(column) for column in zip(*rows, strict=True)]
        else:
            columns = [sum(column) / (len(rows) if mode == "mean" else 1) for column in zip(*rows, strict=True)]
        answer.append(columns or [0.0] * len(weight[0]))
    return answer


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 1, -2])
@pytest.mark.parametrize("starts", [[0], [0, 3], [0, 0, 2, 6, 6], [0, 6]])
def test_embedding_bag_agrees_with_its_definition(mode, padding, starts):
    torch.manual_seed(1)
    weight = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    indices = torch.tensor([0, 3, 1, 2, 2, 3])
    factors = torch.randn(6, dtype=torch.float64, requires_grad=True) if mode == "sum" else None

    def bags(weight, factors):
        offsets = torch.tensor(starts)
        return F.embedding_bag(indices, weight, offsets, mode=mode, per_sample_weights=factors, padding_idx=padding)

    expected = bags_by_hand(
        indices.tolist(),
        weight.tolist(),
        starts,
        mode,
        None if factors is None else factors.tolist(),
        None if padding is None else padding % 4,
    )
    torch.testing.assert_close(bags(weight, factors), torch.tensor(expected, dtype=torch.float64))
    assert torch.autograd.gradcheck(bags, (weight, factors))
    assert torch.autograd.gradgradcheck(bags, (weight, factors))


def test_embedding_bag_of_rows_and_with_the_last_offset():
    weight = torch.arange(8.0).view(4, 2)
    rows = torch.tensor([[0, 1, 1], [3, 2, 0]])
    for y in [
        F.embedding_bag(rows, weight, mode="sum"),
        F.embedding_bag(rows.view(-1), weight, torch.tensor([0, 3]), mode="sum"),
        F.embedding_bag(rows.view(-1), weight, torch.tensor([0, 3, 6]), mode="sum", include_last_offset=True),
        F.embedding_bag(rows.view(-1).int(), weight, torch.tensor([0, 3]).int(), mode="sum"),
    ]:
        assert y.tolist() == [[4, 7], [10, 13]]
    assert F.embedding_bag(rows.view(-1), weight, torch.tensor([], dtype=torch.int64)).shape == (0, 2)


def test_the_gradient_of_a_maximum_over_a_bag_goes_to_the_first_row_that_has_it():
    weight = torch.tensor([[1.0, 5.0], [1.0, 4.0], [0.0, 5.0]], requires_grad=True)
    F.embedding_bag(torch.tensor([[2, 1, 0]]), weight, mode="max").sum().backward()
    assert weight.grad.tolist() == [[0, 0], [1, 0], [0, 1]]
    nan = torch.tensor([[1.0, float("nan")], [float("nan"), 2.0], [3.0, 3.0]])
    y = F.embedding_bag(torch.tensor([0, 1, 2, 0]), nan, torch.tensor([0, 2]), mode="max")
    assert str(y.tolist()) == "[[1.0, nan], [3.0, 3.0]]"


# The classes and sentences of PyTorch 2.13, but for the one about the order, which there tells nothing.
BAD_BAGS = [
    ({"offsets": None}, ValueError, "offsets has to be a 1D Tensor but got None"),
    ({"input": torch.tensor([[0, 1]])}, ValueError, "if input is 2D, then offsets has to be None"),
    ({"input": torch.zeros(1, 1, 1, dtype=torch.int64)}, ValueError, "input has to be 1D or 2D Tensor"),
    ({"offsets": torch.tensor([1, 2])}, RuntimeError, r"offsets\[0\] has to be 0"),
    ({"offsets": torch.tensor([0, 9])}, RuntimeError, r"offsets\[-1\] can not be greater than input's length 4"),
    ({"offsets": torch.tensor([0, 3, 2])}, RuntimeError, "in ascending order"),
    ({"mode": "median"}, ValueError, "mode has to be one of sum, mean or max"),
    ({"mode": "max", "sparse": True}, ValueError, "max mode does not support sparse weights"),
    ({"per_sample_weights": torch.ones(4)}, NotImplementedError, "only supported for mode='sum'"),
    ({"per_sample_weights": torch.ones(3)}, ValueError, "must have the same shape as the input"),
    ({"per_sample_weights": torch.ones(4).double(), "mode": "sum"}, RuntimeError, "to have the same type"),
    ({"weight": torch.ones(3)}, ValueError, "weight has to be a 2D Tensor"),
    ({"padding_idx": 3}, RuntimeError, "padding_idx must be within the number of embeddings, -3 through 2, but got 3"),
]


@pytest.mark.parametrize(("change", "error", "sentence"), BAD_BAGS)
def test_misuse_of_embedding_bag(change, error, sentence):
    usual = {"input": torch.tensor([0, 1, 2, 0]), "weight": torch.ones(3, 2), "offsets": torch.tensor([0, 2])}
    with pytest.raises(error, match=sentence):
        F.embedding_bag(**usual | change)


def test_the_module_of_bags_has_pytorchs_numbers_and_words():
    torch.manual_seed(0)
    bags = torch.nn.EmbeddingBag(4, 3, padding_idx=1, mode="sum")
    assert repr(bags) == "EmbeddingBag(4, 3, mode='sum', padding_idx=1)"
    y = bags(torch.tensor([0, 1, 2, 0]), torch.tensor([0, 2]))
    y.sum().backward()
    assert bags.weight[1].tolist() == [0, 0, 0]
    assert bags.weight.grad.tolist() == [[2, 2, 2], [0, 0, 0], [1, 1, 1], [0, 0, 0]]
    torch.testing.assert_close(
        y.detach(), torch.tensor([[1.541, -0.2934, -2.1788], [1.9443, 0.5446, -2.898]]), atol=1e-4, rtol=0
    )
    frozen = torch.nn.EmbeddingBag.from_pretrained(torch.ones(3, 2))
    assert repr(frozen) == "EmbeddingBag(3, 2, mode='mean')"
    assert not frozen.weight.requires_grad
    limited = torch.nn.EmbeddingBag.from_pretrained(torch.full((3, 2), 3.0), max_norm=1.0, freeze=False)
    limited(torch.tensor([[0, 1]]))
    torch.testing.assert_close(limited.weight[0].norm(), torch.tensor(1.0))
    assert limited.weight[2].tolist() == [3, 3]
