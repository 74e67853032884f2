"""What Dask will do for a DataFrame: the expression, simplified and as it is lowered."""

from __future__ import annotations

from typing import Any

from shardwork.probes.server import question

MAX_NODES = 5000


@question("dask.expr")
def describe_expr(collection: Any) -> dict[str, Any]:
    """List the classes of the simplified and of the optimised expression, each node once.

    The optimised expression is not fused: fusion hides the readers. Lowering a `set_index` without
    given divisions computes them, here and now.
    """
    from dask.dataframe.dask_expr import _merge, _shuffle
    from dask.dataframe.dask_expr.io.parquet import ReadParquet

    simple = list(collection.expr.simplify().walk())
    lowered = list(collection.expr.optimize(fuse=False).walk())
    if len(simple) + len(lowered) > MAX_NODES:
        raise ValueError(f"an expression of more than {MAX_NODES} nodes")
    shuffles = (_shuffle.ShuffleBase,)
    merges = (_merge.Merge, _merge.JoinRecursive)
    return {
        "simplified": [type(node).__name__ for node in simple],
        "optimised": [type(node).__name__ for node in lowered],
        "shuffles": [type(node).__name__ for node in lowered if isinstance(node, shuffles)],
        "merges": [type(node).__name__ for node in lowered if isinstance(node, merges)],
        "reads": [_read(node) for node in simple if isinstance(node, ReadParquet)],
    }


def _read(node: Any) -> dict[str, Any]:
    """Return what a reader reads: `columns` None means all, and so does `filters`."""
    columns, filters = node.operand("columns"), node.operand("filters")
    return {
        "columns": None if columns is None else [str(name) for name in columns],
        "filters": _conjunctions(filters),
    }


def _conjunctions(filters: Any) -> list[list[list[Any]]] | None:
    """Return filters as a list (or) of lists (and) of comparisons [column, operator, value].

    A filter that was given as a pyarrow expression is one comparison: ["", "expression", text].
    """
    if filters is None:
        return None
    if not isinstance(filters, (list, tuple)):
        return [[["", "expression", str(filters)]]]
    if not filters:
        return []
    flat = isinstance(filters[0], (list, tuple)) and isinstance(filters[0][0], str)
    return [
        [[str(column), str(op), _plain(value)] for column, op, value in group]
        for group in ([filters] if flat else filters)
    ]


def _plain(value: Any) -> object:
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)
