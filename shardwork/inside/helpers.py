"""Processes that a notebook's libraries would start by exec, forked before any of its code runs.

A rank server of `shardwork.lab` and the fork server of `multiprocessing` (for Dask's workers) each
import what this process has imported already, which takes seconds. They are the student's own, as
they would be if the notebook had started them. So is the Spark session, which is started here so
that it can be ready when the turn of its submission comes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from shardwork.inside import linux
from shardwork.inside.forked import leave


def fork_helpers() -> None:
    """Fork the helpers of those libraries that are imported. They end with this process."""
    if "torch.distributed" in sys.modules:
        _fork_rank_server()
    if "distributed" in sys.modules:
        _fork_fork_server()


def start_cluster() -> None:
    """Start the notebook's Spark session, if the assignment has one, before its turn has come.

    It is the one that `lab.spark()` returns in the notebook. If it cannot be started here, the
    notebook tries once more, and says why.
    """
    if os.environ.get("SHARDWORK_SPARK_MASTER"):
        from shardwork import lab

        with contextlib.suppress(Exception):
            lab.spark()


def _fork_rank_server() -> None:
    from shardwork.lab import rank_server, ranks

    ours, theirs = socket.socketpair()
    _fork(lambda: rank_server.serve(theirs), theirs.fileno())
    theirs.close()
    ranks.adopt(ours)


def _fork_fork_server() -> None:
    """Put a fork of this process where `multiprocessing.forkserver` (CPython 3.11) has its own."""
    from multiprocessing import connection, forkserver

    import dask.config

    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    alive, ours = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        fd = listener.fileno()
        pid = _fork(lambda: forkserver.main(fd, alive, []), fd, alive)
    os.close(alive)
    server: Any = forkserver._forkserver
    server._forkserver_address = address
    server._forkserver_alive_fd = ours
    server._forkserver_pid = pid
    dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})


def _fork(work: Callable[[], None], *mine: int) -> int:
    """Do `work` in a child that has no other descriptors than `mine` and its standard streams."""
    pid = os.fork()
    if pid:
        return pid

    def serve() -> int:
        linux.die_with_parent()
        os.setsid()  # an interrupt of the notebook must reach the notebook alone
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        linux.close_except(set(mine))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError, SystemExit):
            work()
        return 0

    leave(serve)
