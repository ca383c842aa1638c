"""The registry of benchmark programs: one text in PyTorch's names, run by every peer that has them.

A program is a function from a module (`arcgrad`, `torch`) to a `Work`: an expression to time and the names in it.
`tensors.py` says how far the other peers with PyTorch's names go; `arrays.py` has the same work in NumPy's names.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# The two that the table is about, and whose answers and ratios it needs.
ENGINES = ("arcgrad", "torch")


@dataclass(frozen=True)
class Work:
    """An expression to time and its names; its value (tensors, arrays, numbers) is the answer that sides compare.

    Where the expression has no value, `answer` is evaluated in its place, once, before the first timing.
    """

    expression: str
    names: dict[str, Any]
    answer: str | None = None


@dataclass
class Program:
    """One line of the table, with the ratio to PyTorch's time that it must and that it should reach."""

    name: str
    group: str
    setup: Callable[[Any], Work]
    promised: float | None = None
    aim: float | None = None
    # Best of many batches instead of the median: for work so small that any disturbance only adds to it.
    small: bool = False
    # Seconds a call, left out by --quick.
    heavy: bool = False
    # Its peak memory is compared too.
    memory: bool = False
    # Largest difference of the answers, relative to the largest value in them.
    tolerance: float = 1e-4
    # Who runs `setup` itself.
    peers: tuple[str, ...] = ENGINES
    # What builds the work for the other peers that can do it.
    variants: dict[str, Callable[[Any], Work]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The program's group and name, by which `--only` chooses."""
        return f"{self.group}: {self.name}"

    def on(self, peer: str) -> Callable[[Callable[[Any], Work]], Callable[[Any], Work]]:
        """Register the same work in the words of `peer`."""

        def register(setup: Callable[[Any], Work]) -> Callable[[Any], Work]:
            self.variants[peer] = setup
            return setup

        return register

    def setup_for(self, peer: str) -> Callable[[Any], Work] | None:
        """What builds this program for `peer`, or None where it cannot do the work."""
        return self.setup if peer in self.peers else self.variants.get(peer)


REGISTRY: dict[str, Program] = {}


def program(name: str, group: str, **facts: Any) -> Callable[[Callable[[Any], Work]], Program]:
    """Register the decorated function as the program `name`."""

    def register(setup: Callable[[Any], Work]) -> Program:
        if name in REGISTRY:
            raise ValueError(f"two programs are called {name!r}")
        REGISTRY[name] = Program(name, group, setup, **facts)
        return REGISTRY[name]

    return register


class Draw:
    """float32 arrays from one stream, so that every side works on the same numbers."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin the stream anew; done before each program is built."""
        self.stream = np.random.RandomState(0)

    def normal(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        """A standard normal array times `scale`."""
        return (self.stream.standard_normal(shape) * scale).astype(np.float32)

    def tensor(self, torch: Any, *shape: int, scale: float = 1.0, grad: bool = False) -> Any:
        """The same as a tensor of `torch` in memory of its own, asking for its gradient if `grad`."""
        return torch.from_numpy(self.normal(*shape, scale=scale)).clone().requires_grad_(grad)

    def classes(self, torch: Any, count: int, classes: int) -> Any:
        """`count` class numbers below `classes`, as int64."""
        return torch.from_numpy(self.labels(count, classes))

    def labels(self, count: int, classes: int) -> np.ndarray:
        """The same as an array."""
        return self.stream.randint(0, classes, count).astype(np.int64)


draw = Draw()


def load_all() -> dict[str, Program]:
    """The whole registry, in the order of the table."""
    parts = ("small", "graphs", "products", "elementwise", "reductions", "networks", "training")
    for part in (*parts, "tensors", "arrays", "array_training"):
        importlib.import_module(f"programs.{part}")
    # Whichever part was imported first.
    order = [f"programs.{part}" for part in parts]
    return dict(sorted(REGISTRY.items(), key=lambda item: order.index(item[1].setup.__module__)))
