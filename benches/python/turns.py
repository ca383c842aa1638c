"""One program on every side: the answers compared, then all of them timed in turns."""

import peers
import programs
import report

# Rounds in which peers other than the two engines take part: enough for a median, and the run stays short.
PEER_ROUNDS = 3
# Seconds a call beyond which they are not timed.
TOO_SLOW = 5.0
JUDGES = ("torch", "numpy", "arcgrad")


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
            try:
                seconds[side] += side.ask(do="time")["seconds"]
            except peers.UnableError as reason:
                results[side.name] = report.Result(error=str(reason))
                del seconds[side]
    for side in built:
        if side.process is not None:
            side.ask(do="drop")
    return results | {side.name: report.Result(seconds=sorted(taken)) for side, taken in seconds.items()}
