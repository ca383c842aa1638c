"""Beyond PyTorch: after PyTorch's sentence, a message says what was given, by which op, and the mend."""

import pytest

import arcgrad as torch


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def twice():
    y = leaf(1.0).exp().sum()
    y.backward()
    y.backward()


def written_after_it_was_saved():
    y = leaf(1.0).exp()
    y.mul_(2)
    y.sum().backward()


MESSAGES = [
    ("both shapes and the op", lambda: torch.ones(2, 3) + torch.ones(4), ["[2, 3]", "[4]", "add"]),
    (
        "both shapes and the op, of mul",
        lambda: torch.ones(5, 3) * torch.ones(2, 1, 4),
        ["[5, 3]", "[2, 1, 4]", "mul"],
    ),
    ("both shapes of a product", lambda: torch.ones(2, 3) @ torch.ones(4, 5), ["[2, 3]", "[4, 5]"]),
    (
        "both shapes and dtypes of a product",
        lambda: torch.ones(2, 3) @ torch.ones(3, 2, dtype=torch.float64),
        ["float32", "float64", "to("],
    ),
    ("both shapes of batches", lambda: torch.ones(2, 2, 3) @ torch.ones(3, 3, 4), ["[2, 2, 3]", "[3, 3, 4]"]),
    ("the shape and strides of a view", lambda: torch.ones(2, 3).T.view(6), ["[3, 2]", "[6]", "reshape"]),
    ("the shape that was indexed", lambda: torch.ones(2, 3)[0, 7], ["[2, 3]", "7"]),
    (
        "the shapes to be joined",
        lambda: torch.cat([torch.ones(1, 2), torch.ones(1, 3)]),
        ["[1, 2]", "[1, 3]"],
    ),
    ("the shape of a root", lambda: (leaf(1.0, 2.0) * 2).backward(), ["[2]", "sum()"]),
    ("both shapes of a gradient", lambda: (leaf(1.0, 2.0) * 2).backward(torch.ones(3)), ["[2]", "[3]"]),
    ("the node that was freed, and the mend", twice, ["ExpBackward0", "retain_graph=True"]),
    ("who saved, who wrote, and the mend", written_after_it_was_saved, ["ExpBackward0", "mul_", "clone()"]),
    ("the mend of a leaf written in place", lambda: leaf(1.0).add_(1), ["add_", "no_grad"]),
    ("the mend of numpy", lambda: leaf(1.0).numpy(), ["detach()"]),
    ("the mend of an expanded target", lambda: torch.ones(1).expand(3).add_(1), ["clone()"]),
    (
        "which input was not used",
        lambda: torch.autograd.grad((a := leaf(1.0)).sum(), [a, leaf(2.0)]),
        ["1", "allow_unused"],
    ),
    ("the dtypes of a cast", lambda: torch.tensor([1]).add_(1.5), ["float32", "int64", "add_"]),
    ("the size of an impossible allocation", lambda: torch.empty(2**50), [str(4 * 2**50)]),
    ("the dtype and the mend of a mean", lambda: torch.tensor([1, 2]).mean(), ["int64", "dtype"]),
]


@pytest.mark.parametrize(("call", "parts"), [pytest.param(*m[1:], id=m[0]) for m in MESSAGES])
def test_messages_say_what_was_given_by_which_op_and_the_mend(call, parts):
    with pytest.raises((RuntimeError, IndexError)) as caught:
        call()
    missing = [p for p in parts if p not in str(caught.value)]
    assert not missing, str(caught.value)
