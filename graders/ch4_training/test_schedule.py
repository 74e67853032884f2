"""4.8 `schedule`, `bubble` and `peak`: the order of work in a pipeline, its idle time, its memory.

The lists are worked off by an event simulation of the judge: an operation ends when its stage is
free and what it needs is there. Which micro-batch comes first is nobody's business: a schedule is
held against the least makespan there is, and against the micro-batches that are live.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from shardwork.grading import blame, once_per_seed, same

Op = tuple[str, int]
Lists = list[list[Op]]
Size = tuple[int, int]  # stages, micro-batches
DURATION = {"F": 1, "B": 2}
KINDS = ("gpipe", "1f1b")


@once_per_seed
def sizes(rng) -> list[Size]:
    """More micro-batches than stages, as many, fewer; one stage, one micro-batch."""
    drawn = []
    for _ in range(2):
        stages = int(rng.integers(3, 7))
        drawn.append((stages, int(rng.integers(stages + 2, 3 * stages))))
    stages = int(rng.integers(4, 8))
    drawn.append((stages, int(rng.integers(2, stages))))
    return [*drawn, (4, 4), (2, 5), (3, 2), (5, 1), (1, 4), (1, 1)]


def least_makespan(stages: int, micro_batches: int) -> int:
    """Of any schedule: the last stage works on all, after the way to it and before the way back."""
    return (micro_batches + stages - 1) * (DURATION["F"] + DURATION["B"])


@dataclass(frozen=True)
class Outcome:
    """What becomes of the lists of one size and kind.

    `makespan` is None if some stage waits for ever; `early` says that one of those waits for a
    forward pass that stands behind in its own list.
    """

    stages: int
    micro_batches: int
    lists: Lists
    makespan: int | None
    early: bool

    @property
    def peaks(self) -> list[int]:
        """The most live micro-batches of each stage, which its list alone decides."""
        steps = [[1 if letter == "F" else -1 for letter, _ in ops] for ops in self.lists]
        return [max(accumulate(ups_and_downs)) for ups_and_downs in steps]


def work_off(lists: Lists) -> tuple[int | None, bool]:
    """Return the makespan, None after a deadlock, and whether a stage waits for itself."""
    last = len(lists) - 1
    ends: dict[tuple[str, int, int], int] = {}  # by letter, micro-batch and stage
    left = [list(reversed(ops)) for ops in lists]
    clock = [0] * len(lists)

    def inputs(letter: str, m: int, s: int) -> set[tuple[str, int, int]]:
        if letter == "F":
            return {("F", m, s - 1)} if s else set()
        return {("F", m, s), ("B", m, s + 1)} if s < last else {("F", m, s)}

    ready = list(range(len(lists)))  # stages that may be able to go on
    while ready:
        s = ready.pop()
        while left[s] and inputs(*left[s][-1], s) <= ends.keys():
            letter, m = left[s].pop()
            begin = max((ends[key] for key in inputs(letter, m, s)), default=0)
            clock[s] = max(clock[s], begin) + DURATION[letter]
            ends[letter, m, s] = clock[s]
            ready += [near for near in (s - 1, s + 1) if 0 <= near <= last]
    stuck = [(*ops[-1], s) for s, ops in enumerate(left) if ops]
    itself = any(letter == "B" and ("F", m, s) not in ends for letter, m, s in stuck)
    return (None if stuck else max(clock)), itself


def asked(student, size: Size, kind: str) -> Lists:
    lists = student.value("schedule", *size, kind, as_=list[list[tuple[str, int]]])
    assert len(lists) == size[0], blame(
        because="For {stages} stages the schedule has {lists} lists.",
        stages=size[0], lists=len(lists),
    )  # fmt: skip
    return lists


def complete(lists: Lists, micro_batches: int) -> bool:
    every = sorted((letter, m) for letter in "FB" for m in range(micro_batches))
    return all(sorted(ops) == every for ops in lists)


def outcomes(student, seed, kind: str) -> list[Outcome]:
    """What becomes of the schedules of all sizes; they must be complete, whatever is asked."""
    found = []
    for size in sizes(seed):
        lists = asked(student, size, kind)
        assert complete(lists, size[1]), blame(
            because="A list does not hold each operation once, so there is nothing to be run."
        )
        found.append(Outcome(*size, lists, *work_off(lists)))
    return found


def habit(runs: list[Outcome]) -> str | None:
    """The misconception that explains the live micro-batches of all schedules of kind 1f1b."""
    known = {
        "GPIPE_AS_1F1B": lambda s, S, M: M,
        "ALL_STAGES_ALIKE": lambda s, S, M: min(M, S),
        "WARMUP_TOO_LONG": lambda s, S, M: min(M, S - s + 1),
        "WARMUP_TOO_SHORT": lambda s, S, M: min(M, max(1, S - s - 1)),
        "ONE_AT_A_TIME": lambda s, S, M: 1,
    }
    for code, live in known.items():
        if all(
            run.peaks == [live(s, run.stages, run.micro_batches) for s in range(run.stages)]
            for run in runs
        ):
            return code
    return None


def require_least_makespan(runs: list[Outcome], code: str | None) -> None:
    slow = [run for run in runs
            if run.makespan is None or run.makespan > least_makespan(run.stages, run.micro_batches)
            ]  # fmt: skip
    if not slow:
        return
    S, M, found = slow[0].stages, slow[0].micro_batches, slow[0].makespan
    assert found is not None, blame(
        because="With {S} stages and {M} micro-batches some stage waits for ever.", S=S, M=M
    )
    assert False, blame(
        code, S=S, M=M, found=found,
        because="" if code
        else "With {S} stages and {M} micro-batches the makespan is {found}; there is a schedule "
        "of this kind that ends earlier.",
    )  # fmt: skip


def test_all_the_work(student, seed):
    """Every stage runs the forward and the backward pass of each micro-batch once."""
    only_backwards = True  # are missing, and only with 1f1b
    lacking = []
    for kind in KINDS:
        for S, M in sizes(seed):
            lists = asked(student, (S, M), kind)
            if complete(lists, M):
                continue
            lacking.append((S, M))
            forwards = [sorted(m for letter, m in ops if letter == "F") for ops in lists]
            once = all(len(set(ops)) == len(ops) for ops in lists)
            known = all(letter in DURATION and 0 <= m < M for ops in lists for letter, m in ops)
            only_backwards &= kind == "1f1b" and once and known
            only_backwards &= all(found == list(range(M)) for found in forwards)
    if lacking:
        S, M = lacking[0]
        assert False, blame(
            "COOLDOWN_LOST" if only_backwards else None, S=S, M=M,
            because="" if only_backwards
            else "With {S} stages and {M} micro-batches some list does not hold each forward and "
            "each backward pass once.",
        )  # fmt: skip


def test_no_deadlock(student, seed):
    """All stages come to the end of their lists: none waits for ever."""
    runs = [run for kind in KINDS for run in outcomes(student, seed, kind)]
    stuck = [run for run in runs if run.makespan is None]
    if stuck:
        early = any(run.early for run in stuck)
        assert False, blame(
            None if early else "DEADLOCK", S=stuck[0].stages, M=stuck[0].micro_batches,
            because="Some stage is to run a backward pass before its own forward pass."
            if early else "",
        )  # fmt: skip


def test_gpipe(student, seed):
    """With gpipe, all forward passes come before the first backward pass, and no time is lost."""
    runs = outcomes(student, seed, "gpipe")
    first = all(op[0] == "F" for run in runs for ops in run.lists for op in ops[: len(ops) // 2])
    assert first, blame(
        because="With gpipe, some stage runs a backward pass before its last forward pass."
    )
    require_least_makespan(runs, None)


def test_1f1b_memory(student, seed):
    """With 1f1b, stage s never has more than S - s micro-batches live."""
    runs = outcomes(student, seed, "1f1b")
    code = habit(runs)
    for run in runs:
        for s, found in enumerate(run.peaks):
            assert found <= run.stages - s, blame(
                code, S=run.stages, M=run.micro_batches, s=s, found=found,
                because="" if code
                else "With {S} stages and {M} micro-batches, stage {s} has {found} micro-batches "
                "live at some time.",
            )  # fmt: skip


def test_1f1b_time(student, seed):
    """With 1f1b, no schedule ends earlier."""
    runs = outcomes(student, seed, "1f1b")
    require_least_makespan(runs, habit(runs))


def test_bubble(student, seed):
    """The bubble is that of the schedule, for both kinds."""
    found = {
        kind: [student.value("bubble", *size, kind, as_=float) for size in sizes(seed)]
        for kind in KINDS
    }
    right = [(S - 1) / (M + S - 1) for S, M in sizes(seed)]
    of_ideal = [(S - 1) / M for S, M in sizes(seed)]
    correct = {kind: near(values, right) for kind, values in found.items()}
    if all(correct.values()):
        return
    code = None
    if all(near(values, of_ideal) for values in found.values()):
        code = "BUBBLE_OF_WORK"
    elif correct["gpipe"] and all(
        small <= value or near([small], [value])
        for small, value in zip(found["1f1b"], right, strict=True)
    ):
        code = "BUBBLE_SHRINKS"
    assert code is None, blame(code)
    assert correct["gpipe"], blame(because="The bubble of gpipe is not right.")
    assert False, blame(because="The bubble of gpipe is right, that of 1f1b is not.")


def near(values: list[float], right: list[float]) -> bool:
    return all(same(a, b, rel=1e-9, abs=1e-12) for a, b in zip(values, right, strict=True))


def test_peak(student, seed):
    """The peak of every stage is that of the schedule, for both kinds."""
    found = {
        kind: [student.value("peak", *size, kind, as_=list[int]) for size in sizes(seed)]
        for kind in KINDS
    }
    known = {
        "": [[min(M, S - s) for s in range(S)] for S, M in sizes(seed)],
        "PEAK_ABOVE_M": [[S - s for s in range(S)] for S, M in sizes(seed)],
        "ALL_STAGES_ALIKE": [[min(M, S)] * S for S, M in sizes(seed)],
        "GPIPE_AS_1F1B": [[M] * S for S, M in sizes(seed)],
    }
    assert same(found["gpipe"], known["GPIPE_AS_1F1B"]), blame(
        because="The peaks of gpipe are not right."
    )
    code = next((code for code, peaks in known.items() if same(found["1f1b"], peaks)), None)
    assert code == "", blame(
        code, because="" if code else "The peaks of gpipe are right, those of 1f1b are not."
    )


def test_edges(student):
    """Numbers below 1 and unknown kinds are a ValueError in all three functions."""
    for name in ("schedule", "bubble", "peak"):
        for arguments in ((0, 4, "gpipe"), (4, 0, "1f1b"), (-1, 4, "1f1b"), (4, 4, "interleaved")):
            assert "ValueError" in student.refusal(name, *arguments), blame(
                because="A number below 1, or a kind that is not known, should raise ValueError in "
                "each of the three functions."
            )
