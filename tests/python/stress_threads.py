"""Threads that differentiate at the same time, with hooks that lock, start threads, call backward, raise or collect.

Run as a program of its own: `python stress_threads.py SEED ROUNDS COUNT SECONDS`, with COUNT threads for each pass.
A hang ends it after so many seconds with the stacks of all threads.
"""

import faulthandler
import gc
import random
import sys
import threading
import traceback

import arcgrad as torch

CALLERS = 4
BRANCHES = 6
ONES = torch.eye(128)


class FromHookError(Exception):
    pass


def wide(leaf):
    """A graph wide and heavy enough for several threads; its gradient is BRANCHES everywhere, exactly."""
    return [leaf @ ONES for _ in range(BRANCHES)]


def total(parts):
    return sum(part.sum() for part in parts)


@torch.enable_grad()
def cycle():
    """Leaves garbage: a graph with a hook that holds the graph."""
    y = torch.zeros(3, requires_grad=True).exp()
    y.register_hook(lambda grad: y)


class Storm:
    """What the threads share: leaves, a count of what must have arrived there, and a lock that callers hold."""

    def __init__(self):
        self.leaf = torch.zeros(128, 128, requires_grad=True)
        self.inner = torch.zeros(3, requires_grad=True)
        self.arrived = self.arrived_inside = 0
        self.counting = threading.Lock()
        self.held = threading.RLock()

    def count(self, leaf=0, inner=0):
        with self.counting:
            self.arrived += leaf
            self.arrived_inside += inner

    # Each is called by a hook, and returns what the hook does.

    def observe(self, g):
        assert g.shape == (128, 128)

    def replace(self, g):
        return g * 1.0

    def lock(self, g):
        with self.held:
            pass

    def start_a_thread(self, g):
        thread = threading.Thread(target=self.pass_inside, args=(g,))
        thread.start()
        thread.join()

    def pass_inside(self, g):
        with torch.enable_grad():
            (self.inner * 2).sum().backward()
        self.count(inner=2)

    def heavy_pass_inside(self, g):
        own = torch.zeros(128, 128, requires_grad=True)
        with torch.enable_grad():
            total(wide(own)).backward()
        assert own.grad.eq(BRANCHES).all()

    def collect(self, g):
        cycle()
        gc.collect()

    def register_another(self, g):
        self.leaf.register_hook(lambda grad: None).remove()

    CALLS = (observe, replace, lock, start_a_thread, pass_inside, heavy_pass_inside, collect, register_another)

    # What a thread does in a round.

    def own_graph(self, draw):
        parts = wide(self.leaf)
        for part in parts:
            if draw.random() < 0.5:
                call = draw.choice(self.CALLS)
                part.register_hook(lambda g, call=call: call(self, g))
        if draw.random() < 0.5:
            call_after = draw.choice(self.CALLS)

            def after(inputs, outputs):
                call_after(self, outputs[0])

            parts[0].grad_fn.register_hook(after)
        total(parts).backward()
        self.count(leaf=BRANCHES)

    def holding_the_lock(self, draw):
        with self.held:
            parts = wide(self.leaf)
            for part in parts:
                part.register_hook(self.lock)
            total(parts).backward()
        self.count(leaf=BRANCHES)

    def raising(self, draw):
        raised = FromHookError(draw.random())

        def fail(g):
            raise raised

        parts = wide(self.leaf)
        draw.choice(parts).register_hook(fail)
        parts[0].register_hook(self.lock)
        try:
            total(parts).backward()
        except FromHookError as error:
            assert error is raised
            assert traceback.extract_tb(error.__traceback__)[-1].name == "fail"
        else:
            raise AssertionError("the exception was lost")

    ROUNDS = (own_graph, own_graph, holding_the_lock, raising)

    def check(self):
        assert self.leaf.grad.eq(self.arrived).all(), (self.leaf.grad, self.arrived)
        inner = 0 if self.inner.grad is None else self.inner.grad
        assert torch.eq(inner, torch.tensor(float(self.arrived_inside))).all(), (inner, self.arrived_inside)


def together(bodies):
    """Runs all at the same time and returns what they raised."""
    raised = []
    start = threading.Barrier(len(bodies))

    def main(body):
        start.wait()
        try:
            body()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=main, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def storm(seed, rounds):
    shared = Storm()

    def caller(number):
        draw = random.Random(f"{seed} {number}")
        for _ in range(rounds):
            draw.choice(Storm.ROUNDS)(shared, draw)

    failures = together([lambda n=n: caller(n) for n in range(CALLERS)])
    for error in failures:
        traceback.print_exception(error)
    assert not failures
    total(wide(shared.leaf)).backward()
    shared.count(leaf=BRANCHES)
    shared.check()


def one_graph(seed, retain):
    """All callers differentiate the same graph, of which some nodes may have hooks."""
    draw = random.Random(seed)
    shared = Storm()
    parts = wide(shared.leaf)
    for part in draw.sample(parts, draw.choice([0, 0, 2, BRANCHES])):
        call = draw.choice((Storm.observe, Storm.replace, Storm.lock, Storm.collect))
        part.register_hook(lambda g, call=call: call(shared, g))
    root = total(parts)
    raised = together([lambda: root.backward(retain_graph=retain)] * CALLERS)
    assert all("backward through the graph a second time" in str(error) for error in raised), raised
    assert len(raised) == (0 if retain else CALLERS - 1), raised
    shared.count(leaf=BRANCHES * (CALLERS - len(raised)))
    shared.check()


def main():
    seed, rounds, threads, seconds = map(int, sys.argv[1:])
    faulthandler.dump_traceback_later(seconds, exit=True)
    torch.set_num_threads(threads)
    storm(seed, rounds)
    for turn in range(rounds):
        one_graph(f"{seed} {turn}", retain=True)
        one_graph(f"{seed} {turn}", retain=False)
    print("done")


if __name__ == "__main__":
    main()
