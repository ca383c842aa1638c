"""One side of the comparison: builds, checks and times programs on request, one JSON line in, one line out."""

import ctypes
import gc
import importlib
import json
import math
import os
import platform
import sys
import timeit

import numpy as np

import programs
from programs import sizes

# A batch long enough for the clock, short enough that a disturbance spoils one of many.
SMALL_BATCH = 0.01
BATCH = 0.05
BATCHES_PER_TURN = {True: 8, False: 2}
SAMPLE = 512
WARM_UP = "width 16, Adam"
# The module to import where it is not called as the peer is.
MODULES = {"jax-jit": "jax", "mlx": "mlx.core"}


def load(peer, threads):
    """The peer's module, told its number of threads."""
    module = importlib.import_module(MODULES.get(peer, peer))
    if peer in programs.ENGINES:
        for part in ("nn", "optim"):
            importlib.import_module(f"{peer}.{part}")
    if hasattr(module, "set_num_threads"):
        module.set_num_threads(threads)
    return module


def leaves(value):
    """The arrays and numbers in an answer, as float64 arrays."""
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from leaves(each)
    elif value is not None:
        if hasattr(value, "detach"):
            value = value.detach()
            value = value.numpy() if hasattr(value, "numpy") else value.tolist()
        yield np.asarray(value, dtype=np.float64)


def digest(value):
    """What two sides must agree on: each array's shape, its largest magnitude, and a sample of its elements."""
    answer = []
    for array in leaves(value):
        flat = array.reshape(-1)
        step = max(1, math.ceil(flat.size / SAMPLE))
        largest = float(np.abs(flat).max()) if flat.size else 0.0
        answer.append({"shape": array.shape, "largest": largest, "sample": flat[::step].tolist()})
    return answer


def resident(field):
    """A memory figure of this process in bytes, by its name in the kernel's status file."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))


class Worker:
    """Holds the peer and the program being timed."""

    def __init__(self, peer, threads):
        self.peer = peer
        self.registry = programs.load_all() | sizes.load()
        self.module = load(peer, threads)
        self.threads = threads

    def use(self, threads):
        """Work on so many threads from now on."""
        if threads != self.threads:
            self.module.set_num_threads(threads)
            self.threads = threads

    def version(self, **_):
        """Version of the peer and of Python."""
        return {"version": self.module.__version__, "python": platform.python_version()}

    def build(self, program):
        """Build the program anew; give its answer and the seconds of a call after the first."""
        self.program = self.registry[program]
        setup = self.program.setup_for(self.peer)
        if setup is None:
            raise NotImplementedError("not written for this peer")
        programs.draw.restart()
        work = setup(self.module)
        answer = digest(eval(work.answer or work.expression, work.names))
        self.timer = timeit.Timer(work.expression, globals=work.names)
        self.calls, seconds = self.calibrate()
        return {"answer": answer, "seconds": seconds}

    def calibrate(self):
        """The calls that fill a batch, and the seconds of one."""
        batch = SMALL_BATCH if self.program.small else BATCH
        calls = 1
        while (taken := self.timer.timeit(calls)) < batch / 4 and calls < 10**7:
            calls *= 4
        return max(1, round(calls * batch / taken)), taken / calls

    def time(self, **_):
        """Seconds a call, of each batch of this turn. timeit keeps the garbage collector out of it."""
        batches = BATCHES_PER_TURN[self.program.small] if self.calls > 1 else 1
        return {"seconds": [t / self.calls for t in self.timer.repeat(batches, self.calls)]}

    def drop(self, **_):
        """Free the program's memory."""
        self.timer = None
        return {}

    def memory(self, program):
        """Peak bytes that building the program and three calls of it need beyond what a first, tiny one left behind.

        The tiny one is for what a peer loads only when it is first used; it is not the program's memory. What it freed
        goes back to the system first: pages that the C library kept would take the program's tensors uncounted.
        """
        self.build(WARM_UP)
        self.drop()
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        before = resident("VmRSS")
        with open("/proc/self/clear_refs", "w", encoding="ascii") as peak:
            peak.write("5")
        programs.draw.restart()
        work = self.registry[program].setup_for(self.peer)(self.module)
        timeit.Timer(work.expression, globals=work.names).timeit(3)
        return {"bytes": resident("VmHWM") - before}


def main():
    """Serve requests until the input closes. Whatever a program prints goes to stderr."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        worker = Worker(sys.argv[1], int(sys.argv[2]))
    except ImportError as problem:
        print(json.dumps({"error": str(problem)}), file=replies)
        return
    for line in sys.stdin:
        request = json.loads(line)
        try:
            worker.use(request.pop("threads"))
            reply = getattr(worker, request.pop("do"))(**request)
        except Exception as problem:  # noqa: BLE001 - a peer may fail in any way; the table then says how
            reply = {"error": f"{type(problem).__name__}: {problem}".splitlines()[0]}
        print(json.dumps(reply), file=replies)


if __name__ == "__main__":
    main()
