"""Beyond PyTorch: a forked child computes and differentiates, whatever its parent's threads were doing."""

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")

PROGRAM = """
import os, signal, sys, threading, warnings
import arcgrad as torch
warnings.simplefilter("ignore", DeprecationWarning)  # CPython warns of any fork beside threads

def work():
    w = torch.randn(200, 200, generator=torch.Generator().manual_seed(1)).requires_grad_()
    x = torch.randn(200, 200, generator=torch.Generator().manual_seed(2))
    sum((x @ w * k).tanh().sum() for k in range(1, 9)).backward()
    return w.grad.numpy().tobytes()

def child(body):
    # The child has twenty seconds; the answer is its exit status.
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        status = 1
        try:
            body()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]
"""

CASES = {
    "after the parent used its pool": """
torch.set_num_threads(4)
expected = work()
def body():
    assert work() == expected
assert child(body) == 0
assert work() == expected
""",
    "before the parent used any": """
def body():
    work()
assert child(body) == 0
work()
""",
    "of a child of a child": """
torch.set_num_threads(2)
expected = work()
def grandchild():
    assert work() == expected
def body():
    assert work() == expected
    assert child(grandchild) == 0
assert child(body) == 0
""",
    "many times": """
torch.set_num_threads(4)
expected = work()
def body():
    assert work() == expected
for _ in range(10):
    assert child(body) == 0
""",
    "while another thread is in a backward pass": """
torch.set_num_threads(4)
expected = work()
stop = threading.Event()
def busy():
    while not stop.is_set():
        work()
threads = [threading.Thread(target=busy) for _ in range(2)]
for t in threads:
    t.start()
def body():
    assert work() == expected
statuses = [child(body) for _ in range(10)]
stop.set()
for t in threads:
    t.join()
assert statuses == [0] * 10
""",
    "while other threads register hooks": """
stop = threading.Event()
def busy():
    while not stop.is_set():
        x = torch.ones(2, requires_grad=True)
        x[:1].register_hook(print)
        x.register_post_accumulate_grad_hook(print)
threads = [threading.Thread(target=busy) for _ in range(2)]
for t in threads:
    t.start()
def body():
    called = []
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda grad: called.append(grad.tolist()))
    y.grad_fn.register_prehook(lambda grads: called.append(len(grads)))
    x.register_post_accumulate_grad_hook(lambda leaf: called.append(leaf.grad.tolist()))
    y.sum().backward()
    assert called == [[1.0, 1.0], 1, [2.0, 2.0]], called
statuses = [child(body) for _ in range(30)]
stop.set()
for t in threads:
    t.join()
assert statuses == [0] * 30, statuses
""",
    "while another thread draws random numbers": """
stop = threading.Event()
def busy():
    while not stop.is_set():
        torch.randn(300_000)
thread = threading.Thread(target=busy)
thread.start()
def body():
    assert torch.randn(300_000).std() > 0.9
statuses = [child(body) for _ in range(10)]
stop.set()
thread.join()
assert statuses == [0] * 10, statuses
""",
    "while another thread shares memory and has its writes watched": """
import numpy as np
stop = threading.Event()
def watched():
    w = torch.ones(50_000, requires_grad=True)
    x = torch.ones(50_000)
    y = (x * w).sum()
    shown = x.numpy()
    with torch.autograd.detect_anomaly(check_nan=False):
        (x * w).tanh_().sum().backward()
    y.backward()
    return w.grad.sum().item()
warnings.simplefilter("ignore", UserWarning)  # of anomaly mode
expected = watched()
def busy():
    while not stop.is_set():
        assert watched() == expected
threads = [threading.Thread(target=busy) for _ in range(2)]
for t in threads:
    t.start()
def body():
    assert watched() == expected
statuses = [child(body) for _ in range(20)]
stop.set()
for t in threads:
    t.join()
assert statuses == [0] * 20, statuses
""",
    "that differentiates a graph of its parent": """
torch.set_num_threads(4)
x = torch.randn(200, 200, requires_grad=True)
y = sum((x @ x * k).tanh().sum() for k in range(1, 9))
def body():
    y.backward()
    assert x.grad is not None
assert child(body) == 0
assert x.grad is None
y.backward()
""",
    "that keeps the random stream of its parent": """
torch.manual_seed(3)
torch.rand(5)
read, write = os.pipe()
def body():
    os.write(write, torch.rand(1).numpy().tobytes())
assert child(body) == 0
assert os.read(read, 4) == torch.rand(1).numpy().tobytes()
""",
}


@pytest.mark.parametrize("name", CASES)
def test_a_child_computes_and_differentiates(name, alone):
    alone(PROGRAM + CASES[name])


def test_a_pool_of_worker_processes_trains(alone):
    program = """
import multiprocessing
torch.set_num_threads(2)
expected = work()
def job(_):
    return work()
with multiprocessing.get_context("fork").Pool(3) as pool:
    assert pool.map_async(job, range(6)).get(30) == [expected] * 6
"""
    alone(PROGRAM + program)
