"""What isolation costs a submission: `python benchmarks/isolation.py [--times 30]`.

Opens and closes a sandbox on the same small notebook, with isolation and without, in turns, on one
warm zygote each. Prints the medians in seconds and their difference. Wall time: run it on a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import time

import nbformat

from shardwork.course import Assignment, Exercise, Isolation
from shardwork.sandbox import isolation
from shardwork.sandbox.session import Session
from shardwork.sandbox.zygote import Zygote

CELLS = ("import numpy as np", "def f(n):\n    return int(np.arange(n).sum())", "print(f(10))")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=30)
    times = parser.parse_args().times
    assignment = Assignment("small", "Small", (Exercise("f", 1, 5),))
    levels = (Isolation.NONE, Isolation.BUBBLEWRAP)
    zygotes = {level: Zygote(isolation.plan(assignment, level, {})) for level in levels}
    taken: dict[Isolation, list[float]] = {level: [] for level in levels}
    try:
        for zygote in zygotes.values():
            zygote.start()
        for _ in range(times):
            for level, zygote in zygotes.items():
                taken[level].append(_seconds(assignment, zygote))
    finally:
        for zygote in zygotes.values():
            zygote.close()
    medians = {level: statistics.median(seconds) for level, seconds in taken.items()}
    for level, median in medians.items():
        spread = statistics.quantiles(taken[level], n=4)
        print(f"{level.value:12} {median:.3f} s (quartiles {spread[0]:.3f} to {spread[2]:.3f})")
    cost = medians[Isolation.BUBBLEWRAP] - medians[Isolation.NONE]
    print(f"{'isolation':12} {cost:+.3f} s a submission: {isolation.level(levels[1]).protections}")


def _seconds(assignment: Assignment, zygote: Zygote) -> float:
    cells = [
        nbformat.v4.new_code_cell(source, id=f"c{number}") for number, source in enumerate(CELLS)
    ]
    session = Session(assignment, zygote, nbformat.v4.new_notebook(cells=cells))
    began = time.perf_counter()
    session.open()
    session.close()
    taken = time.perf_counter() - began
    assert all(outcome.status == "ran" for outcome in session.outcomes.values())
    return taken


if __name__ == "__main__":
    main()
