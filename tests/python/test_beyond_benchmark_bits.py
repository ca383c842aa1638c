"""Beyond PyTorch: every program of the benchmarks, heavy ones apart, has the same bits for any number of threads."""

import numpy as np
import pytest

import arcgrad
import arcgrad.optim
import programs

COUNTS = (1, 2, 3, 4, 8)
PROGRAMS = [each for each in programs.load_all().values() if not each.heavy]


def leaves(value):
    """The tensors and numbers of an answer, as arrays."""
    if isinstance(value, (tuple, list)):
        for each in value:
            yield from leaves(each)
    elif value is not None:
        yield value.detach().numpy() if isinstance(value, arcgrad.Tensor) else np.float64(value)


def bits(program):
    programs.draw.restart()
    work = program.setup(arcgrad)
    return b"".join(each.tobytes() for each in leaves(eval(work.answer or work.expression, work.names)))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: f"{p.group}: {p.name}")
def test_bits_of_a_benchmark_do_not_depend_on_the_number_of_threads(program):
    before = arcgrad.get_num_threads()
    try:
        answers = []
        for threads in COUNTS:
            arcgrad.set_num_threads(threads)
            answers.append(bits(program))
    finally:
        arcgrad.set_num_threads(before)
    assert answers[0]
    assert [answer == answers[0] for answer in answers] == [True] * len(COUNTS)
