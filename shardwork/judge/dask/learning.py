"""Estimators in the sandbox: a pipeline that reports its fits, and what a search has found."""

from __future__ import annotations

import msgspec

from shardwork.judge.handle import Handle
from shardwork.judge.observed import typed


class SearchResult(msgspec.Struct, frozen=True):
    """What a fitted search tells of itself."""

    type: str
    kind: str | None
    """`"dask_ml.GridSearchCV"` or `"sklearn.GridSearchCV"`; None for anything else."""
    candidates: int
    best_params: dict[str, int]
    refitted: bool


class Estimator(Handle):
    """An estimator in the sandbox: of scikit-learn, or of dask-ml."""

    kind = "dask.estimator"

    def search_result(self) -> SearchResult:
        """Describe a search over a pipeline of `Dask.pipeline` after its fit."""
        return typed(self._dialogue.ask("dask.learning.search_result", self), SearchResult)
