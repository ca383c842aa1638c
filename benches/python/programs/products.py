"""Products of float32 matrices, and the linear layer around them."""

from programs import Work, draw, program


def register_square(n):
    aim = 0.2 if n <= 32 else 1.0

    @program(f"{n} x {n}", "matrix product", aim=aim, small=n <= 32, heavy=n >= 2048)
    def setup(torch):
        return Work("a @ b", {"a": draw.tensor(torch, n, n), "b": draw.tensor(torch, n, n)})

    @setup.on("numpy")
    def numpy_setup(_numpy):
        return Work("a @ b", {"a": draw.normal(n, n), "b": draw.normal(n, n)})

    @setup.on("jax")
    def jax_setup(jax):
        names = {"a": jax.numpy.asarray(draw.normal(n, n)), "b": jax.numpy.asarray(draw.normal(n, n))}
        return Work("(a @ b).block_until_ready()", names)


def register_linear(batch, width):
    @program(f"batch {batch}, width {width}", "x @ W.T + b", aim=1.0, small=batch * width <= 2048)
    def setup(torch):
        names = {
            "x": draw.tensor(torch, batch, width),
            "W": draw.tensor(torch, width, width, scale=width**-0.5),
            "b": draw.tensor(torch, width),
        }
        return Work("x @ W.T + b", names)

    @setup.on("numpy")
    def numpy_setup(_numpy):
        names = {
            "x": draw.normal(batch, width),
            "W": draw.normal(width, width, scale=width**-0.5),
            "b": draw.normal(width),
        }
        return Work("x @ W.T + b", names)


for side in (8, 16, 32, 64, 128, 256, 512, 1024, 2048):
    register_square(side)
for rows in (1, 8, 32, 128):
    for columns in (256, 512, 1024):
        register_linear(rows, columns)
