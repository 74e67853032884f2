"""Describe Spark objects and what Spark did (pyspark 4.3). Sandbox side: answers are claims.

Every private interface of pyspark that the course relies on is used in this package and nowhere
else; `tests/functional/test_spark_*probe.py` pin what it relies on. Importing the package registers
its questions.
"""

from shardwork.probes.spark import (
    activity,
    aggregates,
    cache,
    closures,
    files,
    frame,
    models,
    plan,
    rdd,
    session,
)

__all__ = [
    "activity",
    "aggregates",
    "cache",
    "closures",
    "files",
    "frame",
    "models",
    "plan",
    "rdd",
    "session",
]
