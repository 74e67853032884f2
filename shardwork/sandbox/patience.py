"""How long a submission is waited for, so that a loaded machine changes no grade."""

from __future__ import annotations

import time
from collections.abc import Callable

from shardwork.wire import Deadline

FAIR_SHARE = 0.5
"""Cores that a sandbox must have had on average before its time can be up."""
STRETCH = 4.0
"""At this multiple of the limit it is up anyway: something that sleeps uses no CPU at all."""
_LOOK_S = 0.5


class Patience(Deadline):
    """A limit in wall seconds that stretches while the sandbox is starved of CPU.

    Time is up after `limit_s` if the sandbox had half a core meanwhile (`cpu_s()` returns the CPU
    seconds of its process tree so far), and after four times `limit_s` in any case.
    """

    def __init__(self, limit_s: float, cpu_s: Callable[[], float]) -> None:
        super().__init__(limit_s * STRETCH)
        self._limit_s = limit_s
        self._cpu_s = cpu_s
        self._began = time.monotonic()
        self._cpu_at_start_s = cpu_s()

    def left(self) -> float | None:
        """Seconds until it is worth asking again, 0 when time is up."""
        at_most = super().left() or 0.0
        to_limit = self._began + self._limit_s - time.monotonic()
        if to_limit > 0:
            return to_limit
        had = self._cpu_s() - self._cpu_at_start_s
        return 0.0 if had >= FAIR_SHARE * self._limit_s else min(at_most, _LOOK_S)
