"""3.2 `tree`: a reduction as a graph that is shallow, narrow, lazy and in order.

`op` and the loading of parts are instruments: the judge sees every value, so depth, fan-in, order
and the moment of each call are known whatever the student's graph looks like.
"""

from __future__ import annotations

from shardwork.grading import Delayed, Instrument, Refusal, StudentFault, blame


class Parts(Instrument):
    """Loads part i as the word `<i>`, and remembers that it was loaded."""

    def __init__(self) -> None:
        self.loads = 0

    def call(self, index: int) -> str:
        self.loads += 1
        return f"<{index}>"


class Concatenate(Instrument):
    """Concatenates words in order; knows how many calls lie below each value."""

    def __init__(self) -> None:
        self.calls = 0
        self.eager_calls = 0
        self.sizes: list[int] = []
        self.depth_of: dict[str, int] = {}
        self.building = True

    def call(self, values: object) -> str:
        if self.building:
            self.eager_calls += 1
        if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
            raise Refusal("op takes a list of values")
        self.calls += 1
        self.sizes.append(len(values))
        joined = "".join(values)
        self.depth_of[joined] = 1 + max((self.depth_of.get(v, 0) for v in values), default=0)
        return joined


class Reduction:
    """One call of the student's function and, on request, the computation of what it returned."""

    def __init__(self, student, dask, n: int, fan_in: int) -> None:
        self.n, self.fan_in = n, fan_in
        self.parts, self.op = Parts(), Concatenate()
        delayed = dask.delayed(self.parts, list(range(n)))
        try:
            self.answer = student.call("tree", delayed, self.op, fan_in, returns=Delayed)
        except StudentFault:
            # op was called on the Delayed parts themselves, which hold no values yet
            assert not self.op.eager_calls, blame("EAGER", op_calls=self.op.eager_calls)
            raise
        self.eager_loads = self.parts.loads
        self.op.building = False

    def compute(self) -> str:
        return self.answer.compute(as_=str)

    @property
    def right(self) -> str:
        return "".join(f"<{i}>" for i in range(self.n))

    @property
    def levels(self) -> int:
        """ceil(log_fan_in(n)), in whole numbers."""
        levels, reach = 0, 1
        while reach < self.n:
            levels, reach = levels + 1, reach * self.fan_in
        return levels

    @property
    def depth(self) -> int:
        return max(self.op.depth_of.values(), default=0)


def some_sizes(rng) -> list[tuple[int, int]]:
    """Pairs (n, fan_in): random ones, and those where a group stays incomplete."""
    random = [(int(rng.integers(11, 40)), int(rng.integers(2, 6))) for _ in range(2)]
    return [*random, (2, 2), (3, 2), (7, 3), (9, 4), (17, 4), (27, 3)]


def test_values_and_order(student, dask, rng):
    """All parts are combined, each once and in the order of the list."""
    for n, fan_in in some_sizes(rng):
        run = Reduction(student, dask, n, fan_in)
        value = run.compute()
        if value == run.right:
            assert run.parts.loads == n, blame(
                because="{n} parts were loaded {loads} times.", n=n, loads=run.parts.loads
            )
            continue
        numbers = [int(word) for word in value.strip("<>").split("><")] if value else []
        code = "ORDER_BROKEN" if sorted(numbers) == list(range(n)) else None
        if code is None and len(set(numbers)) == len(numbers) < n and numbers == sorted(numbers):
            code = "TAIL_DROPPED"
        assert False, blame(code, n=n, fan_in=fan_in, combined=len(numbers))


def test_nothing_runs_while_building(student, dask, rng):
    """Building the graph runs nothing: neither the parts nor op."""
    n, fan_in = int(rng.integers(9, 30)), int(rng.integers(2, 5))
    run = Reduction(student, dask, n, fan_in)
    calls = run.op.eager_calls
    assert calls == 0 and run.eager_loads == 0, blame("EAGER", op_calls=calls, loads=run.eager_loads)


def test_fan_in(student, dask, rng):
    """No call of op gets fewer than two or more than fan_in values."""
    for n, fan_in in some_sizes(rng):
        run = Reduction(student, dask, n, fan_in)
        run.compute()
        largest = max(run.op.sizes, default=2)
        star = largest > fan_in and largest >= n - 1
        assert largest <= fan_in, blame("STAR" if star else None, largest=largest, fan_in=fan_in)
        smallest = min(run.op.sizes, default=2)
        assert smallest >= 2, blame("LONE_CALL" if smallest == 1 else None, smallest=smallest)


def test_depth(student, dask, rng):
    """No path through the graph holds more calls of op than the levels that are needed."""
    for n, fan_in in some_sizes(rng):
        run = Reduction(student, dask, n, fan_in)
        run.compute()
        depth = run.depth
        if depth <= run.levels:
            continue
        chains = {n - 1, -(-(n - 1) // (fan_in - 1))}
        pairs = (n - 1).bit_length()
        code = "CHAIN" if depth in chains and depth > pairs else None
        if code is None and depth == pairs and set(run.op.sizes) == {2}:
            code = "ALWAYS_PAIRS"
        assert False, blame(code, n=n, fan_in=fan_in, depth=depth, levels=run.levels)


def test_number_of_calls(student, dask, rng):
    """op is called at most n - 1 times for n parts."""
    for n, fan_in in some_sizes(rng):
        run = Reduction(student, dask, n, fan_in)
        run.compute()
        lone = 1 in run.op.sizes
        assert run.op.calls <= n - 1, blame("LONE_CALL" if lone else None, n=n, calls=run.op.calls)


def test_edges(student, dask, seed):
    """One part is returned without calling op; no parts, or a fan_in below two, is a ValueError."""
    one = Reduction(student, dask, 1, 2)
    assert one.compute() == "<0>", blame(because="One part should come back as it is.")
    assert one.op.calls == 0, blame("LONE_CALL" if one.op.sizes == [1] else None)
    parts = dask.delayed(Parts(), [0, 1, 2])
    assert "ValueError" in student.refusal("tree", [], Concatenate(), 2), blame(
        because="An empty list of parts should raise ValueError."
    )
    for some in (parts, parts[:1]):
        assert "ValueError" in student.refusal("tree", some, Concatenate(), 1), blame(
            because="A fan_in of 1 should raise ValueError."
        )
