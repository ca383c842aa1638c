"""Records the losses and last parameters of small models trained from manual_seed; needs torch 2.13.

Run from anywhere: `python tests/data/record_nn_training.py` rewrites nn_training.json beside this
file. Each row is a model, a loss, an optimizer and the shape of the input, all as expressions, so
that the test can do the same.
"""

import json
import pathlib

import torch

STEPS = 6
ROWS = [
    ["nn.Linear(4, 3)", "F.mse_loss(y, target)", "optim.SGD(model.parameters(), lr=0.1)", [5, 4]],
    [
        "nn.Linear(4, 3, bias=False)",
        "F.mse_loss(y, target)",
        "optim.SGD(model.parameters(), lr=0.1, momentum=0.9)",
        [5, 4],
    ],
    [
        "nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))",
        "F.cross_entropy(y, classes)",
        "optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=0.01, nesterov=True)",
        [5, 4],
    ],
    [
        "nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))",
        "nn.CrossEntropyLoss()(y, classes)",
        "optim.Adam(model.parameters(), lr=0.05)",
        [5, 4],
    ],
    [
        "nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3))",
        "nn.BCEWithLogitsLoss()(y, target.sigmoid())",
        "optim.Adam(model.parameters(), lr=0.05, betas=(0.8, 0.9), weight_decay=0.1)",
        [5, 4],
    ],
    [
        "nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),"
        " nn.Linear(36, 3))",
        "nn.CrossEntropyLoss()(y, classes)",
        "optim.Adam(model.parameters(), lr=0.01)",
        [5, 1, 6, 6],
    ],
]


def train(model, loss, optimizer, shape):
    """The loss of each step, and the parameters after the last."""
    scope = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "optim": torch.optim}
    torch.manual_seed(0)
    scope["model"] = eval(model, scope)
    scope["optimizer"] = eval(optimizer, scope)
    x = torch.randn(*shape)
    scope["target"] = torch.randn(5, 3)
    scope["classes"] = torch.tensor([0, 2, 1, 1, 0])
    losses = []
    for _ in range(STEPS):
        scope["optimizer"].zero_grad()
        scope["y"] = scope["model"](x)
        value = eval(loss, scope)
        value.backward()
        scope["optimizer"].step()
        losses.append(value.item())
    return losses, {n: p.detach().reshape(-1).tolist() for n, p in scope["model"].named_parameters()}


rows = []
for row in ROWS:
    losses, parameters = train(*row)
    short = {n: [float(f"{v:.9g}") for v in p[:12]] for n, p in parameters.items()}
    rows.append(json.dumps([*row, [float(f"{v:.9g}") for v in losses], short]))
target = pathlib.Path(__file__).with_name("nn_training.json")
target.write_text("[\n " + ",\n ".join(rows) + "\n]\n")
print(len(rows), "models")
