"""The graph and its backward pass: leaves, nodes, accumulation, every option of backward and grad."""

import math

import pytest

import arcgrad as torch
from agreement import assert_equals, waves


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_requires_grad_spreads_from_any_input():
    x, c = leaf(1.0), torch.tensor([2.0])
    assert (x + c).requires_grad
    assert (c + x).requires_grad
    assert not (c + c).requires_grad
    assert not (x > c).requires_grad
    assert not x.argmax().requires_grad


def test_leaves_are_tensors_without_a_node():
    x = leaf(1.0)
    y = x * 2
    assert x.is_leaf
    assert torch.ones(2).is_leaf
    assert not y.is_leaf
    assert y.detach().is_leaf
    assert x.grad_fn is None
    assert y.grad_fn is not None


def test_requires_grad_can_be_set_on_leaves_alone():
    x = torch.ones(2)
    assert x.requires_grad_() is x
    assert x.requires_grad
    x.requires_grad = False
    assert not x.requires_grad
    y = x.requires_grad_() * 2
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        y.requires_grad = False
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        y.requires_grad_(False)


def test_the_graph_is_walked_through_next_functions():
    x = leaf(1.0)
    y = (x * 2).exp().sum()
    names, node = [], y.grad_fn
    while node is not None:
        names.append(node.name().rsplit("::", maxsplit=1)[-1])
        node = node.next_functions[0][0] if node.next_functions else None
    assert names == ["SumBackward0", "ExpBackward0", "MulBackward0", "AccumulateGrad"]


def test_a_node_is_the_same_object_each_time_and_knows_the_leaf():
    x = leaf(1.0)
    y = x * 2
    assert y.grad_fn is y.grad_fn
    accumulate, slot = y.grad_fn.next_functions[0]
    assert slot == 0
    assert accumulate.variable is x
    assert accumulate.next_functions == ()
    assert (x * 3).grad_fn.next_functions[0][0] is accumulate


def test_outputs_of_one_op_share_its_node_and_are_numbered():
    a, b = leaf(1.0, 2.0).unbind()
    assert a.grad_fn is b.grad_fn
    assert (a.output_nr, b.output_nr) == (0, 1)
    assert (a + b).grad_fn.next_functions[1] == (b.grad_fn, 1)


def test_backward_accumulates_into_grad_and_never_overwrites_it():
    x = leaf(3.0)
    (x * x).backward(torch.tensor([1.0]))
    assert x.grad.tolist() == [6]
    first = x.grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [12]
    assert x.grad is first
    x.grad = None
    (x * 5).sum().backward()
    assert x.grad.tolist() == [5]


def test_two_uses_of_one_tensor_add_their_gradients():
    x = leaf(2.0)
    (x * x * x + x).sum().backward()
    assert x.grad.tolist() == [13]
    y = leaf(1.0)
    torch.cat([y, y, y]).sum().backward()
    assert y.grad.tolist() == [3]


def test_a_diamond_runs_each_node_once_with_the_whole_gradient():
    x = leaf(0.5)
    h = x.exp()
    (h.sin() * h.cos() + h).sum().backward()
    h = h.item()
    assert x.grad.item() == pytest.approx(h * (math.cos(2 * h) + 1), rel=1e-6)


def test_the_gradient_argument_is_the_vector_of_the_product():
    x = leaf(1.0, 2.0, 3.0)
    (x * x).backward(torch.tensor([1.0, 10.0, 100.0]))
    assert x.grad.tolist() == [2, 40, 600]
    x.grad = None
    (x * x).backward(gradient=torch.ones(3))
    assert x.grad.tolist() == [2, 4, 6]


def test_autograd_backward_takes_several_roots():
    x = leaf(1.0, 2.0)
    torch.autograd.backward([(x * 2).sum(), x * 3], [None, torch.ones(2)])
    assert x.grad.tolist() == [5, 5]
    x.grad = None
    torch.autograd.backward((x * 2).sum())
    assert x.grad.tolist() == [2, 2]
    x.grad = None
    torch.autograd.backward([x * 2], grad_tensors=[torch.ones(2)])
    assert x.grad.tolist() == [2, 2]


def test_backward_frees_what_was_saved_unless_asked_to_retain_it():
    x = leaf(2.0)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == pytest.approx(2 * 7.389056, rel=1e-6)
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_a_graph_that_saved_nothing_may_run_again():
    x = leaf(2.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [2]


def test_inputs_limits_where_gradients_accumulate():
    x, w = leaf(2.0), leaf(3.0)
    y = (x * w).sum()
    y.backward(inputs=[w])
    assert x.grad is None
    assert w.grad.tolist() == [2]
    h = leaf(1.0) * 2
    h.retain_grad()
    (h * 3).sum().backward(inputs=h)
    assert h.grad.tolist() == [3]


def test_inputs_may_not_be_empty():
    with pytest.raises(RuntimeError, match="cannot be empty"):
        leaf(1.0).sum().backward(inputs=[])


def test_retain_grad_keeps_the_gradient_of_an_inner_tensor():
    x = leaf(2.0)
    h = x * 3
    assert not h.retains_grad
    h.retain_grad()
    h.retain_grad()
    (h * h).sum().backward()
    assert h.retains_grad
    assert h.grad.tolist() == [12]
    assert x.grad.tolist() == [36]
    x.retain_grad()
    assert not x.retains_grad
    with pytest.raises(RuntimeError, match="can't retain_grad on Tensor that has requires_grad=False"):
        torch.ones(1).retain_grad()


def test_the_grad_of_an_inner_tensor_is_none_and_says_so():
    y = leaf(1.0) * 2
    with pytest.warns(UserWarning, match="not a leaf Tensor is being accessed"):
        assert y.grad is None


def test_grad_may_be_assigned_if_it_fits():
    x = leaf(1.0, 2.0)
    g = torch.ones(2)
    x.grad = g
    assert x.grad is g
    (x * 2).sum().backward()
    assert x.grad.tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="attempting to assign a gradient"):
        x.grad = torch.ones(3)
    with pytest.raises(RuntimeError, match="attempting to assign a gradient"):
        x.grad = torch.ones(2, dtype=torch.float64)
    with pytest.raises(TypeError, match="assigned grad expected to be a Tensor or None"):
        x.grad = 1.0
    with pytest.raises(RuntimeError, match="can't assign Variable as its own grad"):
        x.grad = x
    del x.grad
    assert x.grad is None


def test_gradients_have_the_dtype_and_shape_of_their_tensor():
    x = torch.ones(1, 3, requires_grad=True)
    (x * torch.ones(4, 3, dtype=torch.float64)).sum().backward()
    assert x.grad.dtype is torch.float32
    assert tuple(x.grad.shape) == (1, 3)


def test_gradients_do_not_require_grad_unless_a_graph_is_asked_for():
    x = leaf(2.0)
    (x**3).sum().backward()
    assert not x.grad.requires_grad
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    assert g.requires_grad
    assert g.grad_fn is not None


def test_a_gradient_is_not_shared_between_two_leaves():
    x, y = leaf(1.0, 1.0), leaf(1.0, 1.0)
    (x + y).sum().backward()
    x.grad.add_(10)
    assert y.grad.tolist() == [1, 1]


def test_the_vector_given_to_backward_is_not_changed_by_accumulation():
    x = leaf(1.0, 1.0)
    v = torch.ones(2)
    for _ in range(2):
        (x + 0).backward(v)
    assert v.tolist() == [1, 1]
    x.grad.zero_()
    assert v.tolist() == [1, 1]


def test_autograd_grad_returns_a_tuple_and_touches_no_grad():
    x, w = leaf(2.0), leaf(3.0)
    y = (x * w).sum()
    dx, dw = torch.autograd.grad(y, [x, w])
    assert (dx.tolist(), dw.tolist()) == ([3], [2])
    assert x.grad is None
    assert w.grad is None
    assert isinstance(torch.autograd.grad((x * w).sum(), x), tuple)


def test_autograd_grad_reaches_inner_tensors_and_stops_there():
    x = leaf(2.0)
    h = x * 3
    y = (h * h).sum()
    dh, dx = torch.autograd.grad(y, [h, x])
    assert (dh.tolist(), dx.tolist()) == ([12], [36])
    assert torch.autograd.grad(h, h, torch.ones(1))[0].tolist() == [1]


def test_unused_inputs_fail_or_are_none_or_zeros():
    x, z = leaf(2.0), leaf(1.0, 1.0)
    y = x.sum()
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        torch.autograd.grad(y, [x, z], retain_graph=True)
    assert torch.autograd.grad(y, [z], allow_unused=True, retain_graph=True) == (None,)
    (dz,) = torch.autograd.grad(y, z, materialize_grads=True)
    assert dz.tolist() == [0, 0]
    with pytest.raises(ValueError, match="Expected allow_unused to be True or not passed when materialize_grads"):
        torch.autograd.grad(y, z, allow_unused=False, materialize_grads=True)


def test_inputs_of_grad_must_require_grad():
    with pytest.raises(RuntimeError, match="One of the differentiated Tensors does not require grad"):
        torch.autograd.grad(leaf(1.0).sum(), torch.ones(1))


def test_several_outputs_add_their_products():
    x = leaf(2.0)
    (g,) = torch.autograd.grad([x * 2, x * 5], x, [torch.ones(1), torch.full((1,), 10.0)])
    assert g.tolist() == [52]


def test_repeated_inputs_get_the_same_gradient():
    x = leaf(2.0)
    a, b = torch.autograd.grad((x * x).sum(), [x, x])
    assert a.tolist() == b.tolist() == [4]


def test_higher_derivatives_follow_from_create_graph():
    x = torch.tensor(1.5, requires_grad=True, dtype=torch.float64)
    y = x**5
    for expected in [5 * 1.5**4, 20 * 1.5**3, 60 * 1.5**2, 120 * 1.5, 120, 0]:
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Using backward")  # PyTorch warns of a cycle that need not exist
def test_backward_with_create_graph_can_be_differentiated_again():
    x = leaf(3.0)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    g = x.grad
    x.grad = None  # breaks the cycle between the leaf and its own gradient's graph
    g.sum().backward()
    assert x.grad.tolist() == [18]


def test_a_double_backward_flows_into_grad_outputs():
    x = leaf(2.0)
    v = leaf(1.0)
    (g,) = torch.autograd.grad(x * x, x, v, create_graph=True)
    assert torch.autograd.grad(g, v)[0].tolist() == [4]


def test_detach_cuts_the_graph_and_detach_in_place_forgets_it():
    x = leaf(2.0)
    y = x * 3
    (y.detach() * x).sum().backward()
    assert x.grad.tolist() == [6]
    y.detach_()
    assert y.is_leaf
    assert not y.requires_grad
    assert y.grad_fn is None


def test_frozen_parameters_get_no_gradient_and_let_others_have_theirs():
    w, b = leaf(2.0), leaf(1.0)
    w.requires_grad_(False)
    (w * 3 + b).sum().backward()
    assert w.grad is None
    assert b.grad.tolist() == [1]


def test_pythons_control_flow_makes_a_new_graph_each_time():
    x = leaf(1.0)
    for step in range(1, 4):
        y = x
        for _ in range(step):
            y = y * 2
        x.grad = None
        (y if step % 2 else -y).sum().backward()
        assert x.grad.item() == (2**step) * (1 if step % 2 else -1)


def test_gradients_flow_into_only_what_was_reached():
    x, unused = leaf(1.0), leaf(1.0)
    (x * 2).sum().backward()
    assert unused.grad is None


def test_a_root_that_is_a_leaf_receives_its_own_gradient():
    x = torch.tensor(3.0, requires_grad=True)
    x.backward()
    assert x.grad.item() == 1


def test_branches_of_unequal_length_meet_in_the_right_order():
    x = waves(4).requires_grad_()
    long = x
    for _ in range(50):
        long = long * 1.01
    (long + x * 2).sum().backward()
    assert_equals(x.grad, x.detach().mul(0).add(1.01).pow(0).numpy() * x.grad[0].item())
    assert x.grad[0].item() == pytest.approx(1.01**50 + 2, rel=1e-12)


def test_integer_results_leave_the_graph_without_breaking_it():
    x = leaf(1.0, 3.0)
    values, indices = x.max(0)
    assert values.requires_grad
    assert not indices.requires_grad
    values.backward()
    assert x.grad.tolist() == [0, 1]


def test_backward_of_a_zero_size_tensor_gives_zero_size_gradients():
    x = torch.zeros(0, 3, requires_grad=True)
    (x * 2).sum().backward()
    assert tuple(x.grad.shape) == (0, 3)
