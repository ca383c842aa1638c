"""Sums and their kin over either axis, and the normalising functions and losses built on them."""

from programs import Work, draw, program

ROWS, COLUMNS = 1024, 1024

FORWARD = {
    "sum()": ("x.sum()", "x.sum()"),
    "sum(0)": ("x.sum(0)", "x.sum(0)"),
    "sum(1)": ("x.sum(1)", "x.sum(1)"),
    "max(1)": ("x.amax(1)", "x.max(1)"),
    "var(0)": ("x.var(0)", "x.var(0, ddof=1)"),
    "logsumexp(1)": ("x.logsumexp(1)", None),
}

FORWARD_AND_BACKWARD = {
    "sum(1)": "x.sum(1)",
    "var(0)": "x.var(0)",
    "softmax": "F.softmax(x, 1)",
    "log_softmax": "F.log_softmax(x, 1)",
    "layer_norm": f"F.layer_norm(x, ({COLUMNS},))",
    "cross_entropy": "F.cross_entropy(x, target)",
}


def register_forward(name):
    expression, numpy_expression = FORWARD[name]

    @program(f"{name}, {ROWS} x {COLUMNS}", "reduction, forward", aim=0.9)
    def setup(torch):
        return Work(expression, {"x": draw.tensor(torch, ROWS, COLUMNS)})

    if numpy_expression:

        @setup.on("numpy")
        def numpy_setup(_numpy):
            return Work(numpy_expression, {"x": draw.normal(ROWS, COLUMNS)})


def register_backward(name):
    expression = compile(FORWARD_AND_BACKWARD[name], name, "eval")

    @program(f"{name}, {ROWS} x {COLUMNS}, backward too", "reduction, forward and backward", aim=0.9)
    def setup(torch):
        x = draw.tensor(torch, ROWS, COLUMNS, grad=True)
        target = draw.classes(torch, ROWS, COLUMNS)
        # Weights, for the gradient of softmax(x).sum() is zero.
        cotangent = draw.tensor(torch, ROWS, COLUMNS)
        names = {"x": x, "target": target, "F": torch.nn.functional}

        def run():
            x.grad = None
            y = eval(expression, names)
            y.backward(cotangent if y.dim() == 2 else cotangent[0] if y.dim() == 1 else None)
            return x.grad

        return Work("run()", {"run": run})


for each in FORWARD:
    register_forward(each)
for each in FORWARD_AND_BACKWARD:
    register_backward(each)
