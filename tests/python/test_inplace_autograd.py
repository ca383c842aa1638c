"""In-place writes that are differentiated, on bases and on views, and those that must be refused."""

import pytest

import arcgrad as torch
from agreement import waves


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_a_write_replaces_the_history_of_its_target():
    x = leaf(2.0)
    y = x * 3
    before = y.grad_fn
    y.mul_(4)
    assert y.grad_fn is not before
    assert y.grad_fn.next_functions[0][0] is before
    y.sum().backward()
    assert x.grad.tolist() == [12]


def test_a_write_of_a_tracked_value_makes_an_untracked_target_tracked():
    x = leaf(2.0, 3.0)
    y = torch.zeros(2)
    y.add_(x * 2)
    assert y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_a_write_to_a_view_changes_the_history_of_its_base():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y[1:].mul_(10)
    (y * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [2, 200, 2000]
    assert y.grad_fn is not None


def test_a_write_to_a_base_changes_the_history_of_its_views():
    x = leaf(1.0, 2.0)
    y = x * 2
    v = y[1:]
    y.mul_(10)
    assert v.tolist() == [40]
    v.sum().backward()
    assert x.grad.tolist() == [0, 20]


def test_a_view_of_an_untracked_base_tracks_what_is_written_to_either():
    x = leaf(5.0)
    base = torch.zeros(3)
    v = base[1:]
    base[2] = x[0] * 2
    assert v.requires_grad
    assert v.tolist() == [0, 10]
    v.sum().backward()
    assert x.grad.tolist() == [2]
    base = torch.zeros(3)
    base[1:][0].add_(x[0])
    assert base.requires_grad
    (base * 7).sum().backward()
    assert x.grad.tolist() == [9]


def test_sibling_views_see_each_others_writes():
    x = leaf(1.0, 1.0, 1.0)
    y = x * 1
    a, b = y[:2], y[1:]
    a.mul_(2)
    b.mul_(3)
    assert a.tolist() == [2, 6]
    a.sum().backward()
    assert x.grad.tolist() == [2, 6, 0]


def test_writes_through_views_of_views_reach_the_base():
    x = waves(4, 4).requires_grad_()
    y = x * 1
    y[1:].T[2].mul_(5)
    y.view(16)[0].zero_()
    y.sum().backward()
    expected = torch.ones(4, 4)
    expected[1:, 2] = 5
    expected[0, 0] = 0
    assert x.grad.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "view",
    [
        lambda y: y[1],
        lambda y: y[:, ::2],
        lambda y: y.T,
        lambda y: y.view(12),
        lambda y: y.unsqueeze(0),
        lambda y: y.diagonal(),
        lambda y: y.narrow(1, 1, 2),
        lambda y: y.permute(1, 0)[2:],
        lambda y: y[1:, 1],
        lambda y: y.transpose(0, 1).unsqueeze(1)[1],
    ],
)
def test_the_gradient_of_a_write_through_any_view_is_that_of_the_written_places(view):
    x = waves(3, 4).requires_grad_()
    y = x * 2
    view(y).mul_(3)
    weights = waves(3, 4, phase=1.0)
    (y * weights).sum().backward()
    factor = torch.full((3, 4), 2.0, dtype=torch.float64)
    view(factor).mul_(3)
    assert torch.allclose(x.grad, factor * weights, rtol=1e-14)


def test_copy_cuts_the_old_history_and_takes_the_new():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * 2
    y.copy_(w * 3)
    y.sum().backward()
    assert w.grad.tolist() == [3, 3]
    assert x.grad is None or x.grad.tolist() == [0, 0]


def test_copy_casts_the_gradient_back_and_sums_it_down():
    w = torch.ones(1, requires_grad=True, dtype=torch.float64)
    y = torch.zeros(3)
    y.copy_(w)
    y.sum().backward()
    assert w.grad.dtype is torch.float64
    assert w.grad.tolist() == [3]


def test_zero_and_fill_cut_the_history():
    x = leaf(1.0, 2.0)
    y = x * 2
    y[0].zero_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 2]


def test_writes_under_no_grad_leave_no_trace_but_the_version():
    x = leaf(1.0)
    y = x * 2
    node = y.grad_fn
    with torch.no_grad():
        y.add_(1)
    assert y.grad_fn is node
    assert y._version == 1
    assert y.tolist() == [3]


def test_retained_gradients_are_those_of_the_tensor_at_its_last_write():
    x = leaf(1.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    (y * 5).sum().backward()
    assert y.grad.tolist() == [5]


@pytest.mark.parametrize("name", ["exp", "tanh", "sigmoid", "sqrt", "reciprocal", "relu", "expm1"])
def test_a_write_to_a_saved_result_is_noticed(name):
    x = leaf(1.0, 2.0)
    y = getattr(x, name)()
    y.add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation") as caught:
        y.sum().backward()
    assert "is at version 1; expected version 0" in str(caught.value)
    assert x.grad is None


SAVED_INPUTS = {
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "matmul": lambda a, b: a @ b,
    "pow": lambda a, b: a**b,
    "sin": lambda a, b: a + b.sin(),
    "log": lambda a, b: a + b.log(),
    "square": lambda a, b: a + b**2,
    "abs": lambda a, b: a + b.abs(),
}


@pytest.mark.parametrize("name", SAVED_INPUTS)
def test_a_write_to_a_saved_input_is_noticed_even_through_a_view_or_an_alias(name):
    for write in [lambda b: b.add_(1), lambda b: b[0].add_(1), lambda b: b.detach().add_(1)]:
        x = leaf(1.0, 2.0)
        b = x * 1 + 1
        y = SAVED_INPUTS[name](x, b).sum()
        with torch.no_grad():
            write(b)
        with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
            y.backward()
        assert x.grad is None


@pytest.mark.parametrize(
    "f", [lambda x: x + 1, lambda x: x.sum(), lambda x: x * 2, lambda x: x.view(1, 2), lambda x: -x]
)
def test_ops_that_save_nothing_do_not_mind_writes(f):
    x = leaf(1.0, 2.0)
    y = x * 1
    z = f(y)
    y.add_(1)
    z.sum().backward()
    assert x.grad is not None


def test_a_write_before_the_value_is_saved_is_harmless():
    x = leaf(1.0)
    y = x * 2
    y.add_(1)
    (y * y).sum().backward()
    assert x.grad.tolist() == [12]


def test_relu_in_place_keeps_its_own_result():
    x = leaf(-1.0, 2.0)
    y = x * 1
    y.relu_()
    y.sum().backward()
    assert x.grad.tolist() == [0, 1]


@pytest.mark.parametrize(
    "write",
    [
        lambda x: x.add_(1),
        lambda x: x.zero_(),
        lambda x: x.copy_(torch.ones(2)),
        lambda x: x.fill_(1),
        lambda x: x.__setitem__(0, 1.0),
        lambda x: x.view(2)[0].mul_(2),
        lambda x: x[0].add_(1),
        lambda x: x.__iadd__(1),
    ],
)
def test_a_leaf_that_requires_grad_refuses_writes_and_stays_unchanged(write):
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match=r"a (view of a )?leaf Variable that requires grad"):
        write(x)
    assert x.tolist() == [1, 2]
    with torch.no_grad():
        write(x)
    assert x.is_leaf
    assert x.requires_grad


def test_a_leaf_that_does_not_require_grad_may_be_written_with_tracked_values():
    x, w = torch.zeros(2), leaf(1.0, 2.0)
    x.add_(w)
    assert not x.is_leaf


@pytest.mark.parametrize(
    ("make", "node"),
    [
        (lambda y: y.unbind()[0], "Unbind"),
        (lambda y: y.split(1)[0], "Split"),
        (lambda y: y.chunk(2)[1], "Split"),
    ],
)
def test_one_of_several_views_of_one_op_refuses_writes(make, node):
    y = leaf(1.0, 2.0) * 1
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace") as caught:
        make(y).add_(1)
    assert node in str(caught.value)


def test_a_view_made_without_grad_refuses_writes_with_grad():
    y = leaf(1.0, 2.0) * 1
    with torch.no_grad():
        v = y[:1]
    with pytest.raises(RuntimeError, match="A view was created in no_grad mode and is being modified inplace"):
        v.add_(y[1:])


def test_views_cannot_be_detached_in_place():
    y = leaf(1.0, 2.0) * 1
    with pytest.raises(RuntimeError, match="Can't detach views in-place"):
        y.view(2).detach_()


def test_a_view_knows_its_base():
    x = torch.ones(2, 2)
    v = x[0]
    assert v._is_view()
    assert v._base is x
    assert v[0]._base is x
    assert not x._is_view()
    assert x._base is None
    assert not x.clone()._is_view()


def test_index_put_and_masked_writes_differentiate_both_sides():
    x, w = waves(2, 3).requires_grad_(), waves(2).requires_grad_()
    y = x * 1
    y[torch.tensor([0, 1]), torch.tensor([2, 0])] = w * 2
    y.sum().backward()
    assert x.grad.tolist() == [[1, 1, 0], [0, 1, 1]]
    assert w.grad.tolist() == [2, 2]


def test_a_loop_of_writes_into_rows_differentiates_each_row():
    w = torch.tensor(2.0, requires_grad=True)
    out = torch.zeros(4)
    for k in range(1, 4):
        out[k] = out[k - 1].clone() + w**k
    out.sum().backward()
    assert w.grad.item() == 3 * 1 + 2 * 4 + 1 * 12


def test_double_backward_passes_through_in_place_writes():
    x = torch.tensor([1.5], requires_grad=True, dtype=torch.float64)
    y = x * 1
    y.mul_(x)
    y.mul_(x)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    assert g.item() == pytest.approx(3 * 1.5**2, rel=1e-14)
    assert h.item() == pytest.approx(6 * 1.5, rel=1e-14)


def test_augmented_assignment_in_a_training_step_updates_the_leaf_itself():
    w = leaf(1.0)
    alias = w
    (w * 3).sum().backward()
    with torch.no_grad():
        w -= 0.5 * w.grad
    assert w is alias
    assert w.tolist() == [-0.5]
    assert w.requires_grad
    w.grad.zero_()
    (w * 3).sum().backward()
    assert w.grad.tolist() == [3]


def test_a_view_made_and_written_without_recording_has_no_valid_history():
    a = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        b = a[:]
        b *= 2
    assert repr(b) == "tensor([2.], grad_fn=<Invalid>)"
    with pytest.raises(RuntimeError, match="created in no_grad mode"):
        b.grad_fn  # noqa: B018
    assert a.tolist() == [2.0]


@pytest.mark.parametrize("write", [lambda x: x.add_(2), lambda x: x.transpose_(0, 1)], ids=["add_", "transpose_"])
def test_a_view_made_in_inference_mode_says_so_once_its_base_was_rewritten(write):
    a = torch.ones(1, 2, requires_grad=True).clone()
    with torch.inference_mode():
        view = a.view(-1)
    write(a)
    with pytest.raises(RuntimeError, match="A view was created in inference mode and its base or another view"):
        view.grad_fn  # noqa: B018


def test_a_view_can_be_a_leaf_of_its_own_which_refuses_writes():
    base = torch.zeros(4)
    view = base[:2]
    view.requires_grad_()
    assert view._base is base
    assert view.is_leaf
    assert not base.requires_grad
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad is being used in an in-place"):
        view.mul_(2)
    with torch.no_grad():
        view.add_(1)
    base[2:].mul_(2)
    (view * 3).sum().backward()
    assert view.grad.tolist() == [3.0, 3.0]
    assert base.grad is None


def test_a_view_made_before_its_base_was_asked_for_a_gradient_passes_none_on():
    base = torch.ones(4)
    view = base[:2]
    base.requires_grad_()
    assert view.requires_grad
    assert view.is_leaf
    (view * base[:2]).sum().backward()
    assert base.grad.tolist() == [1.0, 1.0, 0.0, 0.0]
    assert view.grad is None
    view.requires_grad_()
    (view * base[:2]).sum().backward()
    assert base.grad.tolist() == [2.0, 2.0, 0.0, 0.0]
    assert view.grad.tolist() == [1.0, 1.0]


def test_set_refuses_a_leaf_that_requires_grad_while_operations_are_recorded():
    x = torch.zeros(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        x.set_(torch.ones(3))
    assert x.tolist() == [0.0, 0.0]
    with torch.no_grad():
        x.set_(torch.ones(3))
    assert x.requires_grad
    assert x.tolist() == [1.0, 1.0, 1.0]


def test_a_write_to_a_detached_alias_changes_numbers_and_no_history():
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    alias = y.detach()
    alias.mul_(2)
    assert (alias.requires_grad, alias._is_view(), alias._base) == (False, False, None)
    assert y.tolist() == [6.0, 6.0]
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_tracked_write_to_a_detached_alias_tracks_the_alias_alone():
    x, w = torch.ones(2), torch.ones(2, requires_grad=True)
    alias = x.detach()
    alias.mul_(w)
    assert alias.requires_grad
    assert not x.requires_grad
