"""Tensors print as PyTorch prints them: character for character, as recorded in tests/data/printing.json."""

import json
from pathlib import Path

import pytest

import arcgrad
from arcgrad._tensor_str import _format, _str, get_printoptions, set_printoptions

RECORDS = json.loads((Path(__file__).parents[1] / "data" / "printing.json").read_text())
# The prefix of a dtype's name is the package's; everything else of the text is PyTorch's.
PREFIX = str(arcgrad.float32).rsplit(".", 1)[0]


@pytest.fixture(autouse=True)
def default_options():
    set_printoptions(profile="default")
    yield
    set_printoptions(profile="default")


def build(record):
    dtype = getattr(arcgrad, record["dtype"])
    values = record["values"]
    if isinstance(values, int):
        flat = arcgrad.arange(values, dtype=dtype)
    else:
        flat = arcgrad.tensor([float(v) if isinstance(v, str) else v for v in values], dtype=dtype)
    return flat.reshape(record["shape"]).requires_grad_(record["requires_grad"])


@pytest.mark.parametrize("dtype", sorted({record["dtype"] for record in RECORDS}))
def test_every_recorded_tensor_prints_as_recorded(dtype):
    if not hasattr(arcgrad, dtype):
        pytest.skip(f"no dtype {dtype}")
    wrong = []
    for record in RECORDS:
        if record["dtype"] == dtype:
            set_printoptions(profile="default")
            set_printoptions(**record["options"])
            expected = record["text"].replace("dtype=torch.", f"dtype={PREFIX}.")
            text = _str(build(record))
            if text != expected:
                wrong.append((record["options"], expected, text))
    assert wrong == []


def test_repr_and_str_are_that_text():
    x = arcgrad.tensor([[1.0, -2.5]], requires_grad=True)
    assert repr(x) == str(x) == _str(x) == "tensor([[ 1.0000, -2.5000]], requires_grad=True)"


def test_the_tail_names_the_operation():
    x = arcgrad.tensor([1.0, 2.0], requires_grad=True)
    assert _str(x + 1) == "tensor([2., 3.], grad_fn=<AddBackward0>)"
    assert _str(x * 2) == "tensor([2., 4.], grad_fn=<MulBackward0>)"
    assert _str(x.sum()) == "tensor(3., grad_fn=<SumBackward0>)"


def test_printing_records_nothing():
    x = arcgrad.ones(2000, requires_grad=True)
    y = x * 2
    before = y.grad_fn
    _str(y)
    assert y.grad_fn is before
    assert x.grad is None


def test_a_tensor_without_dimensions_formats_as_its_number():
    assert f"{arcgrad.tensor(2.5):.3f}" == "2.500"
    assert f"{arcgrad.tensor(7):>4}" == "   7"
    assert f"{arcgrad.tensor(2.5, requires_grad=True):.1f}" == "2.5"
    assert _format(arcgrad.tensor(True), "") == "True"


def test_other_tensors_take_no_format():
    x = arcgrad.ones(2)
    assert _format(x, "") == str(x)
    with pytest.raises(TypeError):
        _format(x, ".3f")


def test_options_stay_until_changed():
    set_printoptions(precision=2, edgeitems=1)
    set_printoptions(threshold=5)
    assert get_printoptions() == {
        "precision": 2,
        "threshold": 5,
        "edgeitems": 1,
        "linewidth": 80,
        "sci_mode": None,
    }
    assert _str(arcgrad.arange(6.0)) == "tensor([0.,  ..., 5.])"
