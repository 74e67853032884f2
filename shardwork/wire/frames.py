"""Frames over a stream socket: four bytes of length, then one MessagePack message.

Every wait has a deadline, for writing as for reading: a peer that stops reading, or sends one byte
a second, ends at the same moment as one that sends nothing. What a frame would need in memory is
known before an object is made of it, and an `Allowance` bounds what a peer may send in all.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from typing import Generic, TypeVar

import msgspec

from shardwork.wire.size import decoded_bytes
from shardwork.wire.values import WireError

MAX_FRAME_BYTES = 32 << 20
MAX_DECODED_BYTES = 3 * MAX_FRAME_BYTES
"""At most what the objects of one message may take, by the estimate of `shardwork.wire.size`."""
_LENGTH = struct.Struct(">I")

Sent = TypeVar("Sent")
Received = TypeVar("Received")


class PeerGone(Exception):
    """The other side closed its end of the connection."""


class TimeIsUp(Exception):
    """The deadline passed before the other side was heard (or had listened)."""


class Deadline:
    """A point in monotonic time; None means never. A subclass may let it recede."""

    def __init__(self, seconds: float | None) -> None:
        self._at = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds left, at least 0; None if there is no limit."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    def wait(self, sock: socket.socket, *, writing: bool) -> None:
        """Wait until `sock` is ready; TimeIsUp at the deadline."""
        poller = select.poll()
        poller.register(sock, select.POLLOUT if writing else select.POLLIN)
        while (left := self.left()) != 0.0:  # first, for a peer that always has one more byte
            if poller.poll(None if left is None else int(left * 1000) + 1):
                return
        raise TimeIsUp


class Allowance:
    """How many bytes and messages a peer may send, alone and as a part of a larger allowance."""

    def __init__(self, limit_bytes: int, messages: int, *, within: Allowance | None = None) -> None:
        self._bytes_left = limit_bytes
        self._messages_left = messages
        self._within = within

    def spend(self, size_bytes: int) -> None:
        """Count one message of `size_bytes`, before it is read. Raises WireError above a bound."""
        if self._within is not None:
            self._within.spend(size_bytes)
        self._bytes_left -= size_bytes + _LENGTH.size
        self._messages_left -= 1
        if self._bytes_left < 0 or self._messages_left < 0:
            raise WireError("more bytes or messages in all than are accepted")


class Connection(Generic[Sent, Received]):
    """Typed messages over a connected stream socket; sending is safe from several threads."""

    def __init__(self, sock: socket.socket, receives: object) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[Received] = msgspec.msgpack.Decoder(receives)
        self._sending = threading.Lock()
        self._buffer = bytearray()

    def send(self, message: Sent, deadline: Deadline) -> None:
        """Send one message. Raises WireError if it is too large, TimeIsUp, PeerGone."""
        body = self._encoder.encode(message)
        if len(body) > MAX_FRAME_BYTES:
            raise WireError(
                f"a message of {len(body)} bytes; at most {MAX_FRAME_BYTES} may be sent"
            )
        with self._sending:
            view = memoryview(_LENGTH.pack(len(body)) + body)
            while view:
                deadline.wait(self._sock, writing=True)
                try:
                    view = view[self._sock.send(view) :]
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise PeerGone from error

    def receive(self, deadline: Deadline, allowance: Allowance | None = None) -> Received:
        """Return the next message. Raises WireError if it is malformed or too much, TimeIsUp,
        PeerGone.
        """
        size = _LENGTH.unpack(self._read(_LENGTH.size, deadline))[0]
        if size > MAX_FRAME_BYTES:
            raise WireError(f"a frame of {size} bytes; at most {MAX_FRAME_BYTES} are accepted")
        if allowance is not None:
            allowance.spend(size)
        body = self._read(size, deadline)
        if decoded_bytes(body, MAX_DECODED_BYTES) > MAX_DECODED_BYTES:
            raise WireError(f"a message that would take more than {MAX_DECODED_BYTES} bytes")
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"a malformed message: {str(error)[:200]}") from None

    def _read(self, size: int, deadline: Deadline) -> bytearray:
        while len(self._buffer) < size:
            deadline.wait(self._sock, writing=False)
            try:
                chunk = self._sock.recv(min(1 << 20, size - len(self._buffer)))
            except BlockingIOError:
                continue
            except OSError as error:
                raise PeerGone from error
            if not chunk:
                raise PeerGone
            self._buffer += chunk
        data, self._buffer = self._buffer, bytearray()  # never more than was asked for
        return data

    def close(self) -> None:
        """Close the socket; may be called twice."""
        self._sock.close()
