"""The trusted side's hold on a zygote: what it is started with, and how it is asked to fork.

A `Plan` is plain data: the command that starts the zygote, and the first order, with everything
that its children will be confined by. One zygote serves a whole batch: judges share its control
socket, each order carrying a reply socket of its own. Where children cannot have namespaces of
their own, a zygote is started for each of them instead.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import msgspec

from shardwork.inside.orders import WARM, Begin, Fork, receive, send

START_S = 120.0
_END_S = 10.0


class ZygoteFailed(Exception):
    """The zygote did not start or has ended: the platform's fault, never a student's."""


class ContainerPlan(msgspec.Struct, frozen=True):
    """How the containers of a batch are made: plain data, as everything in a `Plan`."""

    engine: str
    """Path of the engine's socket."""
    image: str
    """Id of the image, so that a new one of the same name is not taken in the middle of a batch."""
    seccomp: str
    """Its system call filter, as the engine takes it."""


class Plan(msgspec.Struct, frozen=True):
    """How a zygote is started."""

    command: tuple[str, ...]
    """What is put before the interpreter; empty where there is no isolation."""
    begin: Begin
    single_use: bool = False
    """Whether a zygote may fork only once, because it is itself the sandbox."""
    filters: tuple[bytes, ...] = ()
    """System call filters over the zygote itself, where it is itself the sandbox."""
    machine_root: bool = False
    """Whether children must become another user of the machine first."""
    cgroup: bool = False
    """Whether every child must be under a cgroup; if not, a watchdog alone bounds it."""
    own_files: bool = True
    """Whether a child has a file system of its own; if not, it needs a folder outside."""
    container: ContainerPlan | None = None
    """How the container of each submission is made, where it is one: then there is no zygote."""


class Zygote:
    """A running zygote, or one that starts when it is first asked to fork.

    `control` is the descriptor of one that somebody else has started and will end.
    """

    def __init__(self, plan: Plan, control: int | None = None) -> None:
        self.plan = plan
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready = control is not None
        if control is not None:
            self._control = socket.socket(fileno=os.dup(control))

    @property
    def descriptor(self) -> int:
        """The control socket, to be inherited by a judge."""
        self.launch()
        assert self._control is not None
        return self._control.fileno()

    def fork(self, order: Fork, fds: tuple[int, ...]) -> None:
        """Ask for a child; it answers on the first of `fds`. Raises ZygoteFailed."""
        try:
            send(self.start(), order, fds)
        except OSError as error:
            raise ZygoteFailed(f"{error}{self._said()}") from error

    def start(self) -> socket.socket:
        """Start it if it is not running, and return the control socket. Raises ZygoteFailed."""
        self.launch()
        assert self._control is not None
        if not self._ready:
            try:
                if not select.select([self._control], [], [], START_S)[0]:
                    raise ZygoteFailed(f"it was not ready after {START_S:.0f} s")
                if receive(self._control, WARM) is None:
                    raise ZygoteFailed("it ended at once")
            except (OSError, ZygoteFailed) as error:
                said = self._said()
                self.close()
                raise ZygoteFailed(f"{error}{said}") from error
            self._ready = True
        return self._control

    def launch(self) -> None:
        """Have it begin to import what it will hold, without waiting. Raises ZygoteFailed."""
        if self._control is None:
            self._control = self._launch()

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        package_root = str(Path(__file__).resolve().parents[2])
        environment = {"PATH": self.plan.begin.environment.get("PATH", os.defpath)}
        environment["PYTHONPATH"] = package_root
        given = self.plan.begin.environment
        # What the C library and OpenMP read when they are loaded must be there from the start.
        early = {k: v for k, v in given.items() if k.endswith("_THREADS") or k.startswith("PYTHON")}
        environment |= early
        settings = [f"{name}={value}" for name, value in environment.items()]
        program = [sys.executable, "-P", "-m", "shardwork.inside", str(theirs.fileno())]
        with theirs, contextlib.ExitStack() as filters:
            command, passed = list(self.plan.command), [theirs.fileno()]
            for bpf in self.plan.filters:
                file = filters.enter_context(tempfile.TemporaryFile())
                file.write(bpf)
                file.seek(0)
                command[1:1] = ["--add-seccomp-fd", str(file.fileno())]
                passed.append(file.fileno())
            self._process = subprocess.Popen(
                [*command, "env", *settings, *program],
                stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
                env=environment, pass_fds=passed, start_new_session=True,
            )  # fmt: skip
        try:
            send(ours, self.plan.begin)
        except OSError as error:
            said = self._said()
            ours.close()
            self.close()
            raise ZygoteFailed(f"{error}{said}") from error
        return ours

    def _said(self) -> str:
        if self._log is None:
            return ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process is not None:
                self._process.wait(0.5)
        text = tail_of(self._log)
        return f"; it said: {text}" if text else ""

    def close(self) -> None:
        """Let go of it, and end it if it was started here; twice is allowed."""
        control, self._control = self._control, None
        self._ready = False
        process, self._process = self._process, None
        log, self._log = self._log, None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait(_END_S)
        if log is not None:
            log.close()


def tail_of(log: IO[bytes]) -> str:
    """Return the last 2000 bytes of what a process wrote, as text."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
    return log.read().decode(errors="replace").strip()
