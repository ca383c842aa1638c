"""no_grad, enable_grad, set_grad_enabled, inference_mode: context managers and decorators, per thread."""

import threading

import pytest

import arcgrad as torch

MODES = [
    (lambda: torch.no_grad(), False),
    (lambda: torch.enable_grad(), True),
    (lambda: torch.set_grad_enabled(False), False),
    (lambda: torch.set_grad_enabled(True), True),
    (lambda: torch.inference_mode(), False),
    (lambda: torch.inference_mode(True), False),
]


@pytest.mark.parametrize(("mode", "enabled"), MODES)
def test_context_managers_hold_inside_and_restore_outside(mode, enabled):
    x = torch.ones(1, requires_grad=True)
    with mode():
        assert torch.is_grad_enabled() is enabled
        assert (x * 2).requires_grad is enabled
    assert torch.is_grad_enabled() is True
    assert (x * 2).requires_grad


@pytest.mark.parametrize(("mode", "enabled"), MODES)
def test_an_exception_restores_the_mode(mode, enabled):
    with pytest.raises(KeyError), mode():
        raise KeyError
    assert torch.is_grad_enabled()


def test_modes_nest():
    with torch.no_grad():
        with torch.enable_grad():
            assert torch.is_grad_enabled()
            with torch.no_grad():
                assert not torch.is_grad_enabled()
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()


def test_set_grad_enabled_acts_at_once_as_a_function():
    previous = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        assert not torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(previous)


def test_a_context_manager_can_be_used_again():
    mode = torch.no_grad()
    for _ in range(2):
        with mode:
            assert not torch.is_grad_enabled()
        assert torch.is_grad_enabled()


DECORATORS = [
    (torch.no_grad(), False),
    (torch.enable_grad(), True),
    (torch.inference_mode(), False),
    (torch.no_grad, False),
    (torch.enable_grad, True),
    (torch.inference_mode, False),
]


@pytest.mark.parametrize(("decorator", "enabled"), DECORATORS)
def test_decorated_functions_run_in_the_mode_and_keep_their_name(decorator, enabled):
    @decorator
    def answer(a, *, b):
        """Its docstring."""
        assert torch.is_grad_enabled() is enabled
        return a + b

    with torch.set_grad_enabled(not enabled):
        assert answer(1, b=2) == 3
        assert torch.is_grad_enabled() is not enabled
    assert answer.__name__ == "answer"
    assert answer.__doc__ == "Its docstring."


def test_set_grad_enabled_decorates_and_leaves_the_mode_alone_when_it_does():
    @torch.set_grad_enabled(False)
    def f():
        return torch.is_grad_enabled()

    assert torch.is_grad_enabled()
    assert f() is False
    assert torch.is_grad_enabled()


def test_decorated_functions_recurse():
    @torch.no_grad()
    def depth(n):
        assert not torch.is_grad_enabled()
        return 0 if n == 0 else 1 + depth(n - 1)

    assert depth(5) == 5
    assert torch.is_grad_enabled()


def test_decorated_generators_run_each_step_in_the_mode_and_none_between():
    @torch.no_grad()
    def steps():
        received = []
        for k in range(3):
            assert not torch.is_grad_enabled()
            received.append((yield k))
            assert not torch.is_grad_enabled()
        return received

    g = steps()
    got = [next(g)]
    assert torch.is_grad_enabled()
    got += [g.send("a"), g.send("b")]
    assert torch.is_grad_enabled()
    with pytest.raises(StopIteration) as stop:
        g.send("c")
    assert got == [0, 1, 2]
    assert stop.value.value == ["a", "b", "c"]
    assert torch.is_grad_enabled()


def test_decorated_generators_pass_thrown_exceptions_in_and_close():
    closed = []

    @torch.no_grad()
    def steps():
        try:
            while True:
                try:
                    yield torch.is_grad_enabled()
                except KeyError:
                    assert not torch.is_grad_enabled()
        finally:
            closed.append(torch.is_grad_enabled())

    g = steps()
    assert next(g) is False
    assert g.throw(KeyError()) is False
    g.close()
    assert closed == [False]
    assert torch.is_grad_enabled()


def test_modes_belong_to_their_thread():
    seen = []
    with torch.no_grad():
        thread = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]

    def leave_disabled():
        torch.set_grad_enabled(False)
        seen.append(torch.is_grad_enabled())

    thread = threading.Thread(target=leave_disabled)
    thread.start()
    thread.join()
    assert seen == [True, False]
    assert torch.is_grad_enabled()


def test_leaves_may_be_written_without_grad_and_stay_leaves():
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        x.add_(1)
    assert x.tolist() == [2, 2]
    assert x.requires_grad
    assert x.is_leaf


def test_leaves_made_without_grad_may_still_require_it():
    with torch.no_grad():
        x = torch.ones(1, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2]


def test_backward_runs_under_no_grad():
    x = torch.ones(1, requires_grad=True)
    y = (x * 2).sum()
    with torch.no_grad():
        y.backward()
    assert x.grad.tolist() == [2]


def test_no_grad_saves_nothing_for_backward():
    x = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        y = x.exp()
    assert y.grad_fn is None
    assert y.is_leaf


def test_inference_tensors_are_marked_and_refuse_the_graph():
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled()
        x = torch.ones(2)
        assert x.is_inference()
    assert not torch.is_inference_mode_enabled()
    assert not torch.ones(2).is_inference()
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        w * x
    assert (x + 1).tolist() == [2, 2]
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor outside InferenceMode"):
        x.add_(1)


def test_inference_mode_can_be_switched_off_by_its_argument():
    x = torch.ones(1, requires_grad=True)
    with torch.inference_mode(False):
        assert (x * 2).requires_grad
