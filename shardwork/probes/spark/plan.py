"""The plans that Spark made of a DataFrame: what it runs, and the logical plan behind it.

Wrappers that only say how a part is run are left out (code generation, adaptive execution and its
stages); what they hide is walked into. So is an exchange that is used again, marked as `reused`.
"""

from __future__ import annotations

import json
import re
from typing import Any

from shardwork.probes.server import question

MAX_NODES = 3000
MAX_TEXT = 300
_METRICS = frozenset({
    "numFiles", "numPartitions", "numOutputRows", "dataSize", "shuffleRecordsWritten",
})  # fmt: skip
_SEPARATOR = "\x1f"
_TRANSPARENT = {
    "WholeStageCodegenExec": "child",
    "InputAdapter": "child",
    "AdaptiveSparkPlanExec": "executedPlan",
    "ColumnarToRowExec": "child",
}
_KEYS = {
    "HashAggregateExec": "groupingExpressions",
    "ObjectHashAggregateExec": "groupingExpressions",
    "SortAggregateExec": "groupingExpressions",
    "WindowExec": "partitionSpec",
    "SortExec": "sortOrder",
}
_PYTHON = "org.apache.spark.sql.execution.python."
_BATCHED = 100  # PythonEvalType.SQL_BATCHED_UDF, which BatchEvalPythonExec does not carry itself


@question("spark.plan")
def plan(frame: Any, into_cache: bool) -> dict[str, Any]:
    """Describe the physical plan and the optimised logical plan of a DataFrame; runs nothing.

    After an action of this very DataFrame the metrics are filled in. With `into_cache` the plans
    behind cached relations are walked, too.
    """
    execution = frame._jdf.queryExecution()
    top = execution.executedPlan()
    walk = _Walk(into_cache)
    walk.physical(top, None, 0, frozenset())
    logical = _Walk(into_cache)
    logical.logical(execution.optimizedPlan(), None, 0)
    return {
        "adaptive": top.getClass().getSimpleName() == "AdaptiveSparkPlanExec",
        "nodes": walk.nodes,
        "optimised": logical.nodes,
    }


class _Walk:
    """Lists nodes from the top down, each before those that it reads from."""

    def __init__(self, into_cache: bool) -> None:
        self.nodes: list[dict[str, Any]] = []
        self._into_cache = into_cache

    def physical(self, node: Any, parent: int | None, depth: int, marks: frozenset[str]) -> None:
        kind = str(node.getClass().getSimpleName())
        while kind in _TRANSPARENT or kind.endswith("QueryStageExec"):
            node = getattr(node, _TRANSPARENT.get(kind, "plan"))()
            kind = str(node.getClass().getSimpleName())
        number = self._add(node, kind.removesuffix("Exec"), parent, depth)
        described = self.nodes[number]
        described |= {mark: mark in marks for mark in ("reused", "cached", "subquery")}
        described["metrics"] = _metrics(node)
        described |= _details(node, kind)
        below = _items(node.children())
        if kind in ("ReusedExchangeExec", "ReusedSubqueryExec"):
            below, marks = [node.child()], marks | {"reused"}
        elif kind == "InMemoryTableScanExec" and self._into_cache:
            below, marks = [node.relation().cachedPlan()], marks | {"cached"}
        for child in below:
            self.physical(child, number, depth + 1, marks)
        for subquery in _items(node.subqueries()):
            self.physical(subquery, number, depth + 1, marks | {"subquery"})

    def logical(self, node: Any, parent: int | None, depth: int) -> None:
        number = self._add(node, str(node.getClass().getSimpleName()), parent, depth)
        for child in _items(node.children()):
            self.logical(child, number, depth + 1)

    def _add(self, node: Any, kind: str, parent: int | None, depth: int) -> int:
        if len(self.nodes) >= MAX_NODES:
            raise ValueError(f"a plan of more than {MAX_NODES} nodes")
        self.nodes.append({
            "number": len(self.nodes),
            "parent": parent,
            "depth": depth,
            "kind": kind,
            "name": str(node.nodeName()).strip(),
            "text": str(node.simpleString(40))[:MAX_TEXT],
        })  # fmt: skip
        return len(self.nodes) - 1


def _details(node: Any, kind: str) -> dict[str, Any]:
    """Return the fields that matter of a node of this kind."""
    described: dict[str, Any] = {}
    if kind == "ShuffleExchangeExec":
        described["exchange"] = _exchange(node)
    elif kind.endswith("JoinExec") or kind == "CartesianProductExec":
        described["join"] = _join(node, kind)
    elif kind == "FileSourceScanExec":
        described["scan"] = _scan(node)
    elif kind == "RDDScanExec":
        described["rdd_id"] = int(node.rdd().id())
    elif kind in _KEYS:
        described["keys"] = _texts(getattr(node, _KEYS[kind])())
    elif str(node.getClass().getName()).startswith(_PYTHON):
        described["python"] = _python(node, kind)
    if kind == "SortExec":
        described["total_order"] = bool(getattr(node, "global")())
    return described


def _exchange(node: Any) -> dict[str, Any]:
    partitioning = node.outputPartitioning()
    kind = str(partitioning.getClass().getSimpleName()).removesuffix("$")
    hashed = kind == "HashPartitioning"
    return {
        "origin": str(node.shuffleOrigin().toString()),
        "partitioning": kind,
        "keys": _texts(partitioning.expressions()) if hashed else [],
        "num_partitions": int(partitioning.numPartitions()),
    }


def _join(node: Any, kind: str) -> dict[str, Any]:
    keyed = kind not in ("CartesianProductExec", "BroadcastNestedLoopJoinExec")
    built = kind in ("BroadcastHashJoinExec", "ShuffledHashJoinExec", "BroadcastNestedLoopJoinExec")
    side = str(node.buildSide().toString()) if built else None
    return {
        "type": str(node.joinType().toString()),
        "left_keys": _texts(node.leftKeys()) if keyed else [],
        "right_keys": _texts(node.rightKeys()) if keyed else [],
        "build_side": {"BuildLeft": "left", "BuildRight": "right"}.get(side or ""),
    }


def _scan(node: Any) -> dict[str, Any]:
    return {
        "format": str(node.relation().fileFormat().toString()),
        "columns": _columns(node.requiredSchema()),
        "partition_filters": _texts(node.partitionFilters()),
        "data_filters": _texts(node.dataFilters()),
        "pushed_filters": [_pushed(one) for one in _items(node.pushedDownFilters())],
    }


def _pushed(source_filter: Any) -> dict[str, Any]:
    return {
        "kind": str(source_filter.getClass().getSimpleName()),
        "columns": [str(name) for name in source_filter.references()],
        "text": str(source_filter.toString())[:MAX_TEXT],
    }


def _python(node: Any, kind: str) -> dict[str, int | None]:
    # py4j says of every name that an object has it.
    methods = {str(method.getName()) for method in node.getClass().getMethods()}
    if "evalType" in methods:
        return {"eval_type": int(node.evalType())}
    if kind == "BatchEvalPythonExec":
        return {"eval_type": _BATCHED}
    return {"eval_type": int(node.func().evalType()) if "func" in methods else None}


def _columns(schema: Any) -> list[tuple[str, str]]:
    from pyspark.sql.types import StructType

    fields = StructType.fromJson(json.loads(schema.json())).fields
    return [(str(field.name), str(field.dataType.simpleString())) for field in fields]


def _metrics(node: Any) -> dict[str, int]:
    metrics = node.metrics()
    names = set(str(metrics.keys().mkString(_SEPARATOR)).split(_SEPARATOR)) & _METRICS
    return {name: int(metrics.apply(name).value()) for name in sorted(names)}


def _texts(expressions: Any) -> list[str]:
    """Return expressions as Spark prints them, without the numbers that it gives to columns."""
    if expressions.isEmpty():
        return []
    texts = str(expressions.mkString(_SEPARATOR)).split(_SEPARATOR)
    return [re.sub(r"#\d+L?", "", text)[:MAX_TEXT] for text in texts]


def _items(scala_seq: Any) -> list[Any]:
    return [scala_seq.apply(i) for i in range(scala_seq.size())]
