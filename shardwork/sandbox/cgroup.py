"""Bound a sandbox's memory and processes by the kernel, where this process may make cgroups.

Version 1 (a hierarchy for each controller) and version 2 (one for all) as they are mounted; see
cgroups(7). Where neither can be written, the watchdog bounds alone, and the record says so.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "shardwork-"
_CONTROLLERS = ("memory", "pids", "cpu", "cpuacct")
_REMOVE_S = 2.0
_SHARES = 256
"""A quarter of the default: a submission that spins must not slow its judge down."""


@dataclass(frozen=True)
class Usage:
    """What the processes of a cgroup take now, as the kernel counts it."""

    memory_bytes: int
    """Files in memory included."""
    tasks: int
    """Processes and threads."""
    cpu_s: float
    """CPU seconds so far."""


class Cgroup:
    """The cgroup of one sandbox: a folder for each hierarchy, removed by `close`."""

    def __init__(self, folders: dict[str, Path], version: int) -> None:
        self._folders = folders
        self._version = version

    def add(self, pid: int) -> None:
        """Put a process, and what it will start, under the bounds."""
        for folder in set(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    @property
    def killed_for_memory(self) -> bool:
        """Whether the kernel ended a process of this cgroup because of its memory."""
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        try:
            lines = (self._folders["memory"] / name).read_text().splitlines()
        except OSError:
            return False
        return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in lines)

    @property
    def peak_bytes(self) -> int:
        """The most memory that was in use at once, files in memory included; 0 if not known."""
        name = "memory.peak" if self._version == 2 else "memory.max_usage_in_bytes"
        try:
            return int((self._folders["memory"] / name).read_text())
        except (OSError, ValueError):
            return 0

    def usage(self) -> Usage | None:
        """Count now; None where the kernel does not count all of it."""
        memory, pids = self._folders["memory"], self._folders["pids"]
        try:
            if self._version == 2:
                used = int((memory / "memory.current").read_text())
                spent = (self._folders["cpu"] / "cpu.stat").read_text().split()
                cpu_s = int(spent[spent.index("usage_usec") + 1]) / 1e6
            else:
                used = int((memory / "memory.usage_in_bytes").read_text())
                cpu_s = int((self._folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
            return Usage(used, int((pids / "pids.current").read_text()), cpu_s)
        except (OSError, ValueError, KeyError):
            return None

    def close(self) -> None:
        """Remove it; what was in it must have ended. Twice is allowed."""
        until = time.monotonic() + _REMOVE_S
        for folder in set(self._folders.values()):
            while folder.exists():
                try:
                    folder.rmdir()
                except OSError:  # the last process is still being taken apart
                    if time.monotonic() > until:
                        break
                    time.sleep(0.005)


def make(memory_bytes: int, tasks: int) -> Cgroup | None:
    """Make a cgroup with these bounds, or return None where that cannot be done.

    `tasks` are processes and threads.
    """
    own = own_folders()
    if own is None:
        return None
    version, parents = own
    name = f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}"
    cgroup = Cgroup({controller: folder / name for controller, folder in parents.items()}, version)
    try:
        for folder in set(cgroup._folders.values()):
            folder.mkdir(mode=0o755)
        _bound(cgroup._folders, version, memory_bytes, tasks)
    except OSError:
        cgroup.close()
        return None
    return cgroup


def _bound(folders: dict[str, Path], version: int, memory_bytes: int, tasks: int) -> None:
    if version == 2:
        (folders["memory"] / "memory.max").write_text(str(memory_bytes))
        with contextlib.suppress(OSError):  # no swap to bound
            (folders["memory"] / "memory.swap.max").write_text("0")
        with contextlib.suppress(OSError):
            (folders["cpu"] / "cpu.weight").write_text("25")
    else:
        (folders["memory"] / "memory.limit_in_bytes").write_text(str(memory_bytes))
        with contextlib.suppress(OSError):
            (folders["memory"] / "memory.memsw.limit_in_bytes").write_text(str(memory_bytes))
        with contextlib.suppress(OSError, KeyError):
            (folders["cpu"] / "cpu.shares").write_text(str(_SHARES))
    (folders["pids"] / "pids.max").write_text(str(tasks))


@functools.cache
def own_folders() -> tuple[int, dict[str, Path]] | None:
    """Return the version, and by controller the folder of this process's own cgroup.

    None where there is none that cgroups can be made in.
    """
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    return find_folders(mounts, groups)


def find_folders(mounts: list[str], groups: list[str]) -> tuple[int, dict[str, Path]] | None:
    """Work out `own_folders` from the lines of mountinfo and cgroup (proc(5), cgroups(7))."""
    paths = {}
    for line in groups:
        number, controllers, path = line.split(":", 2)
        for controller in controllers.split(",") if number != "0" else [""]:
            paths[controller] = path
    found: dict[str, Path] = {}
    for line in mounts:
        before, _, after = line.partition(" - ")
        root, point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        names = [c for c in _CONTROLLERS if c in options.split(" ")[-1].split(",")]
        if kind == "cgroup":
            for name in names:
                found[name] = _inside(point, root, paths.get(name, "/"))
        elif kind == "cgroup2" and "" in paths:
            folder = _inside(point, root, paths[""])
            if _has_controllers(folder):
                return 2, dict.fromkeys(_CONTROLLERS, folder)
    found = {name: folder for name, folder in found.items() if os.access(folder, os.W_OK)}
    if {"memory", "pids"} <= found.keys():
        return 1, found
    return None


def _inside(point: str, root: str, path: str) -> Path:
    """Where the cgroup `path` lies, below a mount of the hierarchy's folder `root`."""
    below = os.path.relpath(path, root)
    return Path(point) if below == "." or below.startswith("..") else Path(point, below)


def _has_controllers(folder: Path) -> bool:
    """Whether children of a version 2 cgroup can have bounds, enabling that where it is allowed."""
    if not os.access(folder, os.W_OK):
        return False
    control = folder / "cgroup.subtree_control"
    try:
        if {"memory", "pids"} <= set(control.read_text().split()):
            return True
        control.write_text("+memory +pids +cpu")
    except OSError:  # it holds processes itself, or is not ours to change
        return False
    return True


def sweep() -> None:
    """Remove cgroups that a batch which was killed has left behind."""
    own = own_folders()
    for parent in set(own[1].values()) if own else ():
        for folder in parent.glob(f"{_PREFIX}*"):
            if not is_alive(folder.name.removeprefix(_PREFIX)):
                with contextlib.suppress(OSError):
                    folder.rmdir()


def is_alive(name: str) -> bool:
    """Whether the process is, whose number a name begins with (`1234-x`)."""
    owner = name.partition("-")[0]
    return not owner.isdigit() or Path("/proc", owner).exists()
