"""Call a function that is given its network and nothing else that names its rank."""

from __future__ import annotations

from collections.abc import Callable

from shardwork.probes.server import question


@question("torch.ring.call")
def call(rank: int, world: int, target: Callable[..., object], *args: object) -> object:
    """Call the student's function, which learns its rank from its first argument, `comm`."""
    return target(*args)
