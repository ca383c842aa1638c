"""The comparison with the peers can be believed: wrong answers are found, limits are judged, all sides' work runs."""

import fnmatch
import importlib
import importlib.util
import sys
import types

import numpy as np
import pytest

import arcgrad
import compare
import figures
import peers
import programs
import report
import scaling
import turns
from programs import sizes, tensors
from turns import agree
from worker import MODULES, digest

TABLE = programs.load_all()
PROMISED = [each for each in TABLE.values() if each.promised is not None]
INSTALLED = [
    peer
    for peer in peers.PEERS
    if peer != "arcgrad" and importlib.util.find_spec(MODULES.get(peer, peer).partition(".")[0])
]


@pytest.mark.parametrize(
    "wrong",
    [
        np.array([1.0, 2.0, 3.1]),
        np.array([1.0, 2.0]),
        np.array([[1.0, 2.0, 3.0]]),
        np.array([1.0, 2.0, np.nan]),
    ],
    ids=["a number", "the length", "the shape", "not a number"],
)
def test_a_wrong_answer_is_found(wrong):
    right = digest(np.array([1.0, 2.0, 3.0]))
    assert agree(digest(np.array([1.0, 2.0, 3.00001])), right, 1e-4)
    assert not agree(digest(wrong), right, 1e-4)
    assert not agree([], right, 1e-4)


@pytest.mark.parametrize(
    ("many", "fails"),
    [
        ([1.00, 1.01, 1.02, 1.03], False),
        ([1.00, 1.10, 1.20, 1.30], False),
        ([1.06, 1.07, 1.08, 1.09], True),
        ([0.50, 0.51, 0.52, 0.53], False),
    ],
    ids=["as fast", "perhaps slower", "slower", "faster"],
)
def test_more_threads_that_surely_cost_time_fail_the_run(many, fails):
    table = report.Report(2, {"arcgrad": {}})
    one = [1.00, 1.01, 1.02, 1.03]
    program = programs.Program("work", "group", None)
    results = {"arcgrad (2)": report.Result(seconds=many), "arcgrad (1)": report.Result(seconds=one)}
    table.lines.append(report.Line(program, results))
    assert table.failures() == ["group: work: slower on 2 threads than on one"] * fails
    assert table.closing() == fails


@pytest.mark.parametrize(
    ("value", "promised", "aim", "verdict"),
    [
        (0.1, 0.35, 0.2, "aim met"),
        (0.3, 0.35, 0.2, "promise kept, aim missed"),
        (0.4, 0.35, 0.2, "MISSED"),
        (0.4, None, 0.2, "aim missed"),
        (None, 0.35, 0.2, "not measured"),
    ],
)
def test_a_figure_is_judged_by_its_limits(value, promised, aim, verdict):
    assert report.judged(value, promised, aim) == verdict


def test_work_of_a_few_elements_counts_by_its_best_batch_and_other_work_by_its_median():
    result = {"side": report.Result(seconds=[1.0, 2.0, 30.0])}
    small, large = (programs.Program("p", "g", setup=None, small=small) for small in (True, False))
    assert report.Line(small, result).seconds("side") == 1.0
    assert report.Line(large, result).seconds("side") == 2.0


def test_a_losing_line_stays_in_the_document():
    line = report.Line(
        programs.Program("lost work", "group", setup=None, aim=1.0),
        {"arcgrad (2)": report.Result(seconds=[3.0]), "torch (2)": report.Result(seconds=[1.0])},
    )
    table = report.Report(2, {})
    table.lines.append(line)
    assert "| lost work | 3 s | 1 s | 3.00 | - | 1.00 | aim missed |" in table.markdown()


def answer_of(setup, module):
    programs.draw.restart()
    work = setup(module)
    return digest(eval(work.answer or work.expression, work.names))


@pytest.mark.parametrize("program", PROMISED, ids=lambda program: program.title)
def test_the_programs_that_a_promise_rests_on_run(program):
    answers = answer_of(program.setup, arcgrad)
    assert answers
    assert all(np.isfinite(each["sample"]).all() for each in answers)


@pytest.mark.parametrize(
    ("peer", "program"),
    [
        pytest.param(peer, each, id=f"{peer}, {each.title}")
        for peer in INSTALLED
        for each in TABLE.values()
        if each.setup_for(peer) and not each.heavy
    ],
)
def test_an_installed_peer_and_arcgrad_give_the_same_answer_to_a_program(peer, program):
    module = importlib.import_module(MODULES.get(peer, peer))
    answer = answer_of(program.setup_for(peer), module)
    assert agree(answer, answer_of(program.setup, arcgrad), program.tolerance)


def test_no_program_that_a_peer_is_said_to_lack_is_unknown():
    titles = [each.title for each in TABLE.values()]
    for patterns in tensors.LACKING.values():
        for pattern in patterns:
            assert fnmatch.filter(titles, pattern), pattern


def test_the_table_begins_with_the_smallest_work_whatever_was_imported_first():
    assert next(iter(TABLE)) == "a + b"
    assert not TABLE.keys() & sizes.load().keys()


class ToldSide(peers.Side):
    """A side that answers what it was told to, in place of a process."""

    def __init__(self, peer, value, seconds=0.01, crashes_at=None):
        super().__init__(peer, 2)
        self.value, self.taken, self.crashes_at = value, seconds, crashes_at

    def ask(self, **request):
        if request["do"] == self.crashes_at:
            raise peers.UnableError("ended with status -11")
        if request["do"] == "build":
            return {"answer": digest(np.array(self.value)), "seconds": self.taken}
        return {"seconds": [self.taken]}


def run_of(*sides):
    program = programs.Program("work", "group", setup=lambda module: None, peers=peers.PEERS)
    table = report.Report(2, {side.peer: None for side in sides})
    table.lines.append(report.Line(program, turns.run(program, sides, rounds=5)))
    return table


def test_a_wrong_answer_of_a_peer_is_shown_and_does_not_fail_the_run():
    table = run_of(ToldSide("arcgrad", 1.0), ToldSide("torch", 1.0), ToldSide("mlx", 2.0), ToldSide("raxis", 1.0))
    assert "mlx wrong answer, raxis 10 ms" in table.cells(table.lines[0])
    assert table.closing() == 0


def test_a_wrong_answer_of_arcgrad_fails_the_run(capsys):
    table = run_of(ToldSide("arcgrad", 2.0), ToldSide("torch", 1.0))
    assert table.cells(table.lines[0])[1] == "wrong answer"
    assert table.closing() == 1
    assert "WRONG ANSWER of arcgrad (2): group: work" in capsys.readouterr().out


@pytest.mark.parametrize("request_of_the_crash", ["build", "time"])
def test_a_crash_of_arcgrad_fails_the_run(request_of_the_crash, capsys):
    ours = ToldSide("arcgrad", 1.0, crashes_at=request_of_the_crash)
    table = run_of(ours, ToldSide("torch", 1.0))
    assert table.cells(table.lines[0])[1] == "ended with status -11"
    assert table.closing() == 1
    assert "FAILED: group: work, arcgrad (2): ended with status -11" in capsys.readouterr().out


@pytest.mark.parametrize(("peer", "status"), [("arcgrad", 1), ("torch", 0)])
def test_a_crash_of_arcgrad_while_its_memory_is_measured_fails_the_run(peer, status, monkeypatch):
    def ask(side, **_):
        if side.peer == peer:
            raise peers.UnableError("ended with status -11")
        return {"bytes": 5e6}

    sides = [ToldSide("arcgrad", 1.0), ToldSide("torch", 1.0)]
    table = run_of(*sides)
    monkeypatch.setattr(peers.Side, "ask", ask)
    table.lines[0].peaks = compare.peak_memory(table.lines[0].program, sides, threads=2)
    assert table.closing() == status
    assert report.judged_memory(table.lines[0]) == "failed"


@pytest.mark.parametrize("probe", ["import", "deep", "wide", "mechanics"])
def test_a_crash_of_arcgrad_in_a_probe_fails_the_run(probe, monkeypatch, tmp_path):
    answers = {
        "import": {"seconds": 0.01},
        "deep": {"bytes": 100, "build": 1.0, "backward": 1.0, "free": 1.0, "right": True},
        "wide": {"one": 1.0, "two": 0.5, "same_bits": True},
        "mechanics": {"hook": 1e-7, "anomaly 16": 1.0, "anomaly 64": 1.0},
    }
    monkeypatch.setattr(figures, "probe", lambda side, name: answers[name])
    table = run_of(ToldSide("arcgrad", 1.0), ToldSide("torch", 1.0))
    table.figures = figures.measure(tmp_path, [ToldSide("arcgrad", 1.0)], quick=True)
    assert table.closing() == 0
    answers[probe] = None
    table.figures = figures.measure(tmp_path, [ToldSide("arcgrad", 1.0)], quick=True)
    assert table.closing() == 1


@pytest.mark.parametrize(
    ("side", "reason"),
    [
        (ToldSide("raxis", 1.0, seconds=60.0), "raxis too slow (60 s)"),
        (ToldSide("raxis", 1.0, crashes_at="build"), "raxis ended with status -11"),
        (ToldSide("raxis", 1.0, crashes_at="time"), "raxis ended with status -11"),
    ],
    ids=["slow", "does not build", "ends while it is timed"],
)
def test_a_peer_without_a_time_is_shown_with_the_reason(side, reason):
    table = run_of(ToldSide("arcgrad", 1.0), ToldSide("torch", 1.0), side)
    assert reason in table.cells(table.lines[0])
    assert table.closing() == 0


def test_peers_have_fewer_rounds_than_the_two_engines():
    results = run_of(ToldSide("arcgrad", 1.0), ToldSide("torch", 1.0), ToldSide("jax", 1.0)).lines[0].results
    assert [len(each.seconds) for each in results.values()] == [5, 5, turns.PEER_ROUNDS]


def test_a_peer_that_cannot_do_the_work_has_no_entry():
    table = run_of(ToldSide("arcgrad", 1.0), ToldSide("torch", 1.0))
    table.versions["numpy"] = None
    assert table.cells(table.lines[0])[-2] == "-"


@pytest.mark.parametrize("curve", sizes.CURVES, ids=lambda curve: curve.name)
def test_work_of_growing_size_runs(curve):
    for size in curve.sizes[:2]:
        assert answer_of(curve.program(size).setup, arcgrad)


def test_a_chain_with_a_wrong_gradient_is_not_timed():
    twos = types.SimpleNamespace(ones=lambda size: arcgrad.full((size,), 2.0))
    with pytest.raises(ArithmeticError, match="gradient of a chain"):
        answer_of(lambda torch: sizes.chain(torch, 3), twos)


def measured():
    """Growth with figures made up: cost in proportion to size, and half of it on two threads."""
    nodes = scaling.Series("a chain", {"arcgrad": {10: 1e-5, 100: 1e-4}, "torch": {10: 1e-4}})
    threads = scaling.Series("a product", {"arcgrad": {1: 2.0, 2: 1.0}, "torch": {1: 1.0, 2: 2.0}})
    return [scaling.Growth("node", "As deep as it gets.", [nodes]), scaling.Growth("thread", "", [threads])]


def test_the_document_has_every_measured_size_and_its_cost_for_each(tmp_path):
    document = "\n".join(scaling.sections(measured(), tmp_path / "benchmarks"))
    assert "### Nodes\n\nAs deep as it gets." in document
    assert "| 10 | 10 µs | 1 µs | 100 µs | 10 µs |\n| 100 | 100 µs | 1 µs | - | - |" in document
    assert "| 1 | 2 s | 1.00 | 1 s | 1.00 |\n| 2 | 1 s | 2.00 | 2 s | 0.50 |" in document


def test_a_plot_is_small_text_that_the_same_figures_make_again(tmp_path):
    pytest.importorskip("matplotlib", reason="plots are drawn where matplotlib is installed, and left out elsewhere")
    folders = [tmp_path / name / "benchmarks" for name in ("first", "second")]
    documents = [scaling.sections(measured(), folder) for folder in folders]
    assert documents[0] == documents[1]
    assert "![Time against nodes](benchmarks/nodes.svg)" in documents[0]
    for name in ("nodes.svg", "threads.svg"):
        first, second = ((folder / name).read_text(encoding="utf-8") for folder in folders)
        assert first == second
        assert "solid: arcgrad, dashed: PyTorch" in first
        assert len(first) < 40_000


def test_without_matplotlib_the_tables_stand_alone_and_say_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    document = "\n".join(scaling.sections(measured(), tmp_path / "benchmarks"))
    assert "matplotlib is not installed" in document
    assert ".svg" not in document
    assert "| 10 | 10 µs |" in document
    assert not (tmp_path / "benchmarks").exists()


def test_a_failure_of_arcgrad_at_one_size_fails_the_run():
    growth, series = scaling.Growth("node", ""), scaling.Series("a chain")
    for size, ours in ((10, 1.0), (100, 2.0)):
        line = run_of(ToldSide("arcgrad", ours), ToldSide("torch", 1.0)).lines[0]
        growth.add(series, size, line, threads=2)
    assert series.seconds == {"arcgrad": {10: 0.01}, "torch": {10: 0.01, 100: 0.01}}
    assert growth.failures == ["group: work: wrong answer"]
    assert scaling.closing([growth]) == 1
    assert scaling.closing(measured()) == 0


def test_a_side_draws_the_same_numbers_as_any_other():
    programs.draw.restart()
    first = programs.draw.normal(3, 2)
    programs.draw.restart()
    assert programs.draw.tensor(arcgrad, 3, 2).numpy().tobytes() == first.tobytes()
