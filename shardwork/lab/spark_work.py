"""One small job of each kind that the course has, so that Java loads what such jobs need.

The results do not matter, and no grader looks here: it is run once on a machine, when the class
archive of its Spark is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

Spark = Any
"""A `SparkSession`; PySpark is imported where it is used."""


def do_all(spark: Spark, folder: Path) -> None:
    """Run all of them, a few seconds; files go into `folder`, which is made."""
    folder.mkdir()
    _shuffles(spark)
    _queries(spark)
    _files(spark, folder)
    _python_functions(spark)
    _learning(spark)


def _shuffles(spark: Spark) -> None:
    context = spark.sparkContext
    pairs = context.parallelize([(f"k{i % 50}", float(i)) for i in range(5_000)], 6)
    sums = pairs.mapValues(lambda v: (v, 1)).reduceByKey(lambda a, b: (a[0] + b[0], a[1] + b[1]), 3)
    sums.toDebugString()
    sums.glom().collect()
    table = context.broadcast({f"k{i}": i for i in range(50)})
    joined = pairs.groupByKey(4).join(sums.partitionBy(4)).map(lambda kv: table.value[kv[0]])
    joined.cache().count()
    joined.unpersist()
    pairs.sortByKey().take(3)
    counter = context.accumulator(0)
    pairs.foreach(lambda _: counter.add(1))
    context._jsc.sc().listenerBus().waitUntilEmpty()
    store = context._jsc.sc().statusStore()
    store.lastStageAttempt(0).shuffleWriteBytes()


def _queries(spark: Spark) -> None:
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    numbers = spark.range(10_000).withColumn("key", F.col("id") % 7)
    names = spark.createDataFrame([(i, f"name {i}") for i in range(7)], "key bigint, name string")
    joined = numbers.join(F.broadcast(names), "key").join(names.alias("again"), "key", "left")
    window = Window.partitionBy("key").orderBy("id")
    ranked = joined.withColumn("rank", F.row_number().over(window)).where("rank <= 3")
    ranked.groupBy("key").agg(F.sum("id"), F.countDistinct("rank"), F.avg("rank")).collect()
    ranked.orderBy(F.desc("id")).limit(5).toPandas()
    numbers.createOrReplaceTempView("numbers")
    query = "SELECT key, count(*) AS n, max(id) FROM numbers GROUP BY key ORDER BY n"
    spark.sql(query).collect()
    kept = numbers.repartition(4, "key").cache()
    kept.count()
    kept.explain()
    kept._jdf.queryExecution().executedPlan().children().size()
    kept.unpersist()
    spark.catalog.clearCache()


def _files(spark: Spark, folder: Path) -> None:
    from pyspark.sql import functions as F

    rows = spark.range(100).withColumn("day", (F.col("id") % 3).cast("string"))
    path = (folder / "rows").as_uri()
    rows.write.partitionBy("day").parquet(path)
    spark.read.parquet(path).where("day = '1' and id > 5").select("id").collect()
    rows.write.csv(path + ".csv", header=True)
    spark.read.csv(path + ".csv", header=True, inferSchema=True).count()


def _python_functions(spark: Spark) -> None:
    from pyspark.sql import functions as F

    def doubled(frames: Iterator[Any]) -> Iterator[Any]:
        for frame in frames:
            yield frame * 2

    numbers = spark.range(100)
    numbers.select(F.udf(lambda x: x + 1, "bigint")("id")).collect()
    numbers.mapInPandas(doubled, "id bigint").collect()
    numbers.rdd.map(lambda row: row.id).sum()


def _learning(spark: Spark) -> None:
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import StandardScaler, StringIndexer, VectorAssembler

    rows = [(float(i), "ab"[i % 2], float(i > 20)) for i in range(40)]
    data = spark.createDataFrame(rows, "x double, kind string, label double")
    stages = [StringIndexer(inputCol="kind", outputCol="number"),
              VectorAssembler(inputCols=["x", "number"], outputCol="raw"),
              StandardScaler(inputCol="raw", outputCol="features"),
              LogisticRegression(maxIter=3)]  # fmt: skip
    Pipeline(stages=stages).fit(data).transform(data).collect()
