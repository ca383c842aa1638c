"""What every test of the Python package shares: the bounded hypothesis profile, recorded answers, clean modes."""

import json
import pathlib

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


@pytest.fixture(scope="session")
def recorded():
    """A loader of what real PyTorch answered: `recorded("random")` reads tests/data/random.json."""
    return lambda name: json.loads((DATA / f"{name}.json").read_text())


@pytest.fixture(autouse=True)
def modes_are_left_as_found():
    """A test that leaks a gradient mode would make later tests pass or fail for the wrong reason."""
    yield
    assert torch.is_grad_enabled(), "the test left gradients disabled on this thread"
