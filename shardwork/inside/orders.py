"""What the trusted side tells a zygote, and what it hears: closed messages, one per datagram.

All policy is here, as data that the trusted side makes: what is confined, how far, with which
filter. Descriptors travel beside a message, in the order that its docstring states.
"""

from __future__ import annotations

import socket
from typing import TypeVar

import msgspec

MAX_BYTES = 192 << 10
"""A datagram of a socket pair has room for no more."""
T = TypeVar("T")


class Confinement(msgspec.Struct, frozen=True):
    """How a child is shut in. The default shuts nothing: that is isolation `none`."""

    namespaces: tuple[str, ...] = ()
    """Of `mount`, `pid`, `net`, `ipc`, `uts`, `cgroup`: new ones, made by the zygote's child."""
    user_namespace: bool = False
    """Whether it ends in a user namespace of its own, which maps one user: itself."""
    scratch_mb: int = 0
    """Size of the private file system under `/tmp`, `/dev/shm` and the home; 0: there is none."""
    scratch_inodes: int = 0
    covered: dict[str, str] = {}
    """Folders that the private file system would hide, and where each can be found instead."""
    hidden: tuple[str, ...] = ()
    """Files under the fresh `/proc` that are covered."""
    limits: dict[str, int] = {}
    """Resource limits by their name in the module `resource` (`RLIMIT_NOFILE`)."""
    drop_capabilities: bool = False
    no_new_privileges: bool = False
    seccomp: tuple[bytes, ...] = ()
    """Filters as BPF programs, eight bytes an instruction; a system call must pass them all."""
    shed_descriptors: bool = True
    """Whether descriptors that were not given to the child are closed."""


class Begin(msgspec.Struct, frozen=True):
    """Import these modules, and confine children so. The first message to a zygote."""

    imports: tuple[str, ...]
    environment: dict[str, str]
    confinement: Confinement
    home: str
    work: str


class Warm(msgspec.Struct, frozen=True):
    """The zygote is ready to fork."""


class Fork(msgspec.Struct, frozen=True):
    """Fork a child and run a kernel in it, or describe what the child can see.

    With it: the reply socket, the kernel's connection to the judge, and the runner's.
    """

    files: str = ""
    """A folder whose entries appear, read-only, in the working folder."""
    work: str = ""
    """The working folder where the child has no file system of its own."""
    host_uid: int | None = None
    """The user that the child becomes first, where the zygote is the machine's root."""
    describe: bool = False


class Forked(msgspec.Struct, frozen=True, tag="forked"):
    """The child exists and waits for `Go`. With it: a process descriptor of its first process."""


class Go(msgspec.Struct, frozen=True):
    """The trusted side has put the child under its limits."""


class Started(msgspec.Struct, frozen=True, tag="started"):
    """The child is shut in. With it: a process descriptor of the kernel's process."""


class Described(msgspec.Struct, frozen=True, tag="described"):
    """What the child sees of itself, by name; see `shardwork.inside.describe`."""

    facts: dict[str, str]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A step of the confinement failed: nothing of the submission has run."""

    step: str
    error: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """Everything of the child is gone. `log` is the end of what it wrote to its own stderr."""

    status: int
    log: str


class Enter(msgspec.Struct, frozen=True, tag="enter"):
    """Begin and fork, in a container that holds one submission: its first order.

    `files` are the notebook's, by their name below the working folder.
    """

    begin: Begin
    fork: Fork
    files: dict[str, bytes] = {}


class Interrupt(msgspec.Struct, frozen=True, tag="interrupt"):
    """Interrupt the kernel of a container, as Ctrl-C would."""


FromChild = Forked | Started | Described | Failed | Ended

BEGIN: msgspec.msgpack.Decoder[Begin] = msgspec.msgpack.Decoder(Begin)
WARM: msgspec.msgpack.Decoder[Warm] = msgspec.msgpack.Decoder(Warm)
FORK: msgspec.msgpack.Decoder[Fork] = msgspec.msgpack.Decoder(Fork)
GO: msgspec.msgpack.Decoder[Go] = msgspec.msgpack.Decoder(Go)
FROM_CHILD: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)

ENTER: msgspec.msgpack.Decoder[Enter | Interrupt] = msgspec.msgpack.Decoder(Enter | Interrupt)
JUDGE_CHANNEL, CELLS_CHANNEL = 1, 2
"""Of a container's pipe: the kernel's connection with the judge, and the runner's."""


def encode(message: msgspec.Struct) -> bytes:
    """Return a message as it travels through the pipe of a container."""
    return msgspec.msgpack.encode(message)


def send(sock: socket.socket, message: msgspec.Struct, fds: tuple[int, ...] = ()) -> None:
    """Send one message with descriptors."""
    socket.send_fds(sock, [msgspec.msgpack.encode(message)], fds)


def receive(
    sock: socket.socket, decoder: msgspec.msgpack.Decoder[T], max_fds: int = 0
) -> tuple[T, list[int]] | None:
    """Return the next message and its descriptors, or None at the end of the stream."""
    data, fds, _, _ = socket.recv_fds(sock, MAX_BYTES, max_fds)
    if not data:
        return None
    return decoder.decode(data), list(fds)
