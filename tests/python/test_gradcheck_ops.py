"""Every differentiable op against finite differences to second order: one row for each op."""

import pytest

import arcgrad as torch
from agreement import waves
from finite_differences import check_first_and_second

F = torch.nn.functional

# Points away from kinks and ties: `inside` stays in (-1, 1), `above` is positive, `wide` reaches both sides.


def inside(*shape):
    return waves(*shape, scale=0.8, phase=0.4)


def above(*shape):
    return waves(*shape, scale=0.6, phase=0.2) + 1.2


def wide(*shape):
    return waves(*shape, scale=2.3, phase=0.7)


I23 = torch.tensor([[0, 2, 1], [1, 0, 2]])
J = torch.tensor([1, 0])
MASK = torch.tensor([[True, False, True], [False, True, True]])

WIDE = [
    "abs",
    "neg",
    "square",
    "sin",
    "cos",
    "atan",
    "tanh",
    "asinh",
    "sigmoid",
    "relu",
    "floor",
    "ceil",
    "round",
    "trunc",
    "sign",
]
ABOVE = ["reciprocal", "sqrt", "rsqrt", "log", "log2", "log10"]
INSIDE = ["exp", "exp2", "expm1", "log1p", "tan", "asin", "acos", "sinh", "cosh", "atanh", "erf", "erfc"]
UNARY = dict.fromkeys(WIDE, wide) | dict.fromkeys(ABOVE, above) | dict.fromkeys(INSIDE, inside)
ACTIVATIONS = [
    "gelu",
    "silu",
    "elu",
    "selu",
    "leaky_relu",
    "softplus",
    "logsigmoid",
    "hardtanh",
    "relu6",
    "mish",
    "softsign",
]

BINARY = {
    "add": (lambda a, b: a + b, (2, 3), (2, 3)),
    "add of a row": (lambda a, b: a + b, (2, 3), (3,)),
    "add of a column": (lambda a, b: a + b, (2, 1), (2, 3)),
    "add of 0-d": (lambda a, b: a + b, (), (2, 3)),
    "add with alpha": (lambda a, b: torch.add(a, b, alpha=1.5), (2, 3), (3,)),
    "sub": (lambda a, b: a - b, (2, 3), (1, 3)),
    "sub with alpha": (lambda a, b: torch.sub(a, b, alpha=1.5), (2, 3), (3,)),
    "mul": (lambda a, b: a * b, (2, 3), (3,)),
    "div": (lambda a, b: a / b, (2, 3), (2, 1)),
    "pow": (lambda a, b: a**b, (2, 3), (3,)),
    "atan2": (torch.atan2, (2, 3), (3,)),
    "maximum": (lambda a, b: torch.maximum(a, b + 0.13), (2, 3), (3,)),
    "minimum": (lambda a, b: torch.minimum(a, b + 0.13), (2, 3), (3,)),
    "remainder": (lambda a, b: torch.remainder(a * 3, b), (2, 3), (3,)),
    "fmod": (lambda a, b: torch.fmod(a * 3, b), (2, 3), (3,)),
    "div rounded down": (lambda a, b: torch.div(a * 3, b, rounding_mode="floor") * a, (2, 3), (3,)),
    "lerp": (lambda a, b: torch.lerp(a, b, 0.3), (2, 3), (2, 3)),
    "where": (lambda a, b: torch.where(MASK, a * a, b), (2, 3), (3,)),
    "logaddexp": (torch.logaddexp, (2, 3), (3,)),
    "matmul of vectors": (torch.matmul, (3,), (3,)),
    "matmul of a vector": (torch.matmul, (3,), (3, 2)),
    "matmul by a vector": (torch.matmul, (2, 3), (3,)),
    "matmul": (torch.matmul, (2, 3), (3, 2)),
    "matmul of batches": (torch.matmul, (2, 2, 2), (2, 2, 2)),
    "matmul of broadcast batches": (torch.matmul, (2, 1, 2, 2), (2, 2, 1)),
    "matmul of a batch by a matrix": (torch.matmul, (2, 2, 3), (3, 2)),
    "matmul of a transpose": (lambda a, b: a.T @ b.T, (3, 2), (2, 3)),
    "mm": (torch.mm, (2, 3), (3, 2)),
    "bmm": (torch.bmm, (2, 2, 2), (2, 2, 1)),
    "mv": (torch.mv, (2, 3), (3,)),
    "dot": (torch.dot, (4,), (4,)),
    "outer": (torch.outer, (2,), (3,)),
    "linear": (F.linear, (2, 3), (2, 3)),
    "einsum": (lambda a, b: torch.einsum("ij,kj->ik", a, b), (2, 3), (2, 3)),
    "einsum of a diagonal": (lambda a, b: torch.einsum("ii,i->i", a, b), (3, 3), (3,)),
    "cat": (lambda a, b: torch.cat([a * a, b], 1), (2, 3), (2, 1)),
    "stack": (lambda a, b: torch.stack([a * a, b], 1), (2, 2), (2, 2)),
    "scatter": (lambda a, b: a.scatter(1, I23, b * b), (2, 3), (2, 3)),
    "scatter_add": (lambda a, b: a.scatter_add(0, I23[:, :2] % 2, b * b), (2, 3), (2, 2)),
    "index_add": (lambda a, b: a.index_add(0, J, b * b, alpha=2), (2, 3), (2, 3)),
    "index_copy": (lambda a, b: a.index_copy(0, J, b * b), (2, 3), (2, 3)),
    "index_put": (lambda a, b: a.index_put((J, J), b * b), (2, 3), (2,)),
    "masked_fill by a tensor": (lambda a, b: a.masked_fill(MASK, b * b), (2, 3), ()),
    "mse_loss": (F.mse_loss, (2, 3), (2, 3)),
    "binary_cross_entropy_with_logits": (F.binary_cross_entropy_with_logits, (2, 3), (2, 3)),
    "in-place mul": (lambda a, b: (a * 1).mul_(b), (2, 3), (3,)),
    "in-place write to a slice": (lambda a, b: write(a * 1, (slice(None), 1), b * b), (2, 3), (2,)),
    "in-place write by index": (lambda a, b: write(a * 1, (J, J), b * b), (2, 3), (2,)),
    "copy_": (lambda a, b: (a * 1).copy_(b * b), (2, 3), (3,)),
}


def write(target, index, value):
    target[index] = value
    return target


ONE = {
    "pow by 3": lambda x: x**3,
    "pow by 2.5": lambda x: (x * x + 1) ** 2.5,
    "pow of a scalar": lambda x: 1.7**x,
    "scalar over": lambda x: 1 / (x * x + 1),
    "rsub": lambda x: (2 - x) * x,
    "clamp": lambda x: x.clamp(-1, 1) * x,
    "clamp from below": lambda x: x.clamp(min=0.1) * x,
    "sum": lambda x: (x * x).sum(),
    "sum of dims": lambda x: (x * x).sum((0, 1), keepdim=True),
    "mean": lambda x: (x * x).mean(0),
    "prod": lambda x: x.prod(),
    "prod of a dim": lambda x: x.prod(1),
    "var": lambda x: x.var(),
    "var of a dim": lambda x: x.var(1, correction=0),
    "std": lambda x: x.std(0),
    "max": lambda x: x.max() ** 2,
    "max of a dim": lambda x: x.max(1).values ** 2,
    "min of a dim": lambda x: x.min(0, keepdim=True)[0] ** 2,
    "amax": lambda x: x.amax(1) ** 2,
    "amin": lambda x: x.amin((0, 1)) ** 2,
    "norm": lambda x: x.norm(),
    "norm of order 1": lambda x: x.norm(1, 1) * x.norm(),
    "norm of order 3": lambda x: x.norm(3, 0),
    "norm of order inf": lambda x: x.norm(float("inf"), 1) ** 2,
    "logsumexp": lambda x: x.logsumexp(1),
    "cumsum": lambda x: (x * x).cumsum(1),
    "cumprod": lambda x: x.cumprod(1),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(0),
    "reshape": lambda x: x.reshape(3, 2) ** 2,
    "transpose": lambda x: x.transpose(0, 1) ** 2,
    "permute": lambda x: x[None].permute(2, 0, 1) ** 2,
    "expand": lambda x: x.expand(2, 2, 3) ** 2,
    "squeeze": lambda x: x[:, None].squeeze(1) ** 2,
    "flatten": lambda x: x.flatten() ** 2,
    "unfold": lambda x: x.unfold(1, 2, 1) ** 2,
    "narrow": lambda x: x.narrow(1, 1, 2) ** 2,
    "select": lambda x: x.select(0, 1) ** 2,
    "movedim": lambda x: x.movedim(0, 1) ** 2,
    "flip": lambda x: x.flip(1) ** 2,
    "roll": lambda x: x.roll(1, 0) ** 2,
    "repeat": lambda x: x.repeat(2, 1) ** 2,
    "diagonal": lambda x: x.diagonal() ** 2,
    "tril": lambda x: x.tril() ** 2,
    "triu": lambda x: x.triu(1) ** 2,
    "split": lambda x: [p**2 for p in x.split([1, 2], 1)],
    "chunk": lambda x: [p**2 for p in x.chunk(2, 1)],
    "unbind": lambda x: [p**2 for p in x.unbind()],
    "slice": lambda x: x[:, ::2] ** 2,
    "index by integers": lambda x: x[J, J] ** 2,
    "index by repeated integers": lambda x: x[torch.tensor([0, 0, 1])] ** 2,
    "index by mask": lambda x: x[MASK] ** 2,
    "gather": lambda x: x.gather(1, I23) ** 2,
    "gather of repeats": lambda x: x.gather(1, I23 * 0) ** 2,
    "index_select": lambda x: x.index_select(1, torch.tensor([2, 2, 0])) ** 2,
    "take_along_dim": lambda x: x.take_along_dim(I23, 1) ** 2,
    "masked_fill": lambda x: x.masked_fill(MASK, 1.5) ** 2,
    "masked_select": lambda x: x.masked_select(MASK) ** 2,
    "index_fill": lambda x: x.index_fill(1, J, 2.0) ** 2,
    "sort": lambda x: x.sort(1).values ** 2,
    "topk": lambda x: x.topk(2).values ** 2,
    "clone": lambda x: x.clone() ** 2,
    "contiguous": lambda x: x.T.contiguous() ** 2,
    "detach of one factor": lambda x: x * x.sin().detach() * 0 + x * x,
    "addmm": lambda x: torch.addmm(x[0, :2], x, x.T.contiguous()[:, :2], beta=0.5, alpha=2),
    "addcmul": lambda x: torch.addcmul(x, x, x, value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x, x, x * x + 1, value=0.5),
    "softmax of a chain": lambda x: (x.tanh() @ x.T).softmax(-1).log(),
    "cross_entropy": lambda x: F.cross_entropy(x, torch.tensor([2, 0])),
    "cross_entropy, unreduced": lambda x: F.cross_entropy(x, torch.tensor([2, 0]), reduction="none"),
    "nll_loss": lambda x: F.nll_loss(x.log_softmax(1), torch.tensor([2, 0])),
    "l1_loss": lambda x: F.l1_loss(x, x.detach() * 0 + 3) * x.sum(),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, torch.full((2, 3), 0.05, dtype=torch.float64)),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x.sigmoid(), torch.full((2, 3), 0.3, dtype=torch.float64)),
    "embedding": lambda x: F.embedding(torch.tensor([1, 1, 0]), x) ** 2,
    "zero_ of a part": lambda x: write(x * x, 0, 0.0),
    "relu_": lambda x: (x * x - 0.5).relu_() ** 2,
    "exp_": lambda x: (x * 0.5).exp_() ** 2,
    "add_ to a view": lambda x: add_to_first_column(x * x),
}


def add_to_first_column(y):
    y[:, 0].add_(y[:, 1].clone() * y[:, 2].clone())
    return y


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions(name):
    check_first_and_second(getattr(torch, name), [UNARY[name](5)])


def test_acosh_above_one():
    check_first_and_second(torch.acosh, [above(5) + 1])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    check_first_and_second(getattr(F, name), [wide(6)])


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_tensors(name):
    f, left, right = BINARY[name]
    check_first_and_second(f, [above(*left), waves(*right, scale=0.5, phase=1.3) + 0.9])


@pytest.mark.parametrize("name", ONE)
def test_functions_of_one_tensor(name):
    check_first_and_second(ONE[name], [waves(2, 3, scale=1.4, phase=0.5)])


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2}, {"padding": 1}, {"dilation": 2}, {"stride": 2, "padding": 1}], ids=str
)
def test_conv2d(options):
    inputs = [waves(1, 2, 4, 4), waves(2, 2, 2, 2, phase=1.0), waves(2, phase=2.0)]
    check_first_and_second(lambda x, w, b: F.conv2d(x, w, b, **options), inputs)


def test_conv2d_of_groups():
    inputs = [waves(2, 2, 3, 3), waves(4, 1, 2, 2, phase=1.0)]
    check_first_and_second(lambda x, w: F.conv2d(x, w, groups=2), inputs)


@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"padding": 1}], ids=str)
def test_pooling(options):
    check_first_and_second(lambda x: F.max_pool2d(x, 2, **options) ** 2, [waves(1, 2, 4, 4)])
    check_first_and_second(lambda x: F.avg_pool2d(x, 2, **options) ** 2, [waves(1, 2, 4, 4)])


def test_a_wrong_derivative_is_noticed():
    def wrong(x):
        return x.sin() + x.cos().detach() * x  # the detached factor hides a part of the derivative

    with pytest.raises(AssertionError, match="first order"):
        check_first_and_second(wrong, [wide(3)])
