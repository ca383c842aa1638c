"""Time arcgrad and every installed peer on the same programs, in one run, and write docs/benchmarks.md.

    python benches/python/compare.py [--quick] [--only PATTERN ...] [--threads N] [--python PEER=INTERPRETER ...]

Sides take turns; each answer is compared with PyTorch's before anything is timed. A wrong answer, an error or a
crash of arcgrad fails the run; a peer's is shown.
"""

import argparse
import fnmatch
import pathlib
import statistics
import sys

import figures
import peers
import programs
import report
import scaling
import turns

ROOT = pathlib.Path(__file__).parents[2]
ROUNDS = 9
QUICK_ROUNDS = 3
HEAVY_ROUNDS = 3


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, no heavy program; writes no document")
    parser.add_argument(
        "--only", nargs="+", metavar="PATTERN", help="programs whose 'group: name' contains one (* and ? match)"
    )
    parser.add_argument("--peers", nargs="+", default=peers.PEERS, choices=peers.PEERS)
    peers.add_options(parser)
    parser.add_argument("--no-scaling", action="store_true", help="leave out cost against size, and its plots")
    parser.add_argument("--no-figures", action="store_true", help="leave out memory, import and wheel")
    parser.add_argument("--write", type=pathlib.Path, help="where the document goes (docs/benchmarks.md if whole)")
    parser.add_argument("--remark", default="", help="a sentence about this run, for the document")
    return parser.parse_args()


def chosen(options):
    """The programs to run, in the order of the table."""

    def wanted(program):
        line = program.title.lower()
        named = options.only and any(fnmatch.fnmatch(line, f"*{each.lower()}*") for each in options.only)
        return named or (not options.only and not (options.quick and program.heavy))

    return [each for each in programs.load_all().values() if wanted(each)]


def peak_memory(program, sides, threads):
    """Peak bytes of the program on each of the two engines, each in a fresh process; None where that failed."""
    peaks = {}
    for side in sides:
        if side.peer in programs.ENGINES and side.threads == threads:
            fresh = peers.Side(side.peer, side.threads, side.python)
            try:
                # The median of three processes: where a page lands is a matter of luck.
                peaks[side.peer] = statistics.median(
                    restarted(fresh).ask(do="memory", program=program.name)["bytes"] for _ in range(3)
                )
            except peers.UnableError:
                peaks[side.peer] = None
            finally:
                fresh.stop()
    return peaks


def restarted(side):
    """The side with a new process."""
    side.stop()
    return side


def main():
    """Run, print each line as it is known, and write the document; the exit status is 1 where arcgrad failed."""
    options = parse()
    sides, versions = peers.find(options.peers, options)
    table = report.Report(options.threads, versions, options.remark)
    for program in chosen(options):
        rounds = QUICK_ROUNDS if options.quick else HEAVY_ROUNDS if program.heavy else ROUNDS
        line = report.Line(program, turns.run(program, sides, rounds))
        if program.memory and not options.quick:
            line.peaks = peak_memory(program, sides, options.threads)
        table.lines.append(line)
        table.show(line)
    if not (options.no_figures or options.only):
        table.figures = figures.measure(ROOT, sides, options.quick)
        table.show_figures()
    for side in sides:
        side.stop()
    growth = []
    if not (options.no_scaling or options.quick or options.only):
        growth = scaling.measure(sides, options.threads)
    whole = not (options.quick or options.only)
    if target := options.write or (ROOT / "docs" / "benchmarks.md" if whole else None):
        parts = [table.markdown(), *scaling.sections(growth, target.with_suffix(""))]
        target.write_text("\n".join(parts), encoding="utf-8")
        print(f"\nwritten: {target}")
    return table.closing() or scaling.closing(growth)


if __name__ == "__main__":
    sys.exit(main())
