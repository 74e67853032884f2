"""What a process tree takes of the machine, sampled while it runs."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PERIOD_S = 0.5


@dataclass
class Usage:
    """Peaks over all samples: of the whole tree, and of the folder for temporary files."""

    memory_bytes: int = 0
    processes: int = 0
    descriptors: int = 0
    disk_bytes: int = 0
    inodes: int = 0
    pids: set[int] = field(default_factory=set)
    """Every process that was seen in the tree."""


@contextlib.contextmanager
def watch(pid: int, folder: Path) -> Iterator[Usage]:
    """Sample the tree below `pid`, and `folder`, until the block ends."""
    usage, over = Usage(), threading.Event()

    def run() -> None:
        while not over.wait(PERIOD_S):
            with contextlib.suppress(psutil.Error, OSError):
                _sample(pid, folder, usage)

    thread = threading.Thread(target=run, name="usage", daemon=True)
    thread.start()
    try:
        yield usage
    finally:
        over.set()
        thread.join()


def _sample(pid: int, folder: Path, usage: Usage) -> None:
    outer = psutil.Process(pid)
    tree = [outer, *outer.children(recursive=True)]
    usage.pids.update(process.pid for process in tree)
    usage.processes = max(usage.processes, len(tree))
    # Shared pages count once (PSS): every child of a zygote maps its libraries.
    memory = sum(_pss_bytes(p.pid) for p in tree[:600])
    usage.memory_bytes = max(usage.memory_bytes, memory)
    descriptors = 0
    for process in tree[:600]:
        with contextlib.suppress(psutil.Error, OSError):
            descriptors += process.num_fds()
    usage.descriptors = max(usage.descriptors, descriptors)
    size = count = 0
    for place, folders, files in os.walk(folder):
        count += len(folders) + len(files)
        for name in files:
            with contextlib.suppress(OSError):
                size += (Path(place) / name).lstat().st_blocks * 512
    usage.disk_bytes = max(usage.disk_bytes, size)
    usage.inodes = max(usage.inodes, count)


def _pss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
