"""The handle of a Dask DataFrame or Series."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from shardwork.judge.dask.collection import Collection
from shardwork.judge.observed import typed

T = TypeVar("T")
Plain = bool | int | float | str | None


class FrameLayout(msgspec.Struct, frozen=True):
    """A DataFrame or Series by its meta and divisions; `dtypes` are in the order of `columns`."""

    kind: str
    """`frame` or `series`."""
    columns: list[str]
    dtypes: list[str]
    index: str | None
    index_dtype: str
    num_partitions: int | None
    known_divisions: bool
    divisions: list[Plain] | None
    """None where Dask knows none."""
    would_compute: bool
    """Whether Dask would have to compute to tell partitions and divisions: then they are None."""


class Read(msgspec.Struct, frozen=True):
    """One Parquet reader of the simplified expression; None means everything.

    `filters` is a list (or) of lists (and) of comparisons [column, operator, value].
    """

    columns: list[str] | None
    filters: list[list[list[Any]]] | None


class Expression(msgspec.Struct, frozen=True):
    """Class names of the nodes of an expression, each node once, the result first."""

    simplified: list[str]
    optimised: list[str]
    """Lowered, and not fused."""
    shuffles: list[str]
    """Those of the optimised ones that move rows between partitions by a key."""
    merges: list[str]
    reads: list[Read]


class Rows(msgspec.Struct, frozen=True):
    """Computed rows, by column: a null of any kind is None, a time is an ISO text."""

    columns: dict[str, list[Any]]
    dtypes: dict[str, str]
    index: list[Any]
    index_name: str | None
    index_dtype: str


class Frame(Collection):
    """A Dask DataFrame or Series in the sandbox."""

    kind = "dask.frame"

    def layout(self) -> FrameLayout:
        """Describe columns, partitions and divisions, without computing anything."""
        return typed(self._dialogue.ask("dask.frame_layout", self), FrameLayout)

    def expr(self) -> Expression:
        """Describe the expression. A `set_index` without given divisions is computed for it."""
        return typed(self._dialogue.ask("dask.expr", self), Expression)

    def compute(self, as_: type[T]) -> T:
        """Compute, one task at a time, and return the columns by name, as type `as_`."""
        return typed(typed(self._dialogue.ask("dask.compute_frame", self), Rows).columns, as_)

    def rows(self) -> Rows:
        """Compute, one task at a time, and return columns, dtypes and index."""
        return typed(self._dialogue.ask("dask.compute_frame", self), Rows)

    def partitions(self) -> list[Rows]:
        """Compute, one task at a time, and return each partition."""
        return typed(self._dialogue.ask("dask.compute_partitions", self), list[Rows])
