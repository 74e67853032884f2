"""Run a judge process for one job, and hear what it says."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from shardwork.errors import MachineError
from shardwork.judge.job import Event, Finished, Job, Judged, Problem
from shardwork.sandbox import cgroup
from shardwork.sandbox.zygote import Plan, Zygote, ZygoteFailed

GRACE_S = 120.0
"""Seconds that a judge may take beyond what its submission may: its own imports and clean-up."""


_PREFIX = "sw-"
COMMAND = (sys.executable, "-m", "shardwork.judge")


class JudgeProcesses:
    """The judges of one batch, and the zygote that makes the sandboxes for all of them.

    Entering starts the zygote; leaving ends every judge and the zygote. MachineError if it does
    not start.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._zygote = Zygote(plan)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> JudgeProcesses:
        sweep()
        self._folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-")
        # In this thread, which lives as long as the batch: a zygote ends with its parent's thread.
        if not self.plan.single_use:
            try:
                self._zygote.start()
            except ZygoteFailed as error:
                raise MachineError(f"No submission was run: the zygote failed: {error}") from error
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        self._zygote.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End every running judge, and with it its sandbox. No new one will be started."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.kill()

    @property
    def stopped(self) -> bool:
        return self._stopped

    @contextlib.contextmanager
    def start(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start a judge process; it is ended, and its files removed, when the block is left.

        Raises InterruptedError if no new one shall be started.
        """
        inherited = () if self.plan.single_use else (self._zygote.descriptor,)
        # The judge's own clean-up does not run when it is killed.
        with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as folder:
            with tempfile.TemporaryFile() as log, self._lock:
                if self._stopped:
                    raise InterruptedError
                process = subprocess.Popen(
                    [*COMMAND, *map(str, inherited)],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                    env=_environment() | {"TMPDIR": folder}, pass_fds=inherited,
                )  # fmt: skip
                self._running.add(process)
            try:
                yield process
            finally:
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    if pipe is not None:
                        with contextlib.suppress(OSError):
                            pipe.close()
                with self._lock:
                    self._running.discard(process)


def sweep() -> None:
    """Remove what batches that were killed have left in the temporary folder and as cgroups."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if not cgroup.is_alive(folder.name.removeprefix(_PREFIX)) and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
    cgroup.sweep()


def run_judge(
    job: Job, processes: JudgeProcesses, heard: Callable[[Judged], None], grace_s: float = GRACE_S
) -> Finished | Problem:
    """Run one job in a judge process of its own, and return how it ended.

    `heard` is called with each exercise as it is judged. A judge that dies or is still running
    after what its job may take and `grace_s` seconds is a Problem: an error of ours. Raises
    InterruptedError if `processes` was stopped meanwhile: then nothing is known.
    """
    limit_s = job.limit_s + grace_s
    decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
    with processes.start() as process:
        alarm = threading.Timer(limit_s, process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(msgspec.json.encode(job))
                process.stdin.close()
            for line in process.stdout:
                try:
                    event = decoder.decode(line)
                except msgspec.DecodeError:  # half a line: the judge ended while it wrote
                    process.kill()
                    break
                if isinstance(event, Judged):
                    heard(event)
                else:
                    return event
        finally:
            alarm.cancel()
        status = process.wait()
    if processes.stopped:
        raise InterruptedError
    return Problem(
        f"the judge process ended with status {status} before it was done"
        + (f" (its limit was {limit_s:.0f} s)" if status < 0 else "")
    )


def _environment() -> dict[str, str]:
    """What a judge needs of the caller's environment: nothing that is a secret."""
    keep = ("PATH", "HOME", "LANG", "LC_ALL", "JAVA_HOME", "VIRTUAL_ENV", "PYTHONPATH")
    kept = {name: os.environ[name] for name in keep if name in os.environ}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
