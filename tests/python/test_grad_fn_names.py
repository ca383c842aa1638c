"""The name of the node that each differentiable expression leaves behind, as PyTorch recorded it."""

import json
import pathlib

import pytest

import arcgrad as torch

DATA = pathlib.Path(__file__).parent.parent / "data"
RECORDED = json.loads((DATA / "grad_fn_names.json").read_text())


def plain(name):
    """The last part of `torch::autograd::AccumulateGrad`: the rest is where PyTorch's C++ class lives."""
    return name.rsplit("::", maxsplit=1)[-1]


@pytest.fixture(scope="module")
def scope():
    names = {"torch": torch}
    for name, expression in RECORDED["inputs"].items():
        names[name] = eval(expression, names)
    return names


@pytest.mark.parametrize("expression", RECORDED["names"])
def test_the_node_has_pytorchs_name(expression, scope):
    node = eval(expression, scope).grad_fn
    assert plain(node.name()) == RECORDED["names"][expression][0]
    assert type(node).__name__ in (node.name(), plain(node.name()))
    assert node.name() in repr(node) or plain(node.name()) in repr(node)


TO_LEAVES = [e for e, (_, *before) in RECORDED["names"].items() if set(before) == {"AccumulateGrad"}]


@pytest.mark.parametrize("expression", TO_LEAVES)
def test_the_edges_lead_to_the_leaves_in_the_order_of_the_arguments(expression, scope):
    node = eval(expression, scope).grad_fn
    before = [n for n, _ in node.next_functions if n is not None]
    assert [plain(n.name()) for n in before] == RECORDED["names"][expression][1:]
    leaves = [scope[name] for name in ("x", "y", "v", "b", "img", "ker") if scope[name].grad_fn is None]
    assert all(any(n.variable is leaf for leaf in leaves) for n in before)
