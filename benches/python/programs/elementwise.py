"""Functions of each element, from a thousand elements to forty million, and a fused chain of them."""

from programs import Work, draw, program

SIZES = {"1K": 1_000, "100K": 100_000, "4M": 4_000_000, "40M": 40_000_000}
# The expression and the ratio to reach.
OPERATIONS = {
    "add": ("x + y", 1.0),
    "mul, broadcast": ("x * row", 1.0),
    "exp": ("torch.exp(x)", 0.5),
    "log": ("torch.log(positive)", 0.5),
    "tanh": ("torch.tanh(x)", 0.5),
    "sigmoid": ("torch.sigmoid(x)", 0.5),
    "gelu": ("torch.nn.functional.gelu(x)", 0.5),
}


def operands(size):
    """Two arrays of `size` elements as 1000 columns, a row to broadcast, and positive numbers."""
    # A block repeated: drawing forty million normal numbers takes longer than all the timing.
    block = draw.normal(min(size, 100_000) // 1000, 1000)
    x = draw.stream.permutation(block).repeat(size // block.size, axis=0)
    return {"x": x, "y": x[::-1].copy(), "row": draw.normal(1000), "positive": abs(x) + 0.1}


def register(name, size):
    expression, aim = OPERATIONS[name]

    @program(f"{name}, {size}", "element-wise", aim=aim, small=size == "1K", heavy=size == "40M", tolerance=1e-5)
    def setup(torch):
        names = {key: torch.from_numpy(value) for key, value in operands(SIZES[size]).items() if key in expression}
        return Work(expression, {"torch": torch, **names})


for operation in OPERATIONS:
    for elements in SIZES:
        register(operation, elements)


@program("exp(tanh(2x + 1)).sum(), 4M", "chain of element-wise functions, forward and backward", aim=0.5)
def fused(torch):
    x = draw.tensor(torch, 4_000_000, grad=True)

    def run():
        x.grad = None
        y = torch.exp(torch.tanh(2 * x + 1)).sum()
        y.backward()
        return x.grad

    return Work("run()", {"run": run})


# Memory that NumPy shares is looked through when it is saved and when it is used again: nobody else does that.
@program("square of NumPy's memory, 1M, forward and backward", "element-wise", aim=1.0)
def square_of_shared(torch):
    x = torch.from_numpy(draw.normal(1000, 1000)).requires_grad_()

    def run():
        return torch.autograd.grad((x * x).sum(), x)

    return Work("run()", {"run": run})
