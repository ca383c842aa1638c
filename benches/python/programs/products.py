"""Products of float32 matrices, and the linear layer around them."""

from programs import Work, draw, program

SQUARES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
BATCHES, WIDTHS = (1, 8, 32, 128), (256, 512, 1024)


def register_square(n):
    aim = 0.2 if n <= 32 else 1.0

    @program(f"{n} x {n}", "matrix product", aim=aim, small=n <= 32, heavy=n >= 2048)
    def setup(torch):
        return Work("a @ b", {"a": draw.tensor(torch, n, n), "b": draw.tensor(torch, n, n)})


def register_linear(batch, width):
    @program(f"batch {batch}, width {width}", "x @ W.T + b", aim=1.0, small=batch * width <= 2048)
    def setup(torch):
        names = {
            "x": draw.tensor(torch, batch, width),
            "W": draw.tensor(torch, width, width, scale=width**-0.5),
            "b": draw.tensor(torch, width),
        }
        return Work("x @ W.T + b", names)


for side in SQUARES:
    register_square(side)
for rows in BATCHES:
    for columns in WIDTHS:
        register_linear(rows, columns)
