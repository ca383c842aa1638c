"""utils.checkpoint: gradients are those without it, what is saved is dropped, and disagreement is told."""

import gc
import threading
import warnings
import weakref

import pytest

import arcgrad as torch
from agreement import assert_close, waves
from arcgrad.autograd.graph import saved_tensors_hooks
from arcgrad.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    set_checkpoint_debug_enabled,
    set_checkpoint_early_stop,
)

KINDS = pytest.mark.parametrize("use_reentrant", [False, True])


class Counted:
    """A function that counts its calls and remembers how far each came."""

    def __init__(self, *steps):
        self.steps, self.calls, self.reached = steps, 0, []

    def __call__(self, x):
        self.calls += 1
        self.reached.append(0)
        for step in self.steps:
            x = step(x)
            self.reached[-1] += 1
        return x


def gradients(function, *inputs):
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    function(*leaves).sum().backward()
    return [x.grad for x in leaves]


def mixed(x, y):
    return ((x @ y).sin().exp() * x.sum()).tanh()


@KINDS
def test_gradients_are_those_without_it(use_reentrant):
    x, y = waves(3, 3), waves(3, 3, phase=1.0)
    kept = gradients(mixed, x, y)
    again = gradients(lambda x, y: checkpoint(mixed, x, y, use_reentrant=use_reentrant), x, y)
    for a, b in zip(kept, again, strict=True):
        assert torch.equal(a, b)


@KINDS
def test_the_function_runs_once_more_and_only_for_a_backward_pass(use_reentrant):
    function = Counted(torch.sin, torch.exp)
    y = checkpoint(function, waves(3).requires_grad_(), use_reentrant=use_reentrant)
    assert function.calls == 1
    y.sum().backward()
    assert function.calls == 2


@KINDS
def test_random_numbers_are_the_same_ones(use_reentrant):
    x = torch.ones(1000, requires_grad=True)
    y = checkpoint(lambda x: torch.nn.functional.dropout(x, 0.5), x, use_reentrant=use_reentrant)
    torch.rand(7)
    before = torch.get_rng_state()
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert torch.equal(torch.get_rng_state(), before)


def test_random_numbers_are_others_if_their_state_is_not_kept():
    x = torch.ones(1000, requires_grad=True)
    y = checkpoint(
        lambda x: torch.nn.functional.dropout(x, 0.5).exp().log(), x, use_reentrant=False, preserve_rng_state=False
    )
    torch.rand(7)
    y.sum().backward()
    assert not torch.equal(x.grad > 0, y.detach() > 0)


def test_where_nothing_is_recorded_it_is_a_call():
    function = Counted(torch.sin)
    with torch.no_grad():
        assert_close(checkpoint(function, waves(3), use_reentrant=False), waves(3).sin())
    assert function.calls == 1


def test_what_is_saved_is_dropped():
    alive = []

    def function(x):
        middle = x.sin()
        alive.append(weakref.ref(middle))
        return middle.exp().cos()

    x = waves(1000).requires_grad_()
    y = checkpoint(function, x, use_reentrant=False)
    assert alive[0]() is None
    y.sum().backward()
    assert_close(x.grad, torch.autograd.grad(function(x).sum(), x)[0])


def test_it_stops_when_all_that_is_needed_is_there():
    steps = (torch.sin, torch.exp, lambda x: x + 1, lambda x: x + 2)
    for early, reached in ((True, 1), (False, 4)):
        function = Counted(*steps)
        checkpoint(function, waves(3).requires_grad_(), use_reentrant=False, early_stop=early).sum().backward()
        # The exponential is the last to save something, and it saves while it runs.
        assert function.reached == [4, reached]
        function = Counted(*steps)
        with set_checkpoint_early_stop(early):
            checkpoint(function, waves(3).requires_grad_(), use_reentrant=False, early_stop=not early).sum().backward()
        assert function.reached == [4, reached]


def test_a_function_that_catches_everything_is_still_stopped():
    def function(x):
        try:
            return x.sin().exp()
        except Exception:
            return x

    x = waves(3).requires_grad_()
    checkpoint(function, x, use_reentrant=False).sum().backward()
    assert_close(x.grad, (x.cos() * x.sin().exp()).detach())


@pytest.mark.parametrize("early_stop", [True, False])
def test_checkpoints_in_checkpoints_and_passes_in_passes(early_stop):
    def again(function):
        return lambda x: checkpoint(function, x, use_reentrant=False)

    def slope(function):
        def gradient(x):
            with torch.enable_grad():
                return torch.autograd.grad(function(x), x, create_graph=True)[0]

        return gradient

    def function(x):
        return x.sin().exp().sin()

    x = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    third = slope(slope(slope(function)))(x).detach()
    with set_checkpoint_early_stop(early_stop):
        assert_close(again(again(function))(x).detach(), function(x).detach())
        assert_close(slope(slope(slope(again(function))))(x).detach(), third)
        assert_close(slope(again(slope(slope(function))))(x).detach(), third)
        assert_close(slope(again(slope(slope(again(function)))))(x).detach(), third)
        assert_close(slope(again(slope(again(slope(again(function))))))(x).detach(), third)


def test_a_graph_that_is_kept_is_computed_again_for_each_pass():
    function = Counted(torch.sin, torch.exp)
    x = waves(3).requires_grad_()
    y = checkpoint(function, x, use_reentrant=False).sum()
    first = torch.autograd.grad(y, x, retain_graph=True)[0]
    second = torch.autograd.grad(y, x)[0]
    assert torch.equal(first, second)
    assert function.calls == 3
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        torch.autograd.grad(y, x)


def test_gradients_of_gradients_go_through_it():
    x = waves(3).requires_grad_()

    def curvature(function):
        (g,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
        return torch.autograd.grad((g * g).sum(), x)[0]

    again = curvature(lambda x: checkpoint(lambda a: a.sin().exp(), x, use_reentrant=False))
    assert_close(again, curvature(lambda a: a.sin().exp()).detach())


def test_a_graph_is_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        function = Counted(torch.sin, torch.exp)
        alive = weakref.ref(function)
        x = waves(3).requires_grad_()
        y = checkpoint(function, x, use_reentrant=False).sum()
        y.backward(retain_graph=True)
        del y, function
        assert alive() is None
    finally:
        gc.enable()


def test_several_threads_walk_one_graph():
    x = waves(50, 50).requires_grad_()
    parts = [checkpoint(mixed, x, x * k, use_reentrant=False).sum() for k in range(4)]
    y = sum(parts)
    expected = torch.autograd.grad(y, x, retain_graph=True)[0]
    answers = []

    def walk():
        answers.extend(torch.autograd.grad(y, x, retain_graph=True)[0] for _ in range(5))

    threads = [threading.Thread(target=walk) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20
    assert all(torch.equal(answer, expected) for answer in answers)


def test_other_hooks_of_saved_tensors_go_around_it():
    packed = []

    def pack(x):
        packed.append(x.shape)
        return x.clone()

    x = waves(3).requires_grad_()
    with saved_tensors_hooks(pack, lambda x: x):
        y = checkpoint(lambda x: x.sin().exp(), x, use_reentrant=False)
    # The argument alone: what the function saves is dropped.
    assert packed == [(3,)]
    y.sum().backward()
    assert_close(x.grad, (x.cos() * x.sin().exp()).detach())


def test_arguments_may_be_anything():
    def function(x, factor, *, names, scale):
        assert names == ["a"]
        return {"result": x.sin() * factor * scale, "names": names}

    x, scale = waves(3).requires_grad_(), waves(3, phase=1.0).requires_grad_()
    out = checkpoint(function, x, 2, names=["a"], scale=scale, use_reentrant=False)
    out["result"].sum().backward()
    assert_close(x.grad, (x.cos() * 2 * scale).detach())
    assert_close(scale.grad, (x.sin() * 2).detach())


# A budget of bytes.


def test_the_tensors_saved_last_are_kept_as_far_as_the_budget_goes():
    steps = (torch.sin, torch.exp, torch.sin, torch.exp, torch.sin)
    x = waves(100)
    expected = gradients(lambda a: Counted(*steps)(a), x)
    # Saved are the argument, which is free, and each exponential, of 800 bytes, twice: also by the sine after it.
    for budget, reached in ((0, 4), (799, 4), (800, 2), (1599, 2), (1600, None)):
        function = Counted(*steps)
        again = gradients(lambda a, f=function, b=budget: checkpoint(f, a, use_reentrant=False, budget=b), x)
        assert torch.equal(again[0], expected[0])
        assert function.reached == [5] if reached is None else function.reached == [5, reached]


def test_a_budget_counts_memory_once_and_parameters_not_at_all():
    module = torch.nn.Linear(100, 100).double()
    calls = []
    handle = module.register_forward_pre_hook(lambda *_: calls.append(1))
    x = waves(5, 100).requires_grad_()
    checkpoint(module, x, use_reentrant=False, budget=0).sum().backward()
    handle.remove()
    assert calls == [1]
    seen = Counted(lambda x: x.exp(), lambda y: y * y * y.sin())
    # y is saved three times, and y * y once.
    checkpoint(seen, waves(100).requires_grad_(), use_reentrant=False, budget=2400).sum().backward()
    assert seen.calls == 1


def test_a_kept_tensor_that_was_written_to_is_refused():
    def function(x):
        y = x.exp()
        z = y.sin()
        y.add_(1)
        return z

    for budget in (None, 10**6):
        y = checkpoint(function, waves(3).requires_grad_(), use_reentrant=False, budget=budget, early_stop=False)
        with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
            y.sum().backward()


# What goes wrong, and how it is told.


def test_an_argument_that_was_written_to_is_refused():
    x = waves(3)
    y = checkpoint(lambda a, w: (a * w).sin(), x, waves(3).requires_grad_(), use_reentrant=False)
    x.add_(1)
    with pytest.raises(RuntimeError, match="has been modified by an inplace operation"):
        y.sum().backward()


def flip(first, second):
    """A function that does one thing when it is called first, and another from then on."""
    functions = [first]
    return lambda x: (functions.pop() if functions else second)(x)


@pytest.mark.parametrize("early_stop", [True, False])
def test_other_numbers_of_saved_tensors_are_told(early_stop):
    x = waves(3).requires_grad_()
    y = checkpoint(flip(lambda x: x.sin().exp(), torch.sin), x, use_reentrant=False, early_stop=early_stop)
    message = "A different number of tensors was saved during the original forward and recomputation"
    with pytest.raises(CheckpointError, match=message) as caught:
        y.sum().backward()
    assert "Number of tensors saved during forward: 2\nNumber of tensors saved during recomputation: 1" in str(
        caught.value
    )


def test_more_saved_tensors_than_before_are_told():
    x = waves(3).requires_grad_()
    y = checkpoint(flip(torch.sin, lambda x: x.sin().exp()), x, use_reentrant=False, early_stop=False)
    with pytest.raises(CheckpointError, match="trying to save more tensors during recomputation"):
        y.sum().backward()


def test_other_shapes_and_dtypes_are_told_unless_not_asked_for():
    x = waves(3).requires_grad_()

    def build(**options):
        function = flip(lambda x: x.sin().exp(), lambda x: x.float().sin().exp())
        return checkpoint(function, x, use_reentrant=False, **options).sum()

    with pytest.raises(CheckpointError, match="have different metadata than during the forward pass") as caught:
        build().backward()
    assert "tensor at position 0:\nsaved metadata: {'shape': " in str(caught.value)
    with pytest.raises(CheckpointError, match=r"saved at .*test_checkpoint.py:[0-9]+"):
        build(debug=True).backward()
    with set_checkpoint_debug_enabled(True), pytest.raises(CheckpointError, match="because you passed `debug=True`"):
        build().backward()
    with pytest.raises(ValueError, match="determinism_check should be one of"):
        build(determinism_check="strict")


def test_what_is_saved_twice_is_handed_out_once_in_a_pass():
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            with pytest.raises(CheckpointError, match="already unpacked once"):
                _ = ctx.saved_tensors
            return 2 * x * grad

    x = waves(3).requires_grad_()
    checkpoint(Twice.apply, x, use_reentrant=False).sum().backward()
    assert_close(x.grad, 2 * x.detach())


def test_an_exception_in_the_function_is_the_callers():
    x = waves(3).requires_grad_()
    with pytest.raises(ArithmeticError):
        checkpoint(lambda x: 1 / 0, x, use_reentrant=False)
    y = checkpoint(flip(torch.sin, lambda x: 1 / 0), x, use_reentrant=False)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    # No hook is left behind.
    assert_close(gradients(torch.sin, waves(3))[0], waves(3).cos())


def test_contexts_surround_both_runs():
    entered = []

    class Noted:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            entered.append(self.name)

        def __exit__(self, *args):
            entered.append(f"end of {self.name}")

    x = waves(3).requires_grad_()
    y = checkpoint(torch.sin, x, use_reentrant=False, context_fn=lambda: (Noted("first"), Noted("again")))
    assert entered == ["first", "end of first"]
    y.sum().backward()
    assert entered[2:] == ["again", "end of again"]


# The reentrant kind.


def test_the_reentrant_kind_works_towards_all_leaves_only():
    x = waves(3).requires_grad_()
    y = checkpoint(torch.sin, x, use_reentrant=True).sum()
    message = r"torch.utils.checkpoint is incompatible with .grad\(\) or passing an `inputs` parameter"
    with pytest.raises(RuntimeError, match=message):
        torch.autograd.grad(y, x, retain_graph=True)
    with pytest.raises(RuntimeError, match=message):
        y.backward(inputs=[x], retain_graph=True)
    y.backward()
    assert_close(x.grad, x.detach().cos())


def test_the_reentrant_kind_warns_where_it_records_nothing():
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        assert not checkpoint(torch.sin, waves(3), use_reentrant=True).requires_grad


def test_the_kind_is_to_be_named():
    with pytest.warns(UserWarning, match="the use_reentrant parameter should be passed explicitly"):
        checkpoint(torch.sin, waves(3).requires_grad_())
    with pytest.warns(UserWarning, match="the use_reentrant parameter should be passed explicitly"):
        checkpoint_sequential([torch.sin], 1, waves(3).requires_grad_())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"debug": True}, "Passing `context_fn` or `debug` is only supported when use_reentrant=False"),
        ({"budget": 5}, "Passing `budget` is only supported when use_reentrant=False"),
        ({"other": 1}, "Unexpected keyword arguments: other"),
    ],
)
def test_the_reentrant_kind_takes_fewer_options(options, message):
    with pytest.raises(ValueError, match=message):
        checkpoint(torch.sin, waves(3).requires_grad_(), use_reentrant=True, **options)


def test_a_negative_budget_is_refused():
    with pytest.raises(ValueError, match="budget should be a number of bytes"):
        checkpoint(torch.sin, waves(3).requires_grad_(), use_reentrant=False, budget=-1)


@KINDS
@pytest.mark.parametrize("segments", [1, 2, 3, 4])
def test_a_chain_in_segments_is_the_chain(use_reentrant, segments):
    steps = [Counted(torch.sin), Counted(torch.exp), Counted(torch.sin), Counted(torch.exp)]
    x = waves(5)
    chain = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Sigmoid(), torch.nn.Tanh(), torch.nn.Sigmoid())
    for functions in (steps, chain):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = gradients(
                lambda a, f=functions: checkpoint_sequential(f, segments, a, use_reentrant=use_reentrant), x
            )
        expected = (
            gradients(torch.nn.Sequential(*functions), x)
            if functions is chain
            else gradients(lambda a: a.sin().exp().sin().exp(), x)
        )
        assert torch.equal(got[0], expected[0])
    # The last segment keeps what it saves; the others run again, up to the last that saves.
    assert steps[-1].calls == 1
    assert steps[0].calls == (1 if segments == 1 else 2)
