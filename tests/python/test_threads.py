"""Several Python threads at once: exact accumulation, one winner per graph, modes and errors apart, and a clean end."""

import threading

import pytest

import arcgrad as torch
from arcgrad.autograd.graph import saved_tensors_hooks


@pytest.fixture
def four_threads():
    """Four threads for a pass, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def wide(x):
    """Products that are worth a thread each."""
    return [x @ torch.eye(128) for _ in range(6)]


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


@pytest.mark.usefixtures("four_threads")
def test_of_four_threads_that_share_a_wide_graph_one_wins():
    for _ in range(200):
        x = torch.zeros(128, 128, requires_grad=True)
        y = sum(part.sum() for part in wide(x))
        assert len(run(*[y.backward] * 4)) == 3
        assert x.grad.eq(6).all()


@pytest.mark.usefixtures("four_threads")
def test_hooks_and_custom_functions_run_on_the_thread_that_called_backward_in_the_order_of_one_thread():
    def note(*call):
        called.append((threading.get_ident(), *call))

    class Noted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.k = k
            return x * 1

        @staticmethod
        def backward(ctx, g):
            note("function", ctx.k)
            return g, None

    def packed(k):
        return saved_tensors_hooks(lambda t: t, lambda t: note("unpack", k) or t)

    orders = []
    for threads in (1, *[4] * 20):
        torch.set_num_threads(threads)
        called = []
        x = torch.zeros(128, 128, requires_grad=True)
        x.register_post_accumulate_grad_hook(lambda _: note("leaf", 0))
        parts = wide(x)
        for k, part in enumerate(parts):
            part.register_hook(lambda g, k=k: note("hook", k))
            with packed(k):
                parts[k] = Noted.apply(part, k).exp()
        sum(part.sum() for part in parts).backward()
        assert {thread for thread, *_ in called} == {threading.get_ident()}
        orders.append([call for _, *call in called])
    assert len(orders[0]) == 3 * 6 + 1
    assert all(order == orders[0] for order in orders)


@pytest.mark.usefixtures("four_threads")
def test_a_recorded_pass_packs_what_it_saves_with_the_hooks_of_its_caller():
    def counted(threads):
        torch.set_num_threads(threads)
        x = torch.zeros(128, 128, requires_grad=True)
        y = sum(part.tanh().sum() for part in wide(x))
        packed = []
        with saved_tensors_hooks(lambda t: packed.append(t.shape) or t, lambda t: t):
            torch.autograd.grad(y, x, create_graph=True)
        return len(packed)

    assert counted(4) == counted(1) > 6


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


ENDS = {
    "a graph lives on": """
x = torch.ones(128, 128, requires_grad=True)
y = [(x @ x).exp() for _ in range(6)]
y[0].register_hook(lambda g: y)
builtins.kept = y
""",
    "a graph goes with the last of Python": """
class Late:
    def __init__(self, x):
        self.y = (x * 2).sum()
    def __del__(self):
        self.y.backward()
sys.modules["kept"] = Late(torch.ones(3, requires_grad=True))
""",
    "daemon threads differentiate without end": """
class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x
    @staticmethod
    def backward(ctx, grad):
        return 2 * grad * ctx.saved_tensors[0]
rounds = threading.Semaphore(0)
def work():
    x = torch.ones(16, 16, requires_grad=True)
    x.register_hook(lambda g: g * 0.5)
    while True:
        parts = [Square.apply(x @ x * 1e-3) for _ in range(6)]
        parts[2].register_hook(lambda g: g + 0)
        torch.autograd.grad(sum(p.sum() for p in parts), x, create_graph=True)
        checkpoint = torch.utils.checkpoint.checkpoint
        sum(checkpoint(lambda x: (x @ x).tanh(), x, use_reentrant=False).sum() for _ in range(6)).backward()
        rounds.release()
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
for _ in range(3):
    rounds.acquire()
""",
    "a daemon thread waits in a hook": """
inside = threading.Event()
def hold(g):
    inside.set()
    time.sleep(1000)
def work():
    x = torch.ones(128, 128, requires_grad=True)
    parts = [x @ x for _ in range(6)]
    parts[3].register_hook(hold)
    sum(p.sum() for p in parts).backward()
threading.Thread(target=work, daemon=True).start()
inside.wait()
""",
}


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_the_interpreter_ends_cleanly_while(alone, end, threads):
    program = (
        "import builtins, sys, threading, time\nimport arcgrad as torch\ntorch.set_num_threads(int(sys.argv[1]))\n"
    )
    for _ in range(5):
        assert alone(program + end + "print('the end')", threads, timeout=30) == ["the end"]
