"""The process tree of one sandbox, and what is bound to it on the trusted side."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from shardwork.course import Assignment, Isolation
from shardwork.sandbox import bubblewrap, watchdog
from shardwork.wire.messages import JUDGE_FD_VARIABLE

MAX_PROCESSES = 400


class Sandbox:
    """One kernel's process tree: started by a provisioner, watched, killed, cleaned up.

    Used by `SandboxProvisioner` through the kernel manager. Closing twice is allowed.
    """

    def __init__(
        self,
        assignment: Assignment,
        isolation: Isolation,
        files: Path | None,
        java: dict[str, str],
        java_folders: tuple[Path, ...],
    ) -> None:
        self._limits = assignment.limits
        self._isolation = isolation
        self._scratch = Path(tempfile.mkdtemp(prefix="sw-"))
        self.folder = self._scratch / "k"  # short: a socket's path may hold 107 characters
        self.folder.mkdir(mode=0o700)
        self.log: IO[bytes] = (self._scratch / "log").open("wb")
        self.judge_end, sandbox_end = socket.socketpair()
        self._sandbox_end = sandbox_end
        self.inherited = (sandbox_end.fileno(),)
        self.outer_environment = {"PATH": os.environ.get("PATH", os.defpath)}
        self._files = files
        self._java_folders = java_folders
        self._environment = _environment(assignment, isolation) | java
        self._environment[JUDGE_FD_VARIABLE] = str(sandbox_end.fileno())
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: watchdog.Watchdog | None = None

    @property
    def why_killed(self) -> str | None:
        """What bound the tree exceeded, if the watchdog ended it."""
        return self._watchdog.verdict if self._watchdog else None

    @property
    def peak_bytes(self) -> int:
        return self._watchdog.peak_bytes if self._watchdog else 0

    @property
    def cpu_s(self) -> float:
        return self._watchdog.cpu_s if self._watchdog else 0.0

    def command_for(self, kernel: list[str]) -> list[str]:
        """Return the command that starts `kernel` inside."""
        if self._isolation is Isolation.NONE:
            work = self._scratch / "work"
            work.mkdir(exist_ok=True)
            if self._files is not None:
                shutil.copytree(self._files, work, dirs_exist_ok=True)
            self.outer_environment = self._environment | {"HOME": str(work)}
            return ["env", "-C", str(work), *kernel]
        readable = {str(folder): folder for folder in self._java_folders}
        if self._files is not None:
            readable |= {f"{bubblewrap.WORK}/{path.name}": path for path in self._files.iterdir()}
        room = bubblewrap.Room(
            readable=readable,
            shared=(self.folder,),
            environment=self._environment,
            scratch_mb=self._limits.scratch_mb,
            max_file_mb=self._limits.scratch_mb,
        )
        return [*bubblewrap.command(room, self._scratch), *kernel]

    def started(self, process: subprocess.Popen[bytes]) -> None:
        """Take the outermost process of the tree under watch."""
        self._sandbox_end.close()
        self._process = process
        self._watchdog = watchdog.Watchdog(
            process.pid,
            memory_bytes=self._limits.memory_mb << 20,
            processes=MAX_PROCESSES,
            folder=self.folder,
            kill=self.kill,
        )

    def kill(self) -> None:
        """End the whole tree: the PID namespace ends with its first process."""
        if self._process is None:
            return
        tree = watchdog.descendants(self._process.pid)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._isolation is Isolation.NONE:
            for process in tree:
                with contextlib.suppress(Exception):
                    process.kill()

    def close(self) -> None:
        """Kill what is left and remove this side's files."""
        self.kill()
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
        self.judge_end.close()
        self._sandbox_end.close()
        self.log.close()
        shutil.rmtree(self._scratch, ignore_errors=True)


def java_for(assignment: Assignment) -> tuple[dict[str, str], tuple[Path, ...]]:
    """Return the environment and the folders of a Java, if the assignment needs one.

    Raises MachineError if it does and there is none.
    """
    if assignment.cluster.spark_master is None:
        return {}, ()
    from shardwork.java import find_java

    java = find_java()
    return {"JAVA_HOME": str(java.path)}, java.read_only_paths()


def _environment(assignment: Assignment, isolation: Isolation) -> dict[str, str]:
    home = bubblewrap.HOME if isolation is not Isolation.NONE else tempfile.gettempdir()
    folders = [str(Path(sys.prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "PATH": os.pathsep.join(folders),
        "HOME": home,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": "/tmp",
        "IPYTHONDIR": f"{home}/.ipython",
        "MPLCONFIGDIR": f"{home}/.matplotlib",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        # Spark places str keys by their hash: driver and workers must agree, and every run.
        "PYTHONHASHSEED": "0",
        "SHARDWORK_SANDBOX": "1",
        "SHARDWORK_SPARK_MASTER": assignment.cluster.spark_master or "",
        "SHARDWORK_DASK_WORKERS": str(assignment.cluster.dask_workers),
    }
