"""`python -m shardwork.inside.container`: the first process of a container for one submission.

The trusted side reaches a container by its standard streams alone. This process makes the sockets
that a zygote is given elsewhere, starts that zygote, and carries between them and its own pipe. It
runs nothing of the submission, and nothing of the submission can look into it (it is not dumpable)
or end it (it is the first process). When the trusted side hangs up it ends, and all else with it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
from pathlib import Path

from shardwork.inside import linux, zygote
from shardwork.inside.forked import leave
from shardwork.inside.orders import (
    CELLS_CHANNEL,
    ENTER,
    FROM_CHILD,
    JUDGE_CHANNEL,
    Begin,
    Described,
    Ended,
    Enter,
    Failed,
    Forked,
    Go,
    Interrupt,
    Started,
    encode,
    receive,
    send,
)
from shardwork.inside.relay import Relay

IDENTITY = Path("/etc/identity")
"""A file system in memory where the image has its `passwd`."""
_ORDER_BYTES = 64 << 20
# What the image knows better than the trusted side.
_OF_THE_IMAGE = ("PATH", "JAVA_HOME", "SHARDWORK_SPARK_ARCHIVE")


class Porter:
    """What the first process does between the pipe and the zygote."""

    def __init__(self) -> None:
        self._relay = Relay(0, 1, self._hear, _ORDER_BYTES)
        self._reply: socket.socket | None = None
        self._kernel: int | None = None

    def run(self) -> None:
        self._relay.run()
        self._relay.flush()

    def _hear(self, message: bytes) -> None:
        order = ENTER.decode(message)
        if isinstance(order, Interrupt):
            if self._kernel is not None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._kernel, signal.SIGINT)
        elif self._reply is None:
            self._enter(order)

    def _enter(self, order: Enter) -> None:
        own = {name: os.environ[name] for name in _OF_THE_IMAGE if name in os.environ}
        environment = order.begin.environment | own
        begin = Begin(order.begin.imports, environment, order.begin.confinement,
                      order.begin.home, order.begin.work)  # fmt: skip
        _be_named()
        _lay_out(Path(begin.work), order.files)
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._reply, reply = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        judge, kernel = socket.socketpair()
        cells, runner = socket.socketpair()
        mine = (control, self._reply, judge, cells)
        if os.fork() == 0:
            leave(functools.partial(_be_zygote, theirs, (*mine, reply, kernel, runner)))
        with theirs, reply, kernel, runner:
            send(control, begin)
            send(control, order.fork, (reply.fileno(), kernel.fileno(), runner.fileno()))
        self._control = control  # it ends when this is closed
        self._relay.add(JUDGE_CHANNEL, judge)
        self._relay.add(CELLS_CHANNEL, cells)
        self._relay.watch(self._reply.fileno(), self._hear_zygote)

    def _hear_zygote(self) -> None:
        assert self._reply is not None
        try:
            heard = receive(self._reply, FROM_CHILD, max_fds=1)
        except OSError:
            heard = None
        if heard is None:  # it ended without a word
            self._relay.forget(self._reply.fileno())
            self._relay.end()
            return
        message, fds = heard
        match message:
            case Forked():
                # The engine has put everything in here under its limits.
                send(self._reply, Go())
            case Started():
                self._kernel = fds.pop()
                self._relay.say(encode(message))
            case Described():
                facts = message.facts | _own_facts()
                self._relay.say(encode(Described(facts)))
            case Failed() | Ended():
                self._relay.say(encode(message))
                if isinstance(message, Ended):
                    self._relay.end()
        for descriptor in fds:
            os.close(descriptor)


def _be_zygote(control: socket.socket, not_mine: tuple[socket.socket, ...]) -> int:
    for sock in not_mine:
        sock.close()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)  # the pipe is the first process's alone
    os.dup2(2, 1)
    linux.die_with_parent()
    zygote.main(control.detach())
    return 0


def _be_named() -> None:
    """Give this user a name: Java insists on one."""
    uid = os.getuid()
    lines = ["root:x:0:0::/root:/usr/sbin/nologin", f"student:x:{uid}:{uid}::/home/student:/bin/sh"]
    (IDENTITY / "passwd").write_text("\n".join(lines) + "\n")


def _lay_out(work: Path, files: dict[str, bytes]) -> None:
    """Write the notebook's files into its folder; names are relative, the trusted side's."""
    work.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _own_facts() -> dict[str, str]:
    """What the container itself is shut in with, and what is installed in its image."""
    from shardwork.keys import versions

    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    facts = {f"container {name}": status.get(name, "?").strip()
             for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")}  # fmt: skip
    return facts | {f"version {name}": value for name, value in versions().items()}


def main() -> None:
    linux.set_dumpable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Porter().run()


if __name__ == "__main__":
    main()
