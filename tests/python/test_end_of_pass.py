"""Callbacks at the end of a pass, what a pass says about itself, and the old names `Variable` and `_C`.

What is compared with was answered by PyTorch 2.13 to the same programs.
"""

import pytest

import arcgrad as torch
from arcgrad.autograd import Variable

queue_callback = Variable._execution_engine.queue_callback


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def hooked(hook):
    x = leaf(1.0, 1.0)
    y = x * 2
    y.register_hook(hook)
    return x, y.sum()


@pytest.fixture
def inline():
    with torch.autograd.set_multithreading_enabled(False):
        yield


def test_callbacks_run_in_order_after_the_leaves_have_their_gradients_and_may_queue_more():
    seen = []

    def first():
        seen.append(("first", x.grad.tolist()))
        queue_callback(lambda: seen.append("third"))

    def hook(g):
        queue_callback(first)
        queue_callback(lambda: seen.append("second"))
        seen.append(("hook", x.grad))

    x, loss = hooked(hook)
    loss.backward()
    assert seen == [("hook", None), ("first", [2, 2]), "second", "third"]


def test_a_callback_outside_of_a_pass_is_an_error():
    with pytest.raises(RuntimeError, match=r"^Final callbacks can only be installed during backward pass\.$"):
        queue_callback(print)


def test_the_exception_of_a_callback_arrives_when_gradients_are_whole():
    raised = ValueError("late")

    def fail():
        raise raised

    x, loss = hooked(lambda g: queue_callback(fail))
    with pytest.raises(ValueError, match="late") as caught:
        loss.backward()
    assert caught.value is raised
    assert x.grad.tolist() == [2, 2]


def test_a_pass_that_fails_calls_no_callback():
    seen = []

    def hook(g):
        queue_callback(lambda: seen.append(1))
        raise LookupError

    _, loss = hooked(hook)
    with pytest.raises(LookupError):
        loss.backward()
    assert seen == []


def test_a_pass_inside_a_hook_calls_its_own_callbacks_before_it_returns():
    seen = []
    _, inner = hooked(lambda g: queue_callback(lambda: seen.append("inner")))

    def hook(g):
        queue_callback(lambda: seen.append("outer"))
        inner.backward()
        seen.append("hook")

    hooked(hook)[1].backward()
    assert seen == ["inner", "hook", "outer"]


def test_a_pass_says_what_it_is_and_will_do_while_it_runs(inline):
    facts = []

    def hook(g):
        names = [node.name() for node in torch._C._current_graph_task_execution_order()]
        facts.append((names, torch._C._autograd._get_current_graph_task_keep_graph()))

    torch._C  # noqa: B018 - imported before the pass, so that the pass keeps its plan for whoever asks
    loss = (leaf(1.0, 1.0) * 2).sum()
    loss.register_hook(hook)
    loss.backward(retain_graph=True)
    loss.backward()
    order = ["SumBackward0", "MulBackward0", "torch::autograd::AccumulateGrad"]
    assert facts == [(order, True), (order, False)]


def test_outside_of_a_pass_questions_about_it_are_answered_or_refused(inline):
    assert torch._C._current_graph_task_id() == -1
    assert torch._C._autograd._get_current_graph_task_keep_graph() is True
    with pytest.raises(RuntimeError, match="should only be called during the backward pass"):
        torch._C._current_graph_task_execution_order()
    with pytest.raises(RuntimeError, match="during the backward pass"):
        torch._C._will_engine_execute_node((leaf(1.0) * 2).grad_fn)


def test_gradients_have_the_same_bits_with_and_without_multithreading():
    torch.manual_seed(0)
    x = torch.randn(300, 300, requires_grad=True)
    loss = sum((torch.tanh(x * k) @ x).sum() for k in range(1, 9))
    (many,) = torch.autograd.grad(loss, x, retain_graph=True)
    with torch.autograd.set_multithreading_enabled(False):
        assert not torch.autograd.is_multithreading_enabled()
        (one,) = torch.autograd.grad(loss, x)
    assert torch.autograd.is_multithreading_enabled()
    assert torch.equal(many, one)


def test_variable_gives_a_leaf_on_the_memory_of_its_data():
    x = leaf(1.0, 2.0)
    v = Variable(x * 1, requires_grad=False)
    assert v.is_leaf
    assert not v.requires_grad
    assert isinstance(x, Variable)
    assert Variable(x).data_ptr() == x.data_ptr()
    assert not Variable(x).requires_grad
    with pytest.raises(TypeError, match=r"^Variable data has to be a tensor, but got list$"):
        Variable([1.0])


def test_a_delayed_error_fails_when_it_is_differentiated_and_not_before():
    x = leaf(1.0, 2.0)
    y = torch._C._functions.DelayedError("Boom!", 1)(x)
    assert y.grad_fn.name() == "torch::autograd::Error"
    assert y.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match=r"^Boom!$"):
        y.sum().backward()
    assert not torch._C._functions.DelayedError("Boom!", 1)(torch.ones(2)).requires_grad
    with pytest.raises(TypeError, match=r"^expected 3 arguments, got 1 instead$"):
        torch._C._functions.DelayedError("Boom!", 3)(x)


def test_an_undefined_gradient_leaves_the_leaf_without_one():
    x = leaf(1.0, 2.0)
    y = torch._C._functions.UndefinedGrad()(x)
    assert y.data_ptr() != x.data_ptr()
    y.sum().backward()
    assert x.grad is None


def test_writes_inside_a_preserved_version_counter_are_not_counted():
    x = torch.ones(2)
    x.add_(1)
    with torch.autograd._unsafe_preserve_version_counter(x):
        x.mul_(3)
    assert (x._version, x.tolist()) == (1, [6, 6])
    with pytest.raises(RuntimeError, match="Cannot set"):
        torch._C._autograd._unsafe_set_version_counter((x,), (-1,))


def test_a_warning_of_a_derivative_arrives_as_a_warning():
    x = leaf(1.0)
    y = torch._C._nn._test_warn_in_autograd(x)
    with pytest.warns(UserWarning, match="Warn from backward"):
        y.backward()
    assert x.grad.tolist() == [1.0]


def test_resize_changes_the_shape_and_no_count():
    from arcgrad.autograd._functions import Resize

    x = leaf(1.0, 2.0)
    y = Resize.apply(x, (2, 1))
    assert y._base is x
    y.backward(torch.tensor([[3.0], [4.0]]))
    assert x.grad.tolist() == [3.0, 4.0]
    with pytest.raises(RuntimeError, match=r"requested resize to 3 \(3 elements in total\)"):
        Resize.apply(x, (3,))


def test_volatile_is_always_false_and_says_that_it_is_gone():
    x = leaf(1.0)
    with pytest.warns(UserWarning, match="volatile was removed"):
        assert x.volatile is False
    with pytest.warns(UserWarning, match="now has no effect"):
        x.volatile = True
    with pytest.warns(UserWarning, match="volatile was removed"):
        assert x.volatile is False
