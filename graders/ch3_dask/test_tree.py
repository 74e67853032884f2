"""3.2 `tree`: a reduction as a graph that is shallow, narrow, lazy and in order.

`op` and the loading of parts are instruments. The values that they hand out are random tokens, and
only the judge knows what a token stands for: which parts, in which order, below how many calls of
op. So a result cannot be put together without op, and depth, fan-in, order and the moment of each
call are known whatever the student's graph looks like. Where the calls happen, in how many tasks of
the graph, is a claim of a probe; `test_fan_in` asks for it.
"""

from __future__ import annotations

import secrets
from collections import Counter

from shardwork.grading import Delayed, Instrument, Refusal, StudentFault, blame

Origin = tuple[tuple[int, ...], int]  # the parts that a value stands for, and the calls below it
MOST_PARTS = 200
"""That one value may stand for; op([v, v]), again and again, would fill the judge's memory."""
MOST_VALUES = 20_000
"""No check asks for more than 40 parts."""


class Parts(Instrument):
    """Loads part i as a token, and counts its loads."""

    def __init__(self, origins: dict[str, Origin]) -> None:
        self.origins = origins
        self.loads: Counter[int] = Counter()

    def call(self, index: int) -> str:
        self.loads[index] += 1
        token = secrets.token_hex(8)
        self.origins[token] = ((index,), 0)
        return token


class Op(Instrument):
    """Joins values in their order: an associative operation that is not commutative."""

    def __init__(self, origins: dict[str, Origin]) -> None:
        self.origins = origins
        self.building = True
        self.eager_calls = 0
        self.sizes: list[int] = []
        self.not_lists = 0
        self.strange_calls = 0

    def call(self, values: object) -> str:
        self.eager_calls += self.building
        known = isinstance(values, (list, tuple)) and all(
            isinstance(v, str) and v in self.origins for v in values
        )
        if not known:
            self.strange_calls += 1
            raise Refusal("op takes a list of values: of parts, and of what op has returned")
        self.not_lists += not isinstance(values, list)
        self.sizes.append(len(values))
        found = [self.origins[v] for v in values]
        if sum(len(parts) for parts, _ in found) > MOST_PARTS or len(self.origins) > MOST_VALUES:
            raise Refusal("op was called for far more values than there are parts")
        token = secrets.token_hex(8)
        self.origins[token] = (
            tuple(i for parts, _ in found for i in parts),
            1 + max((depth for _, depth in found), default=0),
        )
        return token


class Reduction:
    """One call of the student's function and, on request, the computation of what it returned."""

    def __init__(self, student, dask, n: int, fan_in: int) -> None:
        self.n, self.fan_in = n, fan_in
        origins: dict[str, Origin] = {}
        self.parts, self.op = Parts(origins), Op(origins)
        self.origins = origins
        delayed = dask.delayed(self.parts, list(range(n)))
        try:
            self.answer = student.call("tree", delayed, self.op, fan_in, returns=Delayed)
        except StudentFault:
            # op was called on the Delayed parts themselves, which hold no values yet
            assert not self.op.eager_calls, blame("EAGER", op_calls=self.op.eager_calls)
            raise
        self.eager_loads = self.parts.loads.total()
        self.op.building = False

    def compute(self) -> Reduction:
        """Compute the result; `combined` are the parts in it, None if op did not make it."""
        try:
            value = self.answer.compute(as_=str)
        except StudentFault:
            assert not self.op.strange_calls, blame(
                because="op was called with something else than a list of parts and of values that "
                "op had returned."
            )
            raise
        self.combined, self.depth = self.origins.get(value, (None, 0))
        return self

    @property
    def levels(self) -> int:
        """ceil(log_fan_in(n)), in whole numbers."""
        levels, reach = 0, 1
        while reach < self.n:
            levels, reach = levels + 1, reach * self.fan_in
        return levels

    @property
    def full_groups(self) -> set[int]:
        """How many parts are left if only full groups are combined, on each level or the first."""
        left, size = self.n, 1
        while left > self.fan_in:
            left, size = left // self.fan_in, size * self.fan_in
        return {left * size, self.n - (self.n % self.fan_in if self.n > self.fan_in else 0)}


def reductions(student, dask, rng) -> list[Reduction]:
    """Computed reductions of random sizes, and of sizes that fit and that do not fit."""
    random = [(int(rng.integers(11, 40)), int(rng.integers(2, 6))) for _ in range(2)]
    sizes = [*random, (2, 2), (3, 2), (7, 3), (8, 3), (9, 4), (17, 4), (27, 3)]
    runs = [Reduction(student, dask, n, fan_in).compute() for n, fan_in in sizes]
    require_op(runs)
    return runs


def require_op(runs: list[Reduction]) -> None:
    """What was computed without op meets every bound on the calls of op, and shows nothing."""
    assert any(run.op.sizes for run in runs), blame(because="op was never called.")


def test_values_and_order(student, dask, rng):
    """All parts are combined, each once and in the order of the list."""
    runs = reductions(student, dask, rng)
    wrong = [run for run in runs if run.combined != tuple(range(run.n))]
    found = {"wrong": len(wrong), "tried": len(runs)}
    assert all(run.combined is not None for run in wrong), blame(
        because="The result is neither a part nor a value that op has returned.", **found
    )
    code = None
    if all(sorted(run.combined) == list(range(run.n)) for run in wrong):
        code = "ORDER_BROKEN"
    elif all(
        len(run.combined) in run.full_groups and run.combined == tuple(range(len(run.combined)))
        for run in runs
    ):
        code = "TAIL_DROPPED"
    twice = any(len(set(run.combined)) < len(run.combined) for run in wrong)
    assert not wrong, blame(
        code, **found,
        because="" if code
        else "Some parts were combined more than once." if twice
        else "Some parts are missing from the result.",
    )  # fmt: skip
    again = [run for run in runs if run.parts.loads != Counter(range(run.n))]
    assert not again, blame(because="Some parts were loaded more than once.")


def test_nothing_runs_while_building(student, dask, rng):
    """Building the graph runs nothing: neither the parts nor op."""
    n, fan_in = int(rng.integers(9, 30)), int(rng.integers(2, 5))
    run = Reduction(student, dask, n, fan_in)
    calls = run.op.eager_calls
    assert calls == 0 and run.eager_loads == 0, blame(
        "EAGER", op_calls=calls, loads=run.eager_loads
    )
    require_op([run.compute()])


def test_fan_in(student, dask, rng):
    """No call of op gets fewer than two or more than fan_in values."""
    runs = reductions(student, dask, rng)
    wide = [run for run in runs if max(run.op.sizes, default=2) > run.fan_in]
    star = all(max(run.op.sizes, default=2) >= run.n - 1 for run in runs if run.n > run.fan_in)
    assert not wide, blame(
        "STAR" if star else None, wrong=len(wide), tried=len(runs),
        because="" if star else "Some call of op got more than fan_in values.",
    )  # fmt: skip
    smallest = min(min(run.op.sizes, default=2) for run in runs)
    assert smallest >= 2, blame(
        "LONE_CALL" if smallest == 1 else None,
        because="" if smallest == 1 else "op was called with an empty list.",
    )
    assert not any(run.op.not_lists for run in runs), blame(
        because="op was called with a tuple; it takes a list."
    )
    for run in runs[:2]:  # the large ones
        if run.eager_loads or not run.combined:  # another check's subject
            continue
        shape = run.answer.graph()
        found = {"tasks": shape.tasks, "fan_in": shape.fan_in}
        # One more than fan_in: a task may be given op as a task, too.
        assert shape.fan_in <= run.fan_in + 1, blame(
            because="A task of the graph waits for more than fan_in others, and combines their "
            "values inside.", **found,
        )  # fmt: skip
        assert shape.tasks >= len(run.combined), blame(
            because="The graph has fewer tasks than there are parts: the tree is hidden inside a "
            "task.", **found,
        )  # fmt: skip


def test_depth(student, dask, rng):
    """No path through the graph holds more calls of op than the levels that are needed."""
    runs = reductions(student, dask, rng)
    deep = [run for run in runs if run.depth > run.levels]
    by_ones = all(run.depth == run.n - 1 for run in runs)
    by_groups = all(run.depth == -(-(run.n - 1) // (run.fan_in - 1)) for run in runs)
    by_pairs = all(
        run.depth == (run.n - 1).bit_length() and set(run.op.sizes) == {2} for run in runs
    )
    code = "CHAIN" if by_ones or by_groups else "ALWAYS_PAIRS" if by_pairs else None
    assert not deep, blame(
        code, wrong=len(deep), tried=len(runs),
        depth=deep[0].depth, levels=deep[0].levels, n=deep[0].n, fan_in=deep[0].fan_in,
        because="" if code else "Some path holds more calls of op than are needed.",
    )  # fmt: skip


def test_number_of_calls(student, dask, rng):
    """op is called at most n - 1 times for n parts."""
    runs = reductions(student, dask, rng)
    many = [run for run in runs if len(run.op.sizes) > run.n - 1]
    lone = bool(many) and all(1 in run.op.sizes for run in many)
    assert not many, blame(
        "LONE_CALL" if lone else None, wrong=len(many), tried=len(runs),
        because="" if lone else "op was called more often than n - 1 times.",
    )  # fmt: skip


def test_edges(student, dask, seed):
    """One part is returned without calling op; no parts, or a fan_in below two, is a ValueError."""
    one = Reduction(student, dask, 1, 2).compute()
    lone = set(one.op.sizes) == {1}
    assert not one.op.sizes, blame(
        "LONE_CALL" if lone else None, because="" if lone else "op was called for a single part."
    )
    assert one.combined == (0,), blame(because="One part should come back as it is.")
    assert "ValueError" in student.refusal("tree", [], Op({}), 2), blame(
        because="An empty list of parts should raise ValueError."
    )
    parts = dask.delayed(Parts({}), [0, 1, 2])
    for some, fan_in in ((parts, 1), (parts[:1], 1), (parts, -1)):
        assert "ValueError" in student.refusal("tree", some, Op({}), fan_in), blame(
            because="A fan_in below 2 should raise ValueError, whatever the number of parts."
        )
