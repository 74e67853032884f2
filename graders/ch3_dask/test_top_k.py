"""3.5 `top_k`: the largest values of each group, from small partial results, as a lazy plan.

What Dask does is a claim of the sandbox: how many rows meet in a task, whether functions are called
with made-up rows, what was computed during the call. Values and dtypes are held against the judge's
own; a result of local answers only, or of one that dropped rows to look small, has wrong values.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from shardwork.grading import Frame, OracleBank, blame, same

CITIES = ["oslo", "東京", "são paulo", "", "kyiv"]
PARTITIONS = 6
Row = tuple[Any, Any]


def draw(rng, rows: int, key: str = "city") -> tuple[dict[str, list], list[int]]:
    """Draw columns on which every known mistake shows, and the sizes of uneven partitions.

    Every key lies in every partition but the empty one; its largest value is there twice, in two
    partitions. The last key has one value that is not missing.
    """
    names = list(CITIES) if key == "city" else [int(n) for n in rng.choice(1000, 5, replace=False)]
    names = [names[i] for i in rng.permutation(len(names))]
    cuts = sorted(int(c) for c in rng.integers(rows // 12, rows - rows // 12, PARTITIONS - 2))
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, rows], strict=True)]
    sizes.insert(int(rng.integers(1, PARTITIONS)), 0)
    keys: list[Any] = [names[int(i)] for i in rng.integers(0, len(names) - 1, rows)]
    values: list[Any] = [round(float(v), 3) for v in rng.normal(0.0, 100.0, rows)]
    for i in rng.choice(rows, rows // 20, replace=False):
        values[i] = None
    # the last rows and the first ones lie in different partitions, whatever the sizes
    for i, name in enumerate(names[:-1]):
        keys[i] = keys[-1 - i] = name
        values[i] = values[-1 - i] = 500.0 + 10 * i
    for i in (5, 7, -6):
        keys[i], values[i] = names[-1], None
    values[7] = 1.5
    if key == "city":
        keys[9], values[9] = None, 9999.0
    noise = [float(v) for v in rng.normal(size=rows)]
    return {"noise": noise, "score": values, key: keys}, sizes


def in_order(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row[0], row[1] is None, -(row[1] or 0)))


def largest(rows: list[Row], k: int, *, missing: bool = False, distinct: bool = False) -> list[Row]:
    """Return the k largest rows (key, value) of each key, in order."""
    groups: dict[Any, list[Any]] = {}
    for name, value in rows:
        if name is not None and (missing or value is not None):
            groups.setdefault(name, []).append(value)
    found = []
    for name, values in groups.items():
        chosen = list(set(values)) if distinct else values
        found += in_order([(name, value) for value in chosen])[:k]
    return in_order(found)


def parts_of(rows: list[Row], sizes: list[int]) -> list[list[Row]]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [rows[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def rows_of(columns: dict[str, list], key: str, col: str) -> list[Row]:
    return list(zip(columns[key], columns[col], strict=True))


def computed(result: Frame, key: str, col: str) -> list[Row]:
    """Return the rows of a result in order; its columns must be the two that were asked for."""
    columns = result.compute(dict[str, list[Any]])
    assert list(columns) == [key, col], blame(
        because="The columns of the result are not `key` and `col`, in this order."
    )
    rows = rows_of(columns, key, col)
    # Whole numbers are equal to floats here; dtypes are another check's subject.
    plain = [(name, value if value is None else float(value)) for name, value in rows]
    assert all(name is not None for name, _ in plain), blame(
        because="The result has rows without a key."
    )
    return in_order(plain)


def test_values(student, dask, rng):
    """The k largest values of every key are there, equal ones too, and no missing ones."""
    for key, k in (("city", int(rng.integers(3, 6))), ("shop", 3)):
        columns, sizes = draw(rng, 400, key)
        rows = rows_of(columns, key, "score")
        local = [row for part in parts_of(rows, sizes) for row in largest(part, k)]
        right = largest(rows, k)
        bank = OracleBank(
            right=right,
            wrong={
                "LOCAL_TOPK_ONLY": in_order(local),
                "NULLS_KEPT": largest(rows, k, missing=True),
                "TIES_LOST": largest(rows, k, distinct=True),
            },
            same=same,
        )
        result = student.call("top_k", dask.frame(columns, sizes), key, "score", k, returns=Frame)
        found = computed(result, key, "score")
        code = bank.explain(found).code
        number, needed = Counter(name for name, _ in found), Counter(name for name, _ in right)
        surplus, lack = number - needed, needed - number
        assert bank.accepts(found), blame(
            code, k=k, partitions=len(sizes), rows=len(found), needed=len(right),
            because="" if code
            else "Some keys have more rows than they should." if surplus
            else "Some keys have fewer rows than they should." if lack
            else "Each key has as many rows as it should, but some values are wrong.",
        )  # fmt: skip


def test_computes_nothing(student, dask, rng):
    """The call itself computes nothing."""
    columns, sizes = draw(rng, 300)
    ddf = dask.frame(columns, sizes)
    with dask.watch() as during_call:
        student.call("top_k", ddf, "city", "score", 3, returns=Frame)
    assert during_call.computes == 0, blame("PANDAS_COMPUTE", computes=during_call.computes)


ROWS = 3000
"""Measured with them, k = 3, 5 keys and 6 partitions (one of them empty): local results that meet
in one task 65 to 90 rows, with lists in cells 120; shuffles of all rows 700 and more; the bound is
180."""


def test_partial_results(student, dask, rng):
    """Partial results meet, and not the rows themselves."""
    columns, sizes = draw(rng, ROWS)
    k, keys = 3, len(CITIES)
    result = student.call("top_k", dask.frame(columns, sizes), "city", "score", k, returns=Frame)
    with dask.watch() as action:
        found = computed(result, "city", "score")
    assert len(found) > k * (keys - 2), blame(because="Most rows of the result are missing.")
    bound = 2 * k * keys * len(sizes)
    code = None
    if action.rows_met > bound:
        shuffled = bool(result.expr().shuffles)
        gathered = action.rows_met >= 0.9 * ROWS
        code = "GROUPBY_APPLY" if shuffled else "ALL_ROWS_MEET" if gathered else None
    assert action.rows_met <= bound, blame(
        code, rows=action.rows_met, bound=bound,
        because="" if code else "One task was given {rows} rows by others; {bound} are allowed.",
    )  # fmt: skip


def test_meta(student, dask, rng):
    """The result announces the dtypes of the columns, has them, and Dask guesses no meta."""
    drawn, sizes = draw(rng, 300)
    whole = [int(n) for n in rng.integers(-50, 50, 300)]
    for key, col in (("city", "whole"), ("shop", "score")):
        shops = [int(n) for n in rng.integers(0, 5, 300)]
        ddf = dask.frame({**drawn, "whole": whole, "shop": shops}, sizes)
        given = dict(zip((layout := ddf.layout()).columns, layout.dtypes, strict=True))
        with dask.watch() as during_call:
            result = student.call("top_k", ddf, key, col, 4, returns=Frame)
            told = result.layout()
        # Whoever computes during the call has another mistake, and any guess is its consequence.
        guessed = during_call.meta_calls > 0 and during_call.computes == 0
        assert not guessed, blame("META_MISSING", meta_calls=during_call.meta_calls)
        announced = dict(zip(told.columns, told.dtypes, strict=True))
        right = {name: given[name] for name in (key, col)}
        found = result.rows().dtypes
        believed = announced == found
        assert believed, blame("META_WRONG", announced=str(announced), computed=str(found))
        assert found == right, blame(
            because="The dtypes of the result are not those of the columns of ddf."
        )


def test_edges(student, dask, rng):
    """Small groups, empty partitions and no rows at all are fine; a k below 1 is a ValueError."""
    columns, sizes = draw(rng, 120)
    rows = rows_of(columns, "city", "score")
    result = student.call("top_k", dask.frame(columns, sizes), "city", "score", 500, returns=Frame)
    found = [row for row in computed(result, "city", "score") if row[1] is not None]
    assert same(found, largest(rows, 500)), blame(
        because="With a k larger than every group, not all values are there."
    )
    nothing = {"noise": np.zeros(0), "score": np.zeros(0), "city": []}
    for empty in ([0], [0, 0, 0]):
        result = student.call(
            "top_k", dask.frame(nothing, empty), "city", "score", 2, returns=Frame
        )
        assert computed(result, "city", "score") == [], blame(
            because="Without any rows the result should have none."
        )
    for k in (0, -1):
        raised = student.refusal("top_k", dask.frame(columns, sizes), "city", "score", k)
        assert "ValueError" in raised, blame(because="A k below 1 should raise ValueError.")
