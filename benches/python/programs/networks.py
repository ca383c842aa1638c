"""The heavy layers by themselves: convolution of several kinds, and attention."""

from programs import Work, draw, program

# batch, channels in, channels out, side, kernel, stride, groups, ratio to reach
CONVOLUTIONS = {
    "digits, first layer": (32, 1, 16, 28, 3, 1, 1, 0.5),
    "3x3, 32 to 64": (32, 32, 64, 14, 3, 1, 1, 1.0),
    "1x1, 64 to 128": (32, 64, 128, 14, 1, 1, 1, 1.0),
    "depthwise 3x3, 64": (32, 64, 64, 14, 3, 1, 64, 1.0),
    "7x7 stride 2, 3 to 64": (8, 3, 64, 64, 7, 2, 1, 0.5),
}
SEQUENCES = (128, 2048)


def register_convolution(name):
    batch, inward, outward, side, kernel, stride, groups, aim = CONVOLUTIONS[name]

    def layer(torch, grad):
        x = draw.tensor(torch, batch, inward, side, side, grad=grad)
        fan = inward // groups * kernel * kernel
        weight = draw.tensor(torch, outward, inward // groups, kernel, kernel, scale=fan**-0.5, grad=grad)

        def forward():
            return torch.nn.functional.conv2d(x, weight, stride=stride, padding=kernel // 2, groups=groups)

        return x, weight, forward

    @program(f"{name}, forward", "conv2d", aim=aim)
    def forward_alone(torch):
        return Work("forward()", {"forward": layer(torch, grad=False)[2]})

    @program(f"{name}, backward", "conv2d", aim=aim)
    def backward_alone(torch):
        x, weight, forward = layer(torch, grad=True)
        y = forward()
        cotangent = draw.tensor(torch, *y.shape)
        names = {"grad": torch.autograd.grad, "y": y, "inputs": (x, weight), "cotangent": cotangent}
        return Work("grad(y, inputs, cotangent, retain_graph=True)", names)


def register_attention(sequence):
    @program(
        f"sequence {sequence}",
        "attention, 8 heads of 64, forward and backward",
        aim=1.0,
        heavy=sequence > 1024,
    )
    def setup(torch):
        q, k, v = (draw.tensor(torch, 1, 8, sequence, 64, grad=True) for _ in range(3))
        cotangent = draw.tensor(torch, 1, 8, sequence, 64)

        def run():
            y = torch.nn.functional.scaled_dot_product_attention(q, k, v)
            return torch.autograd.grad(y, (q, k, v), cotangent)

        return Work("run()", {"run": run})


# Each with a factor and a shift for every channel.
NORMALIZATIONS = {
    "batch_norm": "F.batch_norm(x, None, None, weight, bias, True)",
    "batch_norm, given statistics": "F.batch_norm(x, mean, variance, weight, bias)",
    "group_norm": "F.group_norm(x, 8, weight, bias)",
}


def register_normalization(name):
    expression = compile(NORMALIZATIONS[name], name, "eval")

    @program(f"{name}, 32 x 64 x 14 x 14", "normalization of channels, forward and backward", aim=0.9)
    def setup(torch):
        x = draw.tensor(torch, 32, 64, 14, 14, grad=True)
        weight, bias = (draw.tensor(torch, 64, grad=True) for _ in range(2))
        cotangent = draw.tensor(torch, 32, 64, 14, 14)
        names = {"F": torch.nn.functional, "x": x, "weight": weight, "bias": bias}
        names |= {"mean": torch.zeros(64), "variance": torch.ones(64)}

        def run():
            return torch.autograd.grad(eval(expression, names), (x, weight, bias), cotangent)

        return Work("run()", {"run": run})


for each in CONVOLUTIONS:
    register_convolution(each)
for each in NORMALIZATIONS:
    register_normalization(each)
for length in SEQUENCES:
    register_attention(length)
