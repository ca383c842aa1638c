"""Time arcgrad and every installed peer on the same programs, in one run, and write docs/benchmarks.md.

    python benches/python/compare.py [--quick] [--only PATTERN ...] [--threads N] [--python PEER=INTERPRETER ...]

Sides take turns; each answer is compared with PyTorch's before anything is timed. A wrong answer of
arcgrad fails the run; a peer's is shown.
"""

import argparse
import fnmatch
import pathlib
import statistics
import sys
import time

import figures
import peers
import programs
import report

ROOT = pathlib.Path(__file__).parents[2]
ROUNDS = 9
QUICK_ROUNDS = 3
HEAVY_ROUNDS = 3
# Rounds in which peers other than the two engines take part: enough for a median, and the run stays short.
PEER_ROUNDS = 3
# Seconds a call beyond which they are not timed.
TOO_SLOW = 5.0
JUDGES = ("torch", "numpy", "arcgrad")
# Idle threads of some pools spin for a while after their last work; let them fall asleep before the next side's turn.
PAUSE = 0.02


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rounds, no heavy program; writes no document")
    parser.add_argument(
        "--only", nargs="+", metavar="PATTERN", help="programs whose 'group: name' contains one (* and ? match)"
    )
    parser.add_argument("--threads", type=int, default=2, help="threads of every side")
    parser.add_argument("--peers", nargs="+", default=peers.PEERS, choices=peers.PEERS)
    parser.add_argument("--python", nargs="+", default=[], metavar="PEER=PATH", help="a peer's own interpreter")
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


def find_sides(options):
    """Every installed side, and its versions: all at the same threads, and the two engines on one thread too."""
    interpreters = dict(pair.split("=", 1) for pair in options.python)
    sides, versions = [], {}
    for peer in options.peers:
        found = peers.installed(peer, options.threads, interpreters.get(peer, sys.executable))
        if found is None:
            print(f"{peer}: not installed")
            continue
        side, versions[peer] = found
        sides.append(side)
        if peer in programs.ENGINES and options.threads > 1:
            sides.append(peers.Side(peer, 1, side.python))
    return sides, versions


def agree(answer, judge, tolerance):
    """Whether two digests hold the same shapes and, within the tolerance, the same numbers."""
    if len(answer) != len(judge):
        return False
    for mine, theirs in zip(answer, judge, strict=True):
        room = tolerance * max(theirs["largest"], 1e-30)
        pairs = zip(mine["sample"], theirs["sample"], strict=False)
        if mine["shape"] != theirs["shape"] or not all(abs(a - b) <= room for a, b in pairs):
            return False
    return True


def run(program, sides, rounds):
    """The program's result on each side: its timings, or why there are none."""
    results, built = {}, {}
    for side in sides:
        if program.setup_for(side.peer) is None:
            continue
        try:
            built[side] = side.ask(do="build", program=program.name)
        except peers.UnableError as reason:
            results[side.name] = report.Result(error=str(reason))
    judge = next((built[side]["answer"] for peer in JUDGES for side in built if side.peer == peer), None)
    seconds = {}
    for side, first in built.items():
        if not agree(first["answer"], judge, program.tolerance):
            results[side.name] = report.Result(error="wrong answer", wrong=True)
        elif side.peer not in programs.ENGINES and first["seconds"] > TOO_SLOW:
            results[side.name] = report.Result(error=f"too slow ({report.span(first['seconds'])})")
        else:
            seconds[side] = []
    for turn in range(rounds):
        # Another side begins each round, so that none always follows the same neighbour.
        order = [side for side in seconds if side.peer in programs.ENGINES or turn < PEER_ROUNDS]
        for side in order[turn % len(order) :] + order[: turn % len(order)] if order else []:
            time.sleep(PAUSE)
            try:
                seconds[side] += side.ask(do="time")["seconds"]
            except peers.UnableError as reason:
                results[side.name] = report.Result(error=str(reason))
                del seconds[side]
    for side in built:
        if side.process is not None:
            side.ask(do="drop")
    return results | {side.name: report.Result(seconds=sorted(taken)) for side, taken in seconds.items()}


def peak_memory(program, sides, threads):
    """Peak bytes of the program on each of the two engines, each in a fresh process."""
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
                pass
            finally:
                fresh.stop()
    return peaks


def restarted(side):
    """The side with a new process."""
    side.stop()
    return side


def main():
    """Run, print each line as it is known, and write the document; the exit status is 1 after a wrong answer."""
    options = parse()
    sides, versions = find_sides(options)
    table = report.Report(options.threads, versions, options.remark)
    for program in chosen(options):
        rounds = QUICK_ROUNDS if options.quick else HEAVY_ROUNDS if program.heavy else ROUNDS
        line = report.Line(program, run(program, sides, rounds))
        if program.memory and not options.quick:
            line.peaks = peak_memory(program, sides, options.threads)
        table.lines.append(line)
        table.show(line)
    if not (options.no_figures or options.only):
        table.figures = figures.measure(ROOT, sides, options.quick)
        table.show_figures()
    for side in sides:
        side.stop()
    whole = not (options.quick or options.only)
    if target := options.write or (ROOT / "docs" / "benchmarks.md" if whole else None):
        target.write_text(table.markdown(), encoding="utf-8")
        print(f"\nwritten: {target}")
    return table.closing()


if __name__ == "__main__":
    sys.exit(main())
