"""What a batch that was killed leaves behind: temporary folders and cgroups, by whose they were."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from shardwork.sandbox import cgroup

_PREFIX = "sw-"


def own_prefix() -> str:
    """Return how the name of a temporary folder begins, so that `sweep` knows whose it is."""
    return f"{_PREFIX}{os.getpid()}-"


def sweep() -> None:
    """Remove what batches that were killed have left in the temporary folder and as cgroups."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if not cgroup.is_alive(folder.name.removeprefix(_PREFIX)) and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
    cgroup.sweep()
