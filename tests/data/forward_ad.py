"""Small programs in forward mode, for `torch` to be PyTorch or arcgrad: record_forward_ad.py and test_forward_ad.py run them.

Each is a function of `torch`, its `forward_ad`, and three float64 tensors: a, b of two elements, and m of shape [2, 3].
What it returns is reduced to text and lists by `plain`.
"""

import copy
import pickle


def tangent(fw, x):
    return fw.unpack_dual(x).tangent


def written(fw, x, write):
    """A dual tensor after a write to it, and its tangent."""
    dual = fw.make_dual(x.clone(), x.clone() * 10)
    write(dual)
    return dual


PROGRAMS = {
    # Packing and unpacking.
    "prints": lambda torch, fw, a, b, m: repr(fw.make_dual(a.float(), b.float())),
    "prints a matrix": lambda torch, fw, a, b, m: repr(fw.make_dual(m.float(), m.float())),
    "prints a number": lambda torch, fw, a, b, m: repr(fw.make_dual(a[0].float(), b[0].float())),
    "prints a history": lambda torch, fw, a, b, m: repr(fw.make_dual(a.float().requires_grad_(), b.float())),
    "is a view of its primal": lambda torch, fw, a, b, m: (fw.make_dual(a, b)._base is a, fw.make_dual(a, b).is_leaf),
    "its primal is a view too": lambda torch, fw, a, b, m: fw.unpack_dual(fw.make_dual(a, b)).primal._base is a,
    "the tangent itself": lambda torch, fw, a, b, m: tangent(fw, fw.make_dual(a, b)) is b,
    "a tangent laid out otherwise": lambda torch, fw, a, b, m: (
        tangent(fw, fw.make_dual(m.t(), m.reshape(3, 2))).stride(),
        m.t().stride(),
    ),
    "a tangent in a larger memory": lambda torch, fw, a, b, m: fw.make_dual(a[:1], b[1:]).as_strided((2,), (1,), 0),
    "another dtype": lambda torch, fw, a, b, m: tangent(fw, fw.make_dual(a, b.float())).dtype,
    "requires_grad_": lambda torch, fw, a, b, m: fw.make_dual(a, b).requires_grad_(),
    "not of integers": lambda torch, fw, a, b, m: fw.make_dual(a.long(), b),
    "not by truths": lambda torch, fw, a, b, m: fw.make_dual(a, b > 0),
    "not of another size": lambda torch, fw, a, b, m: fw.make_dual(a, m),
    "not broadcast": lambda torch, fw, a, b, m: fw.make_dual(a, b[0]),
    "not twice": lambda torch, fw, a, b, m: fw.make_dual(fw.make_dual(a, b), b),
    "not by a dual": lambda torch, fw, a, b, m: fw.make_dual(a, fw.make_dual(a, b)),
    "not nested": lambda torch, fw, a, b, m: fw.enter_dual_level(),
    "not at another level": lambda torch, fw, a, b, m: fw.make_dual(a, b, level=1),
    "not unpacked at another level": lambda torch, fw, a, b, m: fw.unpack_dual(fw.make_dual(a, b), level=1),
    "not left at another level": lambda torch, fw, a, b, m: fw.exit_dual_level(level=1),
    "copies have none": lambda torch, fw, a, b, m: (
        copy.copy(fw.make_dual(a, b)),
        copy.deepcopy(fw.make_dual(a, b)),
        pickle.loads(pickle.dumps(fw.make_dual(a, b))),
        fw.make_dual(a, b).data,
        fw.make_dual(a, b).detach(),
        torch.nn.Parameter(fw.make_dual(a, b)).detach(),
    ),
    "numbers come out": lambda torch, fw, a, b, m: (
        fw.make_dual(a, b).tolist(),
        fw.make_dual(a, b)[0].item(),
        float(fw.make_dual(a, b).sum()),
        fw.make_dual(a, b).numpy().tolist(),
    ),
    # Operations.
    "no tangent of an integer": lambda torch, fw, a, b, m: (
        tangent(fw, fw.make_dual(a, b).long()),
        tangent(fw, fw.make_dual(a, b) == a),
        tangent(fw, fw.make_dual(a, b).argmax()),
        tangent(fw, torch.zeros_like(fw.make_dual(a, b))),
    ),
    "zeros where it does not move": lambda torch, fw, a, b, m: (
        torch.round(fw.make_dual(a, b)),
        torch.sign(fw.make_dual(a, b)),
    ),
    "both outputs or one": lambda torch, fw, a, b, m: list(fw.make_dual(a, b).max(0)),
    "promotion": lambda torch, fw, a, b, m: fw.make_dual(a.float(), b.float()) * torch.ones(2, dtype=torch.float64),
    "to another dtype": lambda torch, fw, a, b, m: fw.make_dual(a, b).float(),
    "chosen": lambda torch, fw, a, b, m: torch.where(a > 1, fw.make_dual(a, b), 0.0),
    "one by one": lambda torch, fw, a, b, m: list(fw.make_dual(a, b)),
    "no out=": lambda torch, fw, a, b, m: torch.add(fw.make_dual(a, b), b, out=torch.zeros(2)),
    "no out= into a dual": lambda torch, fw, a, b, m: torch.add(a, b, out=fw.make_dual(a, b)),
    "no set_": lambda torch, fw, a, b, m: fw.make_dual(a, b).set_(torch.ones(2, dtype=torch.float64)),
    # Writes.
    "in place": lambda torch, fw, a, b, m: [
        written(fw, a, write)
        for write in (
            lambda x: x.mul_(2),
            lambda x: x.pow_(3),
            lambda x: x.exp_(),
            lambda x: x.zero_(),
            lambda x: x.fill_(5),
            lambda x: x.eq_(a),
            lambda x: x.copy_(b),
            lambda x: x.clamp_(max=1),
            lambda x: x.add_(fw.make_dual(b, a)),
        )
    ],
    "random numbers have zeros": lambda torch, fw, a, b, m: tangent(fw, written(fw, a, lambda x: x.uniform_())),
    "into a tensor without": lambda torch, fw, a, b, m: [
        b.clone().add_(fw.make_dual(a, b)),
        b.clone().mul_(fw.make_dual(a, b)),
        torch.zeros(2).copy_(fw.make_dual(a.float(), b.float())),
        torch.zeros(3, dtype=torch.float64).fill_(fw.make_dual(a, b)[0]),
    ],
    "the given tangent is written": lambda torch, fw, a, b, m: (fw.make_dual(a, b).mul_(2), a, b),
    "not the tangent of a sum's term": lambda torch, fw, a, b, m: ((fw.make_dual(a, b) + 1).mul_(2), b),
    "a copied tangent is a copy": lambda torch, fw, a, b, m: tangent(fw, m.clone().copy_(fw.make_dual(m, m))) is not m,
    # Views.
    "the tangent of a view is a view": lambda torch, fw, a, b, m: (
        tangent(fw, fw.make_dual(a, b)[1:])._base is b,
        tangent(fw, fw.make_dual(m, m.clone()).t()).stride(),
        tangent(fw, fw.make_dual(a, b).expand(3, 2)).stride(),
    ),
    "metadata in place": lambda torch, fw, a, b, m: [
        written(fw, m, write) for write in (lambda x: x.t_(), lambda x: x.unsqueeze_(0), lambda x: x.transpose_(0, 1))
    ],
}


def program(function):
    PROGRAMS[function.__name__.replace("_", " ")] = function
    return function


@program
def a_write_to_a_view_writes_its_base(torch, fw, a, b, m):
    dual = fw.make_dual(a, b)
    part = dual[:1]
    part *= 2
    return dual, part, tangent(fw, a)


@program
def a_write_to_the_base_writes_its_views(torch, fw, a, b, m):
    dual = fw.make_dual(a, b)
    part = dual[1]
    dual.mul_(3)
    part.add_(1)
    return dual, part


@program
def a_view_of_a_tensor_without_gives_it_zeros(torch, fw, a, b, m):
    base = torch.zeros(2, 3, dtype=torch.float64)
    base.t()[1].copy_(fw.make_dual(a, b))
    return base, base[0], base.t()


@program
def a_view_made_before_has_the_tangent_of_its_base(torch, fw, a, b, m):
    base = torch.zeros(2, dtype=torch.float64)
    part = base[1]
    base += fw.make_dual(a, b)
    return part, tangent(fw, part)._base is tangent(fw, base)


@program
def an_index_assignment(torch, fw, a, b, m):
    base = torch.zeros(2, dtype=torch.float64)
    base[0] = fw.make_dual(a, b)[1]
    return base


@program
def views_of_one_operation(torch, fw, a, b, m):
    dual = fw.make_dual(a, b)
    first, second = dual.unbind()
    first.mul_(2)
    return dual, first, second


@program
def a_detached_view_writes_numbers_only(torch, fw, a, b, m):
    dual = fw.make_dual(a, b)
    dual.detach().mul_(2)
    return dual


@program
def a_primal_writes_numbers_only(torch, fw, a, b, m):
    dual = fw.make_dual(a, b)
    primal, of_dual = fw.unpack_dual(dual)
    primal *= 2
    of_dual *= 3
    return dual, tangent(fw, primal)


@program
def detach_in_place(torch, fw, a, b, m):
    return fw.make_dual(a, b).clone().detach_()


@program
def a_new_shape_in_data(torch, fw, a, b, m):
    dual = fw.make_dual(a, b)
    dual.data = b * 2
    return dual


# Modes.
@program
def no_grad_keeps_tangents(torch, fw, a, b, m):
    with torch.no_grad():
        dual = fw.make_dual(a, b.clone().requires_grad_())
        return dual * 2, dual[0]


@program
def the_switch_does_not(torch, fw, a, b, m):
    dual = fw.make_dual(a, b)
    with fw._set_fwd_grad_enabled(False):
        inside = dual * 2
        unpacked = fw.unpack_dual(dual)
        made = fw.make_dual(a, b)
        state = fw._is_fwd_grad_enabled()
    return inside, unpacked.tangent, made, fw.unpack_dual(made).primal, state, fw._is_fwd_grad_enabled()


@program
def inference_mode_has_no_tangents(torch, fw, a, b, m):
    dual = fw.make_dual(a, b)
    with torch.inference_mode():
        inside = dual * 2
        unpacked = tangent(fw, dual)
        made = fw.make_dual(torch.ones(2), torch.ones(2))
        view = made._is_view()
    return inside, unpacked, view, tangent(fw, made), tangent(fw, dual)


@program
def inference_tensors_outside(torch, fw, a, b, m):
    with torch.inference_mode():
        x = torch.ones(2, dtype=torch.float64)
    return fw.make_dual(x, b) * 2, fw.make_dual(a, x) * 2


# With backward passes.
@program
def gradients_have_tangents(torch, fw, a, b, m):
    dual = fw.make_dual(a.requires_grad_(), b)
    return torch.autograd.grad((dual.exp() * dual**3).sum(), dual)[0]


@program
def gradients_with_create_graph_have_tangents(torch, fw, a, b, m):
    a.requires_grad_()
    (fw.make_dual(a, b) ** 3).sum().backward(create_graph=True)
    return a.grad.detach(), tangent(fw, a.grad).detach()


@program
def the_gradient_of_a_leaf_has_none(torch, fw, a, b, m):
    a.requires_grad_()
    (fw.make_dual(a, b) ** 3).sum().backward()
    return a.grad


@program
def a_retained_gradient_has_one(torch, fw, a, b, m):
    dual = fw.make_dual(a.requires_grad_(), b)
    dual.retain_grad()
    (dual**3).sum().backward()
    return dual.grad


@program
def a_leaf_that_was_written_to(torch, fw, a, b, m):
    a.requires_grad_()
    with torch.no_grad():
        a.mul_(fw.make_dual(torch.ones(2, dtype=torch.float64), b))
    return a.detach(), tangent(fw, a), torch.autograd.grad((a**3).sum(), a)[0]


@program
def in_place_and_backward(torch, fw, a, b, m):
    a.requires_grad_()
    x = fw.make_dual(a, b) * 1
    x[0].mul_(3)
    x.exp_()
    return torch.autograd.grad(x.sum(), a)[0], x.detach(), tangent(fw, x).detach()


@program
def tangents_that_require_gradients(torch, fw, a, b, m):
    a.requires_grad_()
    b.requires_grad_()
    t = tangent(fw, (fw.make_dual(a, b) ** 3).exp().sum())
    return [g.detach() for g in torch.autograd.grad(t, (a, b))]


@program
def values_and_tangents_have_histories_of_their_own(torch, fw, a, b, m):
    value, t = fw.unpack_dual(fw.make_dual(a.requires_grad_(), b.requires_grad_()))
    of = [torch.autograd.grad(y.sum(), (a, b), allow_unused=True) for y in (value, t)]
    return [*of[0], *of[1]]


@program
def not_a_write_to_a_tangent_that_is_a_leaf(torch, fw, a, b, m):
    return fw.make_dual(a, b.requires_grad_()).mul_(2)


@program
def saved_tensor_hooks_see_no_tangents(torch, fw, a, b, m):
    dual = fw.make_dual(a.requires_grad_(), b)
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x):
        y = (dual.exp() * dual).sum()
    return torch.autograd.grad(y, dual)[0]


def run(torch, fw):
    """The answer of each program, by its name."""
    answers = {}
    for name, function in PROGRAMS.items():
        a = torch.tensor([0.5, 2.0], dtype=torch.float64)
        b = torch.tensor([3.0, -1.0], dtype=torch.float64)
        m = torch.arange(6, dtype=torch.float64).reshape(2, 3)
        try:
            with fw.dual_level():
                answers[name] = plain(torch, fw, function(torch, fw, a, b, m))
        except Exception as error:
            answers[name] = f"{type(error).__name__}: {error}"
    return answers


def plain(torch, fw, value):
    if isinstance(value, torch.Tensor):
        primal, t = fw.unpack_dual(value)
        described = [primal.tolist(), str(primal.dtype).rsplit(".", 1)[-1], primal.requires_grad]
        return described if t is None else [*described, "tangent", *plain(torch, fw, t)]
    if isinstance(value, (list, tuple)):
        return [plain(torch, fw, x) for x in value]
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    return str(value).rsplit(".", 1)[-1]
