"""The sides of the comparison: each one a peer at a number of threads, in a process of its own.

A process each, so that peers may live in different environments and peak memory means something. All but the one that
is asked are stopped: threads of some pools spin long after their last work, and would take the others' processors.
"""

import atexit
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field

from programs import ENGINES

WORKER = pathlib.Path(__file__).with_name("worker.py")
PEERS = ("arcgrad", "torch", "numpy", "jax", "jax-jit", "mlx", "ferrotensor", "raxis")
# Without a variable for the number of their threads; the processors they may run on decide it.
PINNED = ("jax", "jax-jit", "mlx", "ferrotensor")
# Seconds after which an answer is not waited for any longer.
PATIENCE = 180.0
# Every peer's own way to be told, before it loads, how many threads it has.
THREAD_VARIABLES = (
    "ARCGRAD_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
)


class UnableError(Exception):
    """The side cannot do this program; the text says why."""


@dataclass(eq=False)
class Side:
    """A worker process of one peer, started when first asked."""

    peer: str
    threads: int
    python: str = sys.executable
    # The side whose process this one shares: where things lie in memory then makes no difference between the two.
    host: "Side | None" = None
    process: subprocess.Popen | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The peer and, in brackets, its threads."""
        return f"{self.peer} ({self.threads})"

    def ask(self, **request):
        """The worker's answer to a request; raises UnableError where it could not do it."""
        if self.host is not None:
            return self.host.ask(**{"threads": self.threads, **request})
        request = {"threads": self.threads, **request}
        if self.process is None:
            self.start()
        limit = threading.Timer(PATIENCE, self.process.kill)
        limit.start()
        try:
            self.process.send_signal(signal.SIGCONT)
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
            self.process.send_signal(signal.SIGSTOP)
        except BrokenPipeError:
            line = ""
        waited = not limit.is_alive()
        limit.cancel()
        if not line:
            status = self.process.wait()
            self.process = None
            raise UnableError(f"no answer in {PATIENCE:g} s" if waited else f"ended with status {status}")
        answer = json.loads(line)
        if "error" in answer:
            raise UnableError(answer["error"])
        return answer

    def start(self):
        """Start the worker with this side's threads."""
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(self.threads))}
        pinned = ["taskset", "-c", f"0-{self.threads - 1}"] if self.peer in PINNED else []
        self.process = subprocess.Popen(
            [*pinned, self.python, str(WORKER), self.peer, str(self.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        # A run that is broken off must not leave a stopped process behind, which would wait for ever.
        atexit.register(self.process.kill)

    def stop(self):
        """End the worker."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.stdin.close()
            self.process.wait()
            self.process = None


def installed(peer, threads, python):
    """The side and its versions, or None where the peer cannot be imported."""
    side = Side(peer, threads, python)
    try:
        return side, side.ask(do="version")
    except UnableError:
        side.stop()
        return None


def add_options(parser):
    """Add to the command line what `find` needs."""
    parser.add_argument("--threads", type=int, default=2, help="threads of every side")
    parser.add_argument("--python", nargs="+", default=[], metavar="PEER=PATH", help="a peer's own interpreter")


def find(names, options):
    """Every installed side, and its versions: all at the same threads, and the two engines on one thread too."""
    interpreters = dict(pair.split("=", 1) for pair in options.python)
    sides, versions = [], {}
    for peer in names:
        found = installed(peer, options.threads, interpreters.get(peer, sys.executable))
        if found is None:
            print(f"{peer}: not installed")
            continue
        side, versions[peer] = found
        sides.append(side)
        if peer in ENGINES and options.threads > 1:
            # PyTorch's pool takes its threads once; arcgrad's takes them whenever it is told.
            sides.append(Side(peer, 1, side.python, host=side if peer == "arcgrad" else None))
    return sides, versions
