"""Figures that are not a ratio of two timings: import, wheel, bytes a node, a deep graph on a small stack, threads."""

import json
import os
import pathlib
import statistics
import subprocess
from dataclasses import dataclass

PROBES = pathlib.Path(__file__).with_name("probes.py")


@dataclass
class Figure:
    """One measured figure: its value in `unit`, the limits it must and should keep, and the peer's own value.

    It has failed where the value is wrong, or arcgrad's process ended before there was one.
    """

    name: str
    value: float | None
    unit: str
    promised: float | None = None
    aim: float | None = None
    peer: float | None = None
    remark: str = ""
    failed: bool = False


def probe(side, name):
    """The JSON answer of a probe in a fresh process of the side's peer, or None when it ended badly."""
    environment = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    finished = subprocess.run(
        [side.python, str(PROBES), name, side.peer],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    return json.loads(finished.stdout) if finished.returncode == 0 else None


def import_seconds(side, repeats):
    """Median milliseconds of the first import in a fresh process."""
    answers = [probe(side, "import") for _ in range(repeats)]
    return None if None in answers else 1e3 * statistics.median(answer["seconds"] for answer in answers)


def wheel(root):
    """Megabytes of the newest built wheel."""
    built = sorted(root.glob("dist/arcgrad-*.whl"), key=lambda path: path.stat().st_mtime)
    return built[-1].stat().st_size / 1e6 if built else None


def measure(root, sides, quick):
    """Every figure, for the sides that are there."""
    by_peer = {side.peer: side for side in sides}
    ours, theirs = by_peer.get("arcgrad"), by_peer.get("torch")
    answers = {}
    for peer, side in (("arcgrad", ours), ("torch", theirs)):
        if side is not None:
            repeats = 3 if quick else 11
            answers[peer] = {
                "import": import_seconds(side, repeats),
                "deep": probe(side, "deep") or {},
                "wide": probe(side, "wide") or {},
                "mechanics": probe(side, "mechanics") or {},
            }

    def figure(probe_name, key, scale=1):
        pair = [answers.get(peer, {}).get(probe_name, {}).get(key) for peer in ("arcgrad", "torch")]
        pair = [None if value is None else value * scale for value in pair]
        return {"value": pair[0], "peer": pair[1]}

    def ratio(peer):
        wide = answers.get(peer, {}).get("wide", {})
        return wide["two"] / wide["one"] if wide else None

    deep = answers.get("arcgrad", {}).get("deep", {})
    bits = answers.get("arcgrad", {}).get("wide", {}).get("same_bits")
    found = [
        Figure("first import in a process", answers.get("arcgrad", {}).get("import"), "ms", 60, 30),
        Figure("wheel", wheel(root), "MB", 8, 6),
        Figure("a node of a chain of 1,000,000", **figure("deep", "bytes"), unit="bytes", promised=400, aim=250),
        Figure("that chain on a 256 KiB stack: build", **figure("deep", "build"), unit="s"),
        Figure("... backward", **figure("deep", "backward"), unit="s"),
        Figure(
            "... free",
            **figure("deep", "free"),
            unit="s",
            remark="" if deep.get("right") else "THE GRADIENT IS WRONG OR THE PROCESS ENDED",
            failed=not deep.get("right"),
        ),
        Figure(
            "backward of 8 branches, n = 128: two threads to one",
            ratio("arcgrad"),
            "x",
            0.7,
            peer=ratio("torch"),
            remark={True: "same bits at 1, 2, 3, 4 and 8 threads", False: "THE BITS DIFFER"}.get(bits, ""),
            failed=not bits,
        ),
        Figure(
            "a tensor hook in Python, beyond the call of its function",
            **figure("mechanics", "hook", 1e6),
            unit="µs",
            promised=1,
            failed=not answers.get("arcgrad", {}).get("mechanics"),
        ),
        *(
            Figure(
                f"anomaly mode, MLP step of width {width}",
                **figure("mechanics", f"anomaly {width}"),
                unit="x",
                promised=1.5,
            )
            for width in (16, 64)
        ),
    ]
    found[0].peer = answers.get("torch", {}).get("import")
    found[0].failed = found[0].value is None
    return found if ours else []
