"""Records outputs and gradients of nn.functional on small inputs; needs torch 2.13.

Run from anywhere: `python tests/data/record_nn_functional.py` rewrites nn_functional.json beside
this file. The inputs are made by `wave(*shape)` (below, and the same in the test); each row keeps
an expression, its output, and the gradients of the output's weighted sum with respect to the inputs
that the expression names.
"""

import json
import pathlib

import numpy as np
import torch

F = torch.nn.functional


def wave(*shape, phase=0.3):
    count = int(np.prod(shape))
    return torch.from_numpy(np.sin(1.7 * np.arange(count) + phase).reshape(shape))


INPUTS = {
    "img": "wave(2, 2, 5, 5)",
    "one": "wave(2, 5, 5)",
    "ker": "wave(4, 2, 3, 3, phase=1.0)",
    "dep": "wave(4, 1, 2, 2, phase=1.0)",
    "bias": "wave(4, phase=2.0)",
    "logits": "wave(3, 4)",
    "probs": "wave(3, 4).sigmoid()",
    "other": "wave(3, 4, phase=0.9)",
    "volume": "wave(2, 4, 3)",
    "weight": "wave(5, 4, phase=1.5)",
    "b5": "wave(5, phase=0.1)",
    "target01": "(wave(3, 4, phase=2.5) > 0).double()",
    "soft": "wave(3, 4, phase=2.5).softmax(1)",
    "pos": "wave(4, phase=1.2).abs()",
    "classes": "torch.tensor([1, 3, 0])",
    "ignored": "torch.tensor([1, -100, 0])",
    "grid": "torch.tensor([[0, 1, 3], [2, 2, 1]])",
}

EXPRESSIONS = """
F.conv2d(img, ker)
F.conv2d(img, ker, bias)
F.conv2d(img, ker, bias, stride=2)
F.conv2d(img, ker, stride=(2, 1), padding=(1, 2))
F.conv2d(img, ker, padding="same")
F.conv2d(img, ker, padding="valid")
F.conv2d(img, ker, dilation=2)
F.conv2d(img, ker, bias, 2, 1, 2)
F.conv2d(img, dep, bias, groups=2)
F.conv2d(one, ker)
F.max_pool2d(img, 2)
F.max_pool2d(img, 3, stride=1)
F.max_pool2d(img, 3, 2, 1)
F.max_pool2d(img, 2, ceil_mode=True)
F.max_pool2d(img, (2, 3), dilation=(2, 1))
F.max_pool2d(one, 2)
F.avg_pool2d(img, 2)
F.avg_pool2d(img, 3, 2, 1)
F.avg_pool2d(img, 3, 2, 1, count_include_pad=False)
F.linear(logits, weight, b5)
F.linear(logits, weight)
F.mse_loss(logits, other)
F.mse_loss(logits, other, reduction="sum")
F.mse_loss(logits, other, reduction="none")
F.l1_loss(logits, other)
F.smooth_l1_loss(logits, other, beta=0.5)
F.huber_loss(logits, other, delta=0.5)
F.binary_cross_entropy(probs, target01)
F.binary_cross_entropy(probs, target01, weight=pos)
F.binary_cross_entropy_with_logits(logits, target01)
F.binary_cross_entropy_with_logits(logits, target01, reduction="none")
F.binary_cross_entropy_with_logits(logits, target01, weight=pos, pos_weight=pos, reduction="sum")
F.binary_cross_entropy_with_logits(logits * 500, target01)
F.cross_entropy(logits, classes)
F.cross_entropy(logits, classes, weight=pos)
F.cross_entropy(logits, classes, label_smoothing=0.1)
F.cross_entropy(logits, classes, reduction="sum")
F.cross_entropy(logits, ignored)
F.cross_entropy(logits, soft)
F.cross_entropy(volume, grid)
F.cross_entropy(logits[0], torch.tensor(2))
F.cross_entropy(logits * 500, classes)
F.nll_loss(logits.log_softmax(1), classes)
F.nll_loss(logits.log_softmax(1), classes, weight=pos, reduction="none")
F.relu(logits)
F.tanh(logits)
F.sigmoid(logits)
F.gelu(logits)
F.gelu(logits, approximate="tanh")
F.silu(logits)
F.elu(logits, alpha=0.7)
F.selu(logits)
F.leaky_relu(logits, 0.2)
F.softplus(logits, beta=2, threshold=1)
F.logsigmoid(logits)
F.hardtanh(logits, -0.5, 0.5)
F.relu6(logits * 10)
F.softmax(logits, dim=1)
F.log_softmax(logits, dim=0)
F.dropout(logits, 0.5, training=False)
F.dropout(logits, 0.0)
F.embedding(grid, logits[:, :2].repeat(2, 1))
F.one_hot(grid, 4)
F.normalize(logits, dim=1)
F.pad(logits, (1, 2))
"""

LEAVES = ["img", "one", "ker", "dep", "bias", "logits", "other", "volume", "weight", "b5"]


def evaluate(expression):
    scope = {"torch": torch, "F": F, "wave": wave}
    for name, text in INPUTS.items():
        scope[name] = eval(text, scope)
    for name in LEAVES:
        scope[name].requires_grad_()
    y = eval(expression, scope)
    gradients = {}
    if y.requires_grad:
        weights = wave(*y.shape, phase=0.5) if y.dim() else 1.0
        (y * weights).sum().backward()
        gradients = {n: scope[n].grad for n in LEAVES if scope[n].grad is not None}
    return y.detach(), gradients


def numbers(tensor):
    return [float(f"{v:.12g}") for v in tensor.reshape(-1).tolist()]


rows = []
for expression in filter(None, EXPRESSIONS.split("\n")):
    y, gradients = evaluate(expression)
    rows.append([expression, list(y.shape), numbers(y), {n: numbers(g) for n, g in gradients.items()}])

target = pathlib.Path(__file__).with_name("nn_functional.json")
inputs = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in INPUTS.items())
lines = ",\n".join("  " + json.dumps(r, separators=(",", ":")) for r in rows)
target.write_text(
    f'{{\n "inputs": {{\n{inputs}\n }},\n "leaves": {json.dumps(LEAVES)},\n "rows": [\n{lines}\n ]\n}}\n'
)
print(len(rows), "rows")
