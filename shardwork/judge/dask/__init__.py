"""What a grader sees of Dask: handles of its collections, inputs, and what Dask computed."""

from __future__ import annotations

from shardwork.judge.dask.arrays import Array, ArrayLayout
from shardwork.judge.dask.cluster import Client, Cluster, Settled
from shardwork.judge.dask.collection import Collection, Delayed, GraphShape, Layer, Payload
from shardwork.judge.dask.frames import Expression, Frame, FrameLayout, Read, Rows
from shardwork.judge.dask.inputs import Dask, Work
from shardwork.judge.dask.learning import Estimator, SearchResult
from shardwork.judge.dask.runs import Given, GraphRun

__all__ = [
    "Array",
    "ArrayLayout",
    "Client",
    "Cluster",
    "Collection",
    "Dask",
    "Delayed",
    "Estimator",
    "Expression",
    "Frame",
    "FrameLayout",
    "Given",
    "GraphRun",
    "GraphShape",
    "Layer",
    "Payload",
    "Read",
    "Rows",
    "SearchResult",
    "Settled",
    "Work",
]
