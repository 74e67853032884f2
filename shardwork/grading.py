"""What a grader module imports: `docs/author.md` shows how to write one.

The fixtures `student`, `rng`, `seed`, `spark`, `dask` and `torch` come by name, from pytest.
"""

from shardwork.judge.blame import OracleBank, blame
from shardwork.judge.comm import AllReduce, Comm, Event
from shardwork.judge.dask import Array, Delayed, Estimator, Frame, GraphRun
from shardwork.judge.faults import GraderFault, StudentFault
from shardwork.judge.handle import Function
from shardwork.judge.instruments import Instrument, Refusal
from shardwork.judge.observed import close, same, typed
from shardwork.judge.prepared import once_per_seed
from shardwork.judge.spark import FittedModel, Plan, PlanNode, Rdd, SparkFrame, Storage
from shardwork.judge.student import GLOO_ALLREDUCE, GLOO_COMM
from shardwork.judge.torch import Module
from shardwork.record import Cause

__all__ = [
    "GLOO_ALLREDUCE",
    "GLOO_COMM",
    "AllReduce",
    "Array",
    "Cause",
    "Comm",
    "Delayed",
    "Estimator",
    "Event",
    "FittedModel",
    "Frame",
    "Function",
    "GraderFault",
    "GraphRun",
    "Instrument",
    "Module",
    "OracleBank",
    "Plan",
    "PlanNode",
    "Rdd",
    "Refusal",
    "SparkFrame",
    "Storage",
    "StudentFault",
    "blame",
    "close",
    "once_per_seed",
    "same",
    "typed",
]
