"""What a notebook and its rank servers say to each other: pickled frames behind a length.

Both ends belong to the same student, in the same sandbox, on the same laptop or on their own
cluster, so pickle is fine here. Nothing of this reaches the judge.
"""

from __future__ import annotations

import enum
import pickle
import struct
from dataclasses import dataclass, field
from typing import Any

_LENGTH = struct.Struct("!Q")

Place = tuple[str, int, str]
"""Where code was: file, line, function."""


class RankState(enum.Enum):
    """How one rank of a `run_ranks` call ended."""

    RETURNED = "returned"
    RAISED = "raised"  # an exception left the function
    DIED = "died"  # its process ended without an answer
    UNFINISHED = "unfinished"  # still running at the limit
    ENDED = "ended"  # stopped because another rank had failed, or the call was interrupted


@dataclass(frozen=True)
class Meeting:
    """Where ranks on several hosts find each other: a TCP store that one of the hosts keeps."""

    host: str
    port: int
    kept_here: bool
    """Whether the server that gets this call keeps it."""


@dataclass(frozen=True)
class Call:
    """Run `payload` (function and arguments) in `world_size` ranks.

    `ranks` are those that this server runs, all of them if there is no `meeting`.
    """

    world_size: int
    timeout_s: float
    payload: bytes
    folder: str
    path: list[str]
    environment: dict[str, str]
    ranks: tuple[int, ...] = ()
    meeting: Meeting | None = None


@dataclass(frozen=True)
class Cancel:
    """End the ranks of the running call."""


@dataclass(frozen=True)
class Ready:
    """The server has imported torch and waits for calls; `problem` is set where it cannot."""

    problem: str = ""


@dataclass(frozen=True)
class Output:
    """Text that a rank printed, in whole lines where it printed whole lines."""

    rank: int
    stream: str
    text: str


@dataclass(frozen=True)
class Report:
    """How one rank ended. `at_s` is on the clock that all processes of a machine share.

    `lost_peer`: the error only says that another rank has gone.
    """

    rank: int
    state: RankState
    at_s: float
    payload: bytes = b""
    error: str = ""
    types: tuple[str, ...] = ()
    lost_peer: bool = False
    places: list[Place] = field(default_factory=list)


@dataclass(frozen=True)
class Done:
    """All ranks have ended and nothing of them is left."""

    reports: list[Report]


def encode(message: Any) -> bytes:
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class FrameBuffer:
    """Collects bytes as they arrive and gives back whole messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        """Add `data`; return the messages that are now complete."""
        self._bytes += data
        messages = []
        while len(self._bytes) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes)
            end = _LENGTH.size + length
            if len(self._bytes) < end:
                break
            messages.append(pickle.loads(bytes(self._bytes[_LENGTH.size : end])))
            del self._bytes[:end]
        return messages
