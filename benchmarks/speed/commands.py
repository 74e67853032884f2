"""Run a command, and say what its whole process tree took of the machine.

CPU time is counted by the kernel where this process may make a cgroup of version 1 (`cpuacct`):
then nothing is missed, neither sandboxes nor processes that ended unnoticed. Elsewhere it is the
larger of what was waited for (`RUSAGE_CHILDREN`) and what samples saw, and so at least that much.
A cgroup of version 2 is not used: a command inside could no longer make those of its sandboxes.

Memory is sampled. Pages that several processes share count once (PSS), so a fork costs what it
changes. Files in memory that no process has mapped are not counted.
"""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import psutil

PERIOD_S = 1.0
LIMIT_S = 3600.0
BY_CGROUP = "cgroup v1 cpuacct"
BY_SAMPLES = "RUSAGE_CHILDREN and samples of /proc (at least)"
_REMOVE_S = 5.0


class CommandFailed(Exception):
    """A tool did not do what it was asked."""


class Process(msgspec.Struct, frozen=True):
    """One process at the moment of a sample."""

    pid: int
    command: str
    pss_bytes: int


Sample = tuple[Process, ...]


class Spent(msgspec.Struct, frozen=True):
    """What a command took. `cpu_from` says how the CPU seconds were counted."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    """Of the tree as a whole, sampled every `PERIOD_S` seconds."""
    cpu_from: str
    status: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    sampled: Callable[[Sample], None] = lambda sample: None,
) -> Spent:
    """Run a command in `folder` until it ends; `sampled` hears of every sample, in another thread.

    Raises subprocess.TimeoutExpired after an hour; the command has been ended then.
    """
    group = _Group.make()
    before_s = _children_cpu_s()
    began = time.monotonic()
    process = subprocess.Popen(
        [*group.entrance, *command] if group else command,
        cwd=folder, env=dict(environment), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    watch = _Watch(process.pid, group, sampled)
    watch.start()
    try:
        stdout, stderr = process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()  # nothing, if it has ended
        process.wait()
        wall_s = time.monotonic() - began
        watch.stop()
        counted_s = group.close() if group else None
    waited_s = _children_cpu_s() - before_s
    return Spent(
        wall_s=wall_s,
        cpu_s=max(waited_s, watch.cpu_s) if counted_s is None else counted_s,
        peak_bytes=watch.peak_bytes,
        cpu_from=BY_SAMPLES if counted_s is None else BY_CGROUP,
        status=process.returncode,
        stdout=stdout,
        stderr=stderr,
    )


class _Group:
    """A cgroup of the controller `cpuacct` for one command."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def make(cls) -> _Group | None:
        """Make one below this process's own, or return None where that cannot be done."""
        try:
            mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
            groups = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
            parent = find_cpuacct(mounts, groups)
            if parent is None:
                return None
            folder = parent / f"bench-{os.getpid()}-{uuid.uuid4().hex[:8]}"
            folder.mkdir()
        except OSError:
            return None
        return cls(folder)

    @property
    def entrance(self) -> tuple[str, ...]:
        """What comes before a command so that it runs inside from its first instruction."""
        script = 'echo $$ > "$0" && exec "$@"'
        return ("/bin/sh", "-c", script, str(self._folder / "cgroup.procs"))

    def pids(self) -> list[int]:
        """Return all processes inside."""
        lists = [path.read_text() for path in self._folder.rglob("cgroup.procs")]
        return [int(pid) for listed in lists for pid in listed.split()]

    def close(self) -> float:
        """Remove it and return the CPU seconds used inside. Processes that are left go on."""
        used_ns = int((self._folder / "cpuacct.usage").read_text())
        until = time.monotonic() + _REMOVE_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                self._folder.rmdir()
                break
            time.sleep(0.05)
        return used_ns / 1e9


def find_cpuacct(mounts: Sequence[str], groups: Sequence[str]) -> Path | None:
    """Return this process's folder in the hierarchy of `cpuacct`, from mountinfo and cgroup.

    None where it is not mounted (version 2). See proc(5) and cgroups(7).
    """
    own = {
        name: path
        for _, names, path in (line.split(":", 2) for line in groups)
        for name in names.split(",")
    }
    for line in mounts:
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup" and "cpuacct" in options.split(" ")[-1].split(","):
            below = os.path.relpath(own.get("cpuacct", "/"), root)
            return Path(point) if below.startswith("..") else Path(point, below)
    return None


class _Watch(threading.Thread):
    """Samples a tree while it runs."""

    def __init__(self, pid: int, group: _Group | None, sampled: Callable[[Sample], None]) -> None:
        super().__init__(name="watch", daemon=True)
        self.peak_bytes = 0
        self._pid = pid
        self._group = group
        self._sampled = sampled
        self._over = threading.Event()
        self._cpu_s: dict[tuple[int, float], float] = {}

    @property
    def cpu_s(self) -> float:
        """CPU seconds of all processes as they were last seen."""
        return sum(self._cpu_s.values())

    def run(self) -> None:
        while not self._over.wait(PERIOD_S):
            with contextlib.suppress(psutil.Error, OSError):
                self._look()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def _look(self) -> None:
        seen: list[Process] = []
        for process in self._processes():
            with contextlib.suppress(psutil.Error, OSError):
                times = process.cpu_times()
                self._cpu_s[process.pid, process.create_time()] = times.user + times.system
                pss_bytes = process.memory_full_info().pss
                seen.append(Process(process.pid, " ".join(process.cmdline()), pss_bytes))
        self.peak_bytes = max(self.peak_bytes, sum(process.pss_bytes for process in seen))
        self._sampled(tuple(seen))

    def _processes(self) -> list[psutil.Process]:
        if self._group is None:
            outer = psutil.Process(self._pid)
            return [outer, *outer.children(recursive=True)]
        found = []
        for pid in self._group.pids():
            with contextlib.suppress(psutil.Error):
                found.append(psutil.Process(pid))
        return found


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
