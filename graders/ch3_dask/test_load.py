"""3.6 `load`: a range of days of a Parquet dataset, of which only what is needed is read.

What was read is not asked of Dask. The data that must not be read is damaged: whoever reads it gets
an error, and whoever does not has the right rows. Only the name of a mistake comes from the plan.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shardwork.grading import Frame, StudentFault, blame, same

CITIES = ["oslo", "東京", "são paulo", "", "kyiv"]
FILES = 5
GROUP_ROWS = 20
EVERYTHING = (-5, 10_000)
"""A range of days that is wider than any dataset."""
Row = tuple[Any, ...]


class Dataset(msgspec.Struct, frozen=True):
    """A dataset in the sandbox, its columns, and a range of days that leaves much of it out."""

    path: str
    columns: dict[str, list[Any]]
    lo: int
    hi: int

    def rows(self, cols: list[str], lo: int, hi: int) -> list[Row]:
        """Return the rows with lo <= day < hi, in order."""
        table = zip(*(self.columns[name] for name in cols), strict=True)
        days = self.columns["day"]
        return sorted(row for row, day in zip(table, days, strict=True) if lo <= day < hi)

    def right(self, cols: list[str]) -> list[Row]:
        """Return the rows of the dataset's own range, in order."""
        return self.rows(cols, self.lo, self.hi)


def draw(dask, rng) -> Dataset:
    """Write days nearly in order, several rows for each; the range begins and ends inside files."""
    sizes = [int(n) for n in rng.integers(60, 90, FILES)]
    rows = sum(sizes)
    day = sorted(int(d) for d in rng.integers(0, 60, rows))
    for i in range(0, rows - 4, 3):  # a little out of order, also from one file to the next
        j = i + int(rng.integers(1, 4))
        day[i], day[j] = day[j], day[i]
    columns = {
        "id": [int(n) for n in rng.permutation(10 * rows)[:rows]],
        "city": [CITIES[int(i)] for i in rng.integers(0, len(CITIES), rows)],
        "day": day,
        "level": [int(n) for n in rng.integers(0, 1000, rows)],
        "heat": [round(float(x), 3) for x in rng.normal(15.0, 9.0, rows)],
        "note": [f"note {n}" for n in rng.integers(0, 10_000, rows)],
    }
    there = sorted(set(day))  # both ends of the range are days that have rows
    begin = int(rng.integers(15, 22))
    lo, hi = there[begin], there[begin + int(rng.integers(8, 20))]
    path = dask.parquet(columns, sizes, row_group_rows=GROUP_ROWS)
    return Dataset(path, columns, lo, hi)


def rows_of(result: Frame, cols: list[str]) -> list[Row]:
    """Return the rows of a result in order; other columns than `cols` are left aside."""
    columns = result.compute(dict[str, list[Any]])
    assert set(cols) <= set(columns), blame(because="Some column of `cols` is missing.")
    rows = list(zip(*(columns[name] for name in cols), strict=True))
    assert all(value is not None for row in rows for value in row), blame(
        because="The result has missing values, and the dataset has none."
    )
    return sorted(rows)


def takes_either_end(result: Frame) -> bool:
    """Whether a reader was told to take a row if one of several comparisons holds."""
    either = [read.filters for read in result.expr().reads if read.filters]
    return any(len(groups) > 1 and all(len(g) == 1 for g in groups) for groups in either)


def require_most_rows(found: list[Row], needed: list[Row]) -> None:
    """Who returns few rows reads little; which rows are right is another check's subject."""
    assert len(found) >= 0.5 * len(needed), blame(
        because="There are far fewer rows than there should be."
    )


COLS = (["heat", "id"], ["city", "day", "level"])
"""In the first `day` is not asked for; in the second it is, and the order is another one."""


def test_rows(student, dask, rng):
    """The result has the rows with lo <= day < hi, all of them and no others."""
    for cols in COLS:
        data = draw(dask, rng)
        lo, hi = data.lo, data.hi
        result = student.call("load", data.path, cols, lo, hi, returns=Frame)
        found, right = rows_of(result, cols), data.right(cols)
        shifted = [(lo + 1, hi), (lo, hi + 1), (lo + 1, hi + 1)]  # other ends in or out
        code = None
        if any(same(found, data.rows(cols, *ends)) for ends in shifted):
            code = "FILTER_BOUNDARY"
        elif same(found, data.rows(cols, *EVERYTHING)) and takes_either_end(result):
            code = "OR_INSTEAD_OF_AND"
        assert same(found, right), blame(
            code, rows=len(found), needed=len(right), days=hi - lo,
            because="" if code
            else "There are more rows than there should be." if len(found) > len(right)
            else "There are fewer rows than there should be." if len(found) < len(right)
            else "There are as many rows as there should be, but some are wrong.",
        )  # fmt: skip
        assert result.layout().columns == cols, blame(
            because="The columns of the result are not `cols`, in this order."
        )


def test_reads_at_compute(student, dask, rng):
    """The call reads no data."""
    data, cols = draw(dask, rng), COLS[0]
    student.call("load", data.path, cols, data.lo, data.hi, returns=Frame)  # an error of its own
    other = draw(dask, rng)
    dask.damage_parquet(other.path)
    try:
        result = student.call("load", other.path, cols, other.lo, other.hi, returns=Frame)
    except StudentFault:
        assert False, blame("READS_AT_ONCE")
    dask.repair_parquet(other.path)
    require_most_rows(rows_of(result, cols), other.right(cols))


def test_rows_that_are_not_read(student, dask, rng):
    """Row groups without a row of the range are not read."""
    for cols in COLS:
        data = draw(dask, rng)
        result = student.call("load", data.path, cols, data.lo, data.hi, returns=Frame)
        found, right = rows_of(result, cols), data.right(cols)  # an error of its own shows here
        require_most_rows(found, right)
        reads = result.expr().reads
        trusting = bool(reads) and all(read.filters is None for read in reads)
        code = None
        if trusting and same(found, right):
            code = "TRUSTS_OPTIMISER"
        elif takes_either_end(result):
            code = "OR_INSTEAD_OF_AND"
        dask.damage_parquet(data.path, outside=("day", data.lo, data.hi))
        try:
            rows_of(student.call("load", data.path, cols, data.lo, data.hi, returns=Frame), cols)
        except StudentFault:
            assert False, blame(
                code, readers=len(reads),
                because="" if code else "Row groups without a row of the range were read.",
            )  # fmt: skip


def test_columns_that_are_not_read(student, dask, rng):
    """Columns that are neither asked for nor `day` are not read."""
    for cols in COLS:
        data = draw(dask, rng)
        result = student.call("load", data.path, cols, data.lo, data.hi, returns=Frame)
        require_most_rows(rows_of(result, cols), data.right(cols))  # and an error of its own
        dask.damage_parquet(
            data.path, columns=[name for name in data.columns if name not in (*cols, "day")]
        )
        try:
            rows_of(student.call("load", data.path, cols, data.lo, data.hi, returns=Frame), cols)
        except StudentFault:
            assert False, blame("ALL_COLUMNS")


def test_edges(student, dask, rng):
    """An empty range has no rows, and a range may be wider than the data."""
    data, cols = draw(dask, rng), ["id"]

    def call(lo: int, hi: int) -> Frame:
        return student.call("load", data.path, cols, lo, hi, returns=Frame)

    for lo, hi in ((data.hi, data.lo), (1000, 2000)):
        assert not call(lo, hi).rows().index, blame(
            because="A range without any row of the dataset should give no rows."
        )
    wide = rows_of(call(*EVERYTHING), cols)
    assert same(wide, data.rows(cols, *EVERYTHING)), blame(
        because="A range that is wider than the data should give all rows."
    )
