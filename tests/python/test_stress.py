"""Random programs with random hooks on several numbers of threads, and threads that differentiate at the same time.

`make stress STRESS=100` runs a hundred times as many of them as `make test` does.
"""

import hashlib
import os
import pathlib

import pytest

import arcgrad as torch
import stress_programs

COUNTS = [1, 2, 3, 4, 8]
# How many times the usual number.
FACTOR = int(os.environ.get("STRESS", "1"))


def digest(entry):
    """A log's or an answer's name, and the shape and bits of its tensors."""
    name, *tensors = entry
    return name, *(None if t is None else (tuple(t.shape), bits(t)) for t in tensors)


def bits(t):
    return hashlib.blake2b(t.detach().contiguous().numpy().tobytes(), digest_size=8).hexdigest()


def ran(seed, threads):
    torch.set_num_threads(threads)
    numbers, log = stress_programs.run(seed)
    return [digest(entry) for entry in numbers], [digest(entry) for entry in log]


@pytest.fixture(autouse=True)
def the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("group", range(10 * FACTOR))
def test_bits_and_calls_of_hooks_do_not_depend_on_the_number_of_threads(group):
    for seed in range(20 * group, 20 * (group + 1)):
        expected = ran(seed, 1)
        for threads in COUNTS[1:]:
            numbers, log = ran(seed, threads)
            assert log == expected[1], f"the log of program {seed} on {threads} threads"
            assert numbers == expected[0], f"the numbers of program {seed} on {threads} threads"


HERE = str(pathlib.Path(__file__).parent)
STORM = f"import sys; sys.path.insert(0, {HERE!r}); import stress_threads; stress_threads.main()"


@pytest.mark.parametrize("seed", range(2 * FACTOR))
@pytest.mark.parametrize("threads", [1, 2, 4, 8])
def test_no_hook_hangs_or_loses_a_pass_of_another_thread(alone, threads, seed):
    assert alone(STORM, seed, 15, threads, 100) == ["done"]
