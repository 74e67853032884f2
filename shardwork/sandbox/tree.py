"""The process tree of one sandbox, and what is bound to it on the trusted side."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import TypeVar

import msgspec

from shardwork.course import Limits
from shardwork.inside.orders import (
    FROM_CHILD,
    Described,
    Ended,
    Failed,
    Fork,
    Forked,
    Go,
    Started,
    receive,
    send,
)
from shardwork.leftovers import own_prefix
from shardwork.sandbox import cgroup, watchdog
from shardwork.sandbox.zygote import Zygote, ZygoteFailed

MAX_PROCESSES = 400
MAX_TASKS = 4 * MAX_PROCESSES
"""Processes and their threads; a Java process has a hundred threads."""
FORK_S = 60.0
DEATH_S = 2.0
"""Seconds within which everything of a sandbox is gone once it was killed, on a machine at rest."""
_DEATH_LIMIT_S = 30.0
"""Thousands of sockets take the kernel longer; then something is wrong with the machine."""
# A user of the machine that nobody is: one for each sandbox, so that none may touch another's.
_FIRST_UID, _UIDS = 0x4000_0000, 0x2000_0000

M = TypeVar("M", bound=msgspec.Struct)


class Sandbox:
    """One kernel's process tree: forked by a zygote, bounded, watched, killed, cleaned up.

    `cells_end` is the trusted end of the runner's connection, `judge_end` of the kernel's. Closing
    twice is allowed. `left_alive` is true if it could not be ended in time.
    """

    def __init__(self, limits: Limits, zygote: Zygote, files: str = "") -> None:
        self._limits = limits
        self._zygote = zygote
        self._files = files
        self._scratch = Path(tempfile.mkdtemp(prefix=own_prefix()))
        self.judge_end, kernel_end = socket.socketpair()
        self.cells_end, runner_end = socket.socketpair()
        self._given = (kernel_end, runner_end)
        self._reply: socket.socket | None = None
        self._init: int | None = None
        self._kernel: int | None = None
        self._cgroup: cgroup.Cgroup | None = None
        self._watchdog: watchdog.Watchdog | None = None
        self._peak_bytes = 0
        self.log = ""
        self.left_alive = False

    @property
    def why_killed(self) -> str | None:
        """What bound the tree exceeded, if that ended it."""
        if self._watchdog is None:
            return None
        if self._watchdog.verdict is None and self._cgroup and self._cgroup.killed_for_memory:
            self._watchdog.look()
        return self._watchdog.verdict

    @property
    def peak_bytes(self) -> int:
        seen = self._watchdog.peak_bytes if self._watchdog else 0
        return max(seen, self._peak_bytes)

    @property
    def cpu_s(self) -> float:
        return self._watchdog.cpu_s if self._watchdog else 0.0

    @property
    def alive(self) -> bool:
        """Whether its kernel's process is."""
        return self._kernel is not None and not _has_ended(self._kernel, 0.0)

    def start(self) -> None:
        """Have it forked and wait until it is shut in. Raises ZygoteFailed."""
        self._forked(self._order())
        self._kernel = self._hear(Started)[1][0]

    def describe(self) -> dict[str, str]:
        """Have a child forked that only says what it can see. Raises ZygoteFailed."""
        self._forked(msgspec.structs.replace(self._order(), describe=True))
        described, _ = self._hear(Described)
        return described.facts

    def interrupt(self) -> None:
        """Interrupt the kernel, as Ctrl-C would."""
        if self._kernel is not None:
            _signal(self._kernel, signal.SIGINT)

    def kill(self) -> None:
        """End the whole tree: the PID namespace ends with its first process."""
        if self._init is not None:
            _signal(self._init, signal.SIGKILL)

    def close(self) -> None:
        """Kill what is left, see that it is gone, and remove this side's files."""
        self.kill()
        if self._watchdog is not None:
            self._watchdog.stop()
        if self._reply is not None:
            self._see_it_end(self._reply)
            self._reply.close()
            self._reply = None
        for descriptor in (self._init, self._kernel):
            if descriptor is not None:
                os.close(descriptor)
        self._init = self._kernel = None
        if self._cgroup is not None:
            self._peak_bytes = self._cgroup.peak_bytes
            self._cgroup.close()
        if self._zygote.plan.single_use:
            self._zygote.close()
        for sock in (self.judge_end, self.cells_end, *self._given):
            sock.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _order(self) -> Fork:
        plan = self._zygote.plan
        uid = _FIRST_UID + secrets.randbelow(_UIDS) if plan.machine_root else None
        if plan.own_files:
            return Fork(files=self._files, host_uid=uid)
        work = self._scratch / "work"
        work.mkdir()
        if self._files:
            shutil.copytree(self._files, work, dirs_exist_ok=True)
        return Fork(work=str(work), host_uid=uid)

    def _forked(self, order: Fork) -> None:
        self._reply, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        judge, cells = self._given
        with theirs, judge, cells:
            self._zygote.fork(order, (theirs.fileno(), judge.fileno(), cells.fileno()))
        self._init = self._hear(Forked)[1][0]
        pid = _pid_of(self._init)
        memory_bytes, scratch_bytes = self._limits.memory_mb << 20, self._limits.scratch_mb << 20
        if self._zygote.plan.cgroup:
            self._cgroup = cgroup.make(memory_bytes + scratch_bytes, MAX_TASKS)
            if self._cgroup is None:  # never weaker than the record will say
                raise ZygoteFailed("the sandbox was not made: its cgroup could not be made")
            self._cgroup.add(pid)
        self._watchdog = watchdog.Watchdog(
            pid,
            memory_bytes=memory_bytes,
            processes=MAX_PROCESSES,
            kill=self.kill,
            over_memory=lambda: self._cgroup is not None and self._cgroup.killed_for_memory,
            glance=lambda: None if self._cgroup is None else self._cgroup.usage(),
        )
        send(self._reply, Go())

    def _hear(self, kind: type[M]) -> tuple[M, list[int]]:
        """Return the child's next message, which must be of this kind. Raises ZygoteFailed."""
        assert self._reply is not None
        self._reply.settimeout(FORK_S)
        try:
            heard = receive(self._reply, FROM_CHILD, max_fds=1)
        except (OSError, msgspec.DecodeError) as error:
            raise ZygoteFailed(f"the sandbox was not made: {error}") from error
        if heard is None:
            raise ZygoteFailed("the sandbox was not made: the zygote hung up")
        message, fds = heard
        if isinstance(message, kind):
            return message, fds
        for descriptor in fds:
            os.close(descriptor)
        what = f"{message.step}: {message.error}" if isinstance(message, Failed) else str(message)
        raise ZygoteFailed(f"the sandbox was not made: {what}")

    def _see_it_end(self, reply: socket.socket) -> None:
        """Wait until the attendant says that nothing is left."""
        until = time.monotonic() + _DEATH_LIMIT_S
        with contextlib.suppress(OSError):
            reply.shutdown(socket.SHUT_WR)
        while (left := until - time.monotonic()) > 0:
            try:
                reply.settimeout(left)
                heard = receive(reply, FROM_CHILD, max_fds=1)
            except TimeoutError:
                break
            except (OSError, msgspec.DecodeError):
                return
            if heard is None:
                return
            for descriptor in heard[1]:
                os.close(descriptor)
            if isinstance(heard[0], Ended):
                self.log = heard[0].log
                return
        self.left_alive = self._init is not None and not _has_ended(self._init, 0.0)


def _signal(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, number)


def _has_ended(process: int, timeout_s: float) -> bool:
    """Whether the process of a descriptor has ended, waiting for it so long."""
    return bool(select.select([process], [], [], timeout_s)[0])


def _pid_of(process: int) -> int:
    """Return the number that a process descriptor's process has here (pidfd_open(2))."""
    for line in Path(f"/proc/self/fdinfo/{process}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise ZygoteFailed("a process descriptor names no process")
