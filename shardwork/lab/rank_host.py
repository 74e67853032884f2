"""A host of a cluster that runs ranks: `python -m shardwork.lab.rank_host PORT`.

Every connection gets a rank server of its own (`shardwork.lab.rank_server`), a fork of this process
that has imported torch. Whoever connects can run programs here: it belongs to the one student whose
cluster it is part of, on that cluster's own network.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from shardwork.lab import rank_server

_BACKLOG = 16
_ENDING = (signal.SIGTERM, signal.SIGINT)


def listen(listener: socket.socket) -> NoReturn:
    """Serve each connection in a process of its own, until this one is ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a server
    while True:
        connection, _ = listener.accept()
        with connection:
            if os.fork() == 0:
                _serve(listener, connection)


def _serve(listener: socket.socket, connection: socket.socket) -> NoReturn:
    try:
        listener.close()
        for number in (signal.SIGCHLD, *_ENDING):
            signal.signal(number, signal.SIG_DFL)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            rank_server.serve(connection)
    finally:
        os._exit(0)


def main() -> None:
    for number in _ENDING:
        signal.signal(number, lambda *_: sys.exit(0))
    with (
        tempfile.TemporaryDirectory(prefix="shardwork-ranks-") as own,
        socket.create_server(("", int(sys.argv[1])), backlog=_BACKLOG) as listener,
    ):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(own) / "inductor")
        rank_server.import_torch()  # what is wrong with it, each server says
        listen(listener)


if __name__ == "__main__":
    main()
