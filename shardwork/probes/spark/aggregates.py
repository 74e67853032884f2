"""Aggregates in Python, which Spark cannot split: it brings all values of a group together."""

from __future__ import annotations

from typing import Any

from shardwork.probes.server import question


@question("spark.aggregate")
def aggregate(kind: str) -> Any:
    """Return an aggregate made with `pandas_udf`, a double of doubles, of one of `_SUMS`."""
    import pandas as pd
    from pyspark.sql import functions as F

    add_up = _SUMS[kind]

    def total(values: pd.Series) -> float:
        return add_up(values.to_numpy())

    total.__annotations__ = {"values": pd.Series, "return": float}
    return F.pandas_udf(total, "double")


def _root_of_squares(values: Any) -> float:
    return float((values**2).sum() ** 0.5)


def _decibels(values: Any) -> float:
    import numpy as np

    return float(10 * np.log10((10 ** (values / 10)).sum()))


_SUMS = {"root of squares": _root_of_squares, "decibels": _decibels}
"""Kinds of sums by which several numbers become one of the same kind, in any order and grouping."""
