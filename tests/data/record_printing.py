"""Record in printing.json how PyTorch prints tensors. Run it with PyTorch installed; the tests only read the file."""

import json
import math
import random
from pathlib import Path

import torch

OPTIONS = [
    {"precision": 2},
    {"sci_mode": True},
    {"sci_mode": False},
    {"linewidth": 40},
    {"linewidth": 120, "edgeitems": 2},
    {"threshold": 5},
    {"threshold": 5, "edgeitems": 1},
    {"threshold": 3, "edgeitems": 0},
    {"profile": "full"},
    {"profile": "short"},
    {"precision": 8},
]


def corners():
    """Yield tensors at the edges of the rules."""
    inf, nan = math.inf, math.nan
    for value in (3.5, 2.0, 3, True, nan, -inf, 1e-9, 123456789.0, 0.0, -0.0):
        yield torch.tensor(value)
    for shape in ((0,), (0, 3), (2, 0, 3)):
        for dtype in (torch.float32, torch.float64, torch.int64, torch.bool):
            yield torch.zeros(shape, dtype=dtype)
    yield torch.zeros(3, 0, requires_grad=True)
    for values in (
        [0.0, 0.0],
        [1.0, inf],
        [nan, 1.5, -2.0],
        [0.0, nan],
        [inf, -inf],
        [1e-5, 1.0],
        [1e8, 1.0],
        [1e9],
        [1000.0, 0.5],
    ):
        yield torch.tensor(values)
        yield torch.tensor(values, dtype=torch.float64)
    for exponent in range(-10, 12):
        yield torch.tensor([0.25, -0.75]) * 10.0**exponent
        yield torch.tensor([3.0, -17.0], dtype=torch.float64) * 10.0**exponent
    for size in range(1, 24):
        yield torch.linspace(-1, 1, size).requires_grad_()
        yield torch.linspace(-1, 1, size).double()
    for shape in ((1,), (2, 3), (2, 1, 3), (1, 1, 1, 1), (2, 2, 2, 2)):
        yield torch.arange(math.prod(shape)).reshape(shape)
        yield torch.arange(math.prod(shape)).reshape(shape) / 7


def drawn():
    """Yield tensors of random shape, dtype and magnitude."""
    for _ in range(150):
        shape = [random.choice([1, 2, 3, 4, 7]) for _ in range(random.randint(0, 3))]
        dtype = random.choice(
            [torch.float32, torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool]
        )
        if dtype.is_floating_point:
            tensor = torch.randn(shape, dtype=torch.float64) * 10.0 ** random.choice([-6, -4, -2, 0, 0, 2, 5, 9])
            if random.random() < 0.3:
                tensor = tensor.round()
            if random.random() < 0.2:
                tensor[torch.rand(shape) < 0.4] = random.choice([math.nan, math.inf, 0.0])
            yield tensor.to(dtype).requires_grad_(random.random() < 0.3)
        elif dtype is torch.bool:
            yield torch.rand(shape) < 0.5
        else:
            low = 0 if dtype is torch.uint8 else -100
            yield torch.randint(low, 100, shape, dtype=dtype)


def entry(tensor, options, values=None):
    """Return one record; `values` replaces the elements by the length of an `arange` that gives them."""
    torch.set_printoptions(profile="default", sci_mode=None)
    torch.set_printoptions(**options)
    text = repr(tensor)
    torch.set_printoptions(profile="default", sci_mode=None)
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "values": [str(v) if isinstance(v, float) else v for v in tensor.detach().reshape(-1).tolist()]
        if values is None
        else values,
        "requires_grad": tensor.requires_grad,
        "options": options,
        "text": text,
    }


def main():
    random.seed(0)
    torch.manual_seed(0)
    records = []
    for index, tensor in enumerate([*corners(), *drawn()]):
        records.append(entry(tensor, {}))
        if index % 6 == 0:
            records.append(entry(tensor, OPTIONS[index // 6 % len(OPTIONS)]))
    for shape in ((1001,), (2000,), (40, 50), (5, 400), (400, 5), (11, 10, 10), (7, 8, 9, 10), (1000,)):
        size = math.prod(shape)
        for dtype in (torch.int64, torch.float32):
            records.append(entry(torch.arange(size, dtype=dtype).reshape(shape), {}, size))
            records.append(
                entry(torch.arange(size, dtype=dtype).reshape(shape), {"edgeitems": 2, "threshold": 10}, size)
            )
    lines = ",\n".join(json.dumps(record) for record in records)
    Path(__file__).with_name("printing.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
