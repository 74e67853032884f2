"""The student side: how a notebook gets its Spark session, Dask client, ranks and data.

The same calls work on a laptop, in the sandbox that grades and on the cluster of `compose.yaml`;
environment variables choose the cluster (`SHARDWORK_SPARK_MASTER`, `SHARDWORK_DASK_SCHEDULER`,
`SHARDWORK_DASK_WORKERS`, `SHARDWORK_RANK_HOSTS`).
Nothing here knows the judge. The frameworks are imported by the first call that needs them.
"""

from __future__ import annotations

from shardwork.lab import hvd
from shardwork.lab.comm import comm
from shardwork.lab.dask_cluster import dask_client, stop_dask
from shardwork.lab.dask_settings import pin_dask
from shardwork.lab.data import (
    Schema,
    Table,
    clicks,
    countries,
    customers,
    describe,
    links,
    orders,
)
from shardwork.lab.rank_frames import RankState
from shardwork.lab.ranks import RankError, RankStatus, run_ranks, stop_ranks
from shardwork.lab.spark_session import spark, stop_spark

__all__ = [
    "RankError",
    "RankState",
    "RankStatus",
    "Schema",
    "Table",
    "clicks",
    "comm",
    "countries",
    "customers",
    "dask_client",
    "describe",
    "hvd",
    "links",
    "orders",
    "pin_dask",
    "run_ranks",
    "spark",
    "stop",
]


def stop() -> None:
    """Stop what `spark`, `dask_client` and `run_ranks` started; calling it twice is allowed."""
    try:
        stop_ranks()
    finally:
        try:
            stop_dask()
        finally:
            stop_spark()
