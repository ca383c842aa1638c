"""Several Python threads at once: exact accumulation, one winner per graph, modes and errors apart."""

import threading

import pytest

import arcgrad as torch


def run(*bodies):
    """Runs every body on a thread of its own, all starting together, and returns what they raised."""
    start = threading.Barrier(len(bodies))
    raised = []

    def main(body):
        start.wait()
        try:
            body()
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=main, args=(b,)) for b in bodies]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return raised


def test_four_threads_of_two_hundred_passes_into_one_leaf_lose_none():
    x = torch.zeros(3, requires_grad=True)

    def body():
        for _ in range(200):
            (x * 1).sum().backward()

    assert run(*[body] * 4) == []
    assert x.grad.tolist() == [800] * 3


def test_of_four_threads_that_share_one_graph_one_wins():
    for _ in range(20):
        x = torch.ones(3, requires_grad=True)
        y = x.exp().sum()
        raised = run(*[y.backward] * 4)
        assert len(raised) == 3
        assert all("backward through the graph a second time" in str(e) for e in raised)


def test_a_retained_graph_is_run_by_all():
    x = torch.ones(3, requires_grad=True)
    y = (x * x).sum()
    assert run(*[lambda: y.backward(retain_graph=True)] * 8) == []
    assert x.grad.tolist() == [16] * 3


def test_two_threads_train_models_of_their_own_to_the_numbers_of_one():
    def train(seed, out):
        g = torch.Generator().manual_seed(seed)
        w = torch.randn(8, 8, generator=g).requires_grad_()
        x = torch.randn(16, 8, generator=g)
        for _ in range(50):
            (x @ w).tanh().square().sum().backward()
            with torch.no_grad():
                w -= 0.01 * w.grad
            w.grad = None
        out[seed] = w.detach().numpy().tobytes()

    together, one_by_one = {}, {}
    assert run(*[lambda s=s: train(s, together) for s in range(4)]) == []
    for s in range(4):
        train(s, one_by_one)
    assert together == one_by_one


def test_an_error_on_one_thread_does_not_reach_another():
    def fail():
        for _ in range(50):
            y = torch.ones(1, requires_grad=True).exp()
            y.add_(1)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                y.sum().backward()

    x = torch.zeros(1, requires_grad=True)

    def work():
        for _ in range(50):
            x.exp().sum().backward()

    assert run(fail, work, fail, work) == []
    assert x.grad.tolist() == [100]


def test_a_graph_built_on_one_thread_is_differentiated_and_freed_on_another():
    x = torch.ones(3, requires_grad=True)
    made = []
    assert run(lambda: made.append((x * 2).exp().sum())) == []
    assert run(lambda: made.pop().backward()) == []
    assert x.grad is not None


def test_the_number_of_threads_can_be_set_and_read():
    before = torch.get_num_threads()
    try:
        for n in (1, 2, 3):
            torch.set_num_threads(n)
            assert torch.get_num_threads() == n
            assert (torch.ones(64, 64) @ torch.ones(64, 64)).sum().item() == 64**3
    finally:
        torch.set_num_threads(before)


def test_other_python_threads_run_during_a_long_product():
    x = torch.ones(1200, 1200)
    counted = [0]
    done = threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    x @ x
    gained = counted[0] - before
    done.set()
    thread.join()
    assert gained > 100
