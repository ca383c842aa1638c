"""Peers with PyTorch's names: raxis as it is, ferrotensor through a namespace of its functions."""

import dataclasses
import fnmatch
import functools
import types

from programs import REGISTRY, draw
from programs.training import large_mlp, small_mlp

# Programs that a peer has no function for, or another function of the same name, by patterns of their titles.
LACKING = {
    "raxis": ("*: logsumexp(1)*", "*: group_norm*"),
    "ferrotensor": (
        "element-wise: *, 40M",  # it takes numbers from Python lists only, gigabytes here
        "*: logsumexp(1)*",
        "*: var(0)*",  # that of a population
        "*: gelu*",  # the approximation by tanh
        "conv2d*",
        "normalization*",
        "training step: digit CNN*",
        "training step: character transformer*",
    ),
}
# Where the peer has another name for what a program times.
OTHER_WORDS = {
    "raxis": {"x @ W.T + b": "x @ W.mT + b"},
    "ferrotensor": {"x.amax(1)": "x.max(1)"},
}


def ferrotensor_in_pytorch_names(peer):
    """Functions of ferrotensor under PyTorch's names, where they mean the same; the others it does not have."""
    functional = types.SimpleNamespace(**vars(peer.nn.functional))
    functional.layer_norm = lambda x, _shape, weight=None, bias=None: peer.nn.functional.layer_norm(x, weight, bias)
    return types.SimpleNamespace(
        from_numpy=peer.tensor,
        no_grad=peer.no_grad,
        ones=peer.ones,
        exp=peer.Tensor.exp,
        log=peer.Tensor.log,
        sigmoid=peer.Tensor.sigmoid,
        tanh=peer.Tensor.tanh,
        autograd=types.SimpleNamespace(grad=gradients_of_leaves),
        nn=types.SimpleNamespace(**{**vars(peer.nn), "functional": functional}),
        # Adam is AdamW without the decay of weights.
        optim=types.SimpleNamespace(SGD=peer.optim.SGD, Adam=functools.partial(peer.optim.AdamW, weight_decay=0.0)),
    )


def gradients_of_leaves(output, inputs, cotangent=None, **_):
    """Gradients of leaves, for a peer that can only add to a leaf's own and keeps every graph until it is dropped."""
    leaves = inputs if isinstance(inputs, (tuple, list)) else (inputs,)
    for leaf in leaves:
        leaf.grad = None
    output.backward(cotangent)
    return [leaf.grad for leaf in leaves]


def load_transposed(torch, model):
    """Do what `training.load_weights` does for layers whose weights have the shape (in, out)."""
    for parameter in model.parameters():
        fan = parameter.shape[0] if parameter.dim() == 2 else 1
        numbers = draw.normal(*reversed(parameter.shape), scale=0.5 * fan**-0.5)
        parameter.copy_(torch.from_numpy(numbers.T))
    return model


NAMES = {"raxis": lambda module: module, "ferrotensor": ferrotensor_in_pytorch_names}


def register(peer, program, setup):
    """Let the peer run the text in PyTorch's names that `setup` builds, unless it lacks what the program needs."""

    def in_its_words(module):
        work = setup(NAMES[peer](module))
        return dataclasses.replace(work, expression=OTHER_WORDS[peer].get(work.expression, work.expression))

    if not any(fnmatch.fnmatch(program.title, pattern) for pattern in LACKING[peer]):
        program.on(peer)(in_its_words)


for each in REGISTRY.values():
    for name in NAMES:
        register(name, each, each.setup)
for size, algorithm in ((16, "SGD"), (64, "SGD"), (256, "SGD"), (16, "Adam")):
    step = functools.partial(small_mlp, width=size, optimizer_name=algorithm, load=load_transposed)
    register("ferrotensor", REGISTRY[f"width {size}, {algorithm}"], step)
register("ferrotensor", large_mlp, functools.partial(large_mlp.setup, load=load_transposed))
