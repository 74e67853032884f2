"""The plans of a DataFrame, as a grader asks about them. All of it is a claim of the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Exchange(msgspec.Struct, frozen=True):
    """A shuffle. `origin` is `ENSURE_REQUIREMENTS` where Spark itself put it in."""

    origin: str
    partitioning: str
    """`HashPartitioning`, `RangePartitioning`, `RoundRobinPartitioning`, `SinglePartition`."""
    num_partitions: int
    keys: tuple[str, ...] = ()
    """What is hashed."""


class Join(msgspec.Struct, frozen=True):
    """A join. `build_side` is `left` or `right`, and None where no side is built."""

    type: str
    """`Inner`, `LeftOuter`, `RightOuter`, `FullOuter`, `LeftSemi`, `LeftAnti`, `Cross`."""
    build_side: str | None
    left_keys: tuple[str, ...] = ()
    right_keys: tuple[str, ...] = ()


class PushedFilter(msgspec.Struct, frozen=True):
    """A condition that the file format itself looks at, to leave out blocks of rows."""

    kind: str
    """`GreaterThan`, `EqualTo`, `IsNotNull`, `Or`, ..."""
    columns: tuple[str, ...]
    text: str


class Scan(msgspec.Struct, frozen=True):
    """A read of files. `columns` are names and types of what is read from inside the files."""

    format: str
    columns: tuple[tuple[str, str], ...]
    partition_filters: tuple[str, ...]
    data_filters: tuple[str, ...]
    pushed_filters: tuple[PushedFilter, ...]


class Python(msgspec.Struct, frozen=True):
    """Python code inside a plan. `eval_type` is the number that `explain()` prints, if any."""

    eval_type: int | None


class _Node(Protocol):
    @property
    def number(self) -> int: ...

    @property
    def parent(self) -> int | None: ...


class LogicalNode(msgspec.Struct, frozen=True):
    """A node of the optimised logical plan."""

    number: int
    parent: int | None
    depth: int
    kind: str
    """The name of its class: `Project`, `Filter`, `Join`, `LogicalRelation`, ..."""
    name: str
    text: str
    """As `explain()` prints it, cut; for evidence, not for verdicts."""


class PlanNode(msgspec.Struct, frozen=True):
    """A node of the physical plan. The last fields are there for the kinds that have them."""

    number: int
    parent: int | None
    depth: int
    kind: str
    """The name of its class without `Exec`: `ShuffleExchange`, `FileSourceScan`, ..."""
    name: str
    """The name that `explain()` prints: `Exchange`, `Scan parquet`, ..."""
    text: str
    """As `explain()` prints it, cut; for evidence, not for verdicts."""
    reused: bool
    """Below a `ReusedExchange`: it is run once, elsewhere in the plan."""
    cached: bool
    """Behind a cached relation; only with `into_cache`."""
    subquery: bool
    metrics: dict[str, int]
    """After an action: `numFiles`, `numOutputRows`, `shuffleRecordsWritten` and `dataSize`."""
    exchange: Exchange | None = None
    join: Join | None = None
    scan: Scan | None = None
    python: Python | None = None
    keys: tuple[str, ...] = ()
    """Of an aggregate what it groups by, of a window what it partitions by, of a sort its order."""
    total_order: bool = False
    """Of a sort: whether it orders all rows, and not each partition for itself."""
    rdd_id: int | None = None
    """Of a `Scan ExistingRDD`: which RDD it is."""


class Plan(msgspec.Struct, frozen=True):
    """What Spark runs for a DataFrame, and the logical plan that it was made from.

    Nodes come from the top down, each before those that it reads from. The lists below leave out
    what is reused: it is run once, and listed where it is run.
    """

    adaptive: bool
    nodes: tuple[PlanNode, ...]
    optimised: tuple[LogicalNode, ...]

    def __post_init__(self) -> None:
        for nodes in (self.nodes, self.optimised):
            _require_tree(nodes)

    @property
    def run(self) -> list[PlanNode]:
        """All nodes but those that are reused."""
        return [node for node in self.nodes if not node.reused]

    @property
    def exchanges(self) -> list[PlanNode]:
        """The shuffles."""
        return [node for node in self.run if node.exchange is not None]

    @property
    def joins(self) -> list[PlanNode]:
        return [node for node in self.run if node.join is not None]

    @property
    def scans(self) -> list[PlanNode]:
        """The reads of files."""
        return [node for node in self.run if node.scan is not None]

    @property
    def python_nodes(self) -> list[PlanNode]:
        """Whatever hands rows to Python: UDFs of every kind, `mapInPandas`, `applyInPandas`."""
        return [node for node in self.run if node.python is not None]

    @property
    def aggregates(self) -> list[PlanNode]:
        """The aggregates; a grouping has two, before and behind its shuffle."""
        return self.of("HashAggregate", "ObjectHashAggregate", "SortAggregate")

    @property
    def windows(self) -> list[PlanNode]:
        return self.of("Window")

    @property
    def sorts(self) -> list[PlanNode]:
        return self.of("Sort")

    @property
    def caches(self) -> list[PlanNode]:
        """The reads of cached relations."""
        return self.of("InMemoryTableScan")

    @property
    def rdd_scans(self) -> list[PlanNode]:
        """The reads of RDDs. An input that `spark.frame` made is one."""
        return self.of("RDDScan")

    def of(self, *kinds: str) -> list[PlanNode]:
        """Return the nodes of these kinds."""
        return [node for node in self.run if node.kind in kinds]

    def has(self, *names: str) -> bool:
        """Whether there is a node with one of these kinds or names."""
        return any(node.kind in names or node.name in names for node in self.run)

    def new_rdds(self, *inputs: Plan) -> list[PlanNode]:
        """Return the reads of RDDs that none of the inputs' plans reads: rows went through one."""
        known = {node.rdd_id for one in inputs for node in one.nodes}
        return [node for node in self.rdd_scans if node.rdd_id not in known]

    def below(self, node: PlanNode) -> list[PlanNode]:
        """Return the nodes that `node` reads from, directly or not, reused ones too."""
        return [one for one in self.nodes if _is_below(self.nodes, one, node)]

    def is_below(self, lower: LogicalNode, upper: LogicalNode) -> bool:
        """Whether `upper` reads from `lower` in the optimised plan, directly or not."""
        return _is_below(self.optimised, lower, upper)


def _require_tree(nodes: Sequence[_Node]) -> None:
    """Raise ValueError unless every node has its place as number, and a parent before it."""
    for place, node in enumerate(nodes):
        if node.number != place or (node.parent is None) != (place == 0):
            raise ValueError("a plan whose nodes are not numbered from the top down")
        if node.parent is not None and not 0 <= node.parent < place:
            raise ValueError("a plan that is no tree")


def _is_below(nodes: Sequence[_Node], lower: _Node, upper: _Node) -> bool:
    parent = lower.parent
    while parent is not None and parent > upper.number:
        parent = nodes[parent].parent
    return parent == upper.number
