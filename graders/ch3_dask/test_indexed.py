"""3.7 `indexed` and `join`: an order that is paid for once, and a join that makes use of it.

Where rows lie is held against the divisions, and the rows against the judge's own. Computations,
shuffles and the rows that meet in a task are claims of the sandbox.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec

from shardwork.grading import Frame, blame, same
from shardwork.judge.dask import Rows

NAMES = ["Zoë", "Ōta", "Åsa", "ünal", "王", "Ana", ""]
PARTITIONS = 6
Row = tuple[Any, ...]


class Input(msgspec.Struct, frozen=True):
    """Columns, and how they lie in partitions; `unmoved` are the keys of each partition."""

    columns: dict[str, list[Any]]
    sizes: list[int]

    @property
    def rows(self) -> list[Row]:
        """The rows (key, amount, name), in order."""
        return in_order(zip(*(self.columns[c] for c in ("key", "amount", "name")), strict=True))

    @property
    def unmoved(self) -> list[list[Any]]:
        keys, ends = self.columns["key"], [sum(self.sizes[: i + 1]) for i in range(len(self.sizes))]
        return [sorted(keys[e - n : e]) for e, n in zip(ends, self.sizes, strict=True)]


def draw(rng, *, nearly_sorted: bool, texts: bool = False) -> Input:
    """Draw rows in uneven partitions.

    Nearly sorted: each partition reaches half into the next one, so that smallest and largest
    values are in order, and rows are not. Else: in no order at all.
    """
    sizes = [int(n) for n in rng.integers(70, 110, PARTITIONS)]
    rows = sum(sizes)
    keys: list[Any] = []
    begin = int(rng.integers(1, 1000))
    for size in sizes if nearly_sorted else [rows]:
        window = range(begin, begin + 3 * size)
        keys += [int(k) for k in rng.choice(window, size, replace=False)]
        begin += 2 * size
    keys[-1] = keys[-2]  # once, a key occurs twice
    if texts:
        keys = [f"{NAMES[k % len(NAMES)]}{k}" for k in keys]
    columns = {
        "amount": [round(float(x), 3) for x in rng.normal(50.0, 20.0, rows)],
        "key": keys,
        "name": [NAMES[int(i)] for i in rng.integers(0, len(NAMES), rows)],
    }
    return Input(columns, sizes)


def make(dask, data: Input, *, known: bool) -> Frame:
    """Make the DataFrame; `known` gives it an index of its own, with true divisions."""
    if not known:
        return dask.frame(data.columns, data.sizes)
    rows = sum(data.sizes)
    begins = [sum(data.sizes[:i]) for i in range(len(data.sizes))]
    return dask.frame(
        data.columns, data.sizes, index=list(range(rows)), divisions=[*begins, rows - 1]
    )


def in_order(rows) -> list[Row]:
    return sorted(rows, key=lambda row: [(value is None, value) for value in row])


def index_of(part: Rows) -> list[Any]:
    assert all(value is not None for value in part.index), blame(
        because="The index of the result has missing values."
    )
    return part.index


def in_place(keys: list[list[Any]], divisions: list[Any]) -> bool:
    """Whether every key lies in the partition where it belongs by these divisions."""
    last = len(keys) - 1
    return len(divisions) == len(keys) + 1 and all(
        divisions[i] <= key and (key < divisions[i + 1] or (i == last and key == divisions[-1]))
        for i, part in enumerate(keys)
        for key in part
    )


def never_falls(keys: list[list[Any]]) -> bool:
    whole = [key for part in keys for key in part]
    return all(a <= b for a, b in pairwise(whole))


def test_index(student, dask, rng):
    """All rows are there, with the column as index and the other columns as they were."""
    for data, known in (
        (draw(rng, nearly_sorted=True), False),
        (draw(rng, nearly_sorted=False, texts=True), True),
    ):
        result = student.call("indexed", make(dask, data, known=known), "key", returns=Frame)
        found = result.rows()
        assert found.index_name == "key", blame(
            because="The index of the result does not have the name of the column."
        )
        assert list(found.columns) == ["amount", "name"], blame(
            because="The columns of the result are not those of ddf without the key, in their "
            "order."
        )
        columns = (index_of(found), found.columns["amount"], found.columns["name"])
        rows = in_order(zip(*columns, strict=True))
        assert same(rows, data.rows), blame(
            rows=len(rows), needed=len(data.rows),
            because="The result does not have exactly the rows of ddf, each with its key.",
        )  # fmt: skip


def test_divisions(student, dask, rng):
    """Dask knows the divisions, they are true, and the rows are spread over the partitions."""
    for known in (False, True):
        data = draw(rng, nearly_sorted=True)
        ddf = make(dask, data, known=known)
        result = student.call("indexed", ddf, "key", returns=Frame)
        result.expr()  # now Dask has chosen the divisions
        layout = result.layout()
        parts = [index_of(part) for part in result.partitions()]
        rows = sum(len(part) for part in parts)
        assert rows > 0, blame(because="The result has no rows.")
        largest = max(len(part) for part in parts)
        assert len(parts) > 1, blame("ONE_PARTITION", partitions=len(parts))
        unmoved = [sorted(part) for part in parts] == data.unmoved
        true = layout.divisions is not None and in_place(parts, layout.divisions)
        keys, told = sorted(data.columns["key"]), layout.divisions
        of_key = told is not None and (told[0], told[-1]) == (keys[0], keys[-1])
        code = None if not unmoved else "FALSE_SORTED" if of_key else "LOCAL_INDEX"
        assert true, blame(
            code, partitions=len(parts), known=layout.known_divisions,
            because="" if code
            else "Dask does not know the divisions of the result." if told is None
            else "Some rows do not lie in the partition where they belong by the divisions.",
        )  # fmt: skip
        assert never_falls(parts), blame(because="Within some partition the index is not in order.")
        assert largest <= rows / 2, blame(
            because="One partition holds more than half of the rows.", largest=largest, rows=rows
        )


def test_one_shuffle(student, dask, rng):
    """At most one computation until the divisions are told, which moves nothing; one shuffle."""
    data = draw(rng, nearly_sorted=True)
    ddf = make(dask, data, known=False)
    with dask.watch() as whole:
        ddf.rows()
    with dask.watch() as cost:
        result = student.call("indexed", ddf, "key", returns=Frame)
        plan = result.expr()
    found = {"computes": cost.computes, "shuffle_tasks": cost.shuffle_tasks}
    shuffles = len(plan.shuffles)
    code = "SET_INDEX_TWICE" if shuffles else "PANDAS_COMPUTE"  # `persist` leaves none to be done
    assert cost.shuffle_tasks == 0 and shuffles <= 1, blame(code, shuffles=shuffles, **found)
    gathered = cost.largest_bytes > GATHERED * whole.largest_bytes
    assert not gathered, blame("PANDAS_COMPUTE", **found)
    assert cost.computes <= 1, blame("DIVISIONS_COMPUTED", **found)
    ordered = never_falls([index_of(part) for part in result.partitions()])
    assert ordered, blame(
        because="The rows are not in the order of the key, so what it cost does not count."
    )


GATHERED = 0.7
"""Of the bytes of all rows, in one value. Measured: a partition 0.4 at most, all rows 1.0."""


class Pair(msgspec.Struct, frozen=True):
    """The two sides of a join: (index, value) of each row, in the order of the index."""

    a: list[Row]
    b: list[Row]

    def joined(self, how: str) -> list[Row]:
        rows = [(i, x, y) for i, x in self.a for j, y in self.b if i == j]
        in_a, in_b = {i for i, _ in self.a}, {j for j, _ in self.b}
        if how in ("left", "outer"):
            rows += [(i, x, None) for i, x in self.a if i not in in_b]
        if how in ("right", "outer"):
            rows += [(j, None, y) for j, y in self.b if j not in in_a]
        return in_order(rows)


def draw_pair(rng) -> Pair:
    """Draw two sides that share about half of their index; some values occur twice on a side."""
    sides = []
    for low, high in ((0, 900), (200, 1200)):
        drawn = rng.choice(range(low, high), 380, replace=False)
        index = [int(i) for i in (*drawn, *drawn[:20])]
        values = [int(v) for v in rng.integers(0, 10_000, len(index))]
        sides.append(sorted(zip(index, values, strict=True)))
    return Pair(*sides)


def make_side(dask, rng, rows: list[Row], column: str, partitions: int) -> Frame:
    """Make one side in partitions of different sizes, with true divisions."""
    index = [i for i, _ in rows]
    even = [round(len(rows) * i / partitions) for i in range(1, partitions)]
    cuts = [cut + int(rng.integers(-15, 16)) for cut in even]
    cuts = [next(c for c in range(cut, len(rows)) if index[c] != index[c - 1]) for cut in cuts]
    bounds = [0, *cuts, len(rows)]
    sizes = [end - begin for begin, end in pairwise(bounds)]
    divisions = [*(index[begin] for begin in bounds[:-1]), index[-1]]
    return dask.frame(
        {column: [value for _, value in rows]},
        sizes,
        index=index,
        index_name="key",
        divisions=divisions,
    )


def sides(dask, rng, pair: Pair) -> tuple[Frame, Frame]:
    return make_side(dask, rng, pair.a, "left", 5), make_side(dask, rng, pair.b, "right", 4)


def rows_of(found: Rows) -> list[Row]:
    assert list(found.columns) == ["left", "right"], blame(
        because="The columns of the joined rows are not those of a and then those of b."
    )
    table = zip(index_of(found), found.columns["left"], found.columns["right"], strict=True)
    return in_order((i, as_whole(x), as_whole(y)) for i, x, y in table)


def as_whole(value: Any) -> Any:
    """Whole numbers became floats where others are missing."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_join_rows(student, dask, rng):
    """The joined rows are the pairs with the same index, and no row is kept without a partner."""
    pair = draw_pair(rng)
    a, b = sides(dask, rng, pair)
    found = rows_of(student.call("join", a, b, returns=Frame).rows())
    right = pair.joined("inner")
    unmatched = any(same(found, pair.joined(how)) for how in ("left", "right", "outer"))
    code = "KEEPS_UNMATCHED" if unmatched else None
    assert same(found, right), blame(
        code, rows=len(found), needed=len(right),
        because="" if code
        else "There are more joined rows than there should be." if len(found) > len(right)
        else "There are fewer joined rows than there should be." if len(found) < len(right)
        else "There are as many joined rows as there should be, but some are wrong.",
    )  # fmt: skip


MEETING = 0.4
"""Of all rows, in one task. Measured: pieces between divisions 0.2, also with fewer partitions 0.3;
one side as a whole 0.5."""


def test_join_moves_little(student, dask, rng):
    """The join computes nothing when it is called, has no shuffle, and keeps its divisions."""
    pair = draw_pair(rng)
    a, b = sides(dask, rng, pair)
    with dask.watch() as during_call:
        result = student.call("join", a, b, returns=Frame)
    assert during_call.computes == 0, blame("PANDAS_COMPUTE", computes=during_call.computes)
    shuffles = len(result.expr().shuffles)
    assert shuffles == 0, blame("COLUMN_MERGE", shuffles=shuffles)
    layout = result.layout()
    with dask.watch() as action:
        parts = [index_of(part) for part in result.partitions()]
    rows, everything = sum(len(part) for part in parts), len(pair.a) + len(pair.b)
    assert rows >= len(pair.joined("inner")) / 2, blame(
        because="There are fewer joined rows than there should be."
    )
    whole_side = action.rows_met >= 0.95 * min(len(pair.a), len(pair.b))
    code = "ONE_PARTITION" if whole_side else None
    assert action.rows_met <= MEETING * everything, blame(
        code, rows=action.rows_met, all_rows=everything,
        because="" if code else "One task was given {rows} rows by others, of {all_rows}.",
    )  # fmt: skip
    assert layout.divisions is not None, blame(
        because="Dask does not know the divisions of the joined rows."
    )
    assert in_place(parts, layout.divisions), blame(
        because="Some joined rows do not lie in the partition where they belong by the divisions."
    )


def test_edges(student, dask, rng):
    """One partition, empty ones, many equal keys, and sides that have nothing in common."""
    columns = {"key": [3, 1, 2, 3, 3, 1], "amount": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    right = sorted(zip(columns["key"], columns["amount"], strict=True))
    for sizes in ([6], [0, 3, 0, 3], [2, 2, 2]):
        frame = dask.frame(columns, sizes)
        found = student.call("indexed", frame, "key", returns=Frame).rows()
        rows = sorted(zip(index_of(found), found.columns.get("amount", []), strict=True))
        assert same(rows, right), blame(
            because="With few rows, empty partitions or equal keys, rows are lost or wrong."
        )
    pair = draw_pair(rng)
    apart = Pair(pair.a, [(i + 5000, v) for i, v in pair.b])
    a, b = sides(dask, rng, apart)
    assert rows_of(student.call("join", a, b, returns=Frame).rows()) == [], blame(
        because="Two DataFrames that have no index value in common should give no rows."
    )
