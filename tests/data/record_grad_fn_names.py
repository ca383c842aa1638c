"""Records which node each differentiable expression leaves behind, and the nodes before it; needs torch 2.13.

Run from anywhere: `python tests/data/record_grad_fn_names.py` rewrites grad_fn_names.json beside
this file. The inputs are recorded as expressions too, so that the test evaluates them with its own
module.
"""

import json
import pathlib

import torch

INPUTS = {
    "x": "torch.full((3, 3), 0.5, dtype=torch.float64, requires_grad=True)",
    "y": "torch.full((3, 3), 0.25, dtype=torch.float64, requires_grad=True)",
    "v": "torch.full((3,), 0.5, dtype=torch.float64, requires_grad=True)",
    "b": "torch.full((2, 3, 3), 0.5, dtype=torch.float64, requires_grad=True)",
    "img": "torch.full((1, 1, 4, 4), 0.5, dtype=torch.float64, requires_grad=True)",
    "ker": "torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64, requires_grad=True)",
    "i": "torch.tensor([[0, 1, 2]] * 3)",
    "j": "torch.tensor([0, 2])",
    "mask": "torch.tensor([True, False, True])",
    "target": "torch.full((3, 3), 0.5, dtype=torch.float64)",
    "classes": "torch.tensor([0, 1, 2])",
    "F": "torch.nn.functional",
}

EXPRESSIONS = """
x + y | x + 1 | 1 + x | x - y | x - 1 | 1 - x | x * y | x * 2 | 2 * x | x / y | x / 2 | 1 / x | x ** 2
x ** y | 2 ** x | -x
torch.add(x, y, alpha=2) | x.sub(y, alpha=2) | x.square() | x % 1 | x.remainder(y) | x.fmod(1.0)
x.fmod(y)
x.true_divide(y) | torch.div(x, y, rounding_mode="floor")
x.abs() | x.neg() | x.sign() | x.reciprocal() | x.sqrt() | x.rsqrt()
x.exp() | x.exp2() | x.expm1() | x.log() | x.log2() | x.log10() | x.log1p()
x.sin() | x.cos() | x.tan() | x.asin() | x.acos() | x.atan() | x.atan2(y)
x.sinh() | x.cosh() | x.tanh() | x.asinh() | (x + 2).acosh() | x.atanh()
x.floor() | x.ceil() | x.round() | x.trunc() | x.frac()
x.sigmoid() | x.relu() | x.erf() | x.erfc() | x.lerp(y, 0.5) | x.lerp(y, x)
F.gelu(x) | F.silu(x) | F.elu(x) | F.selu(x) | F.leaky_relu(x) | F.softplus(x) | F.logsigmoid(x)
F.hardtanh(x)
F.relu(x) | F.relu6(x) | F.hardsigmoid(x) | F.hardswish(x) | F.mish(x) | F.softsign(x) | F.tanhshrink(x)
x.clamp(0, 1) | x.clamp(min=0) | torch.maximum(x, y) | torch.minimum(x, y)
torch.where(mask, x, y) | x.masked_fill(mask, 0.0) | torch.addcmul(x, y, y) | torch.addcdiv(x, y, y)
x.sum() | x.sum(0) | x.sum((0, 1)) | x.sum(0, keepdim=True) | x.mean() | x.mean(1) | x.prod() | x.prod(0)
x.max() | x.min() | x.max(0).values | x.min(0).values | x.amax(0) | x.amin((0, 1)) | x.var() | x.var(0)
x.std() | x.std(1)
x.norm() | x.norm(2, 0) | x.norm(3) | x.logsumexp(0) | x.cumsum(0)
x @ y | torch.mm(x, y) | torch.bmm(b, b) | x @ v | torch.mv(x, v) | v @ v | torch.dot(v, v)
torch.outer(v, v)
torch.addmm(v, x, y) | F.linear(x, y) | F.linear(x, y, v)
x.reshape(9) | x.view(9) | x.transpose(0, 1) | x.t() | x.T | b.mT | x.permute(1, 0) | x.expand(2, 3, 3)
x[None].squeeze()
x[None].squeeze(0) | x.unsqueeze(0) | x.flatten() | x.unfold(0, 2, 1) | x.narrow(0, 0, 2)
x.select(0, 1) | x.movedim(0, 1)
x.flip(0) | x.diagonal() | x.repeat(2, 1) | x.roll(1, 0)
x[0] | x[0:2] | x[:, 1] | x[0:2, 1] | x[None] | x[..., 0] | x[j] | x[mask] | x[:, j]
torch.cat([x, y]) | torch.stack([x, y]) | x.split(2)[0] | x.split([1, 2])[1] | x.chunk(2)[0]
x.unbind()[1]
x.gather(0, i) | x.scatter(0, i, y) | x.scatter(0, i, 0.5) | x.scatter_add(0, i, y)
x.index_select(0, j)
x.index_add(0, j, y[:2]) | x.take_along_dim(i, 0) | x.sort(0).values | x.topk(2).values | x.tril()
x.triu()
x.index_fill(0, j, 0.0) | x.index_copy(0, j, y[:2]) | x.masked_select(mask)
x.softmax(0) | x.log_softmax(0) | F.softmax(x, dim=1) | F.log_softmax(x, dim=1)
x.clone() | x.to(torch.float32) | x.float() | x.t().contiguous()
x.clone().add_(1) | x.clone().sub_(y) | x.clone().mul_(y) | x.clone().div_(y) | x.clone().pow_(2)
x.clone().neg_()
x.clone().exp_() | x.clone().tanh_() | x.clone().relu_() | x.clone().sigmoid_() | x.clone().copy_(y)
x.clone().zero_()
x.clone().fill_(1) | x.clone().clamp_(0, 1) | x.clone().masked_fill_(mask, 0.0)
x.clone().scatter_(0, i, y)
F.mse_loss(x, target) | F.l1_loss(x, target) | F.smooth_l1_loss(x, target) | F.huber_loss(x, target)
F.binary_cross_entropy(x, target) | F.binary_cross_entropy_with_logits(x, target)
F.cross_entropy(x, classes)
F.nll_loss(x, classes) | F.conv2d(img, ker) | F.max_pool2d(img, 2) | F.avg_pool2d(img, 2)
F.dropout(x, 0.5)
F.embedding(j, x) | F.layer_norm(x, (3,))
""".replace("\n", " | ")

names = {}
scope = {"torch": torch}
for name, expression in INPUTS.items():
    scope[name] = eval(expression, scope)
for expression in filter(None, (e.strip() for e in EXPRESSIONS.split(" | "))):
    node = eval(expression, scope).grad_fn
    edges = [n for n, _ in node.next_functions if n is not None]
    names[expression] = [n.name().removeprefix("torch::autograd::") for n in [node, *edges]]

target = pathlib.Path(__file__).with_name("grad_fn_names.json")
rows = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in names.items())
inputs = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in INPUTS.items())
target.write_text(f'{{\n "inputs": {{\n{inputs}\n }},\n "names": {{\n{rows}\n }}\n}}\n')
print(len(names), "expressions")
