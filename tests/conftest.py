"""What every test may ask for: here, that nothing is left behind."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import psutil
import pytest

PR_SET_CHILD_SUBREAPER = 36
END_S = 10.0
"""Seconds that a process has to end once it has been told to."""


@pytest.fixture
def no_leaks(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Fail if a process, a temporary file or a file descriptor is left over.

    A daemon that its parent left behind becomes a child of this process meanwhile, so it is found.
    Temporary files go to a folder of the test's own, which must be empty in the end.
    """
    tmp_path_factory.getbasetemp()  # pytest's own stays where it is
    folder = Path(tempfile.mkdtemp(prefix="t-"))  # short: sockets lie in it
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    processes, descriptors = _processes(), set(_descriptors())
    try:
        yield
        gc.collect()
        _, alive = psutil.wait_procs(_processes() - processes, timeout=END_S)
        left = [
            *(f"process {process.pid}: {_command(process)}" for process in alive),
            # torch makes this one when its compiler is imported, by the oracles of a judge
            *(f"file {p}" for p in sorted(folder.iterdir()) if "torchinductor" not in p.name),
            *(f"descriptor {n}: {what}" for n, what in set(_descriptors()) - descriptors),
        ]
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0)
        for process in _processes() - processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(END_S)
        shutil.rmtree(folder, ignore_errors=True)
    assert not left, "left over: " + "; ".join(left)


def _processes() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def _descriptors() -> Iterator[tuple[int, str]]:
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own, gone again
            yield int(path.name), str(path.readlink())


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return "ended"


# No test may depend on how fast a machine is; a Hypothesis deadline would.
hypothesis.settings.register_profile("shardwork", deadline=None)
hypothesis.settings.load_profile("shardwork")
