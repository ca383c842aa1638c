"""Programs drawn from a seed: graphs with hooks of every kind on them, and one or several backward passes.

The graphs have shared nodes, views, writes in place, checkpoints and custom functions. Whoever runs a program gets its
numbers and a log of what the hooks saw.
"""

import random

import arcgrad as torch
from arcgrad.autograd import Function
from arcgrad.autograd.graph import register_multi_grad_hook, saved_tensors_hooks
from arcgrad.utils.checkpoint import checkpoint

# Products of this width make a pass heavy enough to go to several threads.
N = 64


class Scaled(Function):
    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return x * y * 0.5

    @staticmethod
    def backward(ctx, g):
        x, y = ctx.saved_tensors
        return g * y * 0.5, g * x * 0.5


class Halves(Function):
    """Two outputs, of which a program uses one or both."""

    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 0.5, x * 0.25

    @staticmethod
    def backward(ctx, a, b):
        parts = [g * c for g, c in ((a, 0.5), (b, 0.25)) if g is not None]
        return sum(parts[1:], parts[0]) if parts else None


def inplace_on_view(x, y):
    z = x.clone()
    z[5:40].mul_(y[5:40])
    z.t()[3:9].add_(x[:6])
    return z * 1.0


def inplace_on_part(x, y):
    z = x * 1.0
    first, _ = z.clone().view(2, N // 2, N).unbind(0)
    z[: N // 2] = first.tanh() + y[N // 2 :]
    return z


def two_parts(x):
    a, b = x.chunk(2, 0)
    return torch.cat([b.sin(), a], 0)


OPS = {
    "add": (2, lambda x, y: x + y),
    "product": (2, lambda x, y: x * y),
    "matmul": (2, lambda x, y: (x @ y) * 0.1),
    "matmul of a view": (2, lambda x, y: (x.t() @ y) * 0.1),
    "tanh": (1, lambda x: x.tanh()),
    "sin": (1, lambda x: x.sin()),
    "view": (1, lambda x: x.reshape(-1).view(N, N).t()),
    "broadcast": (2, lambda x, y: x * y.mean(1, keepdim=True) + y.sum(0) * 0.1),
    "several outputs": (1, two_parts),
    "rows": (1, lambda x: x[torch.arange(N) // 2]),
    "write through views": (2, inplace_on_view),
    "write into a part": (2, inplace_on_part),
    "custom function": (2, lambda x, y: Scaled.apply(x, y)),
    "one of two outputs": (1, lambda x: Halves.apply(x)[0]),
    "both outputs": (1, lambda x: sum(Halves.apply(x))),
    "checkpoint": (2, lambda x, y: checkpoint(lambda a, b: (a @ b).tanh() * a, x, y, use_reentrant=False)),
}
# Products twice: they are what makes a pass wide and heavy.
NAMES = [*sorted(OPS), "matmul", "matmul"]


class Log(list):
    """What the hooks saw, in order: a place and numbers."""

    def note(self, place, *tensors):
        self.append((place, *(None if t is None else t.detach().clone() for t in tensors)))


def hooked(draw, log, k, x):
    """Registers a random hook on the value x of number k; it observes or replaces."""
    place = f"{k}: {draw.choice(['tensor', 'node', 'prehook', 'retained'])}"
    factor = draw.choice([None, None, 0.5, -1.0])
    if not x.requires_grad:
        return

    def replaced(g):
        return None if factor is None or g is None else g * factor

    if place.endswith("tensor"):

        def hook(g):
            log.note(place, g)
            return replaced(g)

        x.register_hook(hook)
    elif place.endswith("retained") or x.grad_fn is None:
        x.retain_grad()
        log.retained.append(x)
    elif place.endswith("prehook"):

        def before(outputs):
            log.note(place, *outputs)
            return tuple(replaced(g) for g in outputs) if factor is not None else None

        x.grad_fn.register_prehook(before)
    else:

        def after(inputs, outputs):
            log.note(place, *inputs, *outputs)
            return tuple(replaced(g) for g in inputs) if factor is not None else None

        x.grad_fn.register_hook(after)


def packing(log, k):
    """Hooks of saved tensors for a part of the graph."""

    def pack(t):
        log.note(f"{k}: pack", t)
        return t.numpy().copy()

    def unpack(array):
        t = torch.from_numpy(array)
        log.note(f"{k}: unpack", t)
        return t

    return saved_tensors_hooks(pack, unpack)


def on_leaf(draw, log, k, leaf):
    kind = draw.choice(["none", "tensor", "accumulated", "both"])
    if kind in ("tensor", "both"):
        leaf.register_hook(lambda g: log.note(f"leaf {k}", g))
    if kind in ("accumulated", "both"):
        factor = draw.choice([1.0, 0.5])

        def accumulated(t):
            log.note(f"leaf {k} accumulated", t.grad)
            with torch.no_grad():
                t.grad.mul_(factor)

        leaf.register_post_accumulate_grad_hook(accumulated)


def differentiated(draw, log, values, leaves):
    """One way to run backward passes over the graph; returns its own answers."""
    roots = [v for v in draw.sample(values, min(len(values), draw.randint(1, 3))) if v.requires_grad]
    roots = roots or [leaves[0] * 2.0]
    grads = [torch.full((N, N), 1.0 / (1 + i)) for i in range(len(roots))]
    way = draw.choice(["backward", "scalar", "twice", "grad", "second order"])
    if way == "backward":
        torch.autograd.backward(roots, grads)
        return []
    total = sum(r.square().mean() for r in roots)
    if way == "scalar":
        total.backward()
        return []
    if way == "twice":
        total.backward(retain_graph=True)
        total.backward()
        return []
    if way == "grad":
        return list(torch.autograd.grad(roots, leaves, grads, allow_unused=True))
    firsts = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
    ends = [g.square().sum() for g in firsts if g is not None and g.requires_grad]
    if ends:
        sum(ends).backward()
    return list(firsts)


def run(seed):
    """Builds the program of a seed, runs it, and returns (numbers, log), each a list of tensors or None with a name."""
    draw = random.Random(seed)
    generator = torch.Generator().manual_seed(seed)
    log = Log()
    log.retained = []
    leaves = [torch.randn(N, N, generator=generator).mul_(0.3).requires_grad_() for _ in range(draw.randint(2, 4))]
    for k, leaf in enumerate(leaves):
        on_leaf(draw, log, k, leaf)
    values = list(leaves)
    for k in range(draw.randint(12, 30)):
        arity, op = OPS[draw.choice(NAMES)]
        operands = draw.choices(values[-8:], k=arity)
        if draw.random() < 0.15:
            with packing(log, k):
                values.append(op(*operands))
        else:
            values.append(op(*operands))
        for _ in range(draw.choice([0, 0, 1, 2])):
            hooked(draw, log, k, values[-1])
    if draw.random() < 0.5:
        watched = [v for v in draw.sample(values, 3) if v.requires_grad]
        if draw.random() < 0.5:
            register_multi_grad_hook(watched, lambda grads: log.note("all", *grads))
        else:
            register_multi_grad_hook(watched, lambda grad: log.note("any", grad), mode="any")
    answers = differentiated(draw, log, values[len(leaves) :], leaves)
    numbers = [("answer", g) for g in answers]
    numbers += [("leaf", leaf.grad) for leaf in leaves] + [("retained", x.grad) for x in log.retained]
    return numbers, list(log)
