"""The judge's side of the conversation, with a sandbox that says what a test tells it to."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shardwork.grading import AllReduce, Cause, GraderFault, Instrument, StudentFault
from shardwork.judge import dialogue as dialogue_module
from shardwork.judge.dialogue import Dialogue, Ledger
from shardwork.judge.faults import SandboxLost
from shardwork.probes.server import Server
from shardwork.wire import (
    Answer,
    Connection,
    Deadline,
    FromJudge,
    FromSandbox,
    Invoke,
    PeerGone,
    RankEnded,
    Ready,
    Returned,
    frames,
)

pytestmark = pytest.mark.unit

LATE = 20.0
"""Seconds of a deadline that must not pass."""
SOON = 0.2


class Sandbox:
    """The other end of the connection; it sends messages, or whatever bytes it likes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._connection: Connection[Any, Any] = Connection(sock, FromJudge)

    def hear(self) -> Any:
        return self._connection.receive(Deadline(LATE))

    def say(self, *messages: Any) -> None:
        for message in messages:
            body = message if isinstance(message, bytes) else msgspec.msgpack.encode(message)
            self.write(struct.pack(">I", len(body)) + body)

    def write(self, data: bytes) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(data)


class Line:
    """What a Dialogue needs of a session: here, one socket, and a thread that plays the sandbox."""

    def __init__(self) -> None:
        near, far = socket.socketpair()
        self.ends = (near, far)
        self.connection: Connection[Any, Any] | None = Connection(near, FromSandbox)
        self.why_killed = None
        self.notebook = SimpleNamespace(cells=[SimpleNamespace(source="a = 1\nb = 2\nc = 3")])
        self._threads: list[threading.Thread] = []

    def patience(self, limit_s: float) -> Deadline:
        return Deadline(limit_s)

    def close_sandbox(self) -> None:
        self.connection = None

    def play(self, part: Callable[[Sandbox], None]) -> None:
        def run() -> None:
            with contextlib.suppress(PeerGone, OSError):
                part(Sandbox(self.ends[1]))

        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()

    def close(self) -> None:
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LATE)
        for end in self.ends:
            end.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def talk(line: Line, limit_s: float = LATE, ledger: Ledger | None = None) -> Dialogue:
    return Dialogue(line, limit_s, ledger)  # type: ignore[arg-type] # all that is used of a session


def lost(line: Line, part: Callable[[Sandbox], None], limit_s: float = LATE) -> SandboxLost:
    """Have the sandbox play its part while a function is called; return how the call was lost."""
    line.play(part)
    with pytest.raises(SandboxLost) as raised:
        talk(line, limit_s).call("f", (), {})
    assert line.connection is None
    return raised.value


# replies


def test_the_reply_to_the_question_is_its_value(line) -> None:
    line.play(lambda box: box.say(Returned(box.hear().number, ["l", 1, 2])))
    assert talk(line).call("f", (), {}) == [1, 2]
    assert line.connection is not None


def test_numbers_of_questions_cannot_be_guessed_from_earlier_ones(line) -> None:
    heard: list[int] = []

    def answer(box: Sandbox) -> None:
        for _ in range(40):
            heard.append(box.hear().number)
            box.say(Returned(heard[-1], None))

    line.play(answer)
    with_one = talk(line)
    for _ in range(20):
        with_one.call("f", (), {})
    for _ in range(20):
        talk(line).ask("spark.mark")
    steps = {b - a for a, b in itertools.pairwise(heard)}
    assert len(set(heard)) == 40
    assert len(steps) == 39
    assert max(heard) > 2**48  # of 40 draws from 62 bits, all below with odds of 2**-560


@pytest.mark.parametrize("number", [0, 1, 2, 999, -1, 2**62])
def test_a_reply_that_was_sent_before_the_question_is_not_taken_for_its_answer(
    line, number: int
) -> None:
    fault = lost(line, lambda box: box.say(Returned(number, 42)))
    assert (fault.cause, fault.detail) == (Cause.DIED, "a message that was not asked for")


def test_a_second_reply_to_one_question_is_no_reply_to_the_next(line) -> None:
    def twice(box: Sandbox) -> None:
        number = box.hear().number
        box.say(Returned(number, 1), Returned(number, 2))

    line.play(twice)
    dialogue = talk(line)
    assert dialogue.call("f", (), {}) == 1
    with pytest.raises(SandboxLost):
        dialogue.call("g", (), {})


@pytest.mark.parametrize(
    "message",
    [
        Ready(1),
        RankEnded(0),
        Invoke(1, 5, []),
        b"",
        b"\xc1",
        {"type": "returned", "number": None, "value": 1},
        {"type": "returned", "number": [1], "value": 1},
        {"type": "invoke", "number": 1, "instrument": {}, "args": []},
        {"type": "rank_ended", "rank": -1},
        {"type": "x" * 1_000_000},
    ],
    ids=lambda message: str(message)[:40],
)
def test_a_message_that_does_not_belong_there_loses_the_sandbox(line, message) -> None:
    fault = lost(line, lambda box: box.say(message))
    assert fault.cause is Cause.DIED
    assert len(fault.detail) < 1000


@pytest.mark.parametrize(
    "change",
    [
        {"types": ["E"] * 13},
        {"types": ["E" * 101]},
        {"text": "x" * 2001},
        {"line": 0},
        {"line": 10**9},
        {"rank": -1},
        {"rank": 2**40},
        {"where": "judge"},
        {"types": [1]},
    ],
    ids=lambda change: str(change)[:30],
)
def test_what_a_sandbox_says_of_an_exception_is_bounded(line, change) -> None:
    raised = {"type": "raised", "where": "answer", "types": ["E"], "text": "no"} | change
    fault = lost(line, lambda box: box.say(raised | {"number": box.hear().number}))
    assert fault.detail.startswith("a malformed message")


@pytest.mark.parametrize("change", [{"args": [None] * 65}, {"rank": 1024}, {"rank": -1}], ids=str)
def test_what_a_sandbox_says_of_a_call_of_an_instrument_is_bounded(line, change) -> None:
    def part(box: Sandbox) -> None:
        instrument = box.hear().args[0][2]
        invoke = {"type": "invoke", "number": 1, "instrument": instrument, "args": [1]}
        box.say(invoke | change)

    line.play(part)
    with pytest.raises(SandboxLost) as raised:
        talk(line).call("f", (Adds(),), {})
    assert raised.value.detail.startswith("a malformed message")


# what a student is told of an exception

SECRET = "7f3a-hidden-input"


def fault_of(line: Line, raised: dict[str, Any], ranks: int = 0) -> StudentFault:
    answer = {"type": "raised", "where": "answer", "types": ["ValueError"], "text": SECRET}
    line.play(lambda box: box.say(answer | raised | {"number": box.hear().number}))
    with pytest.raises(StudentFault) as caught:
        if ranks:
            talk(line).call_ranks("f", [[]] * ranks, "gloo")
        else:
            talk(line).call("f", (), {})
    return caught.value


def test_the_text_of_an_exception_is_for_the_ta_and_in_nothing_that_a_student_reads(line) -> None:
    fault = fault_of(line, {"line": 2})
    assert SECRET in fault.detail
    assert SECRET not in fault.message + str(fault.evidence)
    assert fault.evidence == {"type": "ValueError", "line": 2}


def test_the_text_of_an_exception_is_shown_without_terminal_sequences(line) -> None:
    assert "\x1b" not in fault_of(line, {"text": "\x1b[31mred\x1b]0;title\x07"}).detail


@pytest.mark.parametrize(("said", "told"), [(3, 3), (4, None), (999_999, None)])
def test_a_line_that_no_cell_has_is_not_told(line, said: int, told: int | None) -> None:
    """The longest cell has three lines; a larger number could be anything."""
    assert fault_of(line, {"line": said}).evidence.get("line") == told


@pytest.mark.parametrize(("said", "told"), [(0, 0), (1, 1), (2, None), (1000, None)])
def test_a_rank_outside_the_world_is_not_told(line, said: int, told: int | None) -> None:
    assert fault_of(line, {"rank": said}, ranks=2).evidence.get("rank") == told


def test_a_rank_is_not_told_where_there_are_none(line) -> None:
    assert "rank" not in fault_of(line, {"rank": 0}).evidence


# ranks


@pytest.mark.parametrize(
    "ended", [[2], [0, 0], [1023]], ids=["outside the world", "twice", "far outside"]
)
def test_the_end_of_a_rank_that_is_none_loses_the_sandbox(line, ended: list[int]) -> None:
    line.play(lambda box: (box.hear(), box.say(*(RankEnded(rank) for rank in ended))))
    with pytest.raises(SandboxLost):
        talk(line).call_ranks("f", [[], []], "threads")


def test_ranks_that_end_are_heard_by_their_instruments(line) -> None:
    def run(box: Sandbox) -> None:
        asked = box.hear()
        box.say(RankEnded(1), RankEnded(0), Returned(asked.number, ["l", 1, 2]))

    line.play(run)
    ended: list[int] = []
    reduce = AllReduce()
    reduce.rank_ended = ended.append  # type: ignore[method-assign]
    assert talk(line).call_ranks("f", [[reduce], [reduce]], "threads") == [1, 2]
    assert ended == [1, 0]


# instruments


class Adds(Instrument):
    """Adds a whole number to what it has; -1 shows a mistake of the grader's."""

    def __init__(self) -> None:
        self.total = 0

    def call(self, number: int) -> int:
        if number == -1:
            raise KeyError("a mistake of the grader's")
        if number == -2:
            return object()  # type: ignore[return-value] # another one
        self.total += number
        return self.total


def calls(*args: Any) -> Callable[[Sandbox], None]:
    """Play a function that calls its instrument with each of these lists of arguments."""

    def part(box: Sandbox) -> None:
        asked = box.hear()
        said = []
        for number, each in enumerate(args):
            box.say(Invoke(number, asked.args[0][2], each))
            reply: Answer = box.hear()
            said.append(reply.refusal or reply.value)
        box.say(Returned(asked.number, ["l", *said]))

    return part


def test_an_instrument_is_called_and_answers(line) -> None:
    adds = Adds()
    line.play(calls([2], [3]))
    assert talk(line).call("f", (adds,), {}) == [2, 5]


@pytest.mark.parametrize(
    ("args", "refusal"),
    [
        ([], "does not take 0 arguments"),
        ([1, 2], "does not take 2 arguments"),
        (["2"], "argument 1 has another type"),
        ([True], "argument 1 has another type"),
        ([2.0], "argument 1 has another type"),
        ([["l", 1]], "argument 1 has another type"),
        ([["d", 1, 2]], "argument 1 has another type"),
        ([["r", "spark.rdd", 1]], "argument 1 has another type"),
    ],
    ids=str,
)
def test_other_arguments_than_an_instrument_takes_are_refused_and_are_no_error_of_ours(
    line, args, refusal: str
) -> None:
    adds = Adds()
    line.play(calls(args, [4]))
    first, second = talk(line).call("f", (adds,), {})
    assert refusal in first
    assert second == 4


@pytest.mark.parametrize(("number", "error"), [(-1, KeyError), (-2, GraderFault)])
def test_a_mistake_of_an_instrument_is_ours_and_the_sandbox_that_waits_for_it_is_closed(
    line, number: int, error: type[Exception]
) -> None:
    line.play(calls([number]))
    with pytest.raises(error):
        talk(line).call("f", (Adds(),), {})
    assert line.connection is None


def test_a_thread_that_is_left_over_is_refused_and_costs_the_next_check_nothing(line) -> None:
    """It calls the instrument of a check that is over, while the next one is judged."""
    adds, ledger = Adds(), Ledger()
    refused: list[str | None] = []

    def part(box: Sandbox) -> None:
        first = box.hear()
        box.say(Returned(first.number, None))
        second = box.hear()
        box.say(Invoke(7, first.args[0][2], [1]))
        refused.append(box.hear().refusal)
        box.say(Returned(second.number, "fine"))

    line.play(part)
    before = talk(line, ledger=ledger)
    before.call("f", (adds,), {})
    before.close()
    assert talk(line, ledger=ledger).call("g", (), {}) == "fine"
    assert refused == ["the call that this belonged to is over"]
    assert adds.total == 0


def test_one_instrument_has_one_number_and_two_have_two(line) -> None:
    seen: list[int] = []

    def part(box: Sandbox) -> None:
        asked = box.hear()
        seen.extend(arg[2] for arg in asked.args)
        box.say(Returned(asked.number, None))

    line.play(part)
    one, other = Adds(), Adds()
    talk(line).call("f", (one, other, one), {})
    assert seen[0] == seen[2] != seen[1]


# bounds in all


def test_what_is_sent_in_one_call_is_bounded(line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialogue_module, "CALL_BYTES", 100_000)
    done: list[int] = []

    def flood(box: Sandbox) -> None:
        asked = box.hear()
        for number in range(10_000):
            box.say(Invoke(number, asked.args[0][2], [1]))
            box.hear()
            done.append(number)

    line.play(flood)
    adds = Adds()
    with pytest.raises(SandboxLost) as raised:
        talk(line).call("f", (adds,), {})
    assert raised.value.detail == "more bytes or messages in all than are accepted"
    # by hand: such a message has 50 to 100 bytes with its length
    assert 1000 < len(done) < 2000


def test_the_number_of_messages_in_one_call_is_bounded(
    line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue_module, "MAX_INVOCATIONS", 5)
    line.play(calls(*[[1]] * 5))
    adds = Adds()
    with pytest.raises(SandboxLost):  # the reply would be the sixth
        talk(line).call("f", (adds,), {})
    assert adds.total == 5


def test_what_is_sent_in_one_submission_is_bounded_over_all_its_checks(
    line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue_module, "SUBMISSION_BYTES", 10_000)
    ledger = Ledger()

    def answer(box: Sandbox) -> None:
        while True:
            box.say(Returned(box.hear().number, "x" * 3000))

    line.play(answer)
    for _ in range(3):
        assert talk(line, ledger=ledger).call("f", (), {}) == "x" * 3000
    with pytest.raises(SandboxLost, match="disturbed"):
        talk(line, ledger=ledger).call("f", (), {})


def test_a_frame_above_what_is_left_is_refused_before_it_is_read(
    line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialogue_module, "CALL_BYTES", 1000)
    # Were the frame read, this would wait for the rest of it until the deadline.
    assert lost(line, lambda box: box.write(struct.pack(">I", 2000))).cause is Cause.DIED


# peers that do nothing, or too little


def trickle(box: Sandbox) -> None:
    box.write(struct.pack(">I", 1 << 20))
    while True:
        box.write(b"\0")
        threading.Event().wait(0.01)


PARTS: dict[str, Callable[[Sandbox], object]] = {
    "says nothing": lambda box: None,
    "stops in a length": lambda box: box.write(b"\0\0"),
    "stops in a frame": lambda box: box.write(struct.pack(">I", 50) + b"\x83"),
    "sends a byte now and then": trickle,
    "begins a frame of the largest size": lambda box: box.write(
        struct.pack(">I", frames.MAX_FRAME_BYTES)
    ),
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
def test_a_sandbox_that_does_not_answer_has_not_finished(line, part) -> None:
    fault = lost(line, part, SOON)
    assert fault.cause is Cause.NEVER_RETURNED


def test_a_sandbox_that_never_reads_has_not_finished(line) -> None:
    with pytest.raises(SandboxLost) as raised:
        talk(line, SOON).call("f", ("x" * (4 << 20),), {})
    assert raised.value.cause is Cause.NEVER_RETURNED


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\x02\0\0\x01"])
def test_a_length_above_the_bound_is_no_reason_to_wait(line, length: bytes) -> None:
    assert lost(line, lambda box: box.write(length)).cause is Cause.DIED


def test_a_frame_of_no_bytes_is_malformed(line) -> None:
    assert "malformed" in lost(line, lambda box: box.write(b"\0\0\0\0")).detail


# whatever is sent

trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.binary(max_size=8)
    | st.sampled_from(["returned", "raised", "invoke", "rank_ended", "answer", "ValueError"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["type", "number", "value", "args", "rank", "text"]), inner)
    | st.tuples(st.sampled_from("ltdsicngTro"), st.lists(inner, max_size=4)).map(
        lambda pair: [pair[0], *pair[1]]
    ),
    max_leaves=12,
)  # fmt: skip


def outcome(send: Callable[[Sandbox], None]) -> object:
    line = Line()
    try:
        line.play(send)
        try:
            return talk(line).call("f", (Adds(),), {})
        except StudentFault as fault:
            return fault
    finally:
        line.close()


@settings(max_examples=150)
@given(trees, st.sampled_from(["returned", "raised", "invoke"]))
@example(["i", "0x" + "f" * 998], "returned")
@example(["d", ["T", "<f8", [1], b"12345678"], 1], "returned")
@example(["s", ["n", "<f8", [], b"12345678"]], "returned")
def test_any_value_in_a_message_ends_the_call_by_a_value_or_a_fault_of_the_student(
    tree: object, kind: str
) -> None:
    def send(box: Sandbox) -> None:
        asked = box.hear()
        message: Any = {
            "returned": Returned(asked.number, tree),
            "raised": {"type": "raised", "number": asked.number, "where": "answer",
                       "types": ["E"], "text": tree},
            "invoke": {"type": "invoke", "number": 1, "instrument": asked.args[0][2],
                       "args": [tree]},
        }[kind]  # fmt: skip
        box.say(message, Returned(asked.number, None))

    outcome(send)


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_frame_ends_the_call_by_a_value_or_a_fault_of_the_student(data) -> None:
    def send(box: Sandbox) -> None:
        number = box.hear().number
        body = bytearray(msgspec.msgpack.encode(Returned(number, ["l", 1, ["d", "a", 2.5]])))
        for place, byte in damage:
            body[place % len(body)] = byte
        box.say(bytes(body[: len(body) - cut]))

    damage = data.draw(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4))
    cut = data.draw(st.integers(0, 5))
    outcome(send)


# both ends: what student code raises, as the sandbox's own server tells it


def told_by(namespace: dict[str, Any], *args: object) -> Any:
    """Call `f` through a real server, in this process; return its value or fault."""
    line = Line()
    line.play(lambda box: Server(box.sock, namespace).run())
    try:
        assert line.connection is not None
        assert isinstance(line.connection.receive(Deadline(LATE)), Ready)
        try:
            return talk(line).call("f", args, {})
        except StudentFault as fault:
            return fault
    finally:
        line.close()


class Odd(Exception):
    """What student code may make of an exception."""

    root = "no RankStatus"

    def __str__(self) -> str:
        raise SystemExit


def raises(error: BaseException, note: str | None = None) -> dict[str, Any]:
    def f() -> None:
        if note is not None:
            error.add_note(note)
        raise error

    return {"f": f}


@pytest.mark.parametrize(
    ("namespace", "detail"),
    [
        (raises(ValueError("half a pair: \ud800")), "ValueError: half a pair: ?"),
        (raises(ValueError("x" * 10_000_000)), "ValueError: " + "x" * 2000),
        (raises(Odd()), "Odd: (an exception that cannot be printed)"),
        (raises(ValueError("no"), "rank of a matrix"), "ValueError: no"),
        (raises(ValueError("no"), "rank 99999999999"), "ValueError: no"),
        (raises(type("E" * 300, (Exception,), {})("no")), "E" * 80 + "…: no"),
    ],
    ids=["surrogate", "long", "odd", "note", "large rank", "long name"],
)
def test_an_exception_of_any_kind_is_told_and_bounded(namespace, detail: str) -> None:
    fault = told_by(namespace)
    assert (fault.cause, fault.detail) == (Cause.RAISED, detail)


def test_two_objects_that_do_not_travel_may_both_be_keys() -> None:
    assert len(told_by({"f": lambda: {object(): 1, object(): 2}})) == 1
