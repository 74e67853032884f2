"""Models of MLlib: what their stages have learned, and what they predict."""

from __future__ import annotations

from typing import Any

from shardwork.probes.server import question
from shardwork.probes.spark.cells import outward


@question("spark.model_stages")
def stages(model: Any) -> list[dict[str, Any]]:
    """Describe the fitted stages in their order; nested pipelines and searches are opened.

    Of a search (`CrossValidatorModel`) it is the model that predicts. Runs nothing.
    """
    return [_describe(stage) for stage in _opened(model)]


def _opened(model: Any) -> list[Any]:
    best = getattr(model, "bestModel", None)
    parts = [best] if best is not None else getattr(model, "stages", None)
    return [model] if parts is None else [one for part in parts for one in _opened(part)]


def _describe(stage: Any) -> dict[str, Any]:
    kind = type(stage).__name__
    found: dict[str, Any] = {"kind": kind, "labels": [], "mean": [], "std": []}
    if kind == "StringIndexerModel":
        found["labels"] = [[str(label) for label in column] for column in stage.labelsArray]
    if kind == "StandardScalerModel":
        found["mean"] = [float(number) for number in stage.mean]
        found["std"] = [float(number) for number in stage.std]
    return found


@question("spark.model_transform")
def transform(model: Any, frame: Any) -> Any:
    """Return the DataFrame that the model makes of `frame`; runs nothing."""
    return model.transform(frame)


@question("spark.model_predict")
def predict(model: Any, frame: Any, key: str, column: str) -> list[object]:
    """Transform `frame` and collect the pairs of the columns `key` and `column`."""
    pairs = model.transform(frame).select(key, column)
    row = outward(pairs.schema)
    return [row(one) for one in pairs.collect()]
