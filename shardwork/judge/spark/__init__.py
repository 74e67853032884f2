"""What a grader sees of Spark: handles of its objects, their plans, and a watch on what it runs."""

from shardwork.judge.spark.activity import Activity, Closure, Sent, StageActivity
from shardwork.judge.spark.cache import Cache, Kept, Level, Questions, Seen, Source, Storage
from shardwork.judge.spark.files import CatalogTable, DataFile, Folder
from shardwork.judge.spark.fixture import Spark
from shardwork.judge.spark.handles import Context, CountedRdd, Rdd, RddShape, Session, SparkFrame
from shardwork.judge.spark.models import FittedModel, Stage
from shardwork.judge.spark.plan import LogicalNode, Plan, PlanNode

__all__ = [
    "Activity",
    "Cache",
    "CatalogTable",
    "Closure",
    "Context",
    "CountedRdd",
    "DataFile",
    "FittedModel",
    "Folder",
    "Kept",
    "Level",
    "LogicalNode",
    "Plan",
    "PlanNode",
    "Questions",
    "Rdd",
    "RddShape",
    "Seen",
    "Sent",
    "Session",
    "Source",
    "Spark",
    "SparkFrame",
    "Stage",
    "StageActivity",
    "Storage",
]
