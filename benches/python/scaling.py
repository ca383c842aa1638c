"""Cost against size: nodes, branches, elements and threads, for arcgrad and PyTorch, as tables and plots.

    python benches/python/scaling.py [--quick] [--threads N] [--python PEER=INTERPRETER ...] [--plots FOLDER]

compare.py runs it at its end. Each answer is compared with PyTorch's before it is timed; that of the longest chain,
which PyTorch is not given, with the gradient that it must have.
"""

import argparse
import os
import pathlib
import sys
from dataclasses import dataclass, field

import peers
import plots
import programs
import report
import turns
from programs import sizes

ROUNDS = 3
HEAVY_ROUNDS = 1
QUICK_LARGEST = 1_000
NAMES = {"arcgrad": "arcgrad", "torch": "PyTorch"}
# Programs of the table that are timed at each number of threads.
THREADED = ("64 branches, n = 64", "1024 x 1024", "tanh, 4M")


@dataclass
class Series:
    """Seconds of one kind of work at each size, by peer."""

    name: str
    seconds: dict[str, dict[int, float]] = field(default_factory=lambda: {peer: {} for peer in NAMES})


@dataclass
class Growth:
    """The kinds of work on one plot, and what there is ever more of, in the singular."""

    unit: str
    caption: str
    series: list[Series] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def file(self):
        """The plot's file name."""
        return f"{plots.plural(self.unit)}.svg"

    @property
    def divides(self):
        """Whether the work stays the same and is divided among the units."""
        return self.unit == "thread"

    def add(self, series, size, line, threads):
        """Keep and print the line's figures at a number of threads, and note what went wrong with arcgrad's."""
        outcomes = []
        for peer in NAMES:
            side = f"{peer} ({threads})"
            if side in line.results:
                outcomes.append(f"{NAMES[peer]} {line.outcome(side)}")
            if (seconds := line.seconds(side)) is not None:
                series.seconds[peer][size] = seconds
            elif side in line.results and peer == report.OURS:
                self.failures.append(f"{line.program.title}: {line.outcome(side)}")
        print(f"  {series.name:36} {size:>12,} {', '.join(outcomes)}", flush=True)


def measure_curves(growth, curves, engines, largest):
    """Fill the growth with a series for each curve."""
    for curve in curves:
        series = Series(curve.name)
        growth.series.append(series)
        for size in curve.sizes:
            if size <= largest:
                program = curve.program(size)
                rounds = HEAVY_ROUNDS if program.heavy else ROUNDS
                line = report.Line(program, turns.run(program, engines, rounds))
                growth.add(series, size, line, engines[0].threads)
    return growth


def measure_threads(growth, engines):
    """Fill the growth with the same work on ever more threads, up to one for each core."""
    cores = len(os.sched_getaffinity(0))
    counts = sorted({*(2**power for power in range(cores.bit_length())), cores})
    sides = [peers.Side(side.peer, count, side.python) for count in counts for side in engines]
    for name in THREADED:
        program = programs.load_all()[name]
        line = report.Line(program, turns.run(program, sides, ROUNDS))
        series = Series(program.title)
        growth.series.append(series)
        for count in counts:
            growth.add(series, count, line, count)
    for side in sides:
        side.stop()
    return growth


def measure(sides, threads, largest=10**9):
    """Everything that grows, up to a largest size; empty where arcgrad or PyTorch is missing."""
    engines = [side for side in sides if side.peer in NAMES and side.threads == threads]
    if len(engines) < len(NAMES):
        return []
    print("\ncost against size")
    nodes = Growth("node", "PyTorch is not given the longest chain: it would take minutes.")
    branches = Growth("branch", "Each branch is four products and tanhs; only the backward pass is timed.")
    elements = Growth("element", "For few elements the call is what costs, and for many the memory.")
    found = [
        measure_curves(nodes, [sizes.NODES], engines, largest),
        measure_curves(branches, sizes.BRANCHES, engines, largest),
        measure_curves(elements, sizes.FUNCTIONS, engines, largest),
    ]
    for side in engines:
        side.stop()
    found.append(measure_threads(Growth("thread", "The same work on more threads."), engines))
    return found


def tables(growth):
    """Markdown tables of the measured points, a table for each series."""
    plural = plots.plural(growth.unit)
    beside = "times as fast" if growth.divides else "each"
    heads = [plural, *(head for name in NAMES.values() for head in (name, beside))]
    parts = []
    for series in growth.series:
        rows = []
        for size in sorted({size for found in series.seconds.values() for size in found}):
            row = [f"{size:,}"]
            for found in series.seconds.values():
                seconds = found.get(size)
                if seconds is None:
                    row += ["-", "-"]
                elif growth.divides:
                    row += [report.span(seconds), report.number(found[1] / seconds)]
                else:
                    row += [report.span(seconds), report.span(seconds / size)]
            rows.append(row)
        parts += [f"{series.name[0].upper()}{series.name[1:]}:", "", *report.grid(heads, rows), ""]
    return parts


def sections(growths, folder):
    """The document's lines about growth; the plots go into the folder, beside the document."""
    if not growths:
        return []
    drawn = plots.draw(growths, folder)
    linear = "Where cost grows linearly, the time for each is the same at every size but the small ones."
    parts = ["## Cost against size", "", linear, ""]
    if not drawn:
        parts += ["The plots are left out: matplotlib is not installed.", ""]
    for growth in growths:
        plural = plots.plural(growth.unit)
        parts += [f"### {plural.capitalize()}", "", growth.caption, ""]
        if drawn:
            parts += [f"![Time against {plural}]({folder.name}/{growth.file})", ""]
        parts += tables(growth)
    return parts


def closing(growths):
    """Print what went wrong with arcgrad's answers; 1 where something did."""
    failures = [failure for growth in growths for failure in growth.failures]
    for failure in failures:
        print(f"FAILED: {failure}")
    return int(bool(failures))


def main():
    """Measure, print the tables, and draw the plots where a folder for them is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    parser.add_argument("--plots", type=pathlib.Path, help="where the plots go")
    peers.add_options(parser)
    options = parser.parse_args()
    sides, _ = peers.find(NAMES, options)
    growths = measure(sides, options.threads, QUICK_LARGEST if options.quick else 10**9)
    for side in sides:
        side.stop()
    for growth in growths:
        print("\n".join(["", *tables(growth)]))
    if options.plots and not plots.draw(growths, options.plots):
        print("no plots: matplotlib is not installed")
    return closing(growths)


if __name__ == "__main__":
    sys.exit(main())
