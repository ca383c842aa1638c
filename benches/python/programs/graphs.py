"""Shapes of graphs: long chains, and wide fans of branches."""

from programs import Work, draw, program

# The side of the matrices and the ratio to reach.
BRANCHES = {16: 0.15, 32: 0.15, 64: 0.4, 128: 0.5}
FANS = (8, 64)


@program("chain of 10 multiplications", "chain, forward and backward", promised=0.20, aim=0.10, small=True)
def chain_of_ten(torch):
    x = draw.tensor(torch, 4, grad=True)
    c = draw.tensor(torch, 4)
    seed = torch.ones(4)

    def run():
        y = x
        for _ in range(10):
            y = y * c
        x.grad = None
        y.backward(seed)
        return x.grad

    return Work("run()", {"run": run})


@program("chain of 1,000,000 nodes", "chain, build, backward, free", aim=0.15, heavy=True)
def chain_of_a_million(torch):
    x = draw.tensor(torch, 4, grad=True)
    seed = torch.ones(4)

    def run():
        y = x
        for _ in range(1_000_000):
            y = y * 1.0
        x.grad = None
        y.backward(seed)
        return x.grad

    return Work("run()", {"run": run})


def branches(torch, count, n):
    """The sum of `count` branches, each four times a product and a tanh of n x n, and its leaves."""
    x = draw.tensor(torch, n, n, scale=0.1)
    weights = [draw.tensor(torch, n, n, scale=n**-0.5, grad=True) for _ in range(count)]
    total = None
    for weight in weights:
        h = x
        for _ in range(4):
            h = torch.tanh(h @ weight)
        total = h.sum() if total is None else total + h.sum()
    return total, weights


def register_branches(count, n, aim):
    @program(f"{count} branches, n = {n}", "backward of branches of matmul and tanh", aim=aim)
    def setup(torch):
        total, weights = branches(torch, count, n)
        names = {"grad": torch.autograd.grad, "total": total, "weights": weights}
        return Work("grad(total, weights, retain_graph=True)", names)


for side, limit in BRANCHES.items():
    for fan in FANS:
        register_branches(fan, side, limit)
