"""What every test shares: the bounded hypothesis profile, recorded answers, and clean modes."""

import json
import pathlib
import subprocess
import sys

import hypothesis
import pytest

import arcgrad as torch

DATA = pathlib.Path(__file__).parent.parent / "data"

hypothesis.settings.register_profile(
    "bounded",
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("bounded")


@pytest.fixture(scope="module")
def recorded():
    """A loader of what real PyTorch answered: `recorded("random")` reads tests/data/random.json."""
    return lambda name: json.loads((DATA / f"{name}.json").read_text())


@pytest.fixture
def alone():
    """Runs a program in a process of its own that must end well; returns the lines that it printed.

    For whatever could take the test run down with it: deep stacks, forks, signals, leaked memory.
    """

    def run(program, *arguments, timeout=120):
        command = [sys.executable, "-c", program, *map(str, arguments)]
        child = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        assert child.returncode == 0, f"status {child.returncode}\n{child.stdout[-1000:]}\n{child.stderr[-3000:]}"
        return child.stdout.splitlines()

    return run


@pytest.fixture(autouse=True)
def modes_are_left_as_found():
    """A test that leaks a gradient mode would make later tests pass or fail for the wrong reason."""
    yield
    assert torch.is_grad_enabled(), "the test left gradients disabled on this thread"
