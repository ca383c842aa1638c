"""`__torch_function__`, modes and subclasses: who is asked about a call, in which order, and what the results are.

The sentences and the names of functions are PyTorch 2.13's answers to the same programs.
"""

import copy
import operator
import pickle
import subprocess
import sys
import threading

import pytest

import arcgrad as torch
from arcgrad.overrides import (
    TorchFunctionMode,
    get_default_nowrap_functions,
    handle_torch_function,
    has_torch_function,
    is_tensor_like,
    is_tensor_method_or_property,
    resolve_name,
    wrap_torch_function,
)
from arcgrad.testing._internal.logging_tensor import LoggingTensor, capture_logs


class Plain(torch.Tensor):
    """A subclass that overrides nothing."""


class Derived(Plain):
    """A subclass of it."""


def plain(values=(1.0, 2.0), kind=Plain):
    return torch.tensor(list(values)).as_subclass(kind)


class Recording(TorchFunctionMode):
    """Notes what it is asked about, and lets it happen."""

    def __init__(self):
        self.names = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.names.append(resolve_name(func))
        return func(*args, **(kwargs or {}))


# What PyTorch names the function of an operator by.
OPERATORS = [
    ("__add__", lambda a: a + a, "add"),
    ("__radd__", lambda a: 3 + a, "add"),
    ("__iadd__", lambda a: operator.iadd(a, 2), "add_"),
    ("__sub__", lambda a: a - a, "sub"),
    ("__rsub__", lambda a: 3 - a, "__rsub__"),
    ("__isub__", lambda a: operator.isub(a, 2), "sub_"),
    ("__mul__", lambda a: a * a, "mul"),
    ("__rmul__", lambda a: 3 * a, "mul"),
    ("__imul__", lambda a: operator.imul(a, 2), "mul_"),
    ("__truediv__", lambda a: a / a, "div"),
    ("__rtruediv__", lambda a: 3 / a, "__rtruediv__"),
    ("__itruediv__", lambda a: operator.itruediv(a.double(), 2), "div_"),
    ("__floordiv__", lambda a: a // a, "__floordiv__"),
    ("__ifloordiv__", lambda a: operator.ifloordiv(a, 2), "floor_divide_"),
    ("__mod__", lambda a: a % a, "remainder"),
    ("__rmod__", lambda a: 3 % a, "__rmod__"),
    ("__imod__", lambda a: operator.imod(a, 2), "remainder_"),
    ("__and__", lambda a: a & a, "__and__"),
    ("__rand__", lambda a: 3 & a, "bitwise_and"),
    ("__ior__", lambda a: operator.ior(a, 2), "__ior__"),
    ("__rxor__", lambda a: 3 ^ a, "bitwise_xor"),
    ("__lshift__", lambda a: a << a, "__lshift__"),
    ("__pow__", lambda a: a**a, "__pow__"),
    ("__rpow__", lambda a: 3**a, "__rpow__"),
    ("__matmul__", lambda a: a @ a, "matmul"),
    ("__neg__", lambda a: -a, "neg"),
    ("__pos__", lambda a: +a, "positive"),
    ("__abs__", abs, "abs"),
    ("__invert__", lambda a: ~a, "__invert__"),
    ("__lt__", lambda a: a < a, "lt"),
    ("__eq__", lambda a: a == a, "__eq__"),
    ("__getitem__", lambda a: a[0], "__getitem__"),
    ("__setitem__", lambda a: operator.setitem(a, 0, 1), "__setitem__"),
    ("__len__", len, "__len__"),
    ("__contains__", lambda a: 4 in a, "__contains__"),
    ("__bool__", lambda a: bool(a[0]), "__bool__"),
    ("__float__", lambda a: float(a[0]), "__float__"),
    ("__int__", lambda a: int(a[0]), "__int__"),
    ("__index__", lambda a: operator.index(a[0]), "__index__"),
    ("__complex__", lambda a: complex(a[0]), "__complex__"),
    ("__repr__", repr, "__repr__"),
    ("__format__", lambda a: format(a[0], "d"), "__format__"),
    ("T", lambda a: a.T, "T.__get__"),
]


@pytest.mark.parametrize(("slot", "call", "name"), OPERATORS, ids=[case[0] for case in OPERATORS])
def test_a_mode_is_told_of_an_operator_by_pytorchs_name(slot, call, name):
    a = torch.tensor([4, 5])
    with Recording() as mode:
        call(a)
    assert mode.names[-1] == f"torch.Tensor.{name}"


def test_what_is_made_of_a_subclass_is_of_the_subclass():
    x = plain()
    made = [
        x + 1,
        1 + x,
        torch.sin(x),
        x.sum(),
        x[0],
        -x,
        x == x,
        x.unbind()[0],
        x.max(0).values,
        torch.cat([x, torch.ones(2)]),
    ]
    assert [type(y) for y in made] == [Plain] * len(made)
    assert type(x.max(0)) is type(torch.ones(2).max(0))
    assert [type(y) for y in x] == [Plain, Plain]
    assert repr(x) == "Plain([1., 2.])"
    assert type(x.shape) is torch.Size


def test_a_subclass_is_differentiated_and_its_gradient_is_a_plain_tensor():
    x = plain().detach().requires_grad_()
    y = (x * x).sum()
    assert type(y) is Plain
    y.backward()
    assert type(x.grad) is torch.Tensor
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_tensor_and_its_subclass_form_share_data_and_history():
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    x = (w * 3).as_subclass(Plain)
    x.sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]
    with pytest.raises(TypeError, match="derived from Tensor"):
        w.as_subclass(int)


def test_of_two_classes_the_more_derived_is_asked_first_wherever_it_stands():
    assert type(plain() + plain(kind=Derived)) is Derived
    assert type(torch.add(plain(kind=Derived), plain())) is Derived


def test_a_parameter_makes_tensors_and_leaves_subclasses_their_say():
    parameter = torch.nn.Parameter(torch.ones(2))
    assert type(parameter * 2) is torch.Tensor
    assert type(parameter * plain()) is Plain
    assert type(plain() * parameter) is Plain


def test_a_class_that_refuses_gives_the_call_to_the_next_and_all_refusing_is_an_error():
    class Refuses(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    x = plain(kind=Refuses)
    with pytest.raises(TypeError, match=r"Multiple dispatch failed for 'torch.add'; all __torch_function__ handlers"):
        torch.add(x, 1)
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \+: 'Refuses' and 'int'"):
        x + 1

    class Willing:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return sorted(t.__name__ for t in types)

    assert torch.add(x, Willing()) == ["Refuses", "Willing"]


def test_an_error_inside_a_handler_reaches_the_caller_and_leaves_no_mode_behind():
    class Fails(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            raise KeyError("mine")

    a = torch.ones(2)
    with pytest.raises(KeyError, match="mine"), Fails():
        a.add(1)
    assert (a + 1).tolist() == [2.0, 2.0]


def test_a_class_that_is_no_tensor_takes_calls_in_a_process_without_subclasses():
    program = (
        "import arcgrad as torch\n"
        "class Duck:\n"
        "    @classmethod\n"
        "    def __torch_function__(cls, func, types, args=(), kwargs=None):\n"
        "        return func.__name__, len(args)\n"
        "print(torch.add(Duck(), 1), torch.ones(2).mul(Duck()))\n"
        "try: torch.add(object(), 1)\n"
        "except TypeError as e: print('argument' in str(e))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[:2] == ["('add', 2) ('mul', 2)", "True"]


def test_modes_nest_and_the_inner_ones_calls_go_outwards():
    order = []

    class Named(TorchFunctionMode):
        def __init__(self, name):
            self.name = name

        def __torch_function__(self, func, types, args=(), kwargs=None):
            order.append(self.name)
            return func(*args, **(kwargs or {}))

    a = torch.ones(2)
    with Named("outer"), Named("inner"):
        a + 1
    assert order == ["inner", "outer"]
    a + 1
    assert order == ["inner", "outer"]


def test_a_mode_is_its_threads_alone():
    with Recording() as mode:
        other = threading.Thread(target=lambda: torch.ones(2).add(1))
        other.start()
        other.join()
    assert mode.names == []


def test_a_mode_may_answer_in_a_functions_place():
    class Zero(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return 0 if func is torch.Tensor.mul else func(*args, **(kwargs or {}))

    a = torch.ones(2)
    with Zero():
        assert a.mul(3) == 0
        assert a.add(3).tolist() == [4.0, 4.0]


def test_subclasses_and_modes_can_be_left_out():
    x = plain()
    with torch._C.DisableTorchFunctionSubclass():
        assert type(x + 1) is torch.Tensor
    assert type(x + 1) is Plain
    with Recording() as mode:
        with torch._C.DisableTorchFunction():
            x + 1
        assert mode.names == []


def test_keyword_arguments_reach_the_handler_by_name():
    seen = {}

    class Keeps(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            seen.update(kwargs or {})
            return super().__torch_function__(func, types, args, kwargs)

    torch.add(plain(kind=Keeps), other=1, alpha=3)
    assert {k: v for k, v in seen.items() if k in ("other", "alpha")} == {"other": 1, "alpha": 3}


def test_a_python_function_is_made_overridable():
    @wrap_torch_function(lambda x, scale: (x,))
    def scaled(x, scale):
        return x * scale

    class Tells:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func is scaled

    assert scaled(Tells(), 2) is True
    assert scaled(torch.ones(1), 2).item() == 2.0
    assert not has_torch_function([torch.ones(1), 3])
    assert has_torch_function([Tells()])
    assert handle_torch_function(scaled, [Tells()], 1, 2) is True
    assert is_tensor_like(Tells())
    assert not is_tensor_like(3)


def test_functions_have_pytorchs_names():
    assert resolve_name(torch.add) == "torch.add"
    assert resolve_name(torch.Tensor.add) == "torch.Tensor.add"
    assert resolve_name(torch.Tensor.grad.__get__) == "torch.Tensor.grad.__get__"
    assert resolve_name(len) is None
    assert is_tensor_method_or_property(torch.Tensor.add)
    assert not is_tensor_method_or_property(torch.add)
    assert torch.Tensor.grad.__get__ in get_default_nowrap_functions()


def test_a_logging_tensor_follows_the_program_and_tells_of_it():
    x = LoggingTensor(torch.ones(2), requires_grad=True)
    with capture_logs() as lines:
        y = (x * 3).sum()
    assert isinstance(y, LoggingTensor)
    assert [line.split(" = ")[1].split("(")[0].split(".")[-1] for line in lines] == ["mul", "sum"]
    names = [line.split(" = ")[0] for line in lines]
    assert lines[1].endswith(f"({names[0]})")
    y.backward()
    assert x.grad.tolist() == [3.0, 3.0]
    with capture_logs() as silent:
        pass
    x + 1
    assert silent == []


class Tagged(torch.nn.Parameter):
    """A parameter whose constructor takes more than a parameter's."""

    def __new__(cls, data, tag=None):
        return super().__new__(cls, data)

    def __init__(self, data, tag=None):
        self.tag = tag


def test_subclasses_and_their_attributes_survive_copies_and_pickles():
    x = plain()
    x.tag = "mine"
    for again in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert type(again) is Plain
        assert again.tag == "mine"
        assert again.tolist() == [1.0, 2.0]
    p = Tagged(torch.ones(2), "t")
    for again in (copy.copy(p), pickle.loads(pickle.dumps(p))):
        assert isinstance(again, torch.nn.Parameter)
        assert again.tag == "t"
        assert again.requires_grad
    t = torch.ones(2)
    t.tag = 1
    assert copy.copy(t).tag == 1


def test_a_handler_can_leave_its_class_and_call_itself_plain():
    class Leaves(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            args = [a.as_subclass(torch.Tensor) if isinstance(a, cls) else a for a in args]
            return func(*args, **(kwargs or {}))

    y = plain(kind=Leaves) + 1
    assert type(y) is torch.Tensor
    assert y.tolist() == [2.0, 3.0]
    assert type(plain().as_subclass(torch.Tensor)) is torch.Tensor

    class Parameter(torch.nn.Parameter):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return super().__torch_function__(func, types, args, kwargs)

    z = Parameter(torch.ones(2)) + 1
    assert type(z) is torch.Tensor
    assert z.tolist() == [2.0, 2.0]


def test_a_refusal_is_an_error_wherever_there_is_no_other_operand_to_ask():
    class Refuses(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    x = torch.zeros(3).as_subclass(Refuses)

    def add_in_place():
        y = x
        y += 1

    for call, name in [
        (lambda: x[0], "Tensor.__getitem__"),
        (lambda: x.reshape(3), "Tensor.reshape"),
        (lambda: x.shape, "Tensor.shape.__get__"),
        (add_in_place, "Tensor.add_"),
        (lambda: torch.add(x, 1), "add"),
    ]:
        with pytest.raises(TypeError, match=rf"Multiple dispatch failed for 'torch.{name}'") as caught:
            call()
        assert caught.type is TypeError


def test_writing_and_deleting_an_attribute_is_a_call_too():
    class Frozen(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func.__name__ in ("__set__", "__delete__"):
                raise PermissionError(func.__self__.__name__)
            return super().__torch_function__(func, types, args, kwargs)

    x = plain(kind=Frozen)
    with pytest.raises(PermissionError, match="data"):
        x.data = torch.zeros(2)
    with pytest.raises(PermissionError, match="requires_grad"):
        x.requires_grad = True
    with pytest.raises(PermissionError, match="grad"):
        del x.grad
    assert x.tolist() == [1.0, 2.0]


def test_hooks_of_a_pass_run_outside_of_the_mode_that_was_told_of_the_pass():
    class Doubles(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            answer = func(*args, **(kwargs or {}))
            return answer * 2 if getattr(func, "__name__", "") == "mul" else answer

    leaves = [torch.ones(300, 300, requires_grad=True) for _ in range(6)]
    products = [x @ x for x in leaves]
    for y in products:
        y.register_hook(lambda g: g * 1.0)
    with Doubles():
        torch.autograd.backward(sum(y.sum() for y in products))
    assert [int(x.grad[0, 0]) for x in leaves] == [600] * 6


def test_a_python_function_goes_to_the_mode_each_time_and_leaves_it_in_force():
    @wrap_torch_function(lambda x: (x,))
    def doubled(x):
        return x * 2

    seen = []

    class Sees(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            seen.append(func is doubled)
            return func(*args, **(kwargs or {}))

    with Sees():
        first, second = doubled(torch.ones(1)), doubled(torch.ones(1))
    assert [first.item(), second.item()] == [2.0, 2.0]
    assert seen.count(True) == 2


def test_what_a_custom_function_returns_keeps_its_class_and_attributes():
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x * 2
            y.label = "twice"
            return y, x.view(2), x

        @staticmethod
        def backward(ctx, *grads):
            return grads[0] * 2

    class Boxing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone().as_subclass(Derived)

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = plain().requires_grad_()
    outputs = Twice.apply(x)
    assert [type(y) for y in outputs] == [Plain] * 3
    assert outputs[0].label == "twice"
    assert all(y.grad_fn is not None for y in outputs)
    leaf = torch.ones(2, requires_grad=True)
    y = Boxing.apply(leaf)
    assert type(y) is Derived
    y.sum().backward()
    assert type(leaf.grad) is torch.Tensor


def test_a_gradient_to_start_from_has_no_say_in_the_class_of_the_gradients():
    x = torch.ones(2, requires_grad=True)
    (g,) = torch.autograd.grad(x * 2, x, plain())
    assert type(g) is torch.Tensor
    s = plain().requires_grad_()
    (g,) = torch.autograd.grad((s * 2).sum(), s)
    assert type(g) is Plain


# Functions that are written in Python in PyTorch, too, or are taken as a whole there.
WHOLE = {
    "relu": lambda F, x: F.relu(x),
    "relu in place": lambda F, x: F.relu(x, inplace=True),
    "gelu": lambda F, x: F.gelu(x, approximate="tanh"),
    "softmax": lambda F, x: F.softmax(x, dim=0),
    "rrelu": lambda F, x: F.rrelu(x),
    "dropout": lambda F, x: F.dropout(x),
    "mse_loss": lambda F, x: F.mse_loss(torch.ones(2, 2), x),
    "cross_entropy": lambda F, x: F.cross_entropy(x, torch.tensor([0, 1])),
    "binary_cross_entropy": lambda F, x: F.binary_cross_entropy(x, x),
    "normalize": lambda F, x: F.normalize(x),
    "embedding": lambda F, x: F.embedding(torch.tensor([0]), x),
    "linear": lambda F, x: F.linear(x, torch.ones(2, 2)),
    "scaled_dot_product_attention": lambda F, x: F.scaled_dot_product_attention(x, x, x),
}


@pytest.mark.parametrize("name", WHOLE)
def test_functions_of_nn_functional_are_taken_as_a_whole_under_their_own_names(name):
    functional = torch.nn.functional
    asked = []

    class Asked(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            asked.append(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    x = torch.full((2, 2), 0.5).as_subclass(Asked)
    answer = WHOLE[name](functional, x)
    assert asked == [getattr(functional, name.split()[0])]
    assert type(answer) is Asked
    with Recording() as mode:
        WHOLE[name](functional, torch.full((2, 2), 0.5))
    assert len(mode.names) >= 1


def test_a_handler_may_answer_for_a_function_written_in_python():
    class Answering(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func is torch.nn.functional.cross_entropy:
                return "entropy", kwargs
            if func is torch.einsum:
                return args[0]
            if func is torch.linalg.norm:
                return NotImplemented
            return super().__torch_function__(func, types, args, kwargs or {})

    x = torch.ones(2, 2).as_subclass(Answering)
    assert torch.nn.functional.cross_entropy(x, torch.tensor([0, 1]), reduction="sum") == (
        "entropy",
        {"reduction": "sum"},
    )
    assert torch.nn.CrossEntropyLoss()(x, torch.tensor([0, 1]))[0] == "entropy"
    assert torch.einsum("ij->i", x) == "ij->i"
    with pytest.raises(TypeError, match="all __torch_function__ handlers returned NotImplemented"):
        torch.linalg.norm(x)


def test_autograd_grad_is_told_of_by_its_public_name_and_in_its_order():
    told = []

    class Told(torch.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            told.append(func)
            return super().__torch_function__(func, types, args, kwargs or {})

    x = torch.ones(2).as_subclass(Told).requires_grad_()
    y = torch.ones(2, requires_grad=True)
    told.clear()
    gradients = torch.autograd.grad(x.sum(), [x, y], allow_unused=True, materialize_grads=True)
    assert torch.autograd.grad in told
    assert [g.tolist() for g in gradients] == [[1, 1], [0, 0]]


def test_functions_stay_what_they_are_when_they_begin_to_ask():
    program = """
import inspect, pickle
import arcgrad as torch
from arcgrad.nn.functional import leaky_relu, relu

before = inspect.signature(leaky_relu), leaky_relu.__doc__, pickle.dumps(relu)
assert leaky_relu.__code__.co_argcount == 3

class Asked(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func

x = torch.ones(2).as_subclass(Asked)
assert relu(x) is relu is torch.nn.functional.relu
assert (inspect.signature(leaky_relu), leaky_relu.__doc__, pickle.dumps(relu)) == before
assert leaky_relu(torch.tensor([-2.0]), 0.5).tolist() == [-1.0]
assert leaky_relu(input=torch.tensor([-2.0]), negative_slope=0.5).tolist() == [-1.0]
try:
    leaky_relu()
except TypeError as error:
    assert "leaky_relu() missing 1 required positional argument: 'input'" in str(error)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_names_of_functions_written_in_python():
    assert resolve_name(torch.nn.functional.relu) == "torch.nn.functional.relu"
    assert resolve_name(torch.einsum) == "torch.functional.einsum"
    assert resolve_name(torch.linalg.matrix_norm) == "torch.linalg.matrix_norm"
