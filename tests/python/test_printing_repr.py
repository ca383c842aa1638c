"""A few whole reprs: the tail that tells grad_fn and dtype, and tensors shown inside other text."""

import pytest

import arcgrad as torch


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: torch.tensor([1.0, 2.5]), "tensor([1.0000, 2.5000])"),
        (lambda: torch.tensor([1, 2]), "tensor([1, 2])"),
        (lambda: torch.tensor(3.5, dtype=torch.float64), "tensor(3.5000, dtype=torch.float64)"),
        (lambda: torch.tensor([True]), "tensor([True])"),
        (lambda: torch.tensor([1], dtype=torch.int8), "tensor([1], dtype=torch.int8)"),
        (lambda: torch.zeros(0), "tensor([])"),
        (lambda: torch.zeros(2, 0), "tensor([], size=(2, 0))"),
        (lambda: torch.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
        (lambda: torch.ones(2, requires_grad=True) + 1, "tensor([2., 2.], grad_fn=<AddBackward0>)"),
        (lambda: torch.eye(2), "tensor([[1., 0.],\n        [0., 1.]])"),
    ],
)
def test_repr_is_pytorchs(make, text):
    # The module is printed under its own name where a dtype is shown.
    assert repr(make()).replace(torch.__name__ + ".", "torch.") == text


def test_str_and_repr_agree():
    x = torch.tensor([1.0, 2.0])
    assert str(x) == repr(x)


def test_a_size_prints_as_torch_size():
    assert repr(torch.zeros(2, 3).shape).rsplit(".", maxsplit=1)[-1] == "Size([2, 3])"
    assert str(torch.zeros(()).shape).rsplit(".", maxsplit=1)[-1] == "Size([])"


def test_a_node_prints_its_name_and_address():
    y = torch.ones(2, requires_grad=True) * 2
    assert repr(y.grad_fn).startswith("<MulBackward0 object at 0x")
    assert repr(y.grad_fn).endswith(">")


def test_printing_changes_nothing():
    y = torch.ones(2, requires_grad=True) * 2
    repr(y)
    assert y._version == 0
    y.sum().backward()
