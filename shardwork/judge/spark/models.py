"""Fitted models of MLlib in the sandbox."""

from __future__ import annotations

import msgspec

from shardwork.judge.handle import Handle, handle
from shardwork.judge.observed import typed
from shardwork.judge.spark.handles import SparkFrame


class Stage(msgspec.Struct, frozen=True):
    """A fitted stage; what its class does not have is empty."""

    kind: str
    """Its class: `"StringIndexerModel"`."""
    labels: list[list[str]]
    """Of a StringIndexerModel, for each column in the order of their numbers."""
    mean: list[float]
    """Of a StandardScalerModel, for each element of the vector; and so is `std`."""
    std: list[float]


class FittedModel(Handle):
    """A fitted model of MLlib: a regression, a whole pipeline, or a search for the best of them."""

    kind = "spark.model"

    def stages(self) -> list[Stage]:
        """Describe the fitted stages in their order, those of nested pipelines among them."""
        return typed(self._dialogue.ask("spark.model_stages", self), list[Stage])

    def transform(self, frame: SparkFrame) -> SparkFrame:
        """Have the model transform a DataFrame; runs nothing yet."""
        made = self._dialogue.ask("spark.model_transform", self, frame)
        return handle(self._dialogue, made, SparkFrame, "transform")

    def predict(
        self, frame: SparkFrame, *, key: str, column: str = "prediction"
    ) -> list[tuple[int, float | None]]:
        """Transform a DataFrame and collect `column` beside the whole numbers of `key`."""
        found = self._dialogue.ask("spark.model_predict", self, frame, key, column)
        return typed(found, list[tuple[int, float | None]])
