"""Several streams over one pipe, for a sandbox that is reached by its standard streams alone.

Both ends run the same loop: the trusted side in a thread of the judge, the other as the first
process of a container. Frames are a kind, a channel and a number, and for data and messages so many
bytes. A stream is sent only as far as the other end has room for it (credit), so one that nobody
reads holds up no other.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections import deque
from collections.abc import Callable

_HEADER = struct.Struct("!BBI")
_DATA, _CREDIT, _MESSAGE, _END = range(4)
_CHUNK = 64 << 10
WINDOW = 1 << 20
"""Bytes of a stream that may be on their way, or wait at the other end."""


class Broken(Exception):
    """The other end sent what no relay sends, or more than it may."""


class _Stream:
    """A socket at this end, and what is still to be written to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.waiting: deque[bytes] = deque()
        self.waiting_bytes = 0
        self.credit = WINDOW
        self.reads = self.writes = True
        self.ending = False


class Relay:
    """One end. `reads` and `writes` are descriptors of the pipe; they may be the same.

    `heard` gets each message of the other end, at most `message_bytes` long. `unwrapped` takes what
    was read and returns what of it belongs to the pipe.
    """

    def __init__(
        self,
        reads: int,
        writes: int,
        heard: Callable[[bytes], None],
        message_bytes: int,
        unwrapped: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._reads, self._writes = reads, writes
        self._heard = heard
        self._message_bytes = message_bytes
        self._unwrapped = unwrapped
        self._streams: dict[int, _Stream] = {}
        self._others: dict[int, Callable[[], None]] = {}
        self._in = bytearray()
        self._out: deque[bytes | memoryview] = deque()
        self._open = True
        os.set_blocking(reads, False)
        os.set_blocking(writes, False)

    def add(self, channel: int, sock: socket.socket) -> None:
        """Carry a stream; its socket is closed when both ends of it have ended."""
        sock.setblocking(False)
        self._streams[channel] = _Stream(sock)

    def watch(self, descriptor: int, ready: Callable[[], None]) -> None:
        """Call `ready` whenever something else can be read."""
        self._others[descriptor] = ready

    def forget(self, descriptor: int) -> None:
        self._others.pop(descriptor, None)

    def say(self, message: bytes) -> None:
        """Send a message."""
        self._send(_MESSAGE, 0, len(message), message)

    def run(self) -> None:
        """Carry until the pipe ends or `end` is called. Raises Broken, or what `heard` raises."""
        while self._open:
            poller = select.poll()
            events: dict[int, int] = dict.fromkeys(self._others, select.POLLIN)
            for descriptor, event in self._wanted():
                events[descriptor] = events.get(descriptor, 0) | event
            for descriptor, event in events.items():
                poller.register(descriptor, event)
            for descriptor, event in poller.poll():
                self._serve(descriptor, event)

    def end(self) -> None:
        """Let `run` return once it is back at its start."""
        self._open = False

    def flush(self) -> None:
        """Write what is waiting for the pipe, for as long as the other end takes it."""
        with contextlib.suppress(OSError):
            os.set_blocking(self._writes, True)
            while self._out:
                self._write_pipe()

    def close(self) -> None:
        """Close the sockets of the streams; the pipe is the caller's."""
        for stream in self._streams.values():
            stream.socket.close()

    def _wanted(self) -> list[tuple[int, int]]:
        found = [(self._reads, select.POLLIN)]
        if self._out:
            found.append((self._writes, select.POLLOUT))
        for stream in self._streams.values():
            event = select.POLLIN if stream.reads and stream.credit > 0 else 0
            event |= select.POLLOUT if stream.writes and stream.waiting else 0
            if event:
                found.append((stream.socket.fileno(), event))
        return found

    def _serve(self, descriptor: int, event: int) -> None:
        gone = select.POLLHUP | select.POLLERR
        if descriptor in self._others:
            self._others[descriptor]()
            return
        if descriptor == self._writes and event & (select.POLLOUT | select.POLLERR):
            self._write_pipe()
        if descriptor == self._reads and event & (select.POLLIN | gone):
            self._read_pipe()
        for channel, stream in self._streams.items():
            if stream.socket.fileno() == descriptor:
                if event & (select.POLLOUT | gone):
                    self._write_stream(channel, stream)
                if event & (select.POLLIN | gone) and stream.reads and stream.credit > 0:
                    self._read_stream(channel, stream)

    def _send(self, kind: int, channel: int, number: int, body: bytes = b"") -> None:
        self._out.append(_HEADER.pack(kind, channel, number))
        if body:
            self._out.append(body)

    def _write_pipe(self) -> None:
        while self._out:
            part = memoryview(self._out[0])
            try:
                written = os.write(self._writes, part[:_CHUNK])
            except BlockingIOError:
                return
            except OSError:
                self._open = False
                self._out.clear()
                return
            if written < len(part):
                self._out[0] = part[written:]
            else:
                self._out.popleft()

    def _read_pipe(self) -> None:
        try:
            data = os.read(self._reads, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._open = False
            return
        self._in += self._unwrapped(data)
        while len(self._in) >= _HEADER.size:
            kind, channel, number = _HEADER.unpack_from(self._in)
            limit = {_DATA: _CHUNK, _MESSAGE: self._message_bytes}.get(kind, 0)
            length = number if kind in (_DATA, _MESSAGE) else 0
            if kind > _END or length > limit:
                raise Broken(f"a frame of kind {kind} and {number} bytes")
            if len(self._in) < _HEADER.size + length:
                return
            body = bytes(self._in[_HEADER.size : _HEADER.size + length])
            del self._in[: _HEADER.size + length]
            if kind == _MESSAGE:
                self._heard(body)
            else:
                self._take(kind, channel, number, body)

    def _take(self, kind: int, channel: int, number: int, body: bytes) -> None:
        stream = self._streams.get(channel)
        if stream is None:
            raise Broken(f"no channel {channel}")
        if kind == _CREDIT:
            stream.credit = min(WINDOW, stream.credit + number)
        elif kind == _END:
            stream.ending = True
        else:
            stream.waiting_bytes += len(body)
            if stream.waiting_bytes > WINDOW or stream.ending:
                raise Broken(f"more than there was room for on channel {channel}")
            stream.waiting.append(body)
        self._write_stream(channel, stream)

    def _write_stream(self, channel: int, stream: _Stream) -> None:
        taken = 0
        while stream.waiting and stream.writes:
            part = stream.waiting[0]
            try:
                written = stream.socket.send(part)
            except BlockingIOError:
                break
            except OSError:
                stream.writes = False
                break
            taken += written
            if written < len(part):
                stream.waiting[0] = part[written:]
            else:
                stream.waiting.popleft()
        stream.waiting_bytes -= taken
        if not stream.writes:  # nobody reads it any more: let the other end write on, to nowhere
            taken += stream.waiting_bytes
            stream.waiting.clear()
            stream.waiting_bytes = 0
        if taken:
            self._send(_CREDIT, channel, taken)
        if stream.ending and stream.writes and not stream.waiting:
            stream.writes = False
            with contextlib.suppress(OSError):
                stream.socket.shutdown(socket.SHUT_WR)

    def _read_stream(self, channel: int, stream: _Stream) -> None:
        try:
            data = stream.socket.recv(min(_CHUNK, stream.credit))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            stream.credit -= len(data)
            self._send(_DATA, channel, len(data), data)
        else:
            stream.reads = False
            self._send(_END, channel, 0)
