"""The table: printed line by line as it is measured, and written whole as Markdown."""

import os
import platform
import statistics
from dataclasses import dataclass, field

JUDGE = "torch"
OURS = "arcgrad"
# How much slower more threads may make a line before they count as harmful.
NO_GAIN = 1.02


@dataclass
class Result:
    """What one side made of one program: seconds a call, sorted, or why there are none."""

    seconds: list[float] = field(default_factory=list)
    error: str = ""
    wrong: bool = False


@dataclass
class Line:
    """A program and the result of every side."""

    program: object
    results: dict[str, Result]
    peaks: dict[str, float | None] = field(default_factory=dict)

    def seconds(self, name):
        """The figure that counts: the best of a small program's batches, the median of another's."""
        result = self.results.get(name)
        if result is None or not result.seconds:
            return None
        return result.seconds[0] if self.program.small else statistics.median(result.seconds)

    def outcome(self, name):
        """The figure that counts as text, or why there is none."""
        result = self.results.get(name)
        return result.error if result and result.error else span(self.seconds(name))

    def spread(self, name):
        """The distance between the quartiles, in per cent of the median."""
        result = self.results.get(name)
        if result is None or len(result.seconds) < 4:
            return None
        low, middle, high = statistics.quantiles(result.seconds, n=4)
        return 100 * (high - low) / middle

    def is_surely_slower(self, ours, theirs):
        """Whether three quarters of a side's times are above three quarters of another's, by more than `NO_GAIN`."""
        both = [self.results.get(name) for name in (ours, theirs)]
        if any(result is None or len(result.seconds) < 4 for result in both):
            return False
        (low, _, _), (_, _, high) = (statistics.quantiles(result.seconds, n=4) for result in both)
        return low > NO_GAIN * high

    def ratio(self, ours, theirs):
        """Time of one side to time of another, or None where one has none."""
        a, b = self.seconds(ours), self.seconds(theirs)
        return a / b if a and b else None


def span(seconds):
    """A duration with three digits and the unit that suits it."""
    if seconds is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.2g} ns"


def number(value, digits="{:.2f}"):
    """A number, or a dash for none."""
    return "-" if value is None else digits.format(value)


def judged(value, promised, aim):
    """How a figure stands to its limits."""
    if value is None:
        return "not measured" if promised or aim else ""
    if aim is not None and value <= aim:
        return "aim met"
    if promised is not None and value <= promised:
        return "promise kept" + (", aim missed" if aim else "")
    if promised is not None:
        return "MISSED"
    return "aim missed" if aim is not None else ""


class Report:
    """Lines and figures of one run."""

    def __init__(self, threads, versions, remark=""):
        self.threads = threads
        self.remark = remark
        self.versions = versions
        self.lines = []
        self.figures = []
        self.group = None

    def side(self, peer, threads=None):
        """The name under which a side's results stand."""
        return f"{peer} ({threads or self.threads})"

    def cells(self, line):
        """The columns of a line, as text."""
        ours, theirs = self.side(OURS), self.side(JUDGE)
        ratio = line.ratio(ours, theirs)
        better = line.ratio(self.side(OURS, 1), ours) if self.threads > 1 else None
        others = [
            f"{peer} {line.outcome(self.side(peer))}"
            for peer in self.versions
            if peer not in (OURS, JUDGE) and self.side(peer) in line.results
        ]
        return [
            line.program.name,
            line.outcome(ours),
            line.outcome(theirs),
            number(ratio),
            number(line.program.promised),
            number(line.program.aim),
            judged(ratio, line.program.promised, line.program.aim),
            number(better, "{:.2f}x"),
            span(line.seconds(self.side(JUDGE, 1))),
            ", ".join(others) or "-",
            f"{number(line.spread(ours), '{:.0f}')} / {number(line.spread(theirs), '{:.0f}')}",
        ]

    def show(self, line):
        """Print a line, under its group's heading."""
        if line.program.group != self.group:
            self.group = line.program.group
            print(f"\n{self.group}")
        name, mine, theirs, ratio, promised, aim, verdict, better, single, others, spread = self.cells(line)
        limits = f"<= {promised}, aim {aim}"
        print(
            f"  {name:36} {mine:>10} {theirs:>10}  ratio {ratio:>5} {limits:18} {verdict:26}"
            f" threads gain {better}; PyTorch on one {single}; {others}; spread {spread} %",
            flush=True,
        )

    def show_figures(self):
        """Print the figures that are not ratios of timings."""
        print("\nfigures")
        for each in self.figures:
            print("  " + " | ".join(self.figure_cells(each)))

    def figure_cells(self, figure):
        """The columns of a figure, as text."""
        return [
            figure.name,
            f"{number(figure.value, '{:.3g}')} {figure.unit}",
            number(figure.peer, "{:.3g}"),
            number(figure.promised, "{:g}"),
            number(figure.aim, "{:g}"),
            judged(figure.value, figure.promised, figure.aim),
            figure.remark,
        ]

    def preface(self):
        """How the figures came about, and how to read the columns."""
        return (
            "Written by `benches/python/compare.py`; do not edit. One run, sides taking turns, each in a process of "
            f"its own with {self.threads} thread{'s' * (self.threads > 1)}; before any timing, each side's answer is "
            "compared with PyTorch's. Times are the best of many batches for work of a few elements and medians "
            "otherwise. *Ratio* is arcgrad's time to PyTorch's: below one, arcgrad is faster. *Threads gain* is "
            f"arcgrad's time on one thread to its time on {self.threads}; where more threads surely cost more than 2 "
            "per cent, the quartiles being that far apart, the run fails. *Spread* is the distance between the "
            "quartiles in per cent of the median, arcgrad's and PyTorch's. Lines that are lost stay in the table. "
            "*Others* have fewer rounds, wait for every value where they compute lazily, and have no entry for work "
            "that they cannot do or that is not written for them; MLX runs without its compiler, JAX without and with "
            "it (jax-jit)."
        )

    def markdown(self):
        """The whole document."""
        parts = [
            "# Benchmarks",
            "",
            self.preface(),
            "",
            *([self.remark, ""] if self.remark else []),
            f"Machine: {machine()}.",
            "",
            "Versions: "
            + ", ".join(f"{peer} {told['version']} (Python {told['python']})" for peer, told in self.versions.items())
            + ".",
            "",
        ]
        heads = ["work", "arcgrad", "PyTorch", "ratio", "promised", "aim", "", "threads gain"]
        heads += ["PyTorch, 1 thread", "others", "spread"]
        for group in dict.fromkeys(line.program.group for line in self.lines):
            rows = [self.cells(line) for line in self.lines if line.program.group == group]
            parts += [f"## {group[0].upper()}{group[1:]}", "", *grid(heads, rows), ""]
        peaks = [
            [
                f"{line.program.group}, {line.program.name}",
                number(megabytes(line.peaks.get(OURS)), "{:.1f}"),
                number(megabytes(line.peaks.get(JUDGE)), "{:.1f}"),
                number(memory_ratio(line)),
                judged_memory(line),
            ]
            for line in self.lines
            if line.peaks
        ]
        if peaks:
            parts += [
                "## Peak memory of training steps, MB",
                "",
                *grid(["work", "arcgrad", "PyTorch", "ratio", ""], peaks),
                "",
            ]
        if self.figures:
            heads = ["figure", "arcgrad", "PyTorch", "promised", "aim", "", "remark"]
            parts += ["## Figures", "", *grid(heads, map(self.figure_cells, self.figures)), ""]
        return "\n".join(parts)

    def closing(self):
        """Print the tally; 1 when arcgrad failed, for a fast wrong answer is no answer."""
        ratios = [line.ratio(self.side(OURS), self.side(JUDGE)) for line in self.lines]
        won = sum(ratio is not None and ratio < 1 for ratio in ratios)
        print(f"\n{len(self.lines)} programs; {won} faster than PyTorch, {ratios.count(None)} not compared")
        for line in self.lines:
            for side, result in line.results.items():
                if result.wrong:
                    print(f"WRONG ANSWER of {side}: {line.program.title}")
        failures = self.failures()
        for failure in failures:
            print(f"FAILED: {failure}")
        return int(bool(failures))

    def failures(self):
        """What arcgrad could not do or did wrong, or what more threads surely made slower."""
        failures = [
            f"{line.program.title}, {side}: {result.error}"
            for line in self.lines
            for side, result in line.results.items()
            if side.startswith(f"{OURS} ") and result.error
        ]
        failures += [
            f"{line.program.title}: slower on {self.threads} threads than on one"
            for line in self.lines
            if line.is_surely_slower(self.side(OURS), self.side(OURS, 1))
        ]
        failures += [f"{line.program.title}, peak memory" for line in self.lines if line.peaks.get(OURS, 0) is None]
        return failures + [each.name for each in self.figures if each.failed]


def megabytes(size):
    """Bytes as megabytes, None as None."""
    return None if size is None else size / 1e6


def memory_ratio(line):
    """Our peak bytes to PyTorch's; None below a megabyte, where a few pages of luck decide."""
    ours, theirs = line.peaks.get(OURS), line.peaks.get(JUDGE)
    return ours / theirs if ours is not None and theirs and theirs >= 1e6 else None


def judged_memory(line):
    """How the peak stands to PyTorch's."""
    if None in line.peaks.values():
        return "failed"
    ratio = memory_ratio(line)
    return judged(ratio, None, 1.0) if ratio else "too small to tell"


def grid(heads, rows):
    """Lines of a Markdown table."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return ["| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *escaped]]


VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}


def machine():
    """Processor, its vectors, usable cores and system in a few words."""
    facts = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as cpus:
            for line in cpus:
                name, _, fact = line.partition(":")
                facts.setdefault(name.strip(), fact.strip())
    except OSError:
        pass
    model = facts.get("model name") or platform.processor() or platform.machine()
    flags = facts.get("flags", "").split()
    vectors = next((f" ({name})" for flag, name in VECTORS.items() if flag in flags), "")
    return f"{model}{vectors}, {len(os.sched_getaffinity(0))} cores, {platform.system()}{huge_pages()}"


def huge_pages():
    """When the system backs memory with huge pages, which decides what fresh memory costs who does not ask for them."""
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="utf-8") as setting:
            chosen = setting.read().partition("[")[2].partition("]")[0]
    except OSError:
        return ""
    return f", huge pages: {chosen}"
