"""Collecting: an LMS's download becomes `submitted/<student>/<assignment>/<assignment>.ipynb`.

The first step of a submission's path, before ingest. Who handed in, and when, is taken from what
the LMS wrote and from a roster, never from a name, a time or a file that a student chose. What
cannot be decided by that is set aside with a reason, for this student only. Nothing is unpacked to
disk: the one notebook that counts is written, and nothing else.
"""

from shardwork.collect.collection import SCHEMA, Collection, Item, State, collect
from shardwork.collect.errors import CollectError

__all__ = ["SCHEMA", "CollectError", "Collection", "Item", "State", "collect"]
