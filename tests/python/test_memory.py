"""Graphs and tensors are freed by reference counts alone, as soon as the last name goes; nothing piles up."""

import gc
import weakref

import pytest

import arcgrad as torch


@pytest.fixture
def no_collector():
    """Whatever a test frees must go without the help of the cycle collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_an_inner_tensor_goes_with_its_last_name():
    x = torch.ones(2, requires_grad=True)
    h = x * 2
    y = h + 1  # saves nothing, so the node alone holds h's history, not h
    watched = weakref.ref(h)
    del h
    assert watched() is None
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


@pytest.mark.usefixtures("no_collector")
def test_a_leaf_goes_when_its_graph_goes():
    x = torch.ones(2, requires_grad=True)
    watched = weakref.ref(x)
    y = x.exp().sum()
    y.backward()
    del x
    del y
    assert watched() is None


@pytest.mark.usefixtures("no_collector")
def test_a_result_that_its_own_node_saved_makes_no_cycle():
    x = torch.ones(2, requires_grad=True)
    for f in [torch.exp, torch.tanh, torch.sqrt, torch.sigmoid, lambda t: t.softmax(0)]:
        y = f(x)
        watched = weakref.ref(y)
        del y
        assert watched() is None


@pytest.mark.usefixtures("no_collector")
def test_views_and_in_place_writes_make_no_cycle():
    x = torch.ones(4, requires_grad=True)
    y = x * 1
    v = y[1:]
    v.mul_(2)
    y.add_(1)
    watched = [weakref.ref(y), weakref.ref(v), weakref.ref(x)]
    del x, y, v
    assert [r() for r in watched] == [None] * 3


@pytest.mark.usefixtures("no_collector")
def test_double_backward_makes_no_cycle():
    x = torch.ones(2, requires_grad=True)
    (g,) = torch.autograd.grad(x.exp().sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x, create_graph=True)
    watched = [weakref.ref(t) for t in (x, g, h)]
    del x, g, h
    assert [r() for r in watched] == [None] * 3


@pytest.mark.usefixtures("no_collector")
def test_a_failed_backward_lets_go_of_its_graph():
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    z = y.sum()
    y.add_(1)
    watched = weakref.ref(x)
    with pytest.raises(RuntimeError):
        z.backward()
    del x, y, z
    assert watched() is None


MEASURE = """
import gc, os, sys
import arcgrad as torch
gc.disable()
PAGE = os.sysconf("SC_PAGE_SIZE")

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * PAGE

def grows_by(step, warm, rounds):
    for _ in range(warm):
        step()
    before = resident()
    for _ in range(rounds):
        step()
    return resident() - before
"""

STEPS = {
    "a training step": """
w = torch.randn(64, 64, requires_grad=True)
def step():
    (torch.randn(64, 64) @ w).tanh().sum().backward()
    with torch.no_grad():
        w.sub_(w.grad)
    w.grad.zero_()
""",
    "a graph that is dropped without a backward": """
w = torch.randn(64, 64, requires_grad=True)
def step():
    ((w @ w).exp() * w).sum()
""",
    "a double backward": """
w = torch.randn(64, 64, requires_grad=True)
def step():
    g, = torch.autograd.grad((w @ w).tanh().sum(), w, create_graph=True)
    (g * g).sum().backward()
    w.grad = None
""",
    "a retained graph that runs again": """
w = torch.randn(64, 64, requires_grad=True)
y = (w @ w).tanh().sum()
def step():
    y.backward(retain_graph=True)
""",
    "writes through views": """
w = torch.randn(64, 64, requires_grad=True)
def step():
    y = w * 1
    y[3:].mul_(2)
    y[:, 0].copy_(w[0])
    y.sum().backward()
    w.grad = None
""",
    "numpy both ways": """
import numpy as np
def step():
    torch.from_numpy(np.ones((64, 64))).numpy()
    np.asarray(torch.ones(64, 64)).sum()
    torch.ones(64, 64).tolist()
""",
    "errors": """
x = torch.ones(64, 64, requires_grad=True)
def step():
    for wrong in (lambda: x + torch.ones(3), lambda: x.exp().backward(), lambda: x[99], lambda: x.view(7)):
        try:
            wrong()
        except Exception:
            pass
""",
    "threads that come and go": """
import threading
w = torch.randn(64, 64, requires_grad=True)
def step():
    t = threading.Thread(target=lambda: torch.autograd.grad((w @ w).sum(), w))
    t.start()
    t.join()
""",
}


@pytest.mark.parametrize("name", STEPS)
def test_resident_memory_does_not_grow(name, alone):
    # A step makes tensors of 16 KiB: were one of them kept, 1,000 rounds would keep 16 MiB.
    (grown,) = alone(MEASURE + STEPS[name] + "\nprint(grows_by(step, 200, 1000))")
    assert int(grown) < 6 * 2**20
