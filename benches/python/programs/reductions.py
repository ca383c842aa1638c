"""Sums and their kin over either axis, and the normalising functions and losses built on them."""

from programs import Work, draw, program

ROWS, COLUMNS = 1024, 1024

FORWARD = {
    "sum()": "x.sum()",
    "sum(0)": "x.sum(0)",
    "sum(1)": "x.sum(1)",
    "max(1)": "x.amax(1)",
    "var(0)": "x.var(0)",
    "logsumexp(1)": "x.logsumexp(1)",
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
    @program(f"{name}, {ROWS} x {COLUMNS}", "reduction, forward", aim=0.9)
    def setup(torch):
        return Work(FORWARD[name], {"x": draw.tensor(torch, ROWS, COLUMNS)})


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
