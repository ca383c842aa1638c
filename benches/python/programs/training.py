"""Whole training steps, and the optimizer's step by itself. The answer is the loss before the step."""

from programs import Work, draw, program


def load_weights(torch, model):
    """Give every parameter the numbers of the shared stream, scaled as a fresh layer's would be."""
    with torch.no_grad():
        for parameter in model.parameters():
            fan = parameter.numel() // parameter.shape[0]
            parameter.copy_(draw.tensor(torch, *parameter.shape, scale=0.5 * fan**-0.5))
    return model


def training_step(torch, model, optimizer, loss_of):
    """A closure that runs one step of `optimizer` on `loss_of()`."""

    def step():
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss.item()

    return Work("step()", {"step": step})


def small_mlp(torch, width, optimizer_name, load=load_weights):
    """A step of three linear layers with tanh between; `load` gives a model its weights."""
    nn = torch.nn
    layers = (nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
    model = load(torch, nn.Sequential(*layers))
    x, y = draw.tensor(torch, 32, width), draw.tensor(torch, 32, width)
    optimizer = getattr(torch.optim, optimizer_name)(model.parameters(), lr=1e-3)
    return training_step(torch, model, optimizer, lambda: nn.functional.mse_loss(model(x), y))


def register_small_mlp(width, optimizer_name, promised, aim):
    @program(
        f"width {width}, {optimizer_name}",
        "3-layer tanh MLP step, batch 32",
        promised=promised,
        aim=aim,
        memory=True,
    )
    def setup(torch):
        return small_mlp(torch, width, optimizer_name)


register_small_mlp(16, "SGD", 0.30, 0.12)
register_small_mlp(64, "SGD", None, 0.25)
register_small_mlp(256, "SGD", None, 0.8)
register_small_mlp(16, "Adam", None, 0.10)


@program("MLP 784-512-512-10, batch 256", "training step", aim=0.9, memory=True)
def large_mlp(torch, load=load_weights):
    nn = torch.nn
    layers = (nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    model = load(torch, nn.Sequential(*layers))
    x, y = draw.tensor(torch, 256, 784), draw.classes(torch, 256, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return training_step(torch, model, optimizer, lambda: nn.functional.cross_entropy(model(x), y))


@program("digit CNN, batch 64", "training step", aim=0.9, memory=True)
def digit_cnn(torch):
    nn = torch.nn
    layers = (
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 7 * 7, 10)),
    )
    model = load_weights(torch, nn.Sequential(*layers))
    x, y = draw.tensor(torch, 64, 1, 28, 28), draw.classes(torch, 64, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return training_step(torch, model, optimizer, lambda: nn.functional.cross_entropy(model(x), y))


@program("character transformer, 4 layers", "training step", aim=0.9, memory=True)
def transformer(torch):
    F = torch.nn.functional
    batch, length, width, heads, letters, layers = 8, 64, 128, 4, 96, 4

    def leaf(*shape, scale):
        return draw.tensor(torch, *shape, scale=scale, grad=True)

    embed, place = leaf(letters, width, scale=0.1), leaf(length, width, scale=0.1)
    blocks = [
        {
            "qkv": leaf(3 * width, width, scale=width**-0.5),
            "out": leaf(width, width, scale=0.5 * width**-0.5),
            "up": leaf(4 * width, width, scale=width**-0.5),
            "down": leaf(width, 4 * width, scale=0.5 * (4 * width) ** -0.5),
        }
        for _ in range(layers)
    ]
    text, following = (draw.classes(torch, batch * length, letters) for _ in range(2))
    text = text.reshape(batch, length)
    parameters = [embed, place, *(weight for block in blocks for weight in block.values())]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)

    def loss_of():
        x = F.embedding(text, embed) + place
        for block in blocks:
            parts = F.linear(F.layer_norm(x, (width,)), block["qkv"]).chunk(3, dim=-1)
            q, k, v = (part.reshape(batch, length, heads, -1).transpose(1, 2) for part in parts)
            seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + F.linear(seen.transpose(1, 2).reshape(batch, length, width), block["out"])
            x = x + F.linear(F.gelu(F.linear(F.layer_norm(x, (width,)), block["up"])), block["down"])
        return F.cross_entropy(F.linear(x, embed).reshape(batch * length, letters), following)

    return training_step(torch, None, optimizer, loss_of)


def register_optimizer_step(optimizer_name, count):
    @program(f"{optimizer_name}, {count} tensors of 1,024", "optimizer step", aim=0.3)
    def setup(torch):
        parameters = [draw.tensor(torch, 32, 32, grad=True) for _ in range(count)]
        for parameter in parameters:
            parameter.grad = draw.tensor(torch, 32, 32)
        optimizer = getattr(torch.optim, optimizer_name)(parameters, lr=1e-3)
        names = {"step": optimizer.step, "parameters": parameters}
        return Work("step()", names, answer="(step(), parameters)[1]")


for algorithm in ("SGD", "Adam"):
    for tensors in (6, 200):
        register_optimizer_step(algorithm, tensors)
