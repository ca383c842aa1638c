"""Record in nn.json and optim.json what PyTorch's layers, optimizers and schedules compute; tests only read the files."""

import json
import math
import warnings
from pathlib import Path

import torch
from torch import nn, optim

ELEMENTWISE = """
ReLU() ReLU6() LeakyReLU(0.2) ELU(1.5) CELU(0.5) SELU() GELU() GELU('tanh') SiLU() Mish() Sigmoid() LogSigmoid() Tanh()
Softplus() Softplus(2.0,3.0) Softsign() Softmax(1) Softmin(0) LogSoftmax(-1) Hardtanh(-0.5,0.3) Hardsigmoid() Hardswish()
Hardshrink(0.3) Softshrink(0.3) Tanhshrink() Threshold(0.1,3.0) PReLU() PReLU(4) GLU() Identity() Dropout(0.3)
Linear(4,3) Linear(4,3,bias=False) LayerNorm(4) LayerNorm((6,4),bias=False) LayerNorm(4,elementwise_affine=False) RMSNorm(4)
BatchNorm1d(4) BatchNorm1d(4,affine=False) BatchNorm1d(4,momentum=None) BatchNorm1d(4,track_running_stats=False)
Flatten() Unflatten(1,(2,2))
Sequential(nn.Linear(4,5),nn.Tanh(),nn.Sequential(nn.Linear(5,2),nn.ReLU()))
""".split()
PLANES = """
Conv2d(2,3,3) Conv2d(2,4,(3,2),stride=2,padding=1) Conv2d(2,4,3,groups=2,bias=False) Conv2d(2,2,3,padding='same',dilation=2)
Conv2d(2,2,2,padding='same') MaxPool2d(2) MaxPool2d(3,2,1,ceil_mode=True) AvgPool2d(2) AvgPool2d(3,2,1)
AvgPool2d(3,2,1,count_include_pad=False) AdaptiveAvgPool2d(1) AdaptiveAvgPool2d((3,5)) AdaptiveAvgPool2d((4,3))
AdaptiveMaxPool2d((4,3)) BatchNorm2d(2) InstanceNorm2d(2) GroupNorm(1,2) Flatten(2)
""".split()
SEQUENCES = """
Conv1d(2,3,3) Conv1d(2,3,3,stride=2,padding=2,dilation=2) Conv1d(2,2,4,padding='same') Conv1d(2,2,3,groups=2) MaxPool1d(2)
MaxPool1d(3,2,1) AvgPool1d(2) AvgPool1d(3,2,1,count_include_pad=False) AdaptiveAvgPool1d(4) BatchNorm1d(2) InstanceNorm1d(2)
""".split()
REGRESSION = """
MSELoss L1Loss SmoothL1Loss SmoothL1Loss:beta=0.3 SmoothL1Loss:beta=0 HuberLoss HuberLoss:delta=0.4
""".split()


def plain(tensor):
    """Return a tensor as data; floats as the shortest text that gives the same number back."""
    values = tensor.detach().reshape(-1)
    if tensor.is_floating_point():
        numbers = [float(str(v)) for v in values.numpy()]
        numbers = [v if math.isfinite(v) else str(v) for v in numbers]
    else:
        numbers = values.tolist()
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "values": numbers}


def layer(expr, *inputs, train=True):
    """Run the layer forward and backward, with the sum of outputs times cos(0, 1, 2, ...) for a loss."""
    torch.manual_seed(3)
    module = eval(f"nn.{expr}")
    module.train(train)
    record = {
        "expr": expr,
        "train": train,
        "repr": repr(module),
        "state": {name: plain(value) for name, value in module.state_dict().items()},
        "inputs": [plain(value) for value in inputs],
    }
    inputs = [value.clone().requires_grad_() if value.is_floating_point() else value for value in inputs]
    y = module(*inputs)
    weights = torch.arange(y.numel(), dtype=torch.float64).cos().to(y.dtype).reshape(y.shape)
    (y * weights).sum().backward()
    record["output"] = plain(y)
    record["input_grads"] = [plain(value.grad) if value.grad is not None else None for value in inputs]
    record["grads"] = {name: plain(value.grad) for name, value in module.named_parameters()}
    record["after"] = {name: plain(value) for name, value in module.named_buffers()}
    return record


def layers():
    torch.manual_seed(0)
    x, target = torch.randn(6, 4), torch.randn(6, 4)
    plane, sequence = torch.randn(2, 2, 6, 5), torch.randn(2, 2, 9)
    labels, ones, share = torch.tensor([0, 3, 1, 2, 2, 1]), torch.randint(0, 2, (6, 4)).float(), torch.rand(6, 4)
    for exprs, value in ((ELEMENTWISE, x), (PLANES, plane), (SEQUENCES, sequence)):
        for expr in exprs:
            if not expr.startswith("Dropout"):
                yield layer(expr, value)
            if "Norm" in expr or expr.startswith("Dropout"):
                yield layer(expr, value, train=False)
    yield layer("Bilinear(4,4,3)", x, target)
    yield layer("CosineSimilarity()", x, target)
    yield layer("PairwiseDistance()", x, target)
    yield layer("Embedding(4,3)", labels)
    yield layer("Embedding(4,3,padding_idx=2)", labels)
    for reduction in ("mean", "sum", "none"):
        chosen = f"reduction='{reduction}'"
        for name in REGRESSION:
            name, _, option = name.partition(":")
            yield layer(f"{name}({chosen}{',' + option if option else ''})", x, target)
        yield layer(f"CrossEntropyLoss({chosen})", x, labels)
        yield layer(f"CrossEntropyLoss({chosen},label_smoothing=0.1,ignore_index=2)", x, labels)
        yield layer(f"CrossEntropyLoss({chosen})", x, target.softmax(1))
        yield layer(f"NLLLoss({chosen})", x.log_softmax(1), labels)
        yield layer(f"BCELoss({chosen})", share, share * 0.5)
        yield layer(f"BCEWithLogitsLoss({chosen})", x, share)
        yield layer(f"KLDivLoss({chosen})", x.log_softmax(1), target.softmax(1))
        yield layer(f"KLDivLoss({chosen},log_target=True)", x.log_softmax(1), target.log_softmax(1))
        yield layer(f"GaussianNLLLoss({chosen.replace(',', '')},full=True)", x, target, share)
        yield layer(f"MarginRankingLoss(0.1,{chosen})", x[:, 0].contiguous(), x[:, 1].contiguous(), ones[:, 0] * 2 - 1)
        yield layer(f"TripletMarginLoss({chosen})", x, target, share)
    yield layer("KLDivLoss(reduction='batchmean')", x.log_softmax(1), target.softmax(1))


OPTIMIZERS = """
SGD(p,lr=0.1) SGD(p,lr=0.1,momentum=0.9) SGD(p,lr=0.1,momentum=0.9,dampening=0.3,weight_decay=0.01)
SGD(p,lr=0.1,momentum=0.9,nesterov=True,maximize=True) Adam(p,lr=0.1) Adam(p,lr=0.1,amsgrad=True)
Adam(p,lr=0.1,weight_decay=0.1,maximize=True) Adam(p,lr=0.1,betas=(0.5,0.6),eps=0.001) AdamW(p,lr=0.1)
AdamW(p,lr=0.1,amsgrad=True,weight_decay=0.2) RMSprop(p,lr=0.1) RMSprop(p,lr=0.1,momentum=0.5,weight_decay=0.1)
RMSprop(p,lr=0.1,centered=True,maximize=True) Adagrad(p,lr=0.1) Adagrad(p,lr=0.1,lr_decay=0.1,weight_decay=0.1)
Adagrad(p,lr=0.1,initial_accumulator_value=0.5)
""".split()
SCHEDULES = """
StepLR(o,4) MultiStepLR(o,[3,3,9],0.5) ExponentialLR(o,0.9) CosineAnnealingLR(o,7,0.001) CosineAnnealingLR(o,30) LinearLR(o)
LambdaLR(o,lambda*epoch:0.95**epoch[0]) MultiplicativeLR(o,lambda*epoch:0.95) ConstantLR(o) PolynomialLR(o,10,2.0)
OneCycleLR(o,0.5,26) OneCycleLR(o,0.5,26,three_phase=True,anneal_strategy='linear') CosineAnnealingWarmRestarts(o,3,2)
ReduceLROnPlateau(o,patience=2) ReduceLROnPlateau(o,'max',patience=1,cooldown=2,min_lr=0.001,threshold_mode='abs')
SequentialLR(o,[s.LinearLR(o,0.1,total_iters=4),s.CosineAnnealingLR(o,10)],[4])
ChainedScheduler([s.ConstantLR(o,0.1,total_iters=4),s.ExponentialLR(o,0.9)])
""".split()


def steps(expr):
    """Take 20 steps with the gradients sin(i + 1) (0, 1, 2, ...) and 0.1 p, and record the parameters on the way."""
    p = [
        nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)),
        nn.Parameter(torch.ones(2, dtype=torch.float64)),
    ]
    optimizer = eval(f"optim.{expr}")
    seen = []
    for i in range(20):
        for param in p:
            ramp = torch.arange(param.numel(), dtype=torch.float64).reshape(param.shape)
            param.grad = (ramp * (i + 1)).sin() + 0.1 * param.detach()
        optimizer.step()
        if i in (0, 1, 4, 19):
            seen.append([plain(param)["values"] for param in p])
    state = optimizer.state_dict()
    return {
        "expr": expr,
        "params": seen,
        "repr": repr(optimizer),
        "state_keys": {str(number): list(values) for number, values in state["state"].items()},
        "group_keys": list(state["param_groups"][0]),
    }


def rates(expr):
    """Record the rates and momenta of 25 epochs; the measure of epoch i is |i - 8| + 0.01 i."""
    o = optim.SGD(
        [{"params": [nn.Parameter(torch.ones(1))], "lr": 0.3}, {"params": [nn.Parameter(torch.ones(1))]}],
        lr=0.1,
        momentum=0.9,
    )
    schedule = eval(f"s.{expr}", {"s": optim.lr_scheduler, "o": o})
    seen = [[(group["lr"], group["momentum"]) for group in o.param_groups]]
    for i in range(25):
        o.step()
        schedule.step(abs(i - 8) + 0.01 * i) if expr.startswith("Reduce") else schedule.step()
        seen.append([(group["lr"], group["momentum"]) for group in o.param_groups])
    return {"expr": expr, "rates": seen}


def write(name, record):
    Path(__file__).with_name(name).write_text(record + "\n")


def main():
    warnings.simplefilter("ignore")
    write("nn.json", "[\n" + ",\n".join(json.dumps(record) for record in layers()) + "\n]")
    optimizers = ",\n".join(json.dumps(steps(expr)) for expr in OPTIMIZERS)
    schedules = ",\n".join(json.dumps(rates(expr)) for expr in SCHEDULES)
    write("optim.json", f'{{"optimizers": [\n{optimizers}\n],\n"schedules": [\n{schedules}\n]}}')


if __name__ == "__main__":
    main()
