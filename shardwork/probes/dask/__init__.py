"""Make, describe and watch Dask collections (dask 2026.8). Sandbox side: answers are claims.

Every private interface of Dask that the course relies on is used in this package and nowhere else;
`tests/functional/test_dask_probe.py` and its siblings pin what it relies on. Importing it pins the
settings of `shardwork.lab.dask_settings`.
"""

from __future__ import annotations

from shardwork.lab.dask_settings import pin_dask
from shardwork.probes.dask.arrays import (
    array_layout,
    array_of,
    block_of,
    blocks,
    compute_array,
    random,
    rechunked,
)
from shardwork.probes.dask.damage import damage_parquet, repair_parquet
from shardwork.probes.dask.frames import (
    compute_frame,
    compute_partitions,
    frame,
    frame_layout,
    parquet,
)
from shardwork.probes.dask.graphs import compute, delayed_calls, graph, layers, payload, run
from shardwork.probes.dask.plans import describe_expr
from shardwork.probes.dask.watching import watch, watched

pin_dask()

__all__ = [
    "array_layout",
    "array_of",
    "block_of",
    "blocks",
    "compute",
    "compute_array",
    "compute_frame",
    "compute_partitions",
    "damage_parquet",
    "delayed_calls",
    "describe_expr",
    "frame",
    "frame_layout",
    "graph",
    "layers",
    "parquet",
    "payload",
    "random",
    "rechunked",
    "repair_parquet",
    "run",
    "watch",
    "watched",
]
