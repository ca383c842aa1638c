"""Every misuse that users rely on: the exception's class, and the stable part of PyTorch's sentence."""

import copy

import pytest

import arcgrad as torch


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def twice():
    y = leaf(1.0).exp().sum()
    y.backward()
    y.backward()


def saved_then_modified():
    x = leaf(1.0)
    y = x.exp()
    y.add_(1)
    y.sum().backward()


def one_of_several_views():
    a, _ = (leaf(1.0, 2.0) * 1).unbind()
    a.mul_(2)


RUNTIME = [
    (
        "non-scalar root",
        lambda: (leaf(1.0, 2.0) * 2).backward(),
        "grad can be implicitly created only for scalar outputs",
    ),
    (
        "non-scalar output of grad",
        lambda: torch.autograd.grad(leaf(1.0, 2.0) * 2, leaf(1.0)),
        "grad can be implicitly created only for scalar outputs",
    ),
    ("backward twice", twice, "Trying to backward through the graph a second time"),
    ("no history", lambda: torch.ones(()).backward(), "does not require grad and does not have a grad_fn"),
    (
        "no history, in grad",
        lambda: torch.autograd.grad(torch.ones(()), leaf(1.0)),
        "does not require grad and does not have a grad_fn",
    ),
    (
        "in-place on a leaf",
        lambda: leaf(1.0).add_(1),
        "a leaf Variable that requires grad is being used in an in-place operation",
    ),
    ("saved tensor modified", saved_then_modified, "has been modified by an inplace operation"),
    ("saved tensor modified, versions", saved_then_modified, "is at version 1; expected version 0"),
    (
        "requires_grad on integers",
        lambda: torch.tensor([1, 2], requires_grad=True),
        "Only Tensors of floating point and complex dtype can require gradients",
    ),
    (
        "requires_grad on bool",
        lambda: torch.zeros(2, dtype=torch.bool, requires_grad=True),
        "Only Tensors of floating point and complex dtype can require gradients",
    ),
    (
        "requires_grad_ on integers",
        lambda: torch.tensor([1, 2]).requires_grad_(),
        "only Tensors of floating point dtype can require gradients",
    ),
    (
        "grad_outputs of another shape",
        lambda: torch.autograd.grad(leaf(1.0, 2.0) * 2, leaf(1.0), torch.ones(3)),
        r"Mismatch in shape: grad_output\[0\]",
    ),
    (
        "gradient of another shape",
        lambda: (leaf(1.0, 2.0) * 2).backward(torch.ones(3)),
        r"Mismatch in shape: grad_output\[0\]",
    ),
    (
        "unused input",
        lambda: torch.autograd.grad(leaf(1.0).sum(), leaf(1.0)),
        "appears to not have been used in the graph",
    ),
    ("no inputs of grad", lambda: torch.autograd.grad(leaf(1.0).sum(), []), "cannot be empty"),
    ("no inputs of backward", lambda: leaf(1.0).sum().backward(inputs=[]), "cannot be empty"),
    (
        "numpy of a tensor that requires grad",
        lambda: leaf(1.0).numpy(),
        r"Can't call numpy\(\) on Tensor that requires grad",
    ),
    (
        "shapes that do not broadcast",
        lambda: torch.ones(2, 3) + torch.ones(2),
        "must match the size of tensor b",
    ),
    ("the same, in place", lambda: torch.ones(2, 3).mul_(torch.ones(2)), "must match the size of tensor b"),
    ("shapes of a product", lambda: torch.ones(2, 3) @ torch.ones(2, 3), "shapes cannot be multiplied"),
    (
        "dtypes of a product",
        lambda: torch.ones(2, 3) @ torch.ones(3, 2, dtype=torch.float64),
        "expected m1 and m2 to have the same dtype",
    ),
    ("gather out of range", lambda: torch.ones(3).gather(0, torch.tensor([3])), "out of bounds"),
    ("negative size", lambda: torch.zeros(-1), "Dimension size must be non-negative"),
    ("view of a transpose", lambda: torch.ones(2, 3).T.view(6), "view size is not compatible"),
    (
        "view of another size",
        lambda: torch.ones(2, 3).view(5),
        r"shape '\[5\]' is invalid for input of size 6",
    ),
    (
        "a result that does not fit",
        lambda: torch.ones(2, dtype=torch.int64).add_(1.5),
        "can't be cast to the desired output type",
    ),
    ("one of several views", one_of_several_views, "is a view and is being modified inplace"),
    (
        "write to an expanded tensor",
        lambda: torch.ones(1).expand(2).add_(1),
        "more than one element of the written-to tensor",
    ),
    (
        "truth of many",
        lambda: bool(torch.ones(2)),
        "Boolean value of Tensor with more than one value is ambiguous",
    ),
    ("truth of none", lambda: bool(torch.ones(0)), "Boolean value of Tensor with no values is ambiguous"),
    ("item of many", lambda: torch.ones(2).item(), "cannot be converted to Scalar"),
    (
        "a window of no line",
        lambda: torch.nn.functional.conv2d(torch.ones(1, 2, 5, 5), torch.ones(3, 2, 0, 3)),
        "kernel size should be greater than zero, but got kernel_height: 0 kernel_width: 3",
    ),
    (
        "a window of none",
        lambda: torch.nn.functional.conv_transpose1d(torch.ones(1, 2, 5), torch.ones(2, 3, 0)),
        "kernel size should be greater than zero, but got kernel_height: 1 kernel_width: 0",
    ),
    (
        "a window of no depth",
        lambda: torch.nn.functional.conv3d(torch.ones(1, 2, 5, 5, 5), torch.ones(3, 2, 0, 3, 3)),
        "kernel size should be greater than zero, but got: 0 x 3 x 3",
    ),
    (
        "a window of no line that is too wide",
        lambda: torch.nn.functional.conv2d(torch.ones(1, 2, 5, 5), torch.ones(3, 2, 0, 9)),
        r"Kernel size: \(0 x 9\)\. Kernel size can't be greater than actual input size",
    ),
    ("integer division by zero", lambda: torch.tensor([1]) // 0, "ZeroDivisionError"),
    ("integer remainder by zero", lambda: torch.tensor([1]) % torch.tensor([0]), "ZeroDivisionError"),
    (
        "deepcopy of a non-leaf",
        lambda: copy.deepcopy(leaf(1.0) * 2),
        "Only Tensors created explicitly by the user",
    ),
    ("a size that overflows", lambda: torch.zeros(2**40, 2**40), "Storage size calculation overflowed"),
    ("bytes that overflow", lambda: torch.zeros(2**62), "Storage size calculation overflowed"),
    ("an impossible allocation", lambda: torch.empty(2**50), "can't allocate memory"),
    ("strides that overflow", lambda: torch.zeros(0, 2**62, 2**62), "Stride calculation overflowed"),
    ("repeated dims", lambda: torch.ones(2, 2).sum((0, 0)), "appears multiple times in the list of dims"),
    ("mean of integers", lambda: torch.tensor([1, 2]).mean(), "could not infer output dtype"),
    (
        "negative integer power",
        lambda: torch.tensor([1, 2]) ** -1,
        "Integers to negative integer powers are not allowed",
    ),
    ("step zero", lambda: torch.arange(0, 1, 0), "step must be nonzero"),
    ("rounding mode", lambda: torch.div(torch.ones(1), 2, rounding_mode="up"), "rounding_mode"),
    (
        "subtraction of bools",
        lambda: torch.tensor([True]) - torch.tensor([True]),
        "bool tensors is not supported",
    ),
    ("negation of a bool", lambda: -torch.tensor([True]), "bool tensor is not supported"),
    (
        "cat of unequal shapes",
        lambda: torch.cat([torch.ones(1, 2), torch.ones(1, 3)]),
        "Sizes of tensors must match except in",
    ),
    (
        "stack of unequal shapes",
        lambda: torch.stack([torch.ones(2), torch.ones(3)]),
        "stack expects each tensor to be equal",
    ),
    ("expand of a wide dim", lambda: torch.ones(2).expand(3), "must match the existing size"),
    (
        "mask of another dtype",
        lambda: torch.ones(2).masked_fill(torch.tensor([1, 0]), 0),
        "only supports boolean masks",
    ),
]


@pytest.mark.parametrize(("call", "message"), [r[1:] for r in RUNTIME], ids=[r[0] for r in RUNTIME])
def test_runtime_errors_carry_pytorchs_sentence(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


OTHERS = [
    (
        "index out of range",
        IndexError,
        lambda: torch.ones(2)[2],
        "index 2 is out of bounds for dimension 0 with size 2",
    ),
    ("negative index out of range", IndexError, lambda: torch.ones(2)[-3], "out of bounds"),
    (
        "too many indices",
        IndexError,
        lambda: torch.ones(2)[0, 0],
        "too many indices for tensor of dimension 1",
    ),
    (
        "bad dim",
        IndexError,
        lambda: torch.ones(2).sum(1),
        r"Dimension out of range \(expected to be in range of \[-1, 0\]",
    ),
    (
        "index by float tensor",
        IndexError,
        lambda: torch.ones(2)[torch.tensor([0.5])],
        "must be long, int, byte or bool",
    ),
    ("index of zero dims", IndexError, lambda: torch.tensor(1)[0], "invalid index of a 0-dim tensor"),
    (
        "mask of another shape",
        IndexError,
        lambda: torch.ones(2)[torch.tensor([True] * 3)],
        r"The shape of the mask \[3\] at index 0 does not match",
    ),
    (
        "index arrays that do not broadcast",
        IndexError,
        lambda: torch.ones(2, 2)[torch.tensor([0, 1]), torch.tensor([0, 1, 0])],
        "could not be broadcast together",
    ),
    (
        "embedding out of range",
        IndexError,
        lambda: torch.nn.functional.embedding(torch.tensor([3]), torch.ones(3, 2)),
        "index out of range",
    ),
    ("class out of range", IndexError, lambda: cross_entropy(5), "Target 5 is out of bounds"),
    ("negative step", ValueError, lambda: torch.ones(2)[::-1], "step must be greater than zero"),
    (
        "ragged data",
        ValueError,
        lambda: torch.tensor([[1], [1, 2]]),
        "expected sequence of length 1 at dim 1",
    ),
    ("a string operand", TypeError, lambda: torch.ones(2) + "a", r"unsupported operand type\(s\) for \+"),
    ("no operand", TypeError, lambda: torch.add(torch.ones(1)), "add"),
    ("an unknown keyword", TypeError, lambda: torch.zeros(2, shape=3), "unexpected keyword argument 'shape'"),
    ("a string size", TypeError, lambda: torch.zeros("2"), "must be tuple of ints, not str"),
    ("a float size", TypeError, lambda: torch.zeros(1.5), "must be tuple of ints, not float"),
    ("an int that does not fit", TypeError, lambda: torch.zeros(2**63), "size"),
    ("a number for a tensor", TypeError, lambda: torch.tanh(1), "must be Tensor, not int"),
    ("a dtype by name", TypeError, lambda: torch.zeros(1, dtype="float32"), "must be torch.dtype, not str"),
    ("length of zero dims", TypeError, lambda: len(torch.tensor(1)), "len\\(\\) of a 0-d tensor"),
    ("iteration over zero dims", TypeError, lambda: iter(torch.tensor(1)), "iteration over a 0-d tensor"),
    (
        "an unknown attribute",
        AttributeError,
        lambda: torch.ones(1).no_such_thing,
        "no attribute 'no_such_thing'",
    ),
    (
        "deletion of an item",
        TypeError,
        lambda: torch.ones(1).__delitem__(0),
        "does not support deleting items",
    ),
]


def cross_entropy(label):
    return torch.nn.functional.cross_entropy(torch.ones(1, 3), torch.tensor([label]))


@pytest.mark.parametrize(("error", "call", "message"), [r[1:] for r in OTHERS], ids=[r[0] for r in OTHERS])
def test_other_errors_carry_pytorchs_class_and_sentence(error, call, message):
    with pytest.raises(error, match=message):
        call()


def test_an_error_leaves_the_graph_usable():
    x = leaf(1.0, 2.0)
    y = x * x
    with pytest.raises(RuntimeError):
        y.backward()
    with pytest.raises(RuntimeError):
        y.backward(torch.ones(3))
    y.backward(torch.ones(2))
    assert x.grad.tolist() == [2, 4]


def test_a_failed_backward_leaves_other_graphs_and_the_next_pass_alone():
    x = leaf(1.0)
    y = x.exp()
    z = x * 3
    y.add_(1)
    with pytest.raises(RuntimeError):
        y.sum().backward()
    z.sum().backward()
    assert x.grad.tolist() == [3]


GRADIENT_LOST = {
    "add alpha": lambda t: torch.add(torch.ones(2), torch.ones(2), alpha=t),
    "add_ alpha": lambda t: torch.ones(2).add_(torch.ones(2), alpha=t),
    "sub alpha": lambda t: torch.sub(torch.ones(2), torch.ones(2), alpha=t),
    "rsub alpha": lambda t: torch.rsub(torch.ones(2), torch.ones(2), alpha=t),
    "addcmul value": lambda t: torch.addcmul(torch.ones(2), torch.ones(2), torch.ones(2), value=t),
    "addmm beta": lambda t: torch.addmm(torch.ones(2, 2), torch.ones(2, 2), torch.ones(2, 2), beta=t),
    "index_add alpha": lambda t: torch.ones(2).index_add(0, torch.tensor([0]), torch.ones(1), alpha=t),
    "scatter value": lambda t: torch.ones(2).scatter(0, torch.tensor([0]), value=t),
    "full": lambda t: torch.full((2,), t),
    "full_like": lambda t: torch.full_like(torch.ones(2), t),
    "arange": lambda t: torch.arange(t),
    "dist p": lambda t: torch.dist(torch.ones(2), torch.ones(2), t),
    "norm p": lambda t: torch.norm(torch.ones(2), t),
    "vector_norm ord": lambda t: torch.linalg.vector_norm(torch.ones(2), t),
    "renorm maxnorm": lambda t: torch.renorm(torch.ones(2, 2), 2, 0, t),
    "nan_to_num nan": lambda t: torch.nan_to_num(torch.ones(2), t),
    "normal_ mean": lambda t: torch.ones(2).normal_(t, 1.0),
    "threshold": lambda t: torch.threshold(torch.ones(2), t, 1.0),
    "hardtanh limit": lambda t: torch.nn.functional.hardtanh(torch.ones(2), t, 3.0),
    "leaky_relu slope": lambda t: torch.nn.functional.leaky_relu(torch.ones(2), t),
    "layer_norm eps": lambda t: torch.nn.functional.layer_norm(torch.ones(2), (2,), eps=t),
}


@pytest.mark.parametrize("call", GRADIENT_LOST.values(), ids=GRADIENT_LOST)
def test_a_tensor_that_wants_a_gradient_is_no_number(call):
    call(torch.tensor(2.0))
    with pytest.raises(TypeError):
        call(torch.tensor(2.0, requires_grad=True))
    with torch.no_grad(), pytest.raises(TypeError):
        call(torch.tensor(2.0, requires_grad=True))
    with pytest.raises(TypeError):
        call(torch.ones(1))


def test_an_argument_that_can_only_be_named_has_no_position_in_errors():
    with pytest.raises(TypeError, match=r"^add\(\): argument 'alpha' must be Number, not Tensor$"):
        torch.add(torch.ones(2), torch.ones(2), alpha=leaf(1.0).sum())
    with pytest.raises(TypeError, match=r"^full\(\): argument 'fill_value' \(position 2\) must be Number, not Tensor$"):
        torch.full((2,), leaf(1.0).sum())


def test_a_tensor_without_dimensions_is_scattered_with_its_gradient():
    t = torch.tensor(2.0, requires_grad=True)
    y = torch.zeros(3).scatter(0, torch.tensor([1]), t)
    y.backward(torch.tensor([1.0, 5.0, 1.0]))
    assert y.tolist() == [0, 2, 0]
    assert t.grad.item() == 5
    with pytest.raises(RuntimeError, match="to be no larger"):
        torch.zeros(3).scatter(0, torch.tensor([0, 1]), t)
