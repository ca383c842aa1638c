"""Beyond PyTorch: results and gradients have the same bits for any number of threads, on every run."""

import hashlib

import pytest

import arcgrad as torch

F = torch.nn.functional
COUNTS = [1, 2, 3, 4, 8]


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def branches():
    x = normal(0, 128, 128).requires_grad_()
    ws = [normal(k, 128, 128).requires_grad_() for k in range(1, 9)]
    total = sum((x @ w).tanh().sum() for w in ws)
    return total, [x, *ws]


def tower():
    x = normal(0, 64, 100)
    ws = [(normal(k, 100, 100) * 0.1).requires_grad_() for k in range(1, 7)]
    h = x
    for w in ws:
        h = (h @ w).relu() + h
    return h.log_softmax(1).square().mean(), ws


def convolution():
    x = normal(0, 4, 3, 20, 20).requires_grad_()
    w, b = normal(1, 8, 3, 3, 3).requires_grad_(), normal(2, 8).requires_grad_()
    return F.max_pool2d(F.conv2d(x, w, b, padding=1).tanh(), 2).sum(), [x, w, b]


def long_reductions():
    x = normal(0, 300_001).requires_grad_()
    y = normal(1, 501, 499).requires_grad_()
    total = x.sum() * x.square().mean() + x.var() + x.logsumexp(0)
    return total + y.sum(0).square().sum() + y.mean(1).exp().sum() + y.norm() + y.prod(1).sum(), [x, y]


def repeated_indices():
    x = normal(0, 50, 200).requires_grad_()
    rows = torch.randint(50, (5000,), generator=torch.Generator().manual_seed(3))
    y = x[rows] * normal(1, 5000, 200)
    z = torch.zeros(50, 200).index_add(0, rows, y) + x.gather(0, rows[:200].expand(50, 200))
    return (z * z).sum() + F.embedding(rows, x).exp().sum(), [x]


def broadcasts():
    x, row, column = (normal(k, *s).requires_grad_() for k, s in enumerate([(700, 300), (300,), (700, 1)]))
    return ((x * row + column).tanh() * column).sum(), [x, row, column]


def second_order():
    x, w = normal(0, 60, 60).requires_grad_(), normal(1, 60, 60).requires_grad_()
    gs = torch.autograd.grad(sum((x @ w * k).tanh().sum() for k in range(1, 6)), [x, w], create_graph=True)
    return sum(g.square().sum() for g in gs), [x, w]


def many_uses():
    x = normal(0, 40_000).requires_grad_()
    return sum((x * (1 + k / 7)).sin().sum() for k in range(40)), [x]


def digest(program):
    total, leaves = program()
    h = hashlib.sha256(total.detach().numpy().tobytes())
    for g in torch.autograd.grad(total, leaves):
        h.update(g.contiguous().numpy().tobytes())
    return h.hexdigest()


PROGRAMS = [
    branches,
    tower,
    convolution,
    long_reductions,
    repeated_indices,
    broadcasts,
    second_order,
    many_uses,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_bits_do_not_depend_on_the_number_of_threads(program):
    before = torch.get_num_threads()
    try:
        digests = set()
        for n in COUNTS:
            torch.set_num_threads(n)
            digests |= {digest(program) for _ in range(3)}
    finally:
        torch.set_num_threads(before)
    assert len(digests) == 1


def test_bits_of_accumulated_gradients_do_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    seen = set()
    try:
        for n in COUNTS:
            torch.set_num_threads(n)
            total, leaves = branches()
            total.backward(retain_graph=True)
            total.backward()
            seen.add(b"".join(w.grad.numpy().tobytes() for w in leaves))
    finally:
        torch.set_num_threads(before)
    assert len(seen) == 1


def test_a_random_stream_does_not_depend_on_the_number_of_threads():
    before = torch.get_num_threads()
    seen = set()
    try:
        for n in COUNTS:
            torch.set_num_threads(n)
            torch.manual_seed(4)
            seen.add(torch.randn(100_003).numpy().tobytes() + torch.rand(100_003).numpy().tobytes())
    finally:
        torch.set_num_threads(before)
    assert len(seen) == 1
