"""What the probe says of MLlib's fitted models and of tables on disk, in pyspark 4.3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shardwork import lab
from shardwork.probes.spark import files, models, session

pytestmark = [pytest.mark.functional, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module", autouse=True)
def _session() -> Iterator[None]:
    lab.spark()
    yield
    lab.stop()


def shops() -> Any:
    rows = [("b", 1.0, 2.0), ("a", 3.0, 4.0), ("b", 8.0, 6.0)]
    return lab.spark().createDataFrame(rows, "shop string, km double, minutes double").coalesce(1)


def pipeline() -> Any:
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import StandardScaler, StringIndexer, VectorAssembler

    scaling = [
        VectorAssembler(inputCols=["km"], outputCol="measures"),
        StandardScaler(inputCol="measures", outputCol="scaled"),
    ]
    index = StringIndexer(inputCol="shop", outputCol="shop_number", handleInvalid="keep")
    return Pipeline(stages=[Pipeline(stages=[index]), *scaling])


def test_stages_of_nested_pipelines_tell_what_they_have_learned() -> None:
    index, assembler, scaler = models.stages(pipeline().fit(shops()))
    assert (index["kind"], index["labels"]) == ("StringIndexerModel", [["b", "a"]])
    assert assembler == {"kind": "VectorAssembler", "labels": [], "mean": [], "std": []}
    # by hand: (1 + 3 + 8) / 3, and the square root of (9 + 1 + 16) / 2
    assert (scaler["mean"], scaler["std"]) == ([4.0], [pytest.approx(13**0.5)])


def test_a_search_is_opened_down_to_the_model_that_predicts() -> None:
    from pyspark.ml.tuning import CrossValidatorModel

    best = pipeline().fit(shops())
    search = CrossValidatorModel(best, [1.0])
    assert models.stages(search) == models.stages(best)


def test_predictions_come_beside_their_key() -> None:
    new = lab.spark().createDataFrame([("a", 1.0), (None, 1.0)], "shop string, km double")
    fitted = pipeline().fit(shops())
    found = models.predict(fitted, new, "km", "shop_number")
    assert found == [(1.0, 1.0), (1.0, 2.0)]  # a null is numbered behind the two labels
    assert models.transform(fitted, new).columns[-1] == "scaled"


def test_files_are_listed_by_directory_with_the_rows_of_their_footers() -> None:
    path = files.folder()
    assert not Path(path).exists()
    shops().write.partitionBy("shop").option("maxRecordsPerFile", 1).parquet(path)
    (Path(path) / "shop=a" / "note.txt").write_text("no table")
    found = files.folder_files(path)
    rows = [(one["directory"], one["rows"]) for one in found]
    assert sorted(rows, key=str) == [("shop=a", 1), ("shop=a", None), ("shop=b", 1), ("shop=b", 1)]


def test_names_of_directories_are_read_as_text_and_no_setting_stays_changed() -> None:
    path = files.folder()
    name = "spark.sql.sources.partitionColumnTypeInference.enabled"
    lab.spark().range(2).selectExpr("id", "id AS part").write.partitionBy("part").parquet(path)
    assert dict(files.read(path).dtypes)["part"] == "string"
    assert session.setting(name) == "true"
    assert session.setting("spark.no.such.setting") is None


def test_a_bucketed_table_needs_no_exchange_and_a_plain_one_does() -> None:
    frame = lab.spark().range(100).repartition(3, "id")
    frame.write.bucketBy(3, "id").saveAsTable("with_buckets")
    frame.write.saveAsTable("without_buckets")
    assert len(files.table_files("with_buckets")) == 3
    assert sum(one["rows"] for one in files.table_files("with_buckets")) == 100
    plans = {
        name: str(files.group_counts(files.table(name), "id")._jdf.queryExecution().executedPlan())
        for name in ("with_buckets", "without_buckets")
    }
    assert "Exchange" not in plans["with_buckets"]
    assert "Exchange" in plans["without_buckets"]
