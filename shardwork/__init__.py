"""Shardwork: a course on large-scale data processing, and the engine that grades it.

The engine is one path: release, ingest, run, judge, record, gradebook, hand back.
Each module knows the steps before it and none behind it; `docs/developer.md` draws the map.
"""

__version__ = "0.1.0"
