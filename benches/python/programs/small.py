"""Four elements: all of the time is overhead."""

from programs import Work, draw, program

NO_GRADIENT = "small op, no gradient"
GRADIENT = "small op, recorded"

EXPRESSIONS = {
    "a + b": 0.35,
    "a * 2.0": 0.35,
    "a.sum()": None,
    "a[0]": None,
    "a.reshape(2, 2)": None,
}


def register_torch_text(expression, group, promised, grad):
    @program(f"{expression}{' recorded' if grad else ''}", group, promised=promised, aim=0.20, small=True)
    def setup(torch):
        return Work(expression, {"a": draw.tensor(torch, 4, grad=grad), "b": draw.tensor(torch, 4, grad=grad)})

    return setup


def register_variants(registered, expression):
    @registered.on("numpy")
    def numpy_setup(_numpy):
        return Work(expression, {"a": draw.normal(4), "b": draw.normal(4)})

    @registered.on("jax")
    def jax_setup(jax):
        names = {"a": jax.numpy.asarray(draw.normal(4)), "b": jax.numpy.asarray(draw.normal(4))}
        return Work(f"({expression}).block_until_ready()", names)


for each, limit in EXPRESSIONS.items():
    register_variants(register_torch_text(each, NO_GRADIENT, limit, grad=False), each)
for each in EXPRESSIONS:
    register_torch_text(each, GRADIENT, None, grad=True)
register_torch_text("a * a", GRADIENT, 0.35, grad=True)
