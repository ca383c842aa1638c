"""Finding mistakes: anomaly detection as PyTorch has it, and origins, births of NaNs and living nodes beyond it."""

import gc
import inspect
import linecache
import re
import threading
import warnings

import numpy as np
import pytest

import arcgrad as torch
from arcgrad.autograd import Function, detect_anomaly, first_nonfinite, graph, set_detect_anomaly

ENABLED = "Anomaly Detection has been enabled"
HERE = __file__


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def this_line():
    return inspect.currentframe().f_back.f_lineno


@pytest.fixture(autouse=True)
def nothing_is_watched_afterwards():
    yield
    assert torch._core._watch() == 16, "the test left something on"


def caught(body):
    """The messages of the warnings, and the error, of a body."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            body()
        except Exception as error:
            return [str(w.message) for w in found], error
    return [str(w.message) for w in found], None


def test_a_nan_gradient_is_an_error_that_warns_with_the_forward_stack():
    def body():
        with detect_anomaly():
            x = leaf(0.0, 1.0)
            z = (x * 0).sqrt()
            (z * 0).sum().backward()

    messages, error = caught(body)
    # What PyTorch 2.13 says, but for the place in its own sources that it appends.
    assert type(error) is RuntimeError
    assert str(error) == "Function 'SqrtBackward0' returned nan values in its 0th output."
    assert messages[0].startswith(ENABLED)
    head, *rows = messages[1].splitlines()
    assert head == "Error detected in SqrtBackward0. Traceback of forward call that caused the error:"
    assert rows[-1].strip() == "z = (x * 0).sqrt()"
    assert rows[-2].startswith(f'  File "{HERE}", line ')
    assert rows[-2].endswith(", in body")
    assert len(messages) == 2


def test_without_a_recorded_forward_pass_the_warning_says_so():
    z = (leaf(0.0) * 0).sqrt()

    def body():
        with detect_anomaly():
            (z * 0).sum().backward()

    messages, error = caught(body)
    assert "SqrtBackward0" in str(error)
    assert messages[1] == (
        "Error detected in SqrtBackward0. No forward pass information available. Enable detect anomaly during forward "
        "pass for more information."
    )


def test_without_check_nan_only_errors_are_anomalies():
    x = leaf(0.0)
    with pytest.warns(UserWarning, match=ENABLED), detect_anomaly(check_nan=False):
        ((x * 0).sqrt() * 0).sum().backward()
    assert np.isnan(x.grad.item())


def test_an_error_of_a_derivative_warns_and_arrives_unchanged():
    class MyError(Exception):
        pass

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise MyError("from the derivative")

    def body():
        with detect_anomaly():
            Fails.apply(leaf(1.0)).sum().backward()

    messages, error = caught(body)
    assert type(error) is MyError
    assert "Error detected in FailsBackward" in messages[1]
    assert "Fails.apply(leaf(1.0))" in messages[1]


def test_an_anomaly_of_a_recorded_gradient_names_the_node_that_induced_it():
    def body():
        x = leaf(0.0)
        with detect_anomaly(check_nan=False):
            y = x.pow(1.5)
            (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
            (g2,) = torch.autograd.grad(g.sum(), x, create_graph=True)
        with detect_anomaly():
            (g2 * 0).sum().backward()

    messages, error = caught(body)
    # Which of pow's nodes the inner one is, its exponent a number or a tensor, is an implementation's own affair.
    assert re.fullmatch(r"Function 'PowBackward\d' returned nan values in its 0th output\.", str(error))
    failed, second, first = messages[2:]
    assert re.match(r"Error detected in PowBackward\d\. Traceback of forward call that caused the error:\n", failed)
    assert "(g2,) = torch.autograd.grad(g.sum(), x, create_graph=True)" in failed
    induced = (
        "\n\nPrevious calculation was induced by PowBackward{}. Traceback of forward call that induced the previous"
    )
    assert second.startswith((induced.format(0), induced.format(1)))
    assert "(g,) = torch.autograd.grad(y.sum(), x, create_graph=True)" in second
    assert first.startswith(induced.format(0))
    assert "y = x.pow(1.5)" in first


def test_metadata_hold_the_stack_and_the_parent():
    with set_detect_anomaly(True):
        x = leaf(1.0)
        y = x.exp()
        (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    assert y.grad_fn.metadata["traceback_"][-1].splitlines()[1].strip() == "y = x.exp()"
    assert "parent_" not in y.grad_fn.metadata
    assert g.grad_fn.metadata["parent_"] is y.grad_fn
    y.grad_fn.metadata["mine"] = 1
    assert y.grad_fn.metadata["mine"] == 1
    assert x.exp().grad_fn.metadata == {}


def test_warnings_that_are_errors_are_shown_and_do_not_replace_the_error(capsys):
    x = leaf(1.0)
    y = x.exp()
    with torch.no_grad():
        y.mul_(2)
    with set_detect_anomaly(True), pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
    assert "Error detected in ExpBackward0" in capsys.readouterr().err


def test_the_mode_is_the_processes_and_nests():
    assert not torch.is_anomaly_enabled()
    assert torch.is_anomaly_check_nan_enabled()
    with set_detect_anomaly(True, check_nan=False):
        seen = []
        thread = threading.Thread(target=lambda: seen.append(torch.is_anomaly_enabled()))
        thread.start()
        thread.join()
        assert seen == [True]
        assert not torch.is_anomaly_check_nan_enabled()
        with set_detect_anomaly(False):
            assert not torch.is_anomaly_enabled()
        assert torch.is_anomaly_enabled()
    assert not torch.is_anomaly_enabled()
    torch.set_anomaly_enabled(True)
    assert torch.is_anomaly_enabled()
    torch.set_anomaly_enabled(False)


def test_a_recorded_stack_keeps_no_locals_alive():
    class Big:
        pass

    freed = []

    def step(x):
        big = Big()
        import weakref

        weakref.finalize(big, freed.append, 1)
        return x.exp()

    with set_detect_anomaly(True):
        y = step(leaf(1.0))
    assert freed == [1]
    assert "return x.exp()" in y.grad_fn.metadata["traceback_"][-1]


def test_an_in_place_error_names_who_saved_and_who_wrote_with_lines():
    with graph.record_origins():
        y = leaf(1.0).exp()
        saved = this_line() - 1
        y.mul_(2)
        written = this_line() - 1
        y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as error:
        y.sum().backward()
    message = str(error.value)
    name = inspect.currentframe().f_code.co_name
    assert f"saved by ExpBackward0 ({HERE}:{saved}, in {name})" in message
    # The write that did the harm is the first one, not the last.
    assert f"overwritten by mul_ ({HERE}:{written}, in {name})" in message
    assert "record_origins" not in message


@pytest.mark.parametrize(
    ("write", "who"),
    [
        (lambda y: y.add_(1), "add_"),
        (lambda y: y.detach().zero_(), "zero_"),
        (lambda y: y.pow_(2), "pow_"),
        (lambda y: y.copy_(torch.ones(2)), "copy_"),
        (lambda y: y.__setitem__(torch.tensor([0]), 5.0), "index_put_"),
        (lambda y: y.uniform_(), "uniform_"),
        (lambda y: torch.mul(y.detach(), 2, out=y.detach()), "an operation with out="),
        (lambda y: graph.increment_version(y), "somebody who called increment_version"),
    ],
    ids=[
        "in place",
        "through detach",
        "named otherwise within",
        "copy",
        "by index",
        "random",
        "out",
        "increment_version",
    ],
)
def test_an_in_place_error_names_who_wrote_without_any_mode(write, who):
    y = leaf(1.0, 2.0).exp()
    with torch.no_grad():
        write(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation") as error:
        y.sum().backward()
    assert f"overwritten by {who}. Hint" in str(error.value)
    assert "record_origins()" in str(error.value)


def test_second_time_names_the_line_and_the_call_that_freed():
    with graph.record_origins():
        y = leaf(1.0).exp().sum()
        recorded = this_line() - 1
        y.backward()
        freed = this_line() - 1
    with pytest.raises(RuntimeError, match="second time") as error:
        y.backward()
    assert f"ExpBackward0 ({HERE}:{recorded}, in" in str(error.value)
    assert f"freed by the call at {HERE}:{freed}, in" in str(error.value)


def test_lines_inside_the_package_are_passed_over():
    layer = torch.nn.Linear(2, 2)
    with graph.record_origins():
        y = layer(torch.ones(1, 2))
        line = this_line() - 1
    (row,) = graph.live_nodes([y])
    assert row.line.startswith(f"{HERE}:{line}, in ")


def test_the_first_nonfinite_value_is_found_in_forward_order():
    with graph.record_origins(), graph.record_ranges():
        x = leaf(3.0, -1.0, 0.0)
        y = x * 2
        z = y.log()
        line = this_line() - 1
        loss = (z * torch.ones(3)).sum() + (x / x).sum()
    found = first_nonfinite(loss)
    assert found.name == "LogBackward0"
    assert found.line == f"{HERE}:{line}, in {inspect.currentframe().f_code.co_name}"
    assert found.index == (1,)
    assert np.isnan(found.value)
    assert found.inputs == ((-2.0, 6.0),)
    assert found.suspects == ()
    assert found.node is z.grad_fn
    assert "LogBackward0 made nan at index [1]" in str(found)
    loss.backward()
    assert first_nonfinite(loss).name == "LogBackward0"


def test_without_recorded_ranges_what_was_saved_tells():
    x = leaf(1.0, 1000.0)
    loss = (x.exp() * x).sum()
    found = first_nonfinite(loss)
    assert (found.name, found.index, found.value) == ("ExpBackward0", (1,), float("inf"))
    assert found.line is None


def test_operations_whose_outputs_nobody_kept_are_suspects():
    x = leaf(1.0)
    loss = x - float("inf") + 1
    found = first_nonfinite(loss)
    assert found.name == "AddBackward0"
    assert found.suspects == ("SubBackward0",)


def test_a_leaf_that_is_not_finite_is_found_first():
    x = leaf(1.0, float("nan"))
    found = first_nonfinite((x * 2).exp().sum())
    assert found.name == "AccumulateGrad"
    assert found.index == (1,)
    assert "leaf" in str(found)


def test_nothing_is_found_where_all_is_finite_or_nothing_is_recorded():
    assert first_nonfinite(leaf(1.0).exp().sum()) is None
    assert first_nonfinite(torch.tensor(float("nan"))) is None


def test_live_nodes_count_what_is_alive_and_saved():
    with graph.track_nodes():
        x = torch.ones(10, requires_grad=True)
        before = {(r.name, r.count) for r in graph.live_nodes()}
        ys = [x.exp() for _ in range(3)]
        rows = {r.name: r for r in graph.live_nodes() if (r.name, r.count) not in before}
        assert rows["ExpBackward0"].count == 3
        assert rows["ExpBackward0"].saved_bytes == 3 * 40
        del ys
        assert not any(r.name == "ExpBackward0" for r in graph.live_nodes())


def test_live_nodes_of_tensors_need_no_mode():
    x = torch.ones(10, requires_grad=True)
    loss = (x * x).sum()
    rows = graph.live_nodes(loss)
    assert [(r.name, r.count, r.saved_bytes, r.line) for r in rows] == [
        ("MulBackward0", 1, 40, None),
        ("SumBackward0", 1, 0, None),
    ]


def test_assert_no_leaks_passes_where_graphs_go_and_names_those_that_stay():
    x = leaf(1.0)
    with graph.assert_no_leaks():
        (x * x).sum().backward()
    totals = []
    with pytest.raises(AssertionError, match="still alive") as error, graph.assert_no_leaks():
        totals.extend([x.exp().sum() for _ in range(2)])
    line = this_line() - 1
    assert f"2 x ExpBackward0, 8 bytes saved ({HERE}:{line}, in" in str(error.value)


def test_what_a_leaf_keeps_for_its_next_graph_is_no_leak():
    with graph.assert_no_leaks():
        x = leaf(1.0)
        (x * x).sum().backward()
        assert x.grad.tolist() == [2.0]


def test_assert_no_leaks_lets_exceptions_pass_and_collects_cycles():
    kept = []

    def keeps_and_raises():
        kept.append(leaf(1.0).exp())
        raise KeyError

    with pytest.raises(KeyError), graph.assert_no_leaks():
        keeps_and_raises()
    with graph.assert_no_leaks():
        cycle = [leaf(1.0).exp()]
        cycle.append(cycle)
        del cycle
    gc.collect()


def test_lines_are_those_of_the_source():
    with set_detect_anomaly(True):
        y = leaf(1.0).exp()
    row = y.grad_fn.metadata["traceback_"][-1]
    number = int(row.split("line ")[1].split(",")[0])
    assert ".exp()" in linecache.getline(HERE, number) or "y = (" in linecache.getline(HERE, number)


@pytest.mark.filterwarnings("ignore:Anomaly Detection", "ignore:Error detected")
def test_a_nan_is_seen_wherever_a_gradient_has_its_elements():
    """In order, transposed, expanded, with gaps, backwards: the check reads each layout in its own way."""

    class Hands(Function):
        @staticmethod
        def forward(ctx, x, grad):
            ctx.grad = grad
            return x.sum()

        @staticmethod
        def backward(ctx, g):
            return ctx.grad, None

    bad = torch.zeros(4, 6)
    bad[3, 5] = float("nan")
    one = torch.full((1,), float("nan"))
    layouts = [bad, bad.T, one.expand(3, 2), bad[::3, 1::2], bad.flip(0), torch.stack([bad, bad])[:, 3]]
    for grad in layouts:
        x = torch.ones(grad.shape, requires_grad=True)
        with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="nan values in its 0th output"):
            Hands.apply(x, grad).backward()
    clean = bad[:, :5]  # the NaN lies in the same memory, between its elements
    for grad in (clean, clean.T, bad[:3], bad.T[:5]):
        x = torch.ones(grad.shape, requires_grad=True)
        with torch.autograd.detect_anomaly():
            Hands.apply(x, grad).backward()
