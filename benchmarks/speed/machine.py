"""The machine and the versions that a result belongs to."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

import psutil

from shardwork import spark_archive
from shardwork.errors import MachineError
from shardwork.java import find_java
from shardwork.keys import engine_digest
from shardwork.sandbox import isolation

PACKAGES = ("shardwork", "nbgrader", "otter-grader", "nbconvert", "pyspark", "dask", "distributed",
            "torch", "numpy", "pandas", "ipykernel", "pytest")  # fmt: skip


def machine() -> dict[str, str | int | float]:
    """Describe the machine; `load` is the load average (1 min) before anything was started."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": psutil.virtual_memory().total >> 20,
        "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
        "isolation": ", ".join(isolation.ways()[0].protections) if isolation.ways() else "none",
        "spark_archive": "yes" if _has_archive() else "no",
    }


def versions() -> dict[str, str]:
    """Return the versions of all that took part."""
    found = {"engine": engine_digest(), "python": platform.python_version()}
    found |= {name: version(name) for name in PACKAGES}
    return found | {"java": _java_version()}


def _cpu_model() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return model[1].strip() if model else platform.machine()


def _java_version() -> str:
    try:
        release = Path(find_java().path, "release").read_text(encoding="utf-8")
    except (MachineError, OSError):
        return ""
    found = re.search(r'^JAVA_VERSION="(.+)"$', release, re.MULTILINE)
    return found[1] if found else ""


def _has_archive() -> bool:
    try:
        return spark_archive.find_archive(find_java()) is not None
    except MachineError:
        return False
