"""Beyond PyTorch: Ctrl-C ends a long backward within 0.2 s, and leaves every gradient as it was or whole."""

import pytest

PROGRAM = """
import os, signal, sys, threading, time
import arcgrad as torch

LIMIT = 0.2
sent = []
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are born with Ctrl-C ignored

def interrupt():
    sent.append(time.perf_counter())
    os.kill(os.getpid(), signal.SIGINT)

def tower(width, layers, leaves):
    ws = [(torch.randn(width, width) * (0.6 / width**0.5)).requires_grad_() for _ in range(leaves)]
    h = torch.randn(width, width)
    for k in range(layers):
        h = (h @ ws[k % leaves]).tanh()
    return h.sum(), ws

def chain(nodes):
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(nodes):
        y = y * 1.0
    return y.sum(), [x]

def branches(width, count):
    ws = [torch.randn(width, width).requires_grad_() for _ in range(count)]
    x = torch.randn(width, width)
    return sum(((x @ w).tanh() @ w).tanh().sum() for w in ws), ws

torch.manual_seed(0)
torch.set_num_threads(THREADS)
y, leaves = MAKE
start = time.perf_counter()
whole = torch.autograd.grad(y, leaves, retain_graph=True)
took = time.perf_counter() - start

interrupted = 0
for share in (0.1, 0.4, 0.7):
    for w in leaves:
        w.grad = torch.ones_like(w)
    timer = threading.Timer(took * share, interrupt)
    try:
        timer.start()
        y.backward(retain_graph=True)
        timer.join()
        time.sleep(0.05)
    except KeyboardInterrupt:
        late = time.perf_counter() - sent[-1]
        interrupted += 1
        assert late < LIMIT, f"{late:.3f} s late, of a backward of {took:.3f} s"
    for w, g in zip(leaves, whole):
        as_it_was = torch.equal(w.grad, torch.ones_like(w))
        assert as_it_was or torch.equal(w.grad, 1 + g), "a gradient is neither as it was nor whole"
assert interrupted, "no interrupt arrived"

again = torch.autograd.grad(y, leaves)
assert all(torch.equal(a, b) for a, b in zip(again, whole)), "the next backward gave other numbers"
"""

SHAPES = {
    "deep": "tower(256, 400, 40)",
    "one leaf used four hundred times": "tower(256, 400, 1)",
    "wide": "branches(320, 60)",
    "a million small nodes": "chain(1_000_000)",
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_interrupt_arrives_in_time_and_gradients_stay_whole(shape, threads, alone):
    alone(PROGRAM.replace("MAKE", SHAPES[shape]).replace("THREADS", str(threads)))
