"""Defences as Spark's Java, Dask's workers and torch's ranks meet them.

They are those of every sandbox; what is shown here is that they hold for what a framework starts,
and that the detectors see it when they do not.
"""

from __future__ import annotations

from tests.attacks.defences import bounds, surroundings, walls
from tests.attacks.weak import defence


@defence("S02b")
def java_sees_no_course() -> None:
    """Java, like Python, does not find the course folder."""
    surroundings.own_view()


@defence("K04")
def clusters_keep_to_themselves() -> None:
    """A cluster's sockets are on a loopback of the sandbox's own."""
    walls.no_way_out()


@defence("K08b")
def spilling_is_bounded() -> None:
    """What workers spill goes to the private file system, whose size is bounded."""
    bounds.scratch_is_bounded()
    bounds.memory_is_bounded()


@defence("T16")
def tensors_are_bounded() -> None:
    """Memory that native code takes counts as any other."""
    bounds.memory_is_bounded()


@defence("T12")
def ranks_are_counted() -> None:
    """A sandbox with too many ranks is ended."""
    bounds.processes_are_counted()
    bounds.memory_is_bounded()


@defence("T10")
def native_code_is_filtered() -> None:
    """The filter of system calls holds for native code."""
    walls.calls_are_few()
