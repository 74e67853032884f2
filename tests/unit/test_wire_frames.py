"""Frames over a socket: whatever the other side does, a wait ends, and by one of three names."""

from __future__ import annotations

import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shardwork.wire import (
    Allowance,
    Answer,
    Ask,
    Call,
    CallRanks,
    Connection,
    Deadline,
    FromJudge,
    FromSandbox,
    Invoke,
    PeerGone,
    Raised,
    RankEnded,
    Ready,
    Returned,
    TimeIsUp,
    WireError,
    frames,
)

pytestmark = pytest.mark.unit

SOON = 0.2
"""Seconds of a deadline that must pass."""
LATE = 20.0
"""Seconds of a deadline that must not pass."""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    yield near, far
    near.close()
    far.close()


@pytest.fixture
def judge(ends: tuple[socket.socket, socket.socket]) -> Connection[Any, Any]:
    """The judge's connection; what the sandbox does with its end is the test's."""
    return Connection(ends[0], FromSandbox)


@pytest.fixture
def sandbox(ends: tuple[socket.socket, socket.socket]) -> socket.socket:
    return ends[1]


def frame(message: object) -> bytes:
    body = msgspec.msgpack.encode(message)
    return struct.pack(">I", len(body)) + body


MESSAGES = [
    Ready(1),
    Returned(7, ["l", 1, 2.5, b"\0"]),
    Raised(8, "answer", ["ValueError", "Exception"], "no", line=3, rank=1),
    Invoke(9, 2**60, [["n", "<f8", [1], b"12345678"]]),
    RankEnded(0),
]


def test_each_message_of_the_sandbox_arrives_as_it_was_sent(judge, sandbox) -> None:
    for message in MESSAGES:
        sandbox.sendall(frame(message))
    assert [judge.receive(Deadline(LATE)) for _ in MESSAGES] == MESSAGES


def test_each_message_of_the_judge_arrives_as_it_was_sent(judge, sandbox) -> None:
    other: Connection[Any, Any] = Connection(sandbox, FromJudge)
    questions = [
        Call(1, "tree", [["t"]], {"fan_in": 2}),
        CallRanks(2, "dp_grads", [[1], [2]], "gloo"),
        Ask(3, "dask.graph", [["r", "dask.delayed", 1]]),
        Answer(4, 5),
        Answer(5, refusal="no"),
    ]
    for question in questions:
        judge.send(question, Deadline(LATE))
    assert [other.receive(Deadline(LATE)) for _ in questions] == questions


def test_a_frame_that_arrives_in_pieces_is_put_together(judge, sandbox) -> None:
    data = frame(Returned(1, "x" * 100_000)) + frame(Ready(1))

    def send() -> None:
        for start in range(0, len(data), 997):
            sandbox.sendall(data[start : start + 997])

    sender = threading.Thread(target=send)
    sender.start()
    assert judge.receive(Deadline(LATE)) == Returned(1, "x" * 100_000)
    assert judge.receive(Deadline(LATE)) == Ready(1)
    sender.join()


def test_a_frame_larger_than_the_socket_holds_travels_when_the_other_side_reads(
    judge, sandbox
) -> None:
    other: Connection[Any, Any] = Connection(sandbox, FromJudge)
    big = Answer(1, "x" * (4 << 20))
    sender = threading.Thread(target=lambda: judge.send(big, Deadline(LATE)))
    sender.start()
    assert other.receive(Deadline(LATE)) == big
    sender.join()


def test_messages_of_several_threads_do_not_run_into_each_other(judge, sandbox) -> None:
    other: Connection[Any, Any] = Connection(sandbox, FromJudge)

    def send(number: int) -> None:
        for _ in range(5):  # each larger than the socket holds, so that it is sent in parts
            judge.send(Answer(number, str(number) * 1_000_000), Deadline(LATE))

    senders = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for sender in senders:
        sender.start()
    got = [other.receive(Deadline(LATE)) for _ in range(20)]
    for sender in senders:
        sender.join()
    assert all(answer.value == str(answer.number) * 1_000_000 for answer in got)


# a peer that does nothing, or too little --------------------------------------------------------


def test_a_peer_that_sends_nothing_is_given_up_at_the_deadline(judge) -> None:
    with pytest.raises(TimeIsUp):
        judge.receive(Deadline(SOON))


def test_a_peer_that_stops_in_the_middle_of_a_frame_is_given_up_at_the_deadline(
    judge, sandbox
) -> None:
    sandbox.sendall(frame(Returned(1, "x" * 100))[:-1])
    with pytest.raises(TimeIsUp):
        judge.receive(Deadline(SOON))


def test_a_peer_that_always_has_one_more_byte_is_given_up_at_the_deadline(judge, sandbox) -> None:
    done = threading.Event()

    def trickle() -> None:
        sandbox.sendall(struct.pack(">I", 1 << 20))
        while not done.wait(0.001):
            sandbox.sendall(b"\0")

    sender = threading.Thread(target=trickle)
    sender.start()
    try:
        with pytest.raises(TimeIsUp):
            judge.receive(Deadline(SOON))
    finally:
        done.set()
        sender.join()


def test_a_peer_that_never_reads_is_given_up_at_the_deadline(judge) -> None:
    with pytest.raises(TimeIsUp):
        judge.send(Answer(1, "x" * (8 << 20)), Deadline(SOON))


def test_a_deadline_in_the_past_ends_even_a_wait_that_could_go_on(judge, sandbox) -> None:
    sandbox.sendall(frame(Ready(1)))
    with pytest.raises(TimeIsUp):
        judge.receive(Deadline(0))


def test_without_a_limit_a_wait_goes_on_until_something_comes(judge, sandbox) -> None:
    deadline = Deadline(None)
    assert deadline.left() is None
    later = threading.Timer(SOON, sandbox.sendall, (frame(Ready(1)),))
    later.start()
    assert judge.receive(deadline) == Ready(1)
    later.join()


def test_the_seconds_left_shrink_and_never_go_below_zero() -> None:
    assert 0 < (Deadline(5.0).left() or 0) <= 5.0
    passed = Deadline(0.0)
    time.sleep(0.001)
    assert passed.left() == 0.0


# a peer that goes, or lies ----------------------------------------------------------------------


def test_a_peer_that_has_closed_its_end_is_gone_for_reading_and_for_writing(judge, sandbox) -> None:
    sandbox.close()
    with pytest.raises(PeerGone):
        judge.receive(Deadline(LATE))
    with pytest.raises(PeerGone):
        judge.send(Answer(1, "x"), Deadline(LATE))


def test_a_peer_that_closes_in_the_middle_of_a_frame_is_gone(judge, sandbox) -> None:
    sandbox.sendall(frame(Ready(1))[:-1])
    sandbox.close()
    with pytest.raises(PeerGone):
        judge.receive(Deadline(LATE))


def test_a_length_above_the_bound_is_refused_before_a_byte_of_it_is_read(judge, sandbox) -> None:
    sandbox.sendall(struct.pack(">I", frames.MAX_FRAME_BYTES + 1))
    with pytest.raises(WireError, match="33554433 bytes; at most 33554432"):
        judge.receive(Deadline(LATE))


def test_a_message_above_the_bound_is_not_sent(judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME_BYTES", 1000)
    with pytest.raises(WireError, match="at most 1000 may be sent"):
        judge.send(Answer(1, "x" * 1000), Deadline(LATE))


@pytest.mark.parametrize(
    "message",
    [
        Call(1, "f", []),  # the other side's message
        {"type": "ready", "protocol": 1, "more": 1},
        {"type": "ready"},
        {"type": "returned", "number": "1", "value": None},
        {"type": "raised", "number": 1, "where": "elsewhere", "types": [], "text": ""},
        {"type": "rank_ended", "rank": 1.5},
        {"type": "shutdown"},
        ["ready", 1],
        None,
    ],
    ids=["call", "extra", "missing", "wrong", "enum", "float", "unknown", "array", "nothing"],
)
def test_a_message_outside_the_closed_union_is_a_wire_error(judge, sandbox, message) -> None:
    sandbox.sendall(frame(message))
    with pytest.raises(WireError, match="malformed message"):
        judge.receive(Deadline(LATE))


NOT_UTF8 = b"\x83\xa4type\xa8returned\xa6number\x01\xa5value\xa1\xff"
DEEP = b"\x83\xa4type\xa8returned\xa6number\x01\xa5value" + b"\x91" * 100_000 + b"\xc0"
PROMISES_4_GIB = b"\x83\xa4type\xa8returned\xa6number\x01\xa5value" + b"\xdd\xff\xff\xff\xff"


EMPTY_LISTS = b"\x83\xa4type\xa8returned\xa6number\x01\xa5value" + b"\xdd\0\x03\x0d\x40"


@pytest.mark.parametrize(
    "item", [b"\x90", b"\x80", b"\x81\xa0\xc0", b"\xa2ab", b"\x91" * 50 + b"\xc0"],
    ids=["lists", "maps", "maps of one", "texts", "nested"],
)  # fmt: skip
def test_a_frame_that_would_become_too_large_is_refused_before_anything_is_made_of_it(
    judge, sandbox, monkeypatch: pytest.MonkeyPatch, item: bytes
) -> None:
    """200,000 empty lists in 200 kB take 14 MB; the allocator is asked what was taken."""
    monkeypatch.setattr(frames, "MAX_DECODED_BYTES", 1_000_000)
    body = EMPTY_LISTS + item * (200_000 // len(item))
    sender = threading.Thread(target=sandbox.sendall, args=(struct.pack(">I", len(body)) + body,))
    sender.start()
    tracemalloc.start()
    try:
        with pytest.raises(WireError, match="would take more than 1000000 bytes"):
            judge.receive(Deadline(LATE))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        sender.join()
    assert peak_bytes < 1_000_000


def test_an_array_of_eight_megabytes_is_not_looked_into(judge, sandbox) -> None:
    big = Returned(1, ["n", "<f8", [1 << 20], b"\x90" * (8 << 20)])
    sender = threading.Thread(target=sandbox.sendall, args=(frame(big),))
    sender.start()
    assert judge.receive(Deadline(LATE)) == big
    sender.join()


def test_an_allowance_counts_bytes_with_their_lengths_and_messages(judge, sandbox) -> None:
    body = len(frame(Ready(1)))
    for limit_bytes, messages in ((3 * body, 9), (3 * body + body - 1, 9), (10**6, 3)):
        allowance = Allowance(limit_bytes, messages)
        for _ in range(3):
            sandbox.sendall(frame(Ready(1)))
            assert judge.receive(Deadline(LATE), allowance) == Ready(1)
        with pytest.raises(WireError, match="in all"):
            allowance.spend(body - 4)


def test_an_allowance_within_another_spends_both() -> None:
    whole = Allowance(100, 100)
    with pytest.raises(WireError):
        for _ in range(20):
            Allowance(50, 5, within=whole).spend(6)
    with pytest.raises(WireError):
        whole.spend(6)


@given(st.binary(max_size=60))
@example(NOT_UTF8)
@example(DEEP)
@example(PROMISES_4_GIB)
@example(b"")
def test_arbitrary_bytes_in_a_frame_are_a_message_or_a_wire_error_and_nothing_else(
    body: bytes,
) -> None:
    near, far = socket.socketpair()
    with near, far:
        judge: Connection[Any, Any] = Connection(near, FromSandbox)
        far.sendall(struct.pack(">I", len(body)) + body)
        try:
            message = judge.receive(Deadline(LATE))
        except WireError:
            return
        assert isinstance(message, (Ready, Returned, Raised, Invoke, RankEnded))


@given(
    st.sampled_from(MESSAGES),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=3),
    st.integers(0, 3),
)
def test_a_damaged_frame_is_a_message_or_one_of_three_errors(message, damage, cut: int) -> None:
    data = bytearray(frame(message))
    for place, byte in damage:
        data[place % len(data)] = byte
    near, far = socket.socketpair()
    with near, far:
        judge: Connection[Any, Any] = Connection(near, FromSandbox)
        far.sendall(data[: len(data) - cut])
        far.shutdown(socket.SHUT_WR)
        try:
            while True:
                heard = judge.receive(Deadline(LATE))
                assert isinstance(heard, (Ready, Returned, Raised, Invoke, RankEnded))
        except (WireError, PeerGone):
            pass


def test_a_connection_may_be_closed_twice(judge) -> None:
    judge.close()
    judge.close()
