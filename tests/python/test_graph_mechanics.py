"""Hooks on every place of the graph, nodes that are called, edges, and cycles through Python that are collected.

Each fact holds of PyTorch 2.13 too, except where a comment says otherwise.
"""

import gc
import weakref

import pytest

import arcgrad as torch
from arcgrad.autograd.graph import GradientEdge, get_gradient_edge, register_multi_grad_hook


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_hooks_run_tensor_first_then_node_then_after_the_leaf_has_its_gradient():
    x = leaf(1.0)
    accumulator = x.view_as(x).grad_fn.next_functions[0][0]
    log = []
    x.register_post_accumulate_grad_hook(lambda p: log.append(("accumulated", p.grad.item())))
    accumulator.register_hook(lambda inputs, outputs: log.append(("after", inputs, outputs[0].item())))
    accumulator.register_prehook(lambda grads: (log.append("before"), (grads[0] * 3,))[1])
    x.register_hook(lambda g: (log.append("tensor"), g * 2)[1])
    x.sum().backward()
    assert log == ["tensor", "before", ("accumulated", 6.0), ("after", (), 6.0)]


def test_a_hook_is_told_of_a_pass_that_brings_its_tensor_nothing():
    parts = leaf(1.0, 2.0).unbind()
    seen = []
    parts[0].register_hook(lambda g: seen.append(g))
    parts[1].backward()
    assert seen == [None]


def test_a_kept_gradient_is_the_one_that_hooks_left():
    y = leaf(1.0) * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 5)
    y.sum().backward()
    assert y.grad.tolist() == [5.0]


def test_hooks_of_a_leaf_survive_new_data_of_another_shape():
    x = leaf(1.0)
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    x.data = torch.ones(2)
    x.sum().backward()
    assert seen == [[1.0, 1.0]]


def test_a_hook_on_all_of_several_tensors_is_called_once_with_all_gradients():
    x, y, unused = leaf(1.0) * 1, leaf(1.0) * 1, leaf(1.0) * 1
    seen = []
    register_multi_grad_hook([x, unused, y], lambda grads: seen.append([g and g.item() for g in grads]))
    (x * 2 + y * 3).sum().backward()
    assert seen == [[2.0, None, 3.0]]


def test_a_hook_on_any_of_several_tensors_is_called_once_with_one_gradient():
    x, y = leaf(1.0) * 1, leaf(1.0) * 1
    seen = []
    register_multi_grad_hook([x, y], lambda grad: seen.append(grad.item()), mode="any")
    (x * 2 + y * 3).sum().backward()
    assert seen in ([2.0], [3.0])


def test_gradients_are_had_at_an_edge_and_from_one():
    x = leaf(3.0)
    y = x * x
    edge = get_gradient_edge(y)
    z = (y * 2).sum()
    assert torch.autograd.grad(z, edge, retain_graph=True)[0].tolist() == [2.0]
    assert torch.autograd.grad(edge, x)[0].tolist() == [6.0]


def test_an_edge_to_an_output_that_a_node_does_not_have_is_refused():
    # PyTorch says that it was not used in the graph.
    x = leaf(3.0)
    with pytest.raises(RuntimeError, match="MulBackward0 has 1 outputs, and none has the number 7"):
        torch.autograd.grad((x * x).sum(), GradientEdge((x * 2).grad_fn, 7))


def test_a_node_can_be_called_alone():
    y = leaf(2.0) ** 2
    assert y.grad_fn(torch.tensor([1.0])).tolist() == [4.0]
    with pytest.raises(TypeError, match=r"expected .* arguments, got .* instead"):
        y.grad_fn()


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


def holding(*things):
    """A hook that changes nothing and holds these."""

    def hook(*grads):
        assert things

    return hook


def cycle(place, token):
    """Make a tensor that leads to itself through Python, and forget it."""
    x = leaf(1.0)
    y = x * 2
    if place == "hook on a tensor":
        y.register_hook(holding(token, y))
    elif place == "hook on a leaf":
        x.register_hook(holding(token, x))
    elif place == "hook on a node":
        y.grad_fn.register_hook(holding(token, y))
    elif place == "hook on a leaf's node":
        y.grad_fn.next_functions[0][0].register_hook(holding(token, x))
    elif place == "metadata":
        y.grad_fn.metadata["kept"] = (token, y)
    elif place == "metadata of a leaf's node":
        x.node = y.grad_fn.next_functions[0][0]
        x.node.metadata["kept"] = (token, x)
    elif place == "context":
        z = Twice.apply(x)
        z.grad_fn.kept = (token, z)
    elif place == "hook further down":
        z = y * 3 * 4
        y.register_hook(holding(token, z))
        z.grad_fn  # noqa: B018 (whoever asks for a node may lead back from it)


@pytest.mark.parametrize(
    "place",
    [
        "hook on a tensor",
        "hook on a leaf",
        "hook on a node",
        "hook on a leaf's node",
        "metadata",
        "metadata of a leaf's node",
        "context",
        "hook further down",
    ],
)
def test_a_cycle_through_python_is_collected(place):
    class Token:
        pass

    token = Token()
    alive = weakref.ref(token)
    cycle(place, token)
    del token
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("place", ["register_hook", "register_prehook"])
def test_a_hook_on_a_leafs_node_goes_with_the_graphs_that_lead_there(place):
    x = leaf(1.0)
    (x * 4).sum().backward()
    y = x * 2
    z = x * 5
    seen = []
    getattr(y.grad_fn.next_functions[0][0], place)(lambda *grads: seen.append(len(grads)))
    del y
    z.sum().backward()
    count = len(seen)
    assert count == 1
    del z
    (x * 3).sum().backward()
    assert len(seen) == count
    assert x.grad.tolist() == [12.0]


RESHAPED = {
    "t_": lambda x: x.t_(),
    "transpose_": lambda x: x.transpose_(0, 1),
    "swapaxes_": lambda x: x.swapaxes_(0, 1),
    "unsqueeze_": lambda x: x.unsqueeze_(0),
    "squeeze_": lambda x: x.squeeze_(0),
    "as_strided_": lambda x: x.as_strided_((3, 3), (0, 1)),
    "data": lambda x: setattr(x, "data", torch.ones(4)),
    "set_": lambda x: x.set_(torch.ones(5)),
}


@pytest.mark.parametrize("before", ["nothing", "backward", "hook", "graph"])
@pytest.mark.parametrize("owner", ["leaf", "leaf that is a view"])
@pytest.mark.parametrize("change", RESHAPED)
def test_a_leaf_of_another_shape_has_gradients_of_that_shape(change, owner, before):
    x = (torch.ones(1, 3) if owner == "leaf" else torch.ones(6)[3:].view(1, 3)).requires_grad_()
    shapes, kept = [], []
    if before == "backward":
        (x * 2).sum().backward()
        x.grad = None
    elif before == "hook":
        x.register_hook(lambda g: shapes.append(tuple(g.shape)))
    elif before == "graph":
        kept.append(x * 3)
    with torch.no_grad():
        RESHAPED[change](x)
    (x * 2).sum().backward()
    assert x.grad.shape == x.shape
    assert x.grad.tolist() == torch.full(tuple(x.shape), 2.0).tolist()
    if before == "hook" and change != "set_":
        assert shapes == [tuple(x.shape)]


@pytest.mark.parametrize("keep", ["hook", "metadata", "context"])
def test_what_a_living_graph_owns_is_not_collected(keep):
    x = leaf(1.0)
    y = Twice.apply(x) if keep == "context" else x * 2
    seen = []
    if keep == "hook":
        y.register_hook(lambda g: seen.append(g.item()))
    elif keep == "metadata":
        y.grad_fn.metadata["kept"] = 1
    z = y.sum()
    del y
    gc.collect()
    z.backward()
    assert x.grad.tolist() == [2.0]
    assert seen == ([1.0] if keep == "hook" else [])


def test_thousands_of_tensors_are_made_while_the_collector_runs():
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        kept = [torch.ones(2, requires_grad=True) * i for i in range(2000)]
    finally:
        gc.set_threshold(*before)
    assert kept[1999].sum().item() == 3998


def test_nodes_are_nodes_without_deriving_from_the_public_class():
    Node = torch.autograd.graph.Node
    node = torch.rand(2, requires_grad=True).exp().grad_fn
    assert isinstance(node, Node)
    assert issubclass(type(node), Node)
    assert Node not in type(node).mro()
    assert isinstance(node.next_functions[0][0], Node)
    assert issubclass(torch.autograd.function.BackwardCFunction, Node)
    assert not isinstance(None, Node)
    assert not isinstance(type(node), Node)


def test_a_leaf_that_was_set_to_another_tensor_is_no_longer_part_of_older_graphs():
    x = torch.rand(2, requires_grad=True)
    edge = torch.autograd.graph.get_gradient_edge(x)
    out = x.clone()
    with torch.no_grad():
        x.set_(torch.rand(2))
    with pytest.raises(RuntimeError, match="to not have been used in the graph"):
        torch.autograd.grad(out.sum(), x, retain_graph=True)
    assert torch.autograd.grad(out.sum(), edge)[0].tolist() == [1.0, 1.0]
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_weak_reference_follows_the_tensor_not_its_object():
    t = torch.rand(2)
    reference = torch._C._WeakTensorRef(t)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(torch.rand(2), t)
        del t
        assert not reference.expired()
        del dual
        assert reference.expired()


def test_a_hook_hears_of_a_missing_gradient_and_cannot_make_one_up():
    heard = []
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(heard.append)
    torch._C._functions.UndefinedGrad()(y).sum().backward()
    assert heard == [None]
    assert x.grad is None

    z = x * 2
    z.register_hook(lambda g: torch.full((2,), 5.0))
    with pytest.raises(RuntimeError, match="can't replace a None gradient with a non-None value"):
        torch._C._functions.UndefinedGrad()(z).sum().backward()


ROWS = torch.tensor([0, 2, 1])
# Operations that know places or classes, which a pass frees with everything else that was saved.
KNOWING = {
    "index": lambda x: x[ROWS],
    "two indices": lambda x: x[ROWS, ROWS],
    "mask": lambda x: x[x.detach() > 1],
    "index_select": lambda x: x.index_select(0, ROWS),
    "take": lambda x: x.take(ROWS),
    "masked_select": lambda x: x.masked_select(x.detach() > 1),
    "index_put": lambda x: x.index_put((ROWS,), x.detach()[:3]),
    "index_put of a source": lambda x: x.detach().index_put((ROWS,), x[:3], accumulate=True),
    "index_add": lambda x: x.detach().index_add(0, ROWS, x[:3]),
    "index_copy": lambda x: x.index_copy(0, ROWS, x.detach()[:3]),
    "index_fill": lambda x: x.index_fill(0, ROWS, 2.0),
    "put": lambda x: x.put(ROWS, x.detach()[0, :3]),
    "masked_scatter": lambda x: x.masked_scatter(x.detach() > 1, x.detach()),
    "repeat_interleave": lambda x: x.repeat_interleave(torch.tensor([1, 2, 0, 1]), 0),
    "embedding": lambda x: torch.nn.functional.embedding(ROWS, x),
    "nll_loss": lambda x: torch.nn.functional.nll_loss(x, torch.tensor([0, 1, 2, 3])),
}


@pytest.mark.parametrize("name", KNOWING)
def test_a_second_pass_over_places_and_classes_is_refused_as_over_tensors(name):
    x = torch.arange(24.0).reshape(4, 6).div(10).requires_grad_()
    y = KNOWING[name](x)
    g = torch.ones_like(y)
    y.backward(g, retain_graph=True)
    first = x.grad.clone()
    y.backward(g)
    assert x.grad.equal(2 * first)
    with pytest.raises(RuntimeError, match="Specify retain_graph=True"):
        y.backward(g)


def test_a_second_pass_over_an_assignment_by_index_is_refused():
    b = torch.randn(3, requires_grad=True)
    c = torch.zeros(3)
    c[[1, 2]] = b[[1, 1]]
    c.sum().backward()
    with pytest.raises(RuntimeError, match="Specify retain_graph=True"):
        c.sum().backward()


def test_a_hook_of_a_node_sees_gradients_shaped_and_typed_as_the_inputs():
    x, row = torch.ones(2, 3, requires_grad=True), torch.ones(3, requires_grad=True, dtype=torch.float64)
    y = x * row
    seen = []
    y.grad_fn.register_hook(lambda inputs, outputs: seen.append([(g.shape, g.dtype) for g in inputs]))
    y.sum().backward()
    assert seen == [[((2, 3), torch.float32), ((3,), torch.float64)]]
