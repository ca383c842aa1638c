"""The comparison with the peers can be believed: wrong answers are found, limits are judged, promised work runs."""

import numpy as np
import pytest

import arcgrad
import programs
import report
from compare import agree
from worker import digest

PROMISED = [each for each in programs.load_all().values() if each.promised is not None]


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


@pytest.mark.parametrize("program", PROMISED, ids=lambda program: f"{program.group}: {program.name}")
def test_the_programs_that_a_promise_rests_on_run(program):
    programs.draw.restart()
    work = program.setup(arcgrad)
    answers = digest(eval(work.answer or work.expression, work.names))
    assert answers
    assert all(np.isfinite(each["sample"]).all() for each in answers)


def test_a_side_draws_the_same_numbers_as_any_other():
    programs.draw.restart()
    first = programs.draw.normal(3, 2)
    programs.draw.restart()
    assert programs.draw.tensor(arcgrad, 3, 2).numpy().tobytes() == first.tobytes()
