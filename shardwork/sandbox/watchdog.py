"""Bound what a process tree takes of memory and processes, by looking.

The portable level: it needs no cgroup and no privilege, and sees a tree a few times a second. What
grows faster than that is stopped by the size of the private file system and by the kernel.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import psutil

from shardwork.sandbox.cgroup import Usage

INTERVAL_S = 0.4


class Watchdog:
    """Watch the tree below `pid`, and call `kill` once when it is above a bound.

    `peak_bytes` is the largest sum looked at (proportional set size where the kernel tells it, else
    resident set size); `cpu_s` is the CPU seconds it has used so far; `verdict` says what was
    exceeded, or is None. `over_memory` is asked too: the kernel may have ended a part already.

    Looking at every process of a tree takes some twenty milliseconds. `glance` may spare that: it
    returns what the kernel counted for the tree, or None. The tree is looked at only while that is
    above a bound, because the kernel counts more (files in memory, threads) than is bounded here.
    """

    def __init__(
        self,
        pid: int,
        *,
        memory_bytes: int,
        processes: int,
        kill: Callable[[], None],
        over_memory: Callable[[], bool] = lambda: False,
        glance: Callable[[], Usage | None] = lambda: None,
    ) -> None:
        self.peak_bytes = 0
        self.cpu_s = 0.0
        self.verdict: str | None = None
        self._pid = pid
        self._memory_bytes = memory_bytes
        self._processes = processes
        self._kill = kill
        self._over_memory = over_memory
        self._glance = glance
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look once more and stop watching; may be called twice."""
        self._stopped.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def look(self) -> None:
        """Count now; `verdict` says what is exceeded."""
        tree = descendants(self._pid)
        used = sum(_memory(process) for process in tree)
        self.peak_bytes = max(self.peak_bytes, used)
        # A process that ends takes its count with it unless it was waited for: never go back.
        self.cpu_s = max(self.cpu_s, sum(_cpu_s(process) for process in tree))
        if used > self._memory_bytes or self._over_memory():
            self.verdict = f"it used more than {self._memory_bytes >> 20} MB of memory"
        elif len(tree) > self._processes:
            self.verdict = f"it started more than {self._processes} processes"

    def _is_well(self) -> bool:
        """Whether the kernel's own count says that no bound is exceeded."""
        seen = self._glance()
        if seen is None:
            return False
        self.cpu_s = max(self.cpu_s, seen.cpu_s)
        within = seen.memory_bytes <= self._memory_bytes and seen.tasks <= self._processes
        return within and not self._over_memory()

    def _watch(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            if not self._is_well():
                self.look()
            if self.verdict is not None:
                self._kill()
                return


def descendants(pid: int) -> list[psutil.Process]:
    """Return the process `pid` and everything below it that is alive now."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    except psutil.Error:
        return 0.0


def _memory(process: psutil.Process) -> int:
    """Return what a process takes, in bytes.

    A large resident set is looked at closely, because forks share most of theirs. A process that
    will not be looked at closely (it made itself undumpable) is counted in full.
    """
    try:
        resident = int(process.memory_info().rss)
    except psutil.Error:
        return 0
    if resident <= 64 << 20:
        return resident
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return resident
