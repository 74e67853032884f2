"""What a grader sees of Dask: handles of its collections, inputs, and what Dask computed."""

from __future__ import annotations

from shardwork.judge.dask.arrays import Array, ArrayLayout
from shardwork.judge.dask.collection import Collection, Delayed, GraphShape, Layer, Payload
from shardwork.judge.dask.frames import Expression, Frame, FrameLayout, Read, Rows
from shardwork.judge.dask.inputs import Dask, Work

__all__ = [
    "Array",
    "ArrayLayout",
    "Collection",
    "Dask",
    "Delayed",
    "Expression",
    "Frame",
    "FrameLayout",
    "GraphShape",
    "Layer",
    "Payload",
    "Read",
    "Rows",
    "Work",
]
