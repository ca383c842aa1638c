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


def register(expression, group, promised, grad):
    @program(f"{expression}{' recorded' if grad else ''}", group, promised=promised, aim=0.20, small=True)
    def setup(torch):
        return Work(expression, {"a": draw.tensor(torch, 4, grad=grad), "b": draw.tensor(torch, 4, grad=grad)})


for each, limit in EXPRESSIONS.items():
    register(each, NO_GRADIENT, limit, grad=False)
for each in EXPRESSIONS:
    register(each, GRADIENT, None, grad=True)
register("a * a", GRADIENT, 0.35, grad=True)
