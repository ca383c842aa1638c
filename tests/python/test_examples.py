"""The programs under examples/ do what they say: the tutorial prints what PyTorch prints, the digits are learnt."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# Seeded first, as the recording was: the tutorial itself draws its weights without a seed.
SEEDED = "import runpy, sys, arcgrad; arcgrad.manual_seed(0); runpy.run_path(sys.argv[1], run_name='__main__')"


def run(*arguments, cwd=ROOT):
    """The finished process of a Python program, its text captured."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_tutorial_prints_what_pytorch_prints():
    finished = run("-c", SEEDED, ROOT / "examples" / "tutorial.py")
    assert finished.returncode == 0, finished.stderr
    printed = re.sub(r"0x[0-9a-fA-F]+", "0x…", finished.stdout)
    assert printed == (ROOT / "tests" / "data" / "tutorial.txt").read_text(encoding="utf-8")
    assert finished.stderr == ""


def test_the_tutorial_differs_from_pytorchs_in_one_import_only():
    source = (ROOT / "examples" / "tutorial.py").read_text(encoding="utf-8")
    assert re.findall(r"^.*arcgrad.*$", source, re.MULTILINE) == ["import arcgrad as torch"]


def test_the_digits_are_learnt_and_drawn(tmp_path):
    pytest.importorskip("sklearn", reason="the demo's requirements are not installed")
    finished = run(ROOT / "examples" / "digits.py", cwd=tmp_path)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    accuracy = float(re.search(r"([\d.]+) % of (\d+) held-out digits", finished.stdout)[1])
    assert accuracy >= 97.0
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


def test_the_digits_program_fails_when_nothing_is_learnt(tmp_path):
    pytest.importorskip("sklearn", reason="the demo's requirements are not installed")
    finished = run(ROOT / "examples" / "digits.py", "--epochs", "0", cwd=tmp_path)
    assert finished.returncode == 1
    assert "below the 97 %" in finished.stdout + finished.stderr
