"""Convolution of every geometry that a kernel treats apart, against its definition in NumPy, and its two adjoints."""

import itertools
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import arcgrad as torch

F = torch.nn.functional
INF = float("inf")

# axes, batch, groups, channels and outputs of a group, extents, window, stride, padding, dilation
GEOMETRIES = {
    "few channels": (2, 2, 1, 1, 5, (9, 11), (3, 3), (1, 1), (1, 1), (1, 1)),
    "many channels": (2, 3, 1, 9, 26, (8, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    "minimal filtering": (2, 4, 1, 33, 26, (8, 15), (3, 3), (1, 1), (1, 1), (1, 1)),
    "minimal filtering, groups, a large image": (2, 1, 2, 20, 40, (90, 61), (3, 3), (1, 1), (2, 0), (1, 1)),
    "many outputs and long weights": (2, 2, 1, 4, 13, (12, 14), (3, 3), (1, 1), (1, 1), (1, 1)),
    "a small image": (2, 3, 1, 3, 40, (3, 4), (2, 3), (1, 1), (0, 1), (1, 1)),
    "a large image": (2, 1, 1, 2, 3, (40, 33), (3, 5), (1, 1), (1, 0), (1, 1)),
    "images abreast": (2, 37, 1, 9, 20, (7, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    "images abreast, groups, stepping": (2, 21, 2, 5, 9, (8, 7), (3, 2), (2, 1), (1, 0), (1, 1)),
    "images abreast, one too many": (2, 17, 1, 10, 18, (5, 6), (3, 3), (1, 1), (1, 1), (1, 1)),
    "one small image, outputs shared out": (2, 1, 2, 120, 150, (7, 9), (3, 2), (1, 1), (1, 0), (1, 1)),
    "images abreast, dilation": (2, 5, 1, 8, 12, (6, 6), (3, 3), (1, 1), (2, 2), (2, 2)),
    "images abreast, no padding": (2, 18, 1, 6, 40, (8, 8), (5, 5), (1, 1), (0, 0), (1, 1)),
    "images abreast, one position": (2, 16, 1, 8, 10, (5, 5), (5, 5), (1, 1), (0, 0), (1, 1)),
    "images abreast, more than are turned at once": (2, 400, 1, 96, 96, (8, 8), (2, 2), (1, 1), (0, 0), (1, 1)),
    "one position each": (2, 2, 2, 3, 4, (6, 6), (1, 1), (1, 1), (0, 0), (1, 1)),
    "one position each, stepping": (2, 2, 1, 9, 4, (13, 12), (1, 1), (2, 3), (0, 0), (1, 1)),
    "a channel a group": (2, 2, 5, 1, 1, (14, 14), (3, 3), (1, 1), (1, 1), (1, 1)),
    "a channel a group, a wide window": (2, 3, 4, 1, 2, (9, 19), (5, 5), (1, 1), (2, 2), (1, 1)),
    "a channel a group, dilation": (2, 2, 3, 1, 1, (12, 9), (3, 3), (1, 1), (2, 1), (3, 2)),
    "a channel a group, lines of one": (2, 2, 3, 1, 1, (5, 1), (3, 3), (1, 1), (1, 1), (1, 1)),
    "a channel a group, much padding": (2, 2, 3, 1, 1, (4, 3), (3, 3), (1, 1), (5, 4), (1, 1)),
    "a channel a group, parts of an image": (2, 2, 1, 1, 2, (90, 110), (5, 5), (1, 1), (2, 2), (1, 1)),
    "a channel a group, stepping": (2, 2, 3, 1, 2, (13, 15), (3, 2), (2, 3), (1, 1), (2, 1)),
    "a channel a group, long weights": (2, 3, 2, 1, 1, (11, 21), (3, 7), (1, 1), (1, 3), (1, 1)),
    "a channel a group, bands and images": (2, 18, 2, 1, 2, (40, 33), (3, 2), (1, 1), (1, 1), (1, 1)),
    "phases": (2, 2, 1, 3, 9, (17, 23), (5, 7), (2, 3), (2, 3), (1, 1)),
    "phases and dilation": (2, 2, 2, 2, 3, (19, 18), (3, 3), (2, 3), (3, 2), (3, 2)),
    "lines joined": (2, 3, 1, 5, 40, (14, 14), (3, 3), (1, 1), (1, 1), (1, 1)),
    "lines joined, in bands": (2, 1, 2, 3, 40, (90, 13), (3, 5), (1, 1), (1, 2), (1, 1)),
    "lines joined, stepping and dilation": (2, 2, 1, 3, 48, (31, 28), (3, 3), (2, 2), (2, 1), (1, 2)),
    "lines joined, much padding": (2, 2, 1, 2, 48, (9, 3), (3, 3), (1, 1), (1, 6), (1, 1)),
    "lines joined, a volume": (3, 1, 1, 2, 64, (4, 6, 10), (2, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "padding beyond the window": (2, 1, 1, 2, 3, (5, 6), (2, 2), (1, 1), (3, 4), (1, 1)),
    "filtered phases": (2, 2, 1, 3, 20, (41, 60), (7, 7), (2, 2), (3, 3), (1, 1)),
    "filtered phases, a window of five": (2, 3, 1, 2, 17, (10, 75), (5, 5), (2, 2), (0, 6), (1, 1)),
    "filtered phases, four channels": (2, 1, 1, 4, 16, (70, 49), (7, 7), (2, 2), (9, 0), (1, 1)),
    "a line": (1, 2, 1, 3, 4, (700,), (5,), (1,), (2,), (3,)),
    "a line, stepping": (1, 2, 2, 8, 2, (90,), (4,), (3,), (2,), (1,)),
    "a tall strip": (2, 2, 1, 1, 3, (1500, 1), (3, 3), (1, 1), (1, 1), (1, 1)),
    "a deep column, stepping": (3, 1, 1, 1, 2, (700, 2, 1), (3, 2, 1), (2, 1, 1), (1, 0, 0), (1, 1, 1)),
    "a volume": (3, 2, 1, 2, 3, (6, 7, 8), (3, 2, 3), (1, 1, 1), (1, 0, 1), (1, 2, 1)),
    "a volume, stepping": (3, 1, 2, 9, 2, (9, 8, 7), (2, 3, 3), (2, 1, 2), (1, 1, 0), (1, 1, 1)),
}


def reads(x, window, stride, padding, dilation):
    """Each tap of a window, and what it reads for every position of the output: `x` with zeros around it, cut."""
    around = [(0, 0), (0, 0), *((p, p) for p in padding)]
    x = np.pad(x, around)
    reach = [(k - 1) * d for k, d in zip(window, dilation, strict=True)]
    extents = [(n - r - 1) // s + 1 for n, r, s in zip(x.shape[2:], reach, stride, strict=True)]
    for tap in itertools.product(*map(range, window)):
        starts = [t * d for t, d in zip(tap, dilation, strict=True)]
        cut = [slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, extents, stride, strict=True)]
        yield tap, x[(slice(None), slice(None), *cut)]


def by_definition(x, w, stride, padding, dilation, groups):
    """y[n, o, p] = sum over channels c and taps k of w[o, c, k] x[n, c, p stride + k dilation - padding]."""
    outputs, channels = w.shape[:2]
    of_group = outputs // groups
    y = 0
    for tap, read in reads(x, w.shape[2:], stride, padding, dilation):
        parts = [read[:, g * channels : (g + 1) * channels] for g in range(groups)]
        taps = [w[(slice(g * of_group, (g + 1) * of_group), slice(None), *tap)] for g in range(groups)]
        y = y + np.concatenate([np.einsum("oc,nc...->no...", *pair) for pair in zip(taps, parts, strict=True)], 1)
    return y


@pytest.fixture(params=GEOMETRIES.values(), ids=GEOMETRIES.keys())
def case(request):
    axes, batch, groups, channels, outputs, extents, window, stride, padding, dilation = request.param
    draw = np.random.RandomState(0)
    x = draw.standard_normal((batch, groups * channels, *extents))
    w = draw.standard_normal((groups * outputs, channels, *window))
    return x, w, getattr(F, f"conv{axes}d"), (stride, padding, dilation, groups)


def test_a_convolution_is_what_its_definition_says(case):
    x, w, convolve, options = case
    bias = np.arange(float(w.shape[0]))
    y = convolve(torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(bias), *options)
    expected = by_definition(x, w, *options) + bias.reshape(-1, *[1] * (x.ndim - 2))
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_a_float32_convolution_is_within_rounding_of_its_definition(case):
    x, w, convolve, options = case
    x, w = x.astype(np.float32), w.astype(np.float32)
    bias = np.arange(w.shape[0], dtype=np.float32)
    y = convolve(torch.from_numpy(x), torch.from_numpy(w), torch.from_numpy(bias), *options)
    expected, size = (by_definition(f(x.astype(float)), f(w.astype(float)), *options) for f in (np.array, np.abs))
    shift = bias.reshape(-1, *[1] * (x.ndim - 2))
    assert (np.abs(y.numpy() - (expected + shift)) <= 8 * np.finfo(np.float32).eps * (size + shift)).all()


def test_gradients_of_a_convolution_are_its_adjoints(case):
    """<g, y(x, w)> is linear in x and in w: so it is <dx, x'> of y(x', w), and <dw, w'> of y(x, w')."""
    x, w, convolve, options = case
    draw = np.random.RandomState(1)
    leaf_x, leaf_w = (torch.from_numpy(a).requires_grad_() for a in (x, w))
    y = convolve(leaf_x, leaf_w, None, *options)
    g = draw.standard_normal(y.shape)
    dx, dw = torch.autograd.grad(y, (leaf_x, leaf_w), torch.from_numpy(g))
    other_x, other_w = draw.standard_normal(x.shape), draw.standard_normal(w.shape)
    for gradient, other, value in (
        (dx, other_x, by_definition(other_x, w, *options)),
        (dw, other_w, by_definition(x, other_w, *options)),
    ):
        there, here = (gradient.numpy() * other).sum(), (g * value).sum()
        assert there == pytest.approx(here, rel=1e-10, abs=1e-10 * np.abs(g * value).sum())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_infinity_reaches_what_reads_it_and_nothing_else(case, dtype):
    """An output is finite where its window does not read an infinity, a weight's gradient where its tap does not."""
    x, w, convolve, (*steps, groups) = case
    channels, extents = w.shape[1], x.shape[2:]
    w = np.ones_like(w, dtype)
    for place in ([0] * len(extents), [n - 1 for n in extents], [min(1, extents[0] - 1), *[0] * (len(extents) - 1)]):
        infinite = np.zeros(x.shape, dtype)
        infinite[(-1, -1, *place)] = np.inf
        leaf_w = torch.from_numpy(w).requires_grad_()
        y = convolve(torch.from_numpy(infinite), leaf_w, None, *steps, groups)
        (dw,) = torch.autograd.grad(y, leaf_w, torch.ones_like(y))
        of_last_group = slice(len(w) // groups * (groups - 1), None)
        finite_y, finite_dw = np.ones(y.shape, bool), np.ones(w.shape, bool)
        for tap, read in reads(infinite, w.shape[2:], *steps):
            finite_y[:, of_last_group] &= np.isfinite(read[:, -channels:]).all(1, keepdims=True)
            finite_dw[(of_last_group, slice(None), *tap)] = np.isfinite(read[:, -channels:]).all(
                (0, *range(2, read.ndim))
            )
        np.testing.assert_array_equal(np.isfinite(y.detach().numpy()), finite_y)
        np.testing.assert_array_equal(np.isfinite(dw.numpy()), finite_dw)


@pytest.mark.parametrize("size", [5, 7])
@pytest.mark.parametrize("axis", [2, 3])
def test_a_large_number_leaves_no_trace_where_no_window_reads_it(size, axis):
    """Tiles of outputs share what is computed: to the bit, what one of them reads must not come to the others."""
    draw = np.random.RandomState(3)
    x, w = (torch.from_numpy(draw.standard_normal(s).astype(np.float32)) for s in ((1, 3, 60, 60), (16, 3, size, size)))
    masked = w.clone()
    masked.select(axis, size - 1).zero_()

    def bits(x, w):
        return F.conv2d(x, w, stride=2, padding=1).movedim(axis, 0)

    plain, plain_masked = bits(x, w), bits(x, masked)
    for place in range(8, 20):
        large = x.clone()
        large.select(axis, place).mul_(1e8)
        # Position p reads 2 p - 1 to 2 p - 1 + size - 1; the last of them with weights of zero where they are masked.
        reads = torch.tensor([2 * p - 1 <= place < 2 * p - 1 + size for p in range(len(plain))])
        sees = torch.tensor([2 * p - 1 <= place < 2 * p - 1 + size - 1 for p in range(len(plain))])
        changed, changed_masked = bits(large, w), bits(large, masked)
        assert torch.equal(changed[~reads], plain[~reads])
        assert torch.equal(changed_masked[~sees], plain_masked[~sees])
        assert (changed[reads] != plain[reads]).any()


def test_an_infinite_weight_reaches_what_its_tap_read_and_nothing_else():
    x = torch.ones(1, 1, 6, 6, requires_grad=True)
    w = torch.ones(1, 1, 3, 3)
    w[0, 0, 0, 1] = INF
    F.conv2d(x, w, padding=1, dilation=2).sum().backward()
    # For four by four positions the tap reads lines -1 to 2 of columns 1 to 4.
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[:3, 1:5] = True
    assert torch.isinf(x.grad[0, 0]).tolist() == expected.tolist()
    assert not torch.isnan(x.grad).any()
    y = F.conv_transpose1d(torch.ones(1, 1, 5), torch.tensor([[[INF, 1.0, 1.0]]]), dilation=3)
    assert y.tolist() == [[[INF] * 5 + [1.0, 2.0, 2.0, 1.0, 1.0, 1.0]]]


@pytest.mark.parametrize("stranger", [INF, math.nan, 3e38])
@pytest.mark.parametrize("width", [100, 102])
def test_what_no_window_reads_changes_no_bit(width, stranger):
    """The last column is left out by steps of two: registers of some lengths hold it, and no output may show that."""
    draw = np.random.RandomState(4)
    shapes = ((1, 3, 60, width), (16, 3, 7, 7))
    x, w = (torch.from_numpy(draw.standard_normal(shape).astype(np.float32)) for shape in shapes)
    plain = F.conv2d(x, w, stride=2)
    x[..., width - 1] = stranger
    assert torch.equal(F.conv2d(x, w, stride=2), plain)


LITTLE_MEMORY = {
    # A padded copy would hold 700 by 700 numbers for each channel of ten by ten.
    "much padding": (
        "F.conv2d(torch.ones(1, 512, 10, 10), torch.ones(1, 512, 3, 3), padding=345, dilation=300)",
        512 * 100,
    ),
    # A list of all taps for each part of the output would be of 50 MB.
    "a long window": ("F.conv1d(torch.ones(1, 2, 60000), torch.ones(1, 2, 24000))", 36001 * 48000),
    "a long window of some channels": ("F.conv1d(torch.ones(1, 9, 60000), torch.ones(3, 9, 8000))", 3 * 52001 * 72000),
}


@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="the peak of a process is read from Linux")
@pytest.mark.parametrize(("call", "total"), LITTLE_MEMORY.values(), ids=LITTLE_MEMORY)
def test_a_convolution_needs_little_memory_besides_its_operands(call, total):
    program = f"""
import arcgrad as torch
F = torch.nn.functional
# Of this process alone: what `resource` knows includes the parent's.
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
y = {call}
grown = peak() - before
assert y.double().sum().item() == {total}, y.double().sum().item()
assert grown < 20 << 10, grown
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_bits_of_a_convolution_do_not_depend_on_the_number_of_threads(case):
    x, w, convolve, options = case
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2, 3, 4, 8):
            torch.set_num_threads(threads)
            leaf_x, leaf_w = (torch.from_numpy(a.astype(np.float32)).requires_grad_() for a in (x, w))
            y = convolve(leaf_x, leaf_w, torch.arange(float(w.shape[0])), *options)
            grads = torch.autograd.grad(y.square().sum(), (leaf_x, leaf_w))
            answers.append([t.detach().numpy().tobytes() for t in (y, *grads)])
    finally:
        torch.set_num_threads(before)
    assert all(answer == answers[0] for answer in answers)
