"""DataFrames in the Dask probe: inputs, hidden computations, and what an expression tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from shardwork.probes import dask as probe

pytestmark = pytest.mark.functional

COLUMNS = {"key": ["b", "a", "b", None, "c"], "value": np.array([1.0, 2.0, 3.0, 4.0, 5.0])}


def small(**options: Any) -> Any:
    given = {"divisions": None, "index": None, "load": None} | options
    return probe.frame(COLUMNS, [2, 0, 3], **given)


def test_a_frame_has_the_given_partitions_and_text_as_dask_has_it() -> None:
    df = small()
    assert [len(part) for part in df.partitions] == [2, 0, 3]
    whole = df.compute()
    assert whole.value.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert whole.key.dtype == dd.from_pandas(pd.DataFrame({"key": ["a"]})).key.dtype
    assert probe.frame_layout(df) == {
        "kind": "frame", "columns": ["key", "value"], "dtypes": ["string", "float64"],
        "index": None, "index_dtype": "int64", "num_partitions": 3, "known_divisions": False,
        "divisions": None, "would_compute": False,
    }  # fmt: skip


def test_divisions_that_were_given_are_known() -> None:
    found = probe.frame_layout(small(divisions=[0, 2, 2, 4]))
    assert (found["known_divisions"], found["divisions"]) == (True, [0, 2, 2, 4])


def test_partitions_are_loaded_when_they_are_computed() -> None:
    loaded: list[int] = []
    df = small(load=loaded.append)
    probe.frame_layout(df), probe.describe_expr(df.groupby("key").value.sum())
    assert loaded == []
    probe.compute_frame(df)
    assert sorted(loaded) == [0, 1, 2]


def test_a_layout_computes_nothing_where_dask_would() -> None:
    loaded: list[int] = []
    df = small(load=loaded.append).set_index("value")
    found = probe.frame_layout(df)
    assert (found["would_compute"], found["num_partitions"], loaded) == (True, None, [])
    assert (found["index"], found["index_dtype"]) == ("value", "float64")
    assert df.npartitions  # now Dask has computed, and remembers
    assert loaded
    assert probe.frame_layout(df)["would_compute"] is False


def test_a_computed_frame_is_plain_data() -> None:
    times = pd.to_datetime(["2027-01-15 08:00", None])
    table = pd.DataFrame({"t": times, "n": [1.5, None], "s": ["ü", None], "b": [True, False]})
    found = probe.compute_frame(dd.from_pandas(table, npartitions=1))
    assert found["columns"] == {
        "t": ["2027-01-15T08:00:00", None], "n": [1.5, None], "s": ["ü", None], "b": [True, False],
    }  # fmt: skip
    assert found["dtypes"] == {"t": "datetime64[ns]", "n": "float64", "s": "string", "b": "bool"}
    assert (found["index"], found["index_name"]) == ([0, 1], None)


def test_a_series_is_a_frame_of_one_column() -> None:
    total = small().groupby("key").value.sum()
    assert probe.frame_layout(total)["kind"] == "series"
    found = probe.compute_frame(total)
    assert dict(zip(found["index"], found["columns"]["value"], strict=True)) == {
        "a": 2.0, "b": 4.0, "c": 5.0,
    }  # fmt: skip


def test_partitions_are_computed_one_by_one() -> None:
    parts = probe.compute_partitions(small())
    assert [part["columns"]["value"] for part in parts] == [[1.0, 2.0], [], [3.0, 4.0, 5.0]]


def test_a_group_aggregation_is_a_tree_and_a_group_function_is_a_shuffle() -> None:
    df = small()
    tree = probe.describe_expr(df.groupby("key").value.sum())
    assert "TreeReduce" in tree["optimised"]
    assert tree["shuffles"] == []
    grouped = df.groupby("key").apply(lambda part: part.head(1), meta=df._meta)
    assert probe.describe_expr(grouped)["shuffles"] == ["TaskShuffle"]


def test_a_join_by_column_shuffles_and_a_join_of_known_divisions_does_not() -> None:
    # two equal inputs would be one node of the expression
    left, right = small(), probe.frame(COLUMNS, [3, 2], None, None, None)
    by_column = probe.describe_expr(left.merge(right, on="key"))
    assert by_column["shuffles"] == ["TaskShuffle", "TaskShuffle"]
    known = [small(divisions=[0, 2, 2, 4]), probe.frame(COLUMNS, [4, 1], [0, 4, 4], None, None)]
    joined = known[0].merge(known[1], left_index=True, right_index=True)
    by_index = probe.describe_expr(joined)
    assert by_index["merges"] == ["BlockwiseMerge"]
    assert by_index["optimised"].count("RepartitionDivisions") == 2
    assert by_index["shuffles"] == []


def test_a_parquet_dataset_has_the_given_files_and_row_groups() -> None:
    import pyarrow.parquet as pq

    folder = Path(probe.parquet(COLUMNS, [2, 3], 2))
    files = sorted(folder.iterdir())
    assert [pq.ParquetFile(file).metadata.num_rows for file in files] == [2, 3]
    assert [pq.ParquetFile(file).metadata.num_row_groups for file in files] == [1, 2]
    assert dd.read_parquet(folder).value.sum().compute() == 15.0


def test_a_reader_tells_its_columns_and_filters() -> None:
    folder = probe.parquet(COLUMNS | {"other": [1, 2, 3, 4, 5]}, [2, 3], None)
    all_of_it, some = dd.read_parquet(folder), dd.read_parquet(folder, columns=["value"])
    assert probe.describe_expr(all_of_it)["reads"] == [{"columns": None, "filters": None}]
    assert probe.describe_expr(some)["reads"] == [{"columns": ["value"], "filters": None}]
    # Dask pushes columns into the reader by itself, and filters not.
    picked = all_of_it[all_of_it.value > 2].key
    (read,) = probe.describe_expr(picked)["reads"]
    assert read["filters"] is None
    assert sorted(read["columns"]) == ["key", "value"]
    both = [("value", ">=", np.float64(2)), ("value", "<", 4)]
    for filters, known in [
        (both, [[["value", ">=", 2.0], ["value", "<", 4]]]),
        ([both[:1], both[1:]], [[["value", ">=", 2.0]], [["value", "<", 4]]]),
    ]:
        (read,) = probe.describe_expr(dd.read_parquet(folder, filters=filters))["reads"]
        assert read["filters"] == known


def test_an_index_has_the_given_name() -> None:
    df = probe.frame(COLUMNS, [2, 3], [1, 3, 5], [1, 2, 3, 4, 5], None, "number")
    assert df.compute().index.name == df.index.name == "number"


NUMBERS = {"day": list(range(12)), "x": [float(i) for i in range(12)], "s": ["ü"] * 12}


def total(folder: str, column: str, filters: Any = None) -> float:
    return float(dd.read_parquet(folder, columns=[column], filters=filters)[column].sum().compute())


def test_damaged_columns_fail_when_they_are_read_and_only_then() -> None:
    folder = probe.parquet(NUMBERS, [6, 6], 3)
    assert probe.damage_parquet(folder, ["s", "x"], None) == 2 * 4
    assert total(folder, "day") == sum(range(12))
    assert len(dd.read_parquet(folder)) == 12  # from the footers
    with pytest.raises(OSError):
        total(folder, "x")
    probe.repair_parquet(folder)
    assert total(folder, "x") == sum(range(12))


def test_damaged_row_groups_fail_unless_a_filter_leaves_them_out() -> None:
    folder = probe.parquet(NUMBERS, [6, 6], 3)
    assert probe.damage_parquet(folder, None, ["day", 4, 7]) == 3 * 2  # of 0-2 and 9-11
    assert total(folder, "x", [("day", ">=", 4), ("day", "<", 8)]) == 4 + 5 + 6 + 7
    with pytest.raises(OSError):
        total(folder, "x", [("day", ">=", 2), ("day", "<", 8)])
    with pytest.raises(OSError):
        total(folder, "x")


def test_a_damaged_dataset_can_be_planned_and_computed_once_it_is_repaired() -> None:
    folder = probe.parquet(NUMBERS, [6, 6], 3)
    probe.damage_parquet(folder, None, None)
    lazy = dd.read_parquet(folder, columns=["x"], filters=[("day", "<", 4)]).x.sum()
    with pytest.raises(OSError):
        pd.read_parquet(folder, columns=["x"])
    probe.repair_parquet(folder)
    assert lazy.compute() == 0 + 1 + 2 + 3
