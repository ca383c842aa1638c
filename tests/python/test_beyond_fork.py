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
