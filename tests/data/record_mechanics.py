"""Records how PyTorch answers calls of autograd.functional, gradcheck and testing, with messages and numbers.

Needs torch 2.13. Run from anywhere: `python tests/data/record_mechanics.py` rewrites mechanics.json beside this file.
Each group has a setup, which is run once, and expressions, of which each is then evaluated. A tensor is recorded by its
shape, dtype, numbers and whether it requires gradients, an exception by its class and message.
"""

import json
import pathlib
import warnings

import torch

FUNCTIONAL_SETUP = """
from torch.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp
double = torch.float64
x = torch.tensor([0.3, -0.7], dtype=double)
y = torch.tensor([[0.5, 2.0], [1.0, -1.5]], dtype=double)
r = x.clone().requires_grad_()
v = torch.tensor([1.0, 2.0], dtype=double)
cubes = lambda a: (a**3).sum()
both = lambda a, b: (b @ a, a.sum() * b)
number = lambda a, b: (b @ a).sin().sum()
first = lambda a, b: (a**3).sum()
linear = lambda a: a.sum()
constant = lambda a: torch.ones(2, dtype=double)
"""

PRODUCTS = ("vjp", "jvp", "vhp", "hvp")


def functional():
    calls = []
    for a in ("x", "r"):
        for options in ("", ", create_graph=True", ", strict=True", ", create_graph=True, strict=True"):
            calls += [
                f"vjp(torch.exp, {a}, v{options})",
                f"vjp(both, ({a}, y), (v, y){options})",
                f"jvp(torch.exp, {a}, v{options})",
                f"jvp(both, ({a}, y), (v, y){options})",
                f"vhp(cubes, {a}, v{options})",
                f"vhp(number, ({a}, y), (v, y){options})",
                f"hvp(cubes, {a}, v{options})",
                f"hvp(number, ({a}, y), (v, y){options})",
                f"jacobian(torch.exp, {a}{options})",
                f"jacobian(both, ({a}, y){options})",
                f"hessian(cubes, {a}{options})",
                f"hessian(number, ({a}, y){options})",
            ]
            for product in PRODUCTS:
                vector = "None" if product == "vjp" else "v"
                calls += [
                    f"{product}(linear, {a}, {vector}{options})",
                    f"{product}(first, ({a}, y), {'None' if product == 'vjp' else '(v, y)'}{options})",
                    f"{product}(constant, {a}, v{options})",
                ]
            calls += [
                f"jacobian(linear, {a}{options})",
                f"jacobian(constant, {a}{options})",
                f"jacobian(first, ({a}, y){options})",
                f"hessian(linear, {a}{options})",
                f"hessian(first, ({a}, y){options})",
            ]
        for options in ("", ", create_graph=True"):
            calls += [
                f"jacobian(both, ({a}, y), vectorize=True{options})",
                f"jacobian(first, ({a}, y), vectorize=True{options})",
                f"jacobian(constant, {a}, vectorize=True{options})",
                f"hessian(number, ({a}, y), vectorize=True{options})",
            ]
    for product in PRODUCTS:
        calls += [
            f"{product}(torch.exp, x)",
            f"{product}(cubes, x, torch.ones(3))",
            f"{product}(cubes, x, (x, x))",
            f"{product}(number, (x, y), (x,))",
            f"{product}(number, (x, y), (x, x))",
            f"{product}(number, (x, 2), (x, x))",
            f"{product}(number, 2, x)",
            f"{product}(cubes, x, 3)",
            f"{product}(lambda a: (a, 1), x, v)",
            f"{product}(lambda a: 1, x, v)",
            f"{product}(lambda a: (a.sum(), a.sum()), x, v)",
            f"{product}(lambda a: [a.sum()], [x], v)",
        ]
    for matrix in ("jacobian", "hessian"):
        calls += [
            f"{matrix}(number, (x, 2))",
            f"{matrix}(lambda a: (a, 1), x)",
            f"{matrix}(lambda a: (a.sum(), a.sum()), x)",
            f"{matrix}(torch.exp, x)",
        ]
    return [
        *calls,
        "jacobian(torch.exp, x, vectorize=True, strategy='forward-mode')",
        "jacobian(both, (x, y), vectorize=True, strategy='forward-mode')",
        "jacobian(constant, x, vectorize=True, strategy='forward-mode')",
        "jacobian(lambda a, b: a * 2, (x, y), vectorize=True, strategy='forward-mode')",
        "jacobian(torch.exp, r, vectorize=True, strategy='forward-mode')",
        "jacobian(torch.exp, torch.zeros(0), vectorize=True, strategy='forward-mode')",
        "hessian(cubes, r, vectorize=True, outer_jacobian_strategy='forward-mode')",
        "hessian(number, (r, y), vectorize=True, outer_jacobian_strategy='forward-mode')",
        "jacobian(torch.exp, x, strategy='sideways')",
        "hessian(cubes, x, outer_jacobian_strategy='sideways')",
        "jacobian(torch.exp, x, strict=True, vectorize=True)",
        "jacobian(torch.exp, x, strict=True, vectorize=True, strategy='forward-mode')",
        "jacobian(torch.exp, x, create_graph=True, vectorize=True, strategy='forward-mode')",
        "jacobian(torch.exp, x, strategy='forward-mode')",
    ]


GRADCHECK_SETUP = """
from torch.autograd import Function, forward_ad, gradcheck, gradgradcheck
double = torch.float64
x = torch.tensor([[0.3, -0.7], [1.1, 0.4]], dtype=double, requires_grad=True)
y = torch.tensor([0.5, 2.0], dtype=double, requires_grad=True)
product = lambda a, b: (a @ b).sin()

def dented(a):
    value, tangent = forward_ad.unpack_dual(a)
    return a * 2 if tangent is None else forward_ad.make_dual(value * 2, tangent * 3)

class Wrong(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0] * 1.9

class Shifted(Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad + 1e-6

class Absent(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.set_materialize_grads(False)
        return x * 2, x * 3

    @staticmethod
    def backward(ctx, first, second):
        return first * 2 + second * 3

class Drifting(Function):
    calls = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        Drifting.calls += 1
        return grad * (1 + 1e-7 * Drifting.calls)
"""


def gradcheck():
    calls = []
    for mode in ("", ", fast_mode=True"):
        calls += [
            f"gradcheck(product, (x, y){mode})",
            f"gradgradcheck(product, (x, y){mode})",
            f"gradcheck(product, (x, y), check_batched_grad=True{mode})",
            f"gradcheck(Wrong.apply, (x,){mode})",
            f"gradcheck(Wrong.apply, x, raise_exception=False{mode})",
            f"gradgradcheck(Wrong.apply, (x,){mode})",
            f"gradcheck(Shifted.apply, (x,){mode})",
            f"gradcheck(Shifted.apply, (x,), masked=True{mode})",
            f"gradcheck(Absent.apply, (x,){mode})",
            f"gradcheck(Absent.apply, (x,), check_undefined_grad=False{mode})",
            f"gradcheck(Drifting.apply, (x,){mode})",
            f"gradcheck(Drifting.apply, (x,), nondet_tol=1e-5{mode})",
            f"gradcheck(lambda a: a * 2, (x.detach(),){mode})",
            f"gradcheck(lambda a: a * 2, (x[:1].expand(3, 2),){mode})",
            f"gradcheck(lambda a: torch.tensor([a.sum().item()]), (x,){mode})",
            f"gradcheck(lambda a: (), (x,){mode})",
            f"gradcheck(lambda a: a if a[0, 0] >= 0.3 else a[0], (x,){mode})",
            f"gradcheck(lambda a: a if a[0, 0] >= 0.3 else a.float(), (x,){mode})",
            f"gradcheck(lambda *_: product(x, y), (x, y){mode})",
            f"gradcheck(lambda a: a.t(), (x,){mode})",
            f"gradcheck(lambda a: a.exp(), (x * 2,){mode})",
            f"gradcheck(lambda a, b: a * 3, (x, y){mode})",
            f"gradcheck(lambda a: (a * 3, (a > 0).long()), (x,){mode})",
            f"gradcheck(lambda a: a * a, (torch.tensor(2.0, dtype=double, requires_grad=True),){mode})",
            f"gradcheck(lambda a: a * a, (torch.zeros(0, 3, dtype=double, requires_grad=True),){mode})",
            f"gradgradcheck(lambda a: a * a, (x,), (torch.ones(2, 2, dtype=double, requires_grad=True),){mode})",
            f"gradcheck(product, (x, y), check_forward_ad=True{mode})",
            f"gradcheck(product, (x, y), check_forward_ad=True, check_batched_forward_grad=True{mode})",
            f"gradgradcheck(product, (x, y), check_fwd_over_rev=True{mode})",
            f"gradcheck(lambda a: (a * 3, (a > 0).long()), (x,), check_forward_ad=True{mode})",
            f"gradcheck(lambda a: a.t(), (x,), check_forward_ad=True, check_backward_ad=False{mode})",
            f"gradcheck(dented, (x,), check_forward_ad=True{mode})",
            f"gradcheck(dented, (x,), check_forward_ad=True, raise_exception=False{mode})",
            f"gradgradcheck(lambda a: a * a, (x,), gen_non_contig_grad_outputs=True{mode})",
        ]
    return [
        *calls,
        "gradcheck(lambda a: a * 2, (x.detach().float().requires_grad_(),))",
        "gradcheck(lambda a: a, (x,), check_backward_ad=False)",
        "gradcheck(lambda a: a, (x,), check_batched_forward_grad=True)",
        "gradcheck(lambda a: a, (x,), check_backward_ad=False, check_forward_ad=True, check_batched_grad=True)",
        "gradgradcheck(lambda a: a, (x,), check_rev_over_rev=False)",
        "gradgradcheck(lambda a: a, (x,), check_rev_over_rev=False, check_fwd_over_rev=True)",
    ]


TESTING_SETUP = """
import numpy as np
from torch.testing import assert_allclose, assert_close, make_tensor
t = torch.tensor
nan, inf = float("nan"), float("inf")
def seeded(*args, **kwargs):
    torch.manual_seed(3)
    return make_tensor(*args, device="cpu", **kwargs)
"""

TESTING = r"""
assert_close(t([1.0, 2, 3]), t([1.0, 2, 4]))
assert_close(t([1.0, 2, 3]), t([1.0, 2, 3]))
assert_close(t([1.0]), t([1.000001]))
assert_close(t([1.0]).double(), t([1.000001]).double())
assert_close(t([[1, 2], [3, 4]]), t([[1, 2], [3, 5]]))
assert_close(t([[1.0, 2], [3, 0]]), t([[1.0, 2], [3, 0]]).double())
assert_close(t([[1.0, 2], [3, 0]]), t([[1.0, 2], [3, 0]]).double(), check_dtype=False)
assert_close(t(1.0), t(2.0))
assert_close(t(1), t(2))
assert_close(t([nan]), t([nan]))
assert_close(t([nan]), t([nan]), equal_nan=True)
assert_close(t([True, False]), t([True, True]))
assert_close(t([1.0]), t([1.0, 2]))
assert_close(1, 2)
assert_close(1.0, 1.1)
assert_close(1.0, 1)
assert_close(1.0, 1, check_dtype=False)
assert_close(0.0, 1e-9)
assert_close(1.0, 0.0)
assert_close(nan, nan)
assert_close(nan, nan, equal_nan=True)
assert_close(1 + 1j, 1 + 2j)
assert_close(None, None)
assert_close(None, 1)
assert_close(True, False)
assert_close(np.bool_(True), False)
assert_close([1, t([1.0])], [1, t([2.0])])
assert_close({"a": 1, "b": [t([1.0]), 3]}, {"a": 1, "b": [t([1.0]), 4]})
assert_close({"a": 1}, {"b": 1})
assert_close([1], [1, 2])
assert_close((1, 2), [1, 2])
assert_close([2, [1]], [1, [1, 2]])
assert_close("a", "a")
assert_close([1, "x"], [2, "x"])
assert_close(t([1.0]), [1.0])
assert_close(t(1.0), 1.0)
assert_close(np.array([1.0, 2]), np.array([1.0, 3]))
assert_close(np.float64(1), 1.5)
assert_close(t([1.0]), t([2.0]), rtol=1)
assert_close(t([1.0]), t([2.0]), atol=1)
assert_close(t([1.0]), t([2.0]), rtol=0, atol=1)
assert_close(t([1.0]), t([2.5]), rtol=0, atol=1)
assert_close(t([1.0]), t([2.0]), msg="mine")
assert_close(t([1.0]), t([2.0]), msg=lambda text: "before " + text)
assert_close(torch.ones(2, 3), torch.ones(3, 2).t(), check_stride=True)
assert_close(torch.ones(0), torch.ones(0, 3))
assert_close(t([inf, 1.0]), t([inf, 2.0]))
assert_close(t([inf, 1.0]), t([-inf, 2.0]))
assert_close(t([0.0, 1.0]), t([0.1, 1.0]))
assert_close(t([1.0]), t([0.0]))
assert_close(t([1.0], requires_grad=True), t([2.0]))
assert_close(t([200], dtype=torch.uint8), t([100], dtype=torch.uint8))
assert_close(t([1, 2]), t([1, 2]).int())
assert_allclose(t([1.0]), [1.0])
assert_allclose(t([1.0]), t([2.0]))
seeded(2, 3, dtype=torch.float32)
seeded((2, 3), dtype=torch.float64)
seeded([2, 3], dtype=torch.int64)
seeded(2, 3, dtype=torch.int8)
seeded(2, 3, dtype=torch.uint8)
seeded(2, 3, dtype=torch.bool)
seeded((), dtype=torch.float32)
seeded((0, 3), dtype=torch.float32)
seeded((2, 3), dtype=torch.float32, noncontiguous=True).stride()
seeded((1,), dtype=torch.float32, noncontiguous=True).stride()
seeded(4, dtype=torch.float32, low=0, high=1, requires_grad=True)
seeded(4, dtype=torch.float32, low=1, high=1)
seeded(4, dtype=torch.float32, low=2, high=1)
seeded(4, dtype=torch.float32, low=nan, high=1)
seeded(4, dtype=torch.float32, low=-1e40, high=1e40)
seeded(4, dtype=torch.float32, low=-3e38, high=3e38)
seeded(3, dtype=torch.float32, low=1e39, high=2e39)
seeded(3, dtype=torch.float32, exclude_zero=True, low=0, high=1e-45)
seeded(2, dtype=torch.float32, noncontiguous=True, memory_format=torch.contiguous_format)
seeded(3, dtype=torch.int32, requires_grad=True)
seeded(3, 4, dtype=torch.int32, low=-1, high=1, exclude_zero=True)
seeded(3, dtype=torch.uint8, low=-5, high=-1)
seeded(3, dtype=torch.uint8, low=250, high=1000)
seeded(3, dtype=torch.int64, low=-(2**63), high=2**63 - 1)
seeded(3, dtype=torch.int32, low=0.5, high=2.5)
"""


def encoded(value):
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).split(".")[-1]
        return {"shape": list(value.shape), "dtype": dtype, "grad": value.requires_grad, "values": value.tolist()}
    return [encoded(part) for part in value] if isinstance(value, (tuple, list)) else value


def answered(call, scope):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            answer = ["ok", encoded(eval(call, scope))]
        except Exception as error:
            answer = [type(error).__name__, str(error)]
    return [*answer, [[warning.category.__name__, str(warning.message)] for warning in caught]]


GROUPS = {
    "functional": (FUNCTIONAL_SETUP, functional()),
    "gradcheck": (GRADCHECK_SETUP, gradcheck()),
    "testing": (TESTING_SETUP, TESTING.strip().splitlines()),
}

if __name__ == "__main__":
    recorded = {}
    for name, (setup, calls) in GROUPS.items():
        scope = {"torch": torch}
        exec(setup, scope)
        recorded[name] = {"setup": setup, "answers": {call: answered(call, scope) for call in calls}}
    lines = []
    for name, group in recorded.items():
        rows = ",\n".join(f"  {json.dumps(call)}: {json.dumps(answer)}" for call, answer in group["answers"].items())
        lines.append(f' "{name}": {{"setup": {json.dumps(group["setup"])}, "answers": {{\n{rows}\n }}}}')
    target = pathlib.Path(__file__).with_name("mechanics.json")
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")
