"""The class archive of a Spark session: what its Java loads, parsed and verified beforehand.

A session's Java loads some 15,000 classes, which costs more than the jobs of an exercise. A class
archive (application class-data sharing, JEP 310) holds them ready to be mapped. It belongs to one
Java and one set of jars, in one order; so beside it stands how Spark's launcher starts that Java,
and a session with an archive starts it in the same way, without the launcher.

Archives are made by `shardwork.lab.spark_training` and kept in the user's cache. An archive is
trusted like Java itself: a sandbox sees it read-only, and one that others could write is not used.
Without an archive everything works, slower.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from shardwork.errors import MachineError
from shardwork.java import JavaHome

VARIABLE = "SHARDWORK_SPARK_ARCHIVE"
"""The environment variable by which a sandbox is told the folder of its archive."""

CLASSES = "classes.jsa"
LAUNCH = "launch.json"
_FORMAT = 1

# Of the session's Java and of the archive: the collector shapes what is archived.
# The first two halve the CPU time of a short session; the third keeps /tmp/hsperfdata_* away.
JVM_OPTIONS: tuple[str, ...] = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    # Java 17 dies of a NullPointerException in a cgroup namespace of its own (version 1 cgroups),
    # which is where the sandbox puts it; memory and cores are set explicitly anyway. Linux has it.
    *(("-XX:-UseContainerSupport",) if sys.platform == "linux" else ()),
)


class Launch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How Spark's launcher starts Java here, as the Java that it started has told."""

    java_home: str
    """What JAVA_HOME is: `bin/java` inside."""
    options: tuple[str, ...]
    """The launcher's own: modules to add and to open, properties."""
    class_path: tuple[str, ...]
    """The jars, in the order in which they are searched."""
    environment: dict[str, str]
    """What the launcher's scripts set."""
    size_bytes: int = 0
    """Of the archive; one of another size is not whole."""


class Archive(msgspec.Struct, frozen=True):
    """An archive that is there, and the launch that it was made for."""

    folder: Path
    launch: Launch

    @property
    def classes(self) -> Path:
        """The archive itself."""
        return self.folder / CLASSES

    @property
    def options(self) -> tuple[str, ...]:
        """The options that make a Java use it, or quietly go without if it cannot.

        Mapped where it was made for, which is the only way that sandboxes share its memory; by
        default newer builds move it, as a defence of programs that take input from strangers.
        """
        return (f"-XX:SharedArchiveFile={self.classes}", "-Xshare:auto", "-Xlog:cds=off",
                "-Xlog:cds+dynamic=off", "-XX:+UnlockDiagnosticVMOptions",
                "-XX:ArchiveRelocationMode=0")  # fmt: skip


def archive_root(environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder of all archives: in `XDG_CACHE_HOME`, by default `~/.cache`."""
    environment = os.environ if environment is None else environment
    cache = environment.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "shardwork" / "spark"


def archive_folder(java: JavaHome) -> Path:
    """Return where the archive of this Java and Spark's jars is, or would be."""
    return archive_root() / _key(java, spark_home() / "jars")


def given_archive(environment: Mapping[str, str] | None = None) -> Archive | None:
    """Return the archive that the trusted side has chosen for this sandbox, if any.

    Who owns it cannot be seen in here, where nobody else has a name.
    """
    environment = os.environ if environment is None else environment
    folder = environment.get(VARIABLE)
    return _read(Path(folder)) if folder else None


def find_archive(java: JavaHome) -> Archive | None:
    """Return the archive of this Java and Spark's jars, or None: absent, broken or not safe.

    Reads the names, sizes and times of the jars (milliseconds); starts nothing. Notes in the
    archive's folder that it is used.
    """
    try:
        folder = archive_folder(java)
    except (OSError, RuntimeError, MachineError):  # no jars, or no home folder
        return None
    archive = _read(folder) if _is_safe(folder) else None
    if archive is not None:
        with contextlib.suppress(OSError):  # what nobody uses is removed one day
            os.utime(folder / LAUNCH)
    return archive


def spark_home() -> Path:
    """Return the Spark that came with the package PySpark, without importing that.

    Another one that `SPARK_HOME` names may be of another version, and exercises read plans.
    """
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise MachineError("PySpark is not installed; run make setup.")
    return Path(spec.origin).parent


def _key(java: JavaHome, jars: Path) -> str:
    release = java.runtime / "release"
    found = [
        _FORMAT,
        platform.machine(),
        str(java.path),
        str(java.runtime),
        release.read_text(errors="replace") if release.is_file() else "",
        JVM_OPTIONS,
        str(jars),
        sorted(_stamp(path) for path in (*jars.iterdir(), *java.runtime.glob("lib/server/*jvm.*"))),
    ]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:32]


def _stamp(path: Path) -> tuple[str, int, int]:
    facts = path.stat()
    return path.name, facts.st_size, facts.st_mtime_ns


def _read(folder: Path) -> Archive | None:
    try:
        launch = msgspec.json.decode((folder / LAUNCH).read_bytes(), type=Launch)
        whole = (folder / CLASSES).stat().st_size == launch.size_bytes
    except (OSError, msgspec.MsgspecError):
        return None
    return Archive(folder, launch) if whole else None


def _is_safe(folder: Path) -> bool:
    """Whether only this user (or root) could have written it: Java trusts an archive wholly."""
    if os.name != "posix":
        return True
    try:
        found = [path.lstat() for path in (folder, folder / CLASSES, folder / LAUNCH)]
    except OSError:
        return False
    others = stat.S_IWGRP | stat.S_IWOTH
    return all(f.st_uid in (os.geteuid(), 0) and not f.st_mode & others for f in found)
