"""A made-up table: columns in NumPy arrays, given to pandas, Spark or plain Python when asked."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shardwork.lab.data.schema import Column, Schema

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from pyspark import RDD, SparkContext
    from pyspark.sql import DataFrame, SparkSession

_NUMPY = {"bigint": "int64", "int": "int32", "double": "float64", "string": "object",
          "date": "datetime64[D]", "timestamp": "datetime64[us]"}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """The columns of a table, by name, all of the same length; change nothing in them.

    In a double column that may hold nulls a null is NaN; in a string column it is None.
    """

    schema: Schema
    columns: Mapping[str, np.ndarray[Any, Any]]

    def __post_init__(self) -> None:
        for column in self.schema.columns:
            found = self.columns[column.name].dtype
            if found != _NUMPY[column.type]:
                raise TypeError(f"{self.schema.table}.{column.name} is {found}, not {column.type}")

    def __len__(self) -> int:
        return len(self.columns[self.schema.names[0]])

    def __repr__(self) -> str:
        return f"{self.schema.table}: {len(self)} rows of ({', '.join(self.schema.names)})"

    def rows(self) -> list[tuple[Any, ...]]:
        """Return the rows as tuples of plain Python values; times are in UTC, nulls are None."""
        columns = [_plain(c, self.columns[c.name].tolist()) for c in self.schema.columns]
        return list(zip(*columns, strict=True))

    def pandas(self) -> pd.DataFrame:
        """Return a pandas DataFrame; dates and times are `datetime64` without a time zone."""
        import pandas as pd

        return pd.DataFrame({name: self.columns[name] for name in self.schema.names})

    def spark(self, spark: SparkSession, partitions: int | None = None) -> DataFrame:
        """Return a Spark DataFrame with the declared schema. Starts no job.

        Without `partitions` the driver holds the rows (`LocalTableScan` in a plan). With it they
        are an RDD of exactly so many partitions (`Scan ExistingRDD`); no shuffle in either.
        """
        schema = self.schema.spark()
        if partitions is None:
            return spark.createDataFrame(self._arrow(), schema)
        rows = self.rdd(spark.sparkContext, partitions)
        return spark.createDataFrame(rows, schema, verifySchema=False)

    def rdd(self, sc: SparkContext, partitions: int) -> RDD[tuple[Any, ...]]:
        """Return the rows as an RDD of tuples in exactly `partitions` partitions."""
        return sc.parallelize(self.rows(), partitions)

    def _arrow(self) -> pa.Table:
        import pyarrow as pa

        types = {"bigint": pa.int64(), "int": pa.int32(), "double": pa.float64(),
                 "string": pa.string(), "date": pa.date32(),
                 "timestamp": pa.timestamp("us", tz="UTC")}  # fmt: skip
        return pa.table(
            [pa.array(self.columns[c.name], types[c.type], from_pandas=c.nullable)
             for c in self.schema.columns],
            schema=pa.schema([pa.field(c.name, types[c.type], c.nullable)
                              for c in self.schema.columns]),
        )  # fmt: skip


def _plain(column: Column, values: list[Any]) -> list[Any]:
    if column.type == "timestamp":
        return [value.replace(tzinfo=datetime.UTC) for value in values]
    if column.type == "double" and column.nullable:
        return [None if math.isnan(value) else value for value in values]
    return values
