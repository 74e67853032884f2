"""3.1 `plan_chunks`: an axis in one chunk, blocks near a budget and never above it, in one step.

The blocks of the inputs come from an instrument, so whether something was computed while the plan
was made is known, and not claimed. Chunks, tasks and the heaviest value on the way are claims of a
probe; the values, the errors and the calls of the instrument are not.
"""

from __future__ import annotations

import math

from shardwork.grading import Array, Instrument, Refusal, StudentFault, blame, same

MOST_BLOCKS = 3
"""Times the fewest. Of the inputs below, plans by square root, by filling one axis after the other,
by halving and by Dask's own "auto" need 1.0 to 2.1 times the fewest; a line for each block, 30."""
MOST_TASKS = 1.2
"""Times a single rechunk. One call: 1.0; first the other axes, then this one: 1.3 to 1.7."""


class Blocks(Instrument):
    """Gives the blocks of an array, or refuses to; counts how often it is asked."""

    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.calls = 0

    def call(self, *index: int) -> float:
        self.calls += 1
        if self.refuses:
            raise Refusal("this array is larger than all memory, and cannot be computed")
        return float(sum(index))


class Plan:
    """One call of the student's function on an array of blocks, and what it returned."""

    def __init__(self, student, dask, shape, pieces, axis, max_bytes, dtype="float64") -> None:
        """`pieces` are the numbers of blocks along each axis of the input."""
        chunks = [cut(size, n) for size, n in zip(shape, pieces, strict=True)]
        self.axis, self.max_bytes = axis, max_bytes
        self.input_bytes = math.prod(shape) * ITEMSIZE[dtype]
        self.x = dask.blocks(Blocks(), chunks, dtype)
        self.answer = student.call("plan_chunks", self.x, axis, max_bytes, returns=Array)
        layout = self.answer.layout()
        assert None not in layout.shape, blame(because="The result has a size that is not known.")
        assert layout.shape == tuple(shape) and layout.dtype == dtype, blame(
            because="The result has another shape or type than x."
        )
        self.chunks = layout.chunks
        self.heaviest = layout.largest_block_bytes
        self.blocks = math.prod(layout.num_blocks)

    @property
    def fewest(self) -> int:
        return -(-self.input_bytes // self.max_bytes)

    @property
    def whole(self) -> bool:
        return len(self.chunks[self.axis]) == 1

    @property
    def others(self) -> tuple[int, ...]:
        """The longest chunk along each axis but this one."""
        axis = self.axis % len(self.chunks)
        return tuple(max(c) for i, c in enumerate(self.chunks) if i != axis)


ITEMSIZE = {"int8": 1, "int16": 2, "float32": 4, "float64": 8, "complex128": 16}


def cut(size: int, n: int) -> list[int]:
    """Cut `size` into n lengths that differ by one at most."""
    return [size // n + (i < size % n) for i in range(n)]


def budget(rng, shape, axis, itemsize: int, lines: tuple[int, int]) -> int:
    """Draw a budget of some whole lines along the axis, and a part of one."""
    line = shape[axis] * itemsize
    return int(line * rng.integers(*lines) + rng.integers(0, line))


def test_values(student, dask, rng):
    """The result has the values, the shape and the type of x."""
    import numpy as np

    shape = tuple(int(n) for n in rng.integers(12, 24, 3))
    values = rng.integers(-(10**6), 10**6, shape).astype(np.int32)
    chunks = [cut(size, int(rng.integers(2, 5))) for size in shape]
    for axis in range(3):
        max_bytes = budget(rng, shape, axis, 4, (30, 50))
        x = dask.array(values, chunks)
        result = student.call("plan_chunks", x, axis, max_bytes, returns=Array).compute()
        assert same(result, values), blame(
            because="The result has other values than x, or another shape or type.", axis=axis
        )


def test_axis_whole(student, dask, rng):
    """Each block holds the whole of the axis, also where it is counted from the end."""
    plans = []
    for shape, pieces, axis in [
        ((400, 300), (5, 4), 0),
        ((300, 400), (4, 5), 1),
        ((60, 50, 70), (3, 2, 4), 1),
        ((20, 24, 18, 22), (2, 3, 2, 2), 2),
        ((300, 400), (4, 5), -1),
        ((60, 50, 70), (3, 2, 4), -3),
    ]:
        max_bytes = budget(rng, shape, axis, 8, (60, 90))
        plans.append(Plan(student, dask, shape, pieces, axis, max_bytes))
    counted_on = [plan for plan in plans if plan.axis >= 0 and not plan.whole]
    counted_back = [plan for plan in plans if plan.axis < 0 and not plan.whole]
    assert not counted_on, blame(because="The axis is cut into several chunks.")
    assert not counted_back, blame(
        because="The axis is cut into several chunks where it is given as a negative number."
    )


def test_budget(student, dask, rng):
    """No block is heavier than the budget, whatever the type and the length of the axis."""
    width = int(rng.integers(480, 560))
    max_bytes = budget(rng, (2400,), 0, 8, (8, 14))

    def plan(length: int, dtype: str) -> Plan:
        pieces = (length // 100, 5)
        return Plan(student, dask, (length, width), pieces, 0, max_bytes, dtype)

    by_type = [plan(600, dtype) for dtype in ("float32", "float64", "complex128")]
    by_length = [by_type[1], plan(1200, "float64"), plan(2400, "float64")]
    plans = by_type + by_length[1:]
    heavy = [p for p in plans if p.heaviest > max_bytes]
    blind_to_type = len({p.others for p in by_type}) == 1
    blind_to_length = len({p.others for p in by_length}) == 1
    code = None
    if any(p in heavy for p in by_type) and blind_to_type and not blind_to_length:
        code = "ITEMSIZE_IGNORED"
    elif any(p in heavy for p in by_length) and blind_to_length and not blind_to_type:
        code = "LENGTH_IGNORED"
    times = round(max(p.heaviest for p in plans) / max_bytes, 2)
    assert not heavy, blame(
        code, heavy=len(heavy), tried=len(plans), times=times,
        because="" if code
        else "In {heavy} of {tried} cases a block is heavier than the budget, up to {times} times.",
    )  # fmt: skip
    assert all(p.whole for p in plans), blame(because="The axis is cut into several chunks.")


def test_few_blocks(student, dask, rng):
    """The blocks are near the budget, so that there are few of them."""
    plans = []
    for shape, pieces, axis in [
        ((900, 700), (6, 4), 0),
        ((700, 900), (4, 6), 1),
        ((300, 64, 72), (5, 4, 4), 0),
        ((72, 64, 300), (4, 4, 5), 2),
    ]:
        max_bytes = budget(rng, shape, axis, 8, (37, 60))
        plans.append(Plan(student, dask, shape, pieces, axis, max_bytes))
    assert not all(p.heaviest > p.max_bytes for p in plans), blame(
        because="There are few blocks, but only because they are heavier than the budget."
    )
    many = [p for p in plans if p.blocks > MOST_BLOCKS * p.fewest]
    assert not many, blame(
        "TOO_SMALL", wrong=len(many), blocks=[p.blocks for p in plans],
        fewest=[p.fewest for p in plans],
    )  # fmt: skip
    assert all(p.whole for p in plans), blame(because="The axis is cut into several chunks.")


def test_one_step(student, dask, rng):
    """The way to the new chunks is short, and no block on the way breaks the budget."""
    for axis in (0, 1):
        shape, pieces = ((600, 500), (4, 5)) if axis == 0 else ((500, 600), (5, 4))
        max_bytes = budget(rng, shape, axis, 8, (30, 34))
        plan = Plan(student, dask, shape, pieces, axis, max_bytes)
        assert plan.whole, blame(because="The axis is cut into several chunks.")
        if plan.heaviest > max_bytes:  # another check's subject
            continue
        with dask.watch() as seen:
            plan.answer.run()
        heaviest = seen.largest_bytes
        # Of one call: 0.8 to 1.0 times the budget; with the axis made whole first, 3.0 to 3.3.
        assert heaviest <= max_bytes, blame("DOUBLE_RECHUNK", times=round(heaviest / max_bytes, 2))
    shape = (640, 50, 40)
    max_bytes = budget(rng, shape, 0, 8, (125, 140))
    plan = Plan(student, dask, shape, (4, 2, 2), 0, max_bytes)
    tasks = plan.answer.graph().tasks
    single = max(
        dask.rechunked(plan.x, plan.chunks, limit).graph().tasks for limit in (None, max_bytes)
    )
    assert tasks <= MOST_TASKS * single, blame(
        because="The graph has {tasks} tasks; a single rechunk to the same chunks has {single}.",
        tasks=tasks, single=single,
    )  # fmt: skip


def test_nothing_computed(student, dask, rng):
    """Nothing is computed while the plan is made."""
    blocks = Blocks(refuses=True)
    shape = (40_000, 30_000)
    x = dask.blocks(blocks, [cut(shape[0], 10), cut(shape[1], 10)])
    max_bytes = budget(rng, shape, 0, 8, (1200, 1500))
    with dask.watch() as seen:
        try:
            answer = student.call("plan_chunks", x, 0, max_bytes, returns=Array)
        except StudentFault:
            assert not blocks.calls, blame("COMPUTED", calls=blocks.calls)
            raise
    assert not blocks.calls and not seen.computes, blame(
        "COMPUTED", calls=blocks.calls, computes=seen.computes
    )
    assert answer.layout().shape == shape, blame(because="The result has another shape than x.")


def test_edges(student, dask):
    """A line that just fits is a block; one that does not is a ValueError; one axis is enough."""
    exact = Plan(student, dask, (50, 6), (5, 2), 0, 50 * 8)
    assert exact.whole and exact.heaviest == 400, blame(
        because="If a block can hold exactly one line, each line should be a block."
    )
    for shape, pieces, axis in [((50, 6), (5, 2), 0), ((6, 50), (2, 5), -1), ((50,), (5,), 0)]:
        chunks = [cut(size, n) for size, n in zip(shape, pieces, strict=True)]
        x = dask.blocks(Blocks(), chunks)
        raised = student.refusal("plan_chunks", x, axis, 50 * 8 - 1)
        assert "ValueError" in raised, blame(
            because="A line that is heavier than max_bytes should raise ValueError."
        )
    line = Plan(student, dask, (50,), (5,), 0, 400)
    assert line.blocks == 1, blame(because="An array of one axis should become a single block.")
    ample = Plan(student, dask, (50, 6), (5, 2), 1, 10**9)
    assert ample.blocks <= MOST_BLOCKS, blame(
        because="There are many blocks although everything fits into one."
    )
