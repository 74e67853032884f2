"""Made-up data for lessons and exercises: small, skewed as real data is, the same everywhere.

`tables` makes it, `schema` says what the columns mean, `table` holds the columns and gives them to
pandas, Spark or plain Python, `words` has the names. Nothing is downloaded or kept on disk.
"""

from __future__ import annotations

from shardwork.lab.data.schema import Column, Schema, describe
from shardwork.lab.data.table import Table
from shardwork.lab.data.tables import clicks, countries, customers, links, orders

__all__ = [
    "Column",
    "Schema",
    "Table",
    "clicks",
    "countries",
    "customers",
    "describe",
    "links",
    "orders",
]
