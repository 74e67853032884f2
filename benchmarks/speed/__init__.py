"""Shardwork, stock nbgrader and otter side by side: `python -m benchmarks.speed --help`.

`commands` runs a command and says what it took, `classes` makes the class, `tools` grades it with
each tool, `starts` times a cluster's start, `figures` is the arithmetic, `tables` and `picture`
show it. `regrade`, `memory` and `matrix` measure one promise of the engine each. Nothing here is
part of grading, and no test asserts a time. `benchmarks/README.md` says how to read the result.
"""
