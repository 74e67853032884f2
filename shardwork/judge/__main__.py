"""`python -m shardwork.judge CONTROL [ZYGOTE]`: the station that forks the judges of a batch.

It reads its setting from standard input, loads the graders once, and forks a judge for each order
that comes over the socket CONTROL. It sees nothing of a submission itself. ZYGOTE is the control
socket of the batch's zygote.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import resource
import select
import signal
import socket
import sys
import tempfile
from pathlib import Path

import msgspec

from shardwork.inside import linux
from shardwork.inside.forked import leave
from shardwork.inside.orders import receive, send
from shardwork.judge.faults import GraderFault
from shardwork.judge.graders import Graders
from shardwork.judge.job import SIT, Loaded, Problem, Setting
from shardwork.judge.process import run_job

MAX_MEMORY_BYTES = 4 << 30
"""Should all bounds on what a sandbox says fail, the judge ends, and not the machine."""
_REAP_MS = 100


def main() -> None:
    """Serve until the batch hangs up. What a grader prints goes to standard error."""
    linux.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the batch's to handle
    os.dup2(2, 1)
    control = socket.socket(fileno=int(sys.argv[1]))
    zygote = int(sys.argv[2]) if len(sys.argv) > 2 else None
    setting = msgspec.json.decode(sys.stdin.buffer.read(), type=Setting)
    graders = Graders(setting.assignment.limits, setting.codes)
    serve = functools.partial(_serve, control, setting, graders, zygote)
    try:
        graders.load(Path(setting.graders), setting.exercises, serve)
    except GraderFault as fault:
        send(control, Problem(str(fault)))


def _serve(control: socket.socket, setting: Setting, graders: Graders, zygote: int | None) -> None:
    graders.prepare(setting.seeds)
    gc.collect()
    gc.freeze()  # pages that the collector does not touch stay shared
    send(control, Loaded())
    poller = select.poll()
    poller.register(control, select.POLLIN)
    judges: set[int] = set()
    while True:
        ready = poller.poll(_REAP_MS if judges else None)
        judges -= {pid for pid in judges if os.waitpid(pid, os.WNOHANG)[0]}
        if not ready:
            continue
        order = receive(control, SIT, 1)
        if order is None:
            return
        sit, (conversation,) = order
        judge = os.fork()
        if judge == 0:
            control.close()
            leave(functools.partial(_judge, sit.folder, conversation, setting, graders, zygote))
        judges.add(judge)
        with socket.socket(fileno=conversation) as heard, contextlib.suppress(OSError):
            process = os.pidfd_open(judge)
            socket.send_fds(heard, [b"."], [process])
            os.close(process)


def _judge(
    folder: str, conversation: int, setting: Setting, graders: Graders, zygote: int | None
) -> int:
    """Be the judge of one job."""
    linux.die_with_parent()
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    with (
        open(conversation, "rb", closefd=False) as orders,
        open(conversation, "wb", buffering=0) as events,
    ):
        run_job(orders, events, setting, graders, zygote)
    return 0


if __name__ == "__main__":
    main()
