"""Programs whose size grows, for the plots of cost against size; they are not lines of the table."""

from collections.abc import Callable
from dataclasses import dataclass, field

from programs import ENGINES, Program, Work, draw
from programs.elementwise import OPERATIONS
from programs.graphs import branches


@dataclass(frozen=True)
class Curve:
    """A program for every size, and the largest size for peers that would need too long at the others."""

    name: str
    # What there are `size` of.
    unit: str
    setup: Callable
    sizes: tuple[int, ...]
    limits: dict[str, int] = field(default_factory=dict)
    # The last size whose figure is the best of its batches, for it is all overhead, and the first that takes seconds.
    small: int = 0
    heavy: int = 10**9

    def program(self, size):
        """The program of that size."""
        peers = [peer for peer in ENGINES if size <= self.limits.get(peer, size)]
        return Program(
            f"{self.name}: {size}",
            self.name,
            lambda torch: self.setup(torch, size),
            small=size <= self.small,
            heavy=size >= self.heavy,
            peers=tuple(peers),
        )


def chain(torch, nodes):
    x, seed = torch.ones(4).requires_grad_(), torch.ones(4)

    def run():
        y = x
        for _ in range(nodes):
            y = y * 1.0
        x.grad = None
        y.backward(seed)
        return x.grad

    def checked():
        gradient = run()
        if gradient.tolist() != [1.0] * 4:
            raise ArithmeticError(f"the gradient of a chain of ones is {gradient.tolist()}")
        return gradient

    return Work("run()", {"run": run, "checked": checked}, answer="checked()")


def backward_of_branches(n):
    def setup(torch, count):
        total, weights = branches(torch, count, n)
        names = {"grad": torch.autograd.grad, "total": total, "weights": weights}
        return Work("grad(total, weights, retain_graph=True)", names)

    return setup


def elementwise(name):
    expression, _ = OPERATIONS[name]

    def setup(torch, elements):
        # A block repeated: drawing forty million normal numbers takes longer than all the timing.
        block = draw.normal(min(elements, 100_000))
        x, y = (torch.from_numpy(each).repeat(elements // len(block)) for each in (block, block[::-1].copy()))
        return Work(expression, {"torch": torch, "x": x, "y": y})

    return setup


ELEMENTS = (10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 40_000_000)
FANS = tuple(2**power for power in range(9))

NODES = Curve(
    "build, backward and free of a chain",
    "node",
    chain,
    tuple(10**power for power in range(1, 8)),
    limits={"torch": 1_000_000},
    small=10,
    heavy=1_000_000,
)
BRANCHES = [Curve(f"backward of branches, n = {n}", "branch", backward_of_branches(n), FANS) for n in (32, 64)]
FUNCTIONS = [
    Curve(name, "element", elementwise(name), ELEMENTS, small=1_000, heavy=10_000_000)
    for name in ("add", "exp", "tanh")
]
CURVES = (NODES, *BRANCHES, *FUNCTIONS)


def load():
    """Every program of every curve by its name."""
    found = (curve.program(size) for curve in CURVES for size in curve.sizes)
    return {program.name: program for program in found}
