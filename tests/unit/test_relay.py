"""Several streams over one pipe: order, half-closed ends, room for what is sent, hostile frames."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shardwork.inside.relay import WINDOW, Broken, Relay
from shardwork.sandbox.engine import Unframed

pytestmark = pytest.mark.unit

MESSAGE_BYTES = 1000
FIRST, SECOND = 1, 2


class End:
    """One relay in a thread, with two streams, and the near ends of those."""

    def __init__(self, pipe: socket.socket, **more: Any) -> None:
        self.pipe = pipe
        self.heard: list[bytes] = []
        self.failure: Exception | None = None
        fd = pipe.fileno()
        self.relay = Relay(fd, fd, self.heard.append, MESSAGE_BYTES, **more)
        self.near: dict[int, socket.socket] = {}
        for channel in (FIRST, SECOND):
            self.near[channel], far = socket.socketpair()
            self.near[channel].settimeout(20)
            self.relay.add(channel, far)
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.relay.run()
        except Broken as failure:
            self.failure = failure

    def close(self) -> None:
        for near in self.near.values():
            near.close()
        self.relay.close()
        self.pipe.close()


@pytest.fixture
def both() -> Iterator[tuple[End, End]]:
    ends = [End(pipe) for pipe in socket.socketpair()]
    for end in ends:
        end.thread.start()
    yield ends[0], ends[1]
    ends[0].pipe.shutdown(socket.SHUT_RDWR)
    for end in ends:
        end.thread.join(20)
        assert not end.thread.is_alive()
        end.close()


def read(sock: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := sock.recv(size - len(found))):
        found += data
    return found


def test_each_stream_arrives_whole_and_in_order_in_both_directions(both) -> None:
    here, there = both
    long = os.urandom(3 * WINDOW)
    writer = threading.Thread(target=here.near[FIRST].sendall, args=(long,), daemon=True)
    writer.start()
    there.near[SECOND].sendall(b"back")
    assert read(there.near[FIRST], len(long)) == long
    assert read(here.near[SECOND], 4) == b"back"
    writer.join(20)


def test_a_stream_that_nobody_reads_holds_up_no_other_and_takes_bounded_room(both) -> None:
    here, there = both
    here.near[FIRST].setblocking(False)
    sent = 0
    while sent < 100 * WINDOW:  # until nothing is taken any more
        try:
            sent += here.near[FIRST].send(bytes(1 << 16))
        except BlockingIOError:
            here.near[SECOND].sendall(b"x")
            assert read(there.near[SECOND], 1) == b"x"  # so the relays have had their turn
            try:
                sent += here.near[FIRST].send(bytes(1 << 16))
            except BlockingIOError:
                break
    assert sent < 4 * WINDOW
    assert there.relay._streams[FIRST].waiting_bytes <= WINDOW
    assert len(read(there.near[FIRST], sent)) == sent  # and all of it is there


def test_the_end_of_a_stream_arrives_after_what_was_sent_and_the_other_way_stays_open(both) -> None:
    here, there = both
    here.near[FIRST].sendall(b"last")
    here.near[FIRST].shutdown(socket.SHUT_WR)
    assert read(there.near[FIRST], 100) == b"last"
    there.near[FIRST].sendall(b"still")
    assert read(here.near[FIRST], 5) == b"still"


def test_messages_pass_beside_the_streams(both) -> None:
    here, there = both
    here.relay.say(b"one")
    here.near[FIRST].sendall(b"!")  # wakes the loop that sends it
    assert read(there.near[FIRST], 1) == b"!"
    assert there.heard == [b"one"]


def frame(kind: int, channel: int, number: int, body: bytes = b"") -> bytes:
    return struct.pack("!BBI", kind, channel, number) + body


HOSTILE: dict[str, Callable[[], bytes]] = {
    "an unknown kind": lambda: frame(9, FIRST, 0),
    "a channel that is not there": lambda: frame(0, 7, 1, b"x"),
    "a frame of four gigabytes": lambda: frame(0, FIRST, 2**32 - 1),
    "a message longer than allowed": lambda: frame(2, 0, MESSAGE_BYTES + 1),
    "more than there was room for": lambda: 50 * frame(0, FIRST, 1 << 16, bytes(1 << 16)),
    "data after the end": lambda: frame(3, FIRST, 0) + frame(0, FIRST, 1, b"x"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_relay_sends_ends_the_conversation(what: str) -> None:
    ours, theirs = socket.socketpair()
    end = End(ours)
    end.near[FIRST].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    end.thread.start()
    with theirs:
        theirs.settimeout(3)
        with contextlib.suppress(BrokenPipeError, TimeoutError):
            theirs.sendall(HOSTILE[what]())
        end.thread.join(20)
        assert isinstance(end.failure, Broken)
        end.close()


def test_an_attached_containers_output_is_taken_apart_however_it_is_cut() -> None:
    """The format: `POST /containers/{id}/attach` in the Docker Engine API, stream format."""

    def framed(stream: int, data: bytes) -> bytes:
        return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data

    whole = framed(1, b"out") + framed(2, b"log") + framed(1, b"") + framed(1, b"more")
    for size in range(1, len(whole) + 1):
        taken = Unframed()
        pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
        assert b"".join(taken.output(piece) for piece in pieces) == b"outmore"
        assert taken.log == "log"
