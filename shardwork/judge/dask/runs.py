"""What the graphs that were run were made of, and objects that are handed on to student code."""

from __future__ import annotations

import msgspec

from shardwork.judge.handle import Handle


class Given(Handle):
    """An object of a probe that a grader hands on to student code, and asks nothing about."""

    kind = "dask.given"


class GraphRun(msgspec.Struct, frozen=True):
    """One run of a local scheduler: the graph that it was given, each node pickled by itself."""

    tasks: int
    heavy: int
    """Nodes of at least the size that was asked about."""
    largest_bytes: int
