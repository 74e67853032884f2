"""An interpreter with the course's libraries imported, which forks a sandbox for each submission.

Three processes for each: the *attendant*, outside the sandbox, which ends it when the trusted side
hangs up; *init*, the first process of the sandbox; and the kernel, where student code runs. The
zygote itself never runs student code and reads nothing but orders.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import secrets
import select
import signal
import socket
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any, NoReturn

from shardwork.inside import linux
from shardwork.inside.confine import StepFailed, confine
from shardwork.inside.describe import describe
from shardwork.inside.forked import leave
from shardwork.inside.helpers import fork_helpers, start_cluster
from shardwork.inside.kernel import connection_to, run_kernel
from shardwork.inside.orders import (
    BEGIN,
    FORK,
    GO,
    Begin,
    Described,
    Ended,
    Failed,
    Fork,
    Forked,
    Started,
    Warm,
    receive,
    send,
)
from shardwork.inside.runner import run_cells

_FDS_OF_A_FORK = 3
_LOG_BYTES = 8 << 10
_REAP_S = 0.1
_GO_LIMIT_S = 60.0
_END_LIMIT_S = 20.0


def main(descriptor: int) -> None:
    """Serve orders from the socket `descriptor` until the trusted side closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the batch, which then hangs up
    control = socket.socket(fileno=descriptor)
    first = receive(control, BEGIN)
    if first is None:
        return
    begin = first[0]
    os.environ.clear()
    os.environ.update(begin.environment)
    # Where it is in the sandbox itself, the kernel must not look into it or write to it.
    linux.set_dumpable(bool(begin.confinement.namespaces))
    for name in begin.imports:
        # What cannot be imported here cannot be imported by the notebook, which will say so.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    send(control, Warm())
    poller = select.poll()
    poller.register(control, select.POLLIN)
    attendants: set[int] = set()
    while True:
        ready = poller.poll(_REAP_S * 1000 if attendants else None)
        attendants -= {pid for pid in attendants if os.waitpid(pid, os.WNOHANG)[0]}
        if not ready:
            continue
        order = receive(control, FORK, _FDS_OF_A_FORK)
        if order is None:
            return
        fork, fds = order
        attendant = os.fork()
        if attendant == 0:
            control.close()
            leave(functools.partial(_attend, begin, fork, fds))
        attendants.add(attendant)
        for fd in fds:
            os.close(fd)


def _attend(begin: Begin, fork: Fork, fds: list[int]) -> int:
    """Make the sandbox's namespaces and first process; end all of it when the judge hangs up."""
    os.setsid()
    linux.die_with_parent()
    linux.adopt_orphans()
    reply = socket.socket(fileno=fds[0])
    # Mounts are the first process's own: this one keeps the zygote's view.
    namespaces = [name for name in begin.confinement.namespaces if name != "mount"]
    if namespaces:
        try:
            linux.unshare(*namespaces)
        except OSError as error:
            send(reply, Failed("namespaces", str(error)))
            return 1
    go_read, go_write = os.pipe()
    log_read, log_write = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(go_write)
        os.close(log_read)
        leave(functools.partial(_init, begin, fork, reply, fds[1:], go_read, log_write))
    for fd in (go_read, log_write, *fds[1:]):
        os.close(fd)
    process = os.pidfd_open(init)
    send(reply, Forked(), (process,))
    log: deque[bytes] = deque(maxlen=2)
    status = 1
    try:
        reply.settimeout(_GO_LIMIT_S)
        if receive(reply, GO) is not None:
            os.write(go_write, b"g")
            os.close(go_write)
            _watch(reply, process, log_read, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])
        if "pid" not in namespaces:
            _end_descendants()
    text = b"".join(log)[-_LOG_BYTES:].decode(errors="replace")
    with contextlib.suppress(OSError):
        send(reply, Ended(status, text))
    return 0


def _watch(reply: socket.socket, process: int, log: int, kept: deque[bytes]) -> None:
    """Wait until the first process ends or the judge hangs up, keeping the end of the log."""
    poller = select.poll()
    for fd in (reply.fileno(), process, log):
        poller.register(fd, select.POLLIN)
    while True:
        ready = dict(poller.poll())
        if log in ready:
            chunk = os.read(log, _LOG_BYTES)
            kept.append(chunk)
            if not chunk:
                poller.unregister(log)
        if process in ready or reply.fileno() in ready:
            return


def _end_descendants() -> None:
    """End what the first process left behind, where that did not go with a PID namespace."""
    import psutil

    until = time.monotonic() + _END_LIMIT_S
    while (left := psutil.Process().children(recursive=True)) and time.monotonic() < until:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)


def _init(begin: Begin, fork: Fork, reply: socket.socket, fds: list[int], go: int, log: int) -> int:
    """Be the first process of a sandbox: shut in, then the kernel's parent, then its undertaker."""
    if not os.read(go, 1):
        return 1
    os.close(go)
    # Nothing of the zygote's standard streams stays; what the kernel process says goes to the log.
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        linux.set_dumpable(True)
        confine(begin, fork, {reply.fileno(), *fds})
        # Once more: the change of user has undone it.
        linux.die_with_parent()
        os.chdir(fork.work or begin.work)
        if fork.describe:
            send(reply, Described(describe()))
            return 0
        if fork.work:  # no home of its own: what programs keep there must go with the sandbox
            os.environ |= dict.fromkeys(("HOME", "IPYTHONDIR", "MPLCONFIGDIR"), fork.work)
        _be_fresh()
        connection = connection_to(f"{fork.work or begin.home}/.kernel", secrets.token_hex(16))
        kernel = os.fork()
        if kernel == 0:
            leave(functools.partial(_kernel, connection, fds[0], (reply.fileno(), fds[1])))
        runner = os.fork()
        if runner == 0:
            leave(functools.partial(_runner, connection, fds[1], (reply.fileno(), fds[0])))
        send(reply, Started(), (os.pidfd_open(kernel),))
    except StepFailed as error:
        step, _, text = str(error).partition(": ")
        send(reply, Failed(step, text))
        return 1
    reply.close()
    for fd in fds:
        os.close(fd)
    return _undertake({kernel, runner})


def _undertake(needed: set[int]) -> int:
    """Reap whatever ends, until one of those does that are needed.

    The namespace, and so everything in it, ends with this process.
    """
    while True:
        pid, status = os.waitpid(-1, 0)
        code = os.waitstatus_to_exitcode(status)
        if pid in needed:
            return code if code >= 0 else 128 - code


def _be_fresh() -> None:
    """Give the child what a fresh interpreter has of its own: random numbers, its folder."""
    import multiprocessing.process
    import random

    # Spawned processes look for the notebook's own modules there.
    multiprocessing.process.ORIGINAL_DIR = str(Path.cwd())  # type: ignore[attr-defined]
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _kernel(connection: dict[str, Any], judge: int, not_mine: tuple[int, ...]) -> int:
    """Be the kernel: what runs from here on is the student's."""
    for fd in not_mine:
        os.close(fd)
    fork_helpers()
    start_cluster()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_kernel(connection, judge)
    return 0


def _runner(connection: dict[str, Any], judge: int, not_mine: tuple[int, ...]) -> NoReturn:
    """Be the runner of the cells, which the kernel cannot look into."""
    for fd in not_mine:
        os.close(fd)
    linux.set_dumpable(False)
    run_cells(judge, connection)
