"""DataFrames: inputs of given partitions, Parquet files, and what a grader asks of a frame."""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shardwork.probes.dask.watching import NotNow, no_computes
from shardwork.probes.server import question

MAX_CELLS = 1_000_000
"""Of a frame that is computed for the judge; a message holds 2,000,000 items."""

Columns = dict[str, Any]


@question("dask.frame")
def frame(
    columns: Columns,
    sizes: list[int],
    divisions: list[object] | None,
    index: list[object] | None,
    load: Callable[[int], object] | None,
    index_name: str | None = None,
) -> object:
    """Make a DataFrame whose partitions have `sizes` rows.

    `divisions` (one more than partitions) are told to Dask, and not checked; without them they are
    unknown. `load(i)` is called when partition `i` is made. `index_name` is the name of `index`.
    """
    import dask.dataframe as dd

    parts = [part.rename_axis(index_name) for part in _parts(columns, sizes, index)]

    def read(part: Any, number: int) -> Any:
        if load is not None:
            load(number)
        return part

    return dd.from_map(
        read,
        parts,
        list(range(len(parts))),
        meta=parts[0].iloc[:0],
        divisions=None if divisions is None else tuple(divisions),
        label="input",
    )


@question("dask.parquet")
def parquet(columns: Columns, sizes: list[int], row_group_rows: int | None) -> str:
    """Write a Parquet dataset with one file for each of `sizes`, and return its folder.

    A file has row groups of `row_group_rows` rows; one row group if that is None.
    """
    folder = Path(tempfile.mkdtemp(prefix="shardwork-parquet-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for number, part in enumerate(_parts(columns, sizes, None)):
        path = folder / f"part.{number:04}.parquet"
        part.to_parquet(path, index=False, row_group_size=row_group_rows or max(1, len(part)))
    return str(folder)


@question("dask.frame_layout")
def frame_layout(collection: Any) -> dict[str, Any]:
    """Describe a DataFrame or a Series by its meta and divisions, computing nothing.

    What Dask could only tell by computing (the partitions of a fresh `set_index`) is None, and
    `would_compute` is true.
    """
    import pandas as pd

    with no_computes():
        meta = collection._meta
        if not isinstance(meta, (pd.DataFrame, pd.Series)):
            raise TypeError(f"a collection of {type(meta).__name__}, not of a frame or series")
        try:
            divisions = tuple(collection.divisions)
        except NotNow:
            divisions = None
    known = divisions is not None and None not in divisions
    return {
        "kind": "frame" if meta.ndim == 2 else "series",
        "columns": [str(name) for name in _names(meta)],
        "dtypes": [str(dtype) for dtype in _dtypes(meta)],
        "index": None if meta.index.name is None else str(meta.index.name),
        "index_dtype": str(meta.index.dtype),
        "num_partitions": None if divisions is None else len(divisions) - 1,
        "known_divisions": known,
        "divisions": [_plain(value) for value in divisions] if divisions and known else None,
        "would_compute": divisions is None,
    }


@question("dask.compute_frame")
def compute_frame(collection: Any) -> dict[str, Any]:
    """Compute a DataFrame or Series, one task at a time; see `_rows`."""
    return _rows(collection.compute(scheduler="sync"))


@question("dask.compute_partitions")
def compute_partitions(collection: Any) -> list[dict[str, Any]]:
    """Compute a DataFrame or Series, one task at a time, and return each partition."""
    import dask

    computed = dask.compute(*collection.to_delayed(), scheduler="sync")
    if sum(part.size for part in computed) > MAX_CELLS:
        raise ValueError(f"a frame of more than {MAX_CELLS} cells is too large to be looked at")
    return [_rows(part) for part in computed]


def _parts(columns: Columns, sizes: list[int], index: list[object] | None) -> list[Any]:
    import pandas as pd
    from dask.dataframe._pyarrow import to_pyarrow_string

    whole = pd.DataFrame(columns, index=index)
    if sum(sizes) != len(whole):
        raise ValueError(f"partitions of {sum(sizes)} rows, but there are {len(whole)}")
    whole = to_pyarrow_string(whole)  # what Dask itself does to text that it reads
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [whole.iloc[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _rows(computed: Any) -> dict[str, Any]:
    """Return the columns as lists: nulls of every kind are None, times are ISO texts."""
    import pandas as pd

    if not isinstance(computed, (pd.DataFrame, pd.Series)):
        raise TypeError(f"what was computed is a {type(computed).__name__}")
    if computed.size > MAX_CELLS:
        raise ValueError(f"a frame of more than {MAX_CELLS} cells is too large to be looked at")
    table = computed.to_frame() if isinstance(computed, pd.Series) else computed
    names = [str(name) for name in table.columns]
    if len(set(names)) < len(names):
        raise ValueError(f"two columns of one name: {names[:50]}")
    return {
        "columns": {
            name: [_plain(value) for value in table.iloc[:, i]] for i, name in enumerate(names)
        },
        "dtypes": {name: str(dtype) for name, dtype in zip(names, table.dtypes, strict=True)},
        "index": [_plain(value) for value in table.index],
        "index_name": None if table.index.name is None else str(table.index.name),
        "index_dtype": str(table.index.dtype),
    }


def _names(meta: Any) -> list[object]:
    return list(meta.columns) if meta.ndim == 2 else [meta.name]


def _dtypes(meta: Any) -> list[object]:
    return list(meta.dtypes) if meta.ndim == 2 else [meta.dtype]


def _plain(value: Any) -> object:
    """Return a cell as plain data; a list or another object is an error, by its type's name."""
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value
