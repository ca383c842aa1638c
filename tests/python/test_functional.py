"""autograd.functional: PyTorch's answers, and derivatives that are known in closed form."""

import numpy as np
import pytest

import arcgrad as torch
from agreement import assert_close, waves
from arcgrad.autograd.functional import hessian, hvp, jacobian, jvp, vhp, vjp
from recorded_calls import calls, is_same, ours, setup, theirs


@pytest.fixture
def scope():
    return setup("functional")


@pytest.mark.parametrize("call", calls("functional"))
def test_answers_as_pytorch_does(call, scope):
    kind, answer, _ = theirs("functional", call)
    mine = ours(call, scope)
    assert mine[0] == kind, mine[1]
    if kind == "ok":
        assert is_same(mine[1], answer, rel_tol=1e-12), (mine[1], answer)
    else:
        assert mine[1] == answer


def quadratic(x):
    matrix = waves(3, 3)
    return x @ matrix @ x


def test_the_hessian_of_a_quadratic_form_is_its_matrix_and_its_transpose():
    x = waves(3, phase=1.0)
    expected = waves(3, 3) + waves(3, 3).t()
    assert_close(hessian(quadratic, x), expected)
    assert_close(hessian(quadratic, x, vectorize=True), expected)
    v = waves(3, phase=2.0)
    assert_close(hvp(quadratic, x, v)[1], expected @ v)
    assert_close(vhp(quadratic, x, v)[1], expected @ v)


def test_products_with_the_jacobian_are_products_with_the_jacobian():
    x, v, w = waves(4), waves(4, phase=1.0), waves(2, phase=2.0)

    def function(x):
        return (x.view(2, 2) @ x[:2]).sin()

    matrix = jacobian(function, x)
    assert_close(jvp(function, x, v)[1], matrix @ v)
    assert_close(vjp(function, x, w)[1], w @ matrix)
    assert_close(jacobian(function, x, vectorize=True), matrix)


@pytest.mark.parametrize("vectorize", [False, True])
def test_a_jacobian_with_a_graph_can_be_differentiated(vectorize):
    x = waves(3).requires_grad_()
    matrix = jacobian(lambda a: a**3, x, create_graph=True, vectorize=vectorize)
    (g,) = torch.autograd.grad(matrix.sum(), x)
    assert_close(g, 6 * x.detach())


def test_nothing_of_the_callers_graph_is_touched():
    x = waves(3).requires_grad_()
    y = x.exp()
    jacobian(lambda a: a * a, y)
    hessian(lambda a: (a**3).sum(), y)
    assert x.grad is None
    y.sum().backward()
    assert_close(x.grad, x.detach().exp())


def test_they_work_where_recording_is_off():
    x, v = waves(3), waves(3, phase=1.0)
    with torch.no_grad():
        assert_close(vjp(torch.sin, x, v)[1], x.cos() * v)
        product = jvp(torch.sin, x.requires_grad_(), v, create_graph=True)[1]
    assert product.requires_grad


def test_an_output_that_is_infinite_does_not_spoil_the_rows_of_another():
    x = torch.tensor([0.0, 1.0], dtype=torch.float64)
    logs, doubles = jacobian(lambda a: (a.log(), a * 2), x)
    assert_close(doubles, 2 * np.eye(2))
    assert logs[0, 0].isinf()


def test_jacobians_of_nothing_are_empty():
    empty = torch.zeros(0, dtype=torch.float64)
    assert jacobian(torch.exp, empty).shape == (0, 0)
    assert jacobian(lambda a: a.sum() * torch.ones(2, 3, dtype=torch.float64), empty).shape == (2, 3, 0)


def test_jacobians_of_dtypes_that_differ_have_the_inputs_dtypes():
    a, b = torch.ones(2), torch.ones(3, dtype=torch.float64)
    of_a, of_b = jacobian(lambda a, b: a.sum() * b, (a, b))
    assert (of_a.dtype, of_b.dtype) == (torch.float32, torch.float64)


def test_a_hessian_in_forward_mode_leaves_its_inputs_and_its_result_without_a_graph():
    x, y = waves(3), waves(3, phase=1.0)
    blocks = hessian(lambda a, b: (a * b).sin().sum(), (x, y), vectorize=True, outer_jacobian_strategy="forward-mode")
    assert not any(tensor.requires_grad for tensor in (x, y, *blocks[0], *blocks[1]))
    assert_close(blocks[0][0], np.diag((-(y * y) * (x * y).sin()).numpy()))


# Batches of gradients, which vectorize=True asks for.


def test_a_batch_of_gradients_gives_what_each_gives_alone():
    x = waves(2, 3).requires_grad_()
    y = (x * x).sum(0)
    rows = waves(4, 3, phase=1.0)
    (batch,) = torch.autograd.grad(y, x, rows, is_grads_batched=True, retain_graph=True)
    alone = [torch.autograd.grad(y, x, row, retain_graph=True)[0] for row in rows]
    assert batch.shape == (4, 2, 3)
    assert_close(batch, torch.stack(alone))


def test_hooks_and_custom_functions_see_one_member_of_a_batch_at_a_time():
    seen = []

    class Triple(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 3

        @staticmethod
        def backward(ctx, grad):
            seen.append(("function", grad.tolist()))
            return grad * 3

    x = torch.ones(2, requires_grad=True)
    y = x * 2
    y.register_hook(lambda grad: seen.append(("hook", grad.tolist())) or grad / grad.norm())
    z = Triple.apply(y)
    z.grad_fn.register_prehook(lambda grads: seen.append(("before", grads[0].tolist())))
    z.grad_fn.register_hook(lambda grads, of: seen.append(("after", grads[0].tolist(), of[0].tolist())))
    (batch,) = torch.autograd.grad(z, x, torch.tensor([[3.0, 4.0], [0.0, 2.0]]), is_grads_batched=True)
    assert_close(batch, torch.tensor([[1.2, 1.6], [0.0, 2.0]]))
    assert seen == [
        ("before", [3.0, 4.0]),
        ("before", [0.0, 2.0]),
        ("function", [3.0, 4.0]),
        ("function", [0.0, 2.0]),
        ("after", [9.0, 12.0], [3.0, 4.0]),
        ("after", [0.0, 6.0], [0.0, 2.0]),
        ("hook", [9.0, 12.0]),
        ("hook", [0.0, 6.0]),
    ]


def test_node_hooks_see_each_members_gradient_in_the_shape_of_its_input():
    x = torch.ones(3, requires_grad=True)
    y = x * torch.ones(2, 3)
    shapes = []
    y.grad_fn.register_hook(lambda grads, of: shapes.append((tuple(grads[0].shape), tuple(of[0].shape))))
    (batch,) = torch.autograd.grad(y, x, torch.ones(4, 2, 3), is_grads_batched=True)
    assert shapes == [((3,), (2, 3))] * 4
    assert batch.tolist() == [[2.0] * 3] * 4


def answering(*answers):
    """A custom function whose backward answers as these functions of its gradient do, in turn."""
    calls = iter(answers)

    class Answering(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return next(calls)(grad)

    return Answering.apply


def test_what_members_of_a_batch_answer_is_brought_to_the_inputs_shape_and_dtype_one_by_one():
    x = torch.ones(2, 3, requires_grad=True)
    y = answering(lambda g: g.expand(5, 2, 3), lambda g: g.double() * 2, lambda g: None)(x)
    (batch,) = torch.autograd.grad(y, x, torch.ones(3, 2, 3), is_grads_batched=True)
    assert batch.dtype == torch.float32
    assert_close(batch, torch.tensor([5.0, 2.0, 0.0]).reshape(3, 1, 1).expand(3, 2, 3))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("shape", [(3,), (), (3, 2)])
def test_a_member_of_a_batch_whose_gradient_does_not_fit_is_refused_as_it_is_alone(shape, first):
    def wrong(grad):
        return torch.ones(shape)

    answers = [wrong, wrong] if first else [lambda grad: grad, wrong]
    x = torch.ones(2, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"returned an invalid gradient at index 0 - got \["):
        torch.autograd.grad(answering(wrong)(x), x, torch.ones(2, 3))
    with pytest.raises(RuntimeError, match=r"returned an invalid gradient at index 0 - got \["):
        torch.autograd.grad(answering(*answers)(x), x, torch.ones(2, 2, 3), is_grads_batched=True)


def test_a_batch_goes_through_a_checkpoint_once():
    runs = []

    def block(x):
        runs.append(x.shape)
        return torch.tanh(x @ torch.ones(3, 3, dtype=torch.float64)).cumsum(0)

    x = waves(2, 3).requires_grad_()
    y = torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)
    rows = waves(4, 2, 3, phase=1.0)
    (batch,) = torch.autograd.grad(y, x, rows, is_grads_batched=True)
    assert len(runs) == 2
    y = block(x)
    assert_close(batch, torch.stack([torch.autograd.grad(y, x, row, retain_graph=True)[0] for row in rows]))


def test_a_batch_is_differentiable():
    x = waves(3).requires_grad_()
    rows = torch.eye(3, dtype=torch.float64)
    (batch,) = torch.autograd.grad((x**3).cumsum(0), x, rows, is_grads_batched=True, create_graph=True)
    (of_sum,) = torch.autograd.grad(batch.sum(), x)
    # Row i of the batch is 3 x^2 up to its own place: column k stands in 3 - k rows.
    assert_close(of_sum, 6 * x.detach() * torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))


def test_zeros_for_an_unused_input_have_its_shape_and_no_axis_of_the_batch():
    x, unused = waves(3).requires_grad_(), waves(2).requires_grad_()
    rows = torch.ones(4, 3, dtype=torch.float64)
    _, zeros = torch.autograd.grad(x * x, (x, unused), rows, is_grads_batched=True, materialize_grads=True)
    assert zeros.tolist() == [0.0, 0.0]


def test_a_batch_frees_the_graph_when_it_is_done_unless_told():
    x = waves(3).requires_grad_()
    y = x * x
    torch.autograd.grad(y, x, torch.ones(2, 3), is_grads_batched=True, retain_graph=True)
    torch.autograd.grad(y, x, torch.ones(2, 3), is_grads_batched=True)
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        torch.autograd.grad(y, x, torch.ones(2, 3), is_grads_batched=True)


def test_what_no_output_depends_on_has_no_batch():
    x, unused = waves(3).requires_grad_(), waves(2).requires_grad_()
    rows = torch.ones(2, 3, dtype=torch.float64)
    y = x * x
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        torch.autograd.grad(y, (x, unused), rows, is_grads_batched=True, retain_graph=True)
    _, none = torch.autograd.grad(y, (x, unused), rows, is_grads_batched=True, allow_unused=True)
    assert none is None


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (torch.ones(2, 4), RuntimeError, "If `is_grads_batched=True`, we interpret the first dimension"),
        (torch.ones(3), RuntimeError, "If `is_grads_batched=True`, we interpret the first dimension"),
        (torch.tensor(1.0), IndexError, "invalid index of a 0-dim tensor"),
        (torch.ones(0, 3), IndexError, "index 0 is out of bounds for dimension 0 with size 0"),
    ],
)
def test_a_batch_of_another_shape_is_refused(rows, error, message):
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(error, match=message):
        torch.autograd.grad(x * x, x, rows, is_grads_batched=True)


def test_batches_of_two_sizes_are_refused():
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(ValueError, match=r"got sizes \[2, 3\] for the mapped dimension"):
        torch.autograd.grad((x * x, x.sum()), x, (torch.ones(2, 3), torch.ones(3)), is_grads_batched=True)
