"""A container's conversation with its judge, where no Docker engine is needed.

A stand-in for the engine starts the container's first process in bubblewrap, with a pipe and the
framing of the real one. What only a real engine does (limits, walls, removal) is in tests/docker.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shardwork.course import Limits
from shardwork.judge.dialogue import Dialogue
from shardwork.sandbox import bubblewrap, container, isolation
from shardwork.sandbox.session import SandboxFailed, Session
from shardwork.sandbox.zygote import ContainerPlan, Zygote
from tests import sandboxes

WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}"),
    pytest.mark.usefixtures("no_leaks"),
]


class StandIn:
    """What `Container` asks of an engine, for one container that is a process in bubblewrap."""

    program = ("-P", "-m", "shardwork.inside.container")

    def __init__(self, path: str) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.threads: list[threading.Thread] = []

    def create(self, settings: dict[str, Any]) -> str:
        self.settings = settings
        return "c1"

    def attach(self, container: str) -> socket.socket:
        ours, self.theirs = socket.socketpair()
        return ours

    def start(self, container: str) -> None:
        room = bubblewrap.Room(nested=False, scratch_mb=64)
        command = bubblewrap.command(room)
        end = command.index("--remount-ro")
        command[end:end] = ["--tmpfs", "/etc/identity"]
        environment = sandboxes.environment() | dict(
            pair.split("=", 1) for pair in self.settings["Env"]
        )
        settings = [f"{name}={value}" for name, value in environment.items()]
        self.process = subprocess.Popen(
            [*command, "env", *settings, sys.executable, *self.program],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        for number, work in enumerate((self._in, self._out, self._out)):
            thread = threading.Thread(target=work, args=(number,), daemon=True)
            thread.start()
            self.threads.append(thread)

    def _in(self, _: int) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        with contextlib.suppress(OSError), self.process.stdin as stdin:
            while data := self.theirs.recv(1 << 16):
                stdin.write(data)

    def _out(self, number: int) -> None:
        assert self.process is not None
        stream = self.process.stdout if number == 1 else self.process.stderr
        assert stream is not None
        with contextlib.suppress(OSError), stream:
            while data := stream.read(1 << 16):
                header = bytes([number, 0, 0, 0]) + len(data).to_bytes(4, "big")
                self.theirs.sendall(header + data)
        if number == 1:
            with contextlib.suppress(OSError):
                self.theirs.shutdown(socket.SHUT_WR)

    def kill(self, container: str) -> None:
        if self.process is not None:
            self.process.kill()

    def remove(self, container: str) -> None:
        self.kill(container)
        if self.process is not None:
            self.process.wait()
        with contextlib.suppress(OSError):
            self.theirs.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(20)
        self.theirs.close()

    def exists(self, container: str) -> bool:
        return False

    def usage(self, container: str) -> Any:
        return None

    def ran_out_of_memory(self, container: str, now_s: float) -> bool:
        return False


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Session]]:
    monkeypatch.setattr(container, "Engine", StandIn)
    sessions: list[Session] = []

    def call(_files: str = "", /, **cells: str) -> Session:
        wish = isolation.Level(
            isolation.Isolation.DOCKER, container=ContainerPlan("engine", "image", "{}")
        )
        limits = Limits(**sandboxes.LIMITS)
        # The stand-in has no image: packages lie where they lie on this side.
        environment = {**sandboxes.environment(), "HOME": container.HOME}
        plan = isolation.plan_at(wish, limits, environment=environment)
        session = sandboxes.session(Zygote(plan), cells, _files)
        sessions.append(session)
        session.open()
        return session

    yield call
    for session in sessions:
        session.close()


def ask(session: Session, name: str, *args: object) -> Any:
    return Dialogue(session, sandboxes.LIMITS["call_s"]).call(name, args, {})


def test_cells_run_and_functions_answer_over_the_pipe(start, tmp_path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "numbers.txt").write_text("3 4")
    session = start(
        str(tmp_path),
        one="from pathlib import Path\nprint(Path('data/numbers.txt').read_text())",
        two="import sys\nprint('noise', file=sys.stderr)\ndef f(x):\n    return [x, 41]",
    )
    assert session.outcomes["one"].text == "3 4\n"
    assert ask(session, "f", 1) == [1, 41]
    big = list(range(200_000))  # more than a window on its way at once
    assert ask(session, "f", big) == [big, 41]


def test_a_cell_that_hangs_is_interrupted_and_one_that_dies_is_left_out(start) -> None:
    session = start(
        hangs="while True: pass", dies="import os\nos._exit(3)", last="def f(n):\n    return n"
    )
    statuses = {name: outcome.status for name, outcome in session.outcomes.items()}
    assert statuses == {"hangs": "never_returned", "dies": "died", "last": "ran"}
    assert ask(session, "f", 5) == 5


def test_the_first_process_cannot_be_looked_into_or_written_to(start) -> None:
    session = start(
        look="""
import os
def attempt(path, how):
    try:
        os.close(os.open(path, how))
        return "open"
    except OSError as error:
        return type(error).__name__
def is_python(pid):
    with open(f"/proc/{pid}/cmdline") as file:
        return "python" in file.read().split("\\0")[0]
first = min(int(pid) for pid in os.listdir("/proc") if pid.isdigit() and is_python(pid))
print(attempt(f"/proc/{first}/fd/1", os.O_WRONLY), attempt(f"/proc/{first}/mem", os.O_RDONLY))
"""
    )
    assert session.outcomes["look"].text == "PermissionError PermissionError\n"


def test_a_container_that_ends_at_once_is_a_failure_of_ours_with_what_it_said(
    start, monkeypatch
) -> None:
    code = "import sys; sys.stderr.write('no room here'); sys.exit(1)"
    monkeypatch.setattr(StandIn, "program", ("-c", code))
    with pytest.raises(SandboxFailed, match="no room here"):
        start(one="1")


def test_a_container_that_says_what_no_porter_says_is_a_failure_of_ours(start, monkeypatch) -> None:
    monkeypatch.setattr(StandIn, "program", ("-c", "print('x' * 100_000)"))
    with pytest.raises(SandboxFailed, match="ended at once"):
        start(one="1")
