"""Count rows where partitions meet: what a task is given by others, on a cluster over the network.

A task that has one input only goes on with what is there already. One that has several brings
partitions, or pieces of them, together.
"""

from __future__ import annotations

import sys
from typing import Any

MAX_DEPTH = 4
"""Of containers that are looked into; a shuffle hands on dictionaries of frames."""


def rows_given(values: list[Any]) -> int:
    """Return the rows in the values that a task is given, 0 if fewer than two of them have any."""
    counts = [rows for value in values if (rows := rows_in(value))]
    return sum(counts) if len(counts) > 1 else 0


def rows_in(value: Any, depth: int = MAX_DEPTH) -> int:
    """Count the rows of frames and series, also in lists, tuples and dictionaries.

    A cell that holds a list counts for as many rows as there are items, less one: rows that were
    packed into lists travel none the less.
    """
    pandas = sys.modules.get("pandas")
    if pandas is None or depth == 0:
        return 0
    if isinstance(value, pandas.Series):
        return len(value) + _packed(value)
    if isinstance(value, pandas.DataFrame):
        return len(value) + max((_packed(column) for _, column in value.items()), default=0)
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return sum(rows_in(item, depth - 1) for item in value)
    return 0


def _packed(column: Any) -> int:
    if column.dtype != object:
        return 0
    return sum(max(0, _length(cell) - 1) for cell in column)


def _length(cell: Any) -> int:
    """Return the items of a list or another container, 1 of a text or a number."""
    return len(cell) if hasattr(cell, "__len__") and not isinstance(cell, (str, bytes)) else 1
