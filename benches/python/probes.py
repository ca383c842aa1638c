"""Measurements that need a process of their own: run as `probes.py NAME PEER`, prints one JSON object."""

import gc
import importlib
import json
import sys
import threading
import time
import warnings

NODES = 1_000_000
# A hundredth of what a main thread usually has: a walk that recursed once a node would end the process.
STACK = 256 * 1024
BITS_AT = (1, 2, 3, 4, 8)
HOOKS = 200


def imported(peer):
    """Seconds that the first import in a process takes, NumPy's share included, and NumPy's share."""
    start = time.perf_counter()
    importlib.import_module(peer)
    taken = time.perf_counter() - start
    # NumPy brought along or not, what is left of its import now says how much of it was already done.
    return {"seconds": taken, "numpy": "numpy" in sys.modules}


def resident():
    """Bytes of this process in memory now."""
    with open("/proc/self/statm", encoding="ascii") as pages:
        return int(pages.read().split()[1]) * 4096


def deep(peer):
    """Build, differentiate and free a long chain on a small stack; bytes a node and seconds of each part."""
    torch = importlib.import_module(peer)
    answer = {}

    def run():
        x = torch.ones(4).requires_grad_()
        (x * 1.0).sum().backward()
        x.grad = None
        gc.collect()
        before = resident()
        start = time.perf_counter()
        y = x
        for _ in range(NODES):
            y = y * 1.0
        built = time.perf_counter()
        answer["bytes"] = (resident() - before) / NODES
        # The graph is freed by dropping its last tensor, not by the backward pass: both ways are walked.
        y.sum().backward(retain_graph=True)
        differentiated = time.perf_counter()
        del y
        freed = time.perf_counter()
        answer["build"], answer["backward"] = built - start, differentiated - built
        answer["free"] = freed - differentiated
        answer["right"] = x.grad.tolist() == [1.0] * 4

    threading.stack_size(STACK)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answer


def wide(peer):
    """Backward of eight branches of 128 x 128 products: seconds at one thread and at two, and whether bits agree."""
    import programs
    from programs.graphs import branches

    torch = importlib.import_module(peer)
    programs.draw.restart()
    total, weights = branches(torch, 8, 128)

    def backward(threads):
        torch.set_num_threads(threads)
        start = time.perf_counter()
        gradients = torch.autograd.grad(total, weights, retain_graph=True)
        taken = time.perf_counter() - start
        return taken, b"".join(gradient.numpy().tobytes() for gradient in gradients)

    bits = {backward(threads)[1] for threads in BITS_AT}
    seconds = {1: [], 2: []}
    for _ in range(40):
        for threads in seconds:
            seconds[threads].append(backward(threads)[0])
    return {
        "one": sorted(seconds[1])[len(seconds[1]) // 2],
        "two": sorted(seconds[2])[len(seconds[2]) // 2],
        "same_bits": len(bits) == 1,
    }


def best(run, rounds):
    """The shortest of many timings of a call, in seconds."""
    shortest = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


def hooks(torch):
    """Seconds that a backward pass takes longer for each tensor hook in Python, less a call of the function itself."""
    x, seed, calls = torch.ones(4).requires_grad_(), torch.ones(4), []

    def hook(grad):
        calls.append(grad)

    def chain(hooked):
        shortest = float("inf")
        for _ in range(50):
            y = x
            for _ in range(HOOKS):
                y = y * 2.0
                if hooked:
                    y.register_hook(hook)
            calls.clear()
            shortest = min(shortest, best(lambda y=y: y.backward(seed), 1))
        if hooked and len(calls) != HOOKS:
            raise AssertionError(f"{len(calls)} of {HOOKS} hooks were called")
        return shortest

    def called():
        for _ in range(HOOKS):
            hook(seed)

    return (chain(True) - chain(False) - best(called, 50)) / HOOKS


def mechanics(peer):
    """What a hook costs, and how many times as long a small training step takes in anomaly mode."""
    import programs
    from programs.training import small_mlp

    warnings.simplefilter("ignore")  # anomaly mode says that it is on
    torch = importlib.import_module(peer)
    answer = {"hook": hooks(torch)}
    for width in (16, 64):
        programs.draw.restart()
        step = small_mlp(torch, width, "SGD").names["step"]
        plain, watched = [], []
        for _ in range(10):
            plain.append(best(step, 200))
            with torch.autograd.detect_anomaly():
                watched.append(best(step, 200))
        answer[f"anomaly {width}"] = min(watched) / min(plain)
    return answer


if __name__ == "__main__":
    print(
        json.dumps({"import": imported, "deep": deep, "wide": wide, "mechanics": mechanics}[sys.argv[1]](sys.argv[2]))
    )
