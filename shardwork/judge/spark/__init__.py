"""What a grader sees of Spark: handles of its objects, their plans, and a watch on what it runs."""

from shardwork.judge.spark.activity import Activity, StageActivity
from shardwork.judge.spark.fixture import Spark
from shardwork.judge.spark.handles import Context, Rdd, RddShape, Session, SparkFrame
from shardwork.judge.spark.plan import LogicalNode, Plan, PlanNode

__all__ = [
    "Activity",
    "Context",
    "LogicalNode",
    "Plan",
    "PlanNode",
    "Rdd",
    "RddShape",
    "Session",
    "Spark",
    "SparkFrame",
    "StageActivity",
]
