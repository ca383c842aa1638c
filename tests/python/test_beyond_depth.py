"""Beyond PyTorch: memory alone limits the depth of a graph, even on a thread with a stack of 256 KiB."""

import pytest

PROGRAM = """
import os, sys, threading
import arcgrad as torch
PAGE = os.sysconf("SC_PAGE_SIZE")

def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * PAGE

def on_a_small_stack(body):
    threading.stack_size(256 * 1024)
    raised = []
    def main():
        try:
            body()
        except BaseException as error:
            raised.append(error)
    t = threading.Thread(target=main)
    t.start()
    t.join()
    if raised:
        raise raised[0]
"""

BODIES = {
    "a chain of a million nodes is differentiated": """
def body():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y + 1
    y.backward(torch.ones(1))
    assert x.grad.item() == 1 and y.item() == 1_000_001
    del y
""",
    "a chain of a million nodes is dropped": """
def body():
    y = torch.ones(1, requires_grad=True)
    for _ in range(1_000_000):
        y = y * 1.0
    del y
""",
    "a chain of a million nodes that keep their results": """
def body():
    x = torch.full((1,), 0.5, requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y.relu()
    y.backward(torch.ones(1))
    assert x.grad.item() == 1
    del y
""",
    "a chain of diamonds": """
def body():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(200_000):
        y = (y + y) * 0.5
    y.backward(torch.ones(1))
    assert x.grad.item() == 1
""",
    "a chain of writes in place": """
def body():
    x = torch.ones(1, requires_grad=True)
    y = x * 1
    for _ in range(300_000):
        y.add_(1)
    y.backward(torch.ones(1))
    assert x.grad.item() == 1
""",
    "a chain of writes through views": """
def body():
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    for _ in range(50_000):
        y[0].mul_(1.0)
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]
""",
    "a chain of views": """
def body():
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    for _ in range(200_000):
        y = y.view(1, 2).view(2)
    y.sum().backward()
    assert x.grad.tolist() == [1, 1]
""",
    "a graph of the backward pass of a long chain": """
def body():
    one = torch.ones(1, dtype=torch.float64)  # holds the integers below exactly
    x = one.clone().requires_grad_()
    y = x
    for _ in range(50_000):
        y = y * x
    g, = torch.autograd.grad(y, x, one, create_graph=True)
    h, = torch.autograd.grad(g, x, one)
    assert g.item() == 50_001 and h.item() == 50_001 * 50_000
""",
    "a chain that ends on the last tensor of a list": """
def body():
    x = torch.ones(1, requires_grad=True)
    kept = [x]
    for _ in range(300_000):
        kept.append(kept[-1] * 1.0)
    kept[-1].backward(torch.ones(1))
    assert x.grad.item() == 1
    kept.clear()
""",
}


@pytest.mark.parametrize("name", BODIES)
def test_deep_graphs_run_on_a_small_stack(name, alone):
    alone(PROGRAM + BODIES[name] + "\non_a_small_stack(body)\n")


def test_a_node_of_a_chain_costs_at_most_400_bytes(alone):
    program = """
def body():
    y = torch.ones(1, requires_grad=True)
    for _ in range(10_000):
        y = y * 1.5
    before = resident()
    for _ in range(1_000_000):
        y = y * 1.5
    print((resident() - before) / 1_000_000)
on_a_small_stack(body)
"""
    (cost,) = alone(PROGRAM + program)
    assert float(cost) <= 400


def test_nested_backward_calls_two_thousand_deep_work(alone):
    program = """
class Nested(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, depth):
        ctx.depth = depth
        return x * 1

    @staticmethod
    def backward(ctx, g):
        if ctx.depth:
            with torch.enable_grad():
                x = torch.ones(1, requires_grad=True)
                Nested.apply(x, ctx.depth - 1).sum().backward()
        return g, None

sys.setrecursionlimit(100_000)
threading.stack_size(512 * 1024 * 1024)
x = torch.ones(1, requires_grad=True)
def body():
    Nested.apply(x, 2_000).sum().backward()
t = threading.Thread(target=body)
t.start()
t.join()
assert x.grad.item() == 1
"""
    alone(PROGRAM + program)
