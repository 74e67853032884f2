"""Graders under the judge's pytest, in this process, with a sandbox that says what it is told to.

What real sandboxes make of the same is in `tests/functional/test_judge.py`.
"""

from __future__ import annotations

import contextlib
import difflib
import pprint
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from shardwork.course import Limits
from shardwork.judge.graders import Graders
from shardwork.judge.sitting import MAX_DETAIL_CHARS
from shardwork.record import Cause, CheckResult, Verdict
from shardwork.wire import Call, Connection, Deadline, FromJudge, FromSandbox, PeerGone, Returned

pytestmark = pytest.mark.unit

LATE = 20.0

Reply = Callable[["Rooms", Call], object]
"""Returns what a sandbox answers to a call, or a message that it sends in its place."""


class Rooms:
    """A session whose sandboxes are threads of this process; `starts` counts them."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.connection: Connection[Any, Any] | None = None
        self.notebook = SimpleNamespace(cells=[])
        self.why_killed = None
        self.starts = 0

    @property
    def alive(self) -> bool:
        return self.connection is not None

    def open(self) -> None:
        self.starts += 1
        near, far = socket.socketpair()
        self._sockets += [near, far]
        self.connection = Connection(near, FromSandbox)
        thread = threading.Thread(target=self._serve, args=(far,))
        self._threads.append(thread)
        thread.start()

    def _serve(self, sock: socket.socket) -> None:
        connection: Connection[Any, Any] = Connection(sock, FromJudge)
        with contextlib.suppress(PeerGone, OSError):
            while True:
                asked = connection.receive(Deadline(None))
                reply = self._reply(self, asked)
                if reply is PeerGone:
                    sock.shutdown(socket.SHUT_RDWR)
                    return
                message = reply if isinstance(reply, msgspec.Struct) else None
                connection.send(message or Returned(asked.number, reply), Deadline(LATE))

    def grant(self, limit_s: float) -> None:
        """Every exercise has time enough here."""

    def patience(self, limit_s: float) -> Deadline:
        return Deadline(limit_s)

    def seconds_left(self) -> float:
        return LATE

    def close_sandbox(self) -> None:
        self.connection = None

    def close(self) -> None:
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LATE)
        for sock in self._sockets:
            sock.close()


class Found:
    def __init__(self, checks: dict[str, list[CheckResult]], starts: int) -> None:
        self.checks = checks
        self.starts = starts

    def one(self, exercise: str) -> CheckResult:
        (check,) = self.checks[exercise]
        return check


@pytest.fixture
def judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Found]]:
    """Judge graders (a table from exercise to source) with the given reply."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the judge sets it, for good
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    # The pytest that runs this test would rewrite the graders' assertions; a judge stands alone.
    alone = [
        finder for finder in sys.meta_path if type(finder).__name__ != "AssertionRewritingHook"
    ]
    monkeypatch.setattr(sys, "meta_path", alone)
    rooms: list[Rooms] = []

    def run(graders: dict[str, str], reply: Reply) -> Found:
        for exercise, source in graders.items():
            (tmp_path / f"test_{exercise}.py").write_text(source)
        room = Rooms(reply)
        rooms.append(room)
        loaded, checks = Graders(Limits(), {}), {}

        def work() -> None:
            found = loaded.judge(room, (1,), tuple(graders))  # type: ignore[arg-type] # as a session
            checks.update({name: list(of_one) for (_, name), of_one in found.items()})

        loaded.load(tmp_path, tuple(graders), work)
        return Found(checks, room.starts)

    yield run
    for one in rooms:
        one.close()


def grader(*lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    return f'from shardwork.grading import blame\n\n\ndef test_it(student):\n    """It."""\n{body}'


VALUE = 'value = student.value("f", as_=str)'


# what comes of observations that a grader asserts on

TOKEN = "c-exp-5d1f"


@pytest.mark.parametrize(
    "compares",
    ["assert value == expected", "assert expected in value", "assert [value] == [expected]",
     "assert {'a': value} == {'a': expected}"],
)  # fmt: skip
def test_two_huge_texts_that_differ_are_compared_and_not_explained(
    judge, monkeypatch: pytest.MonkeyPatch, compares: str
) -> None:
    """pytest would compute a difference, which takes minutes for a text of some megabytes."""
    explained: list[str] = []
    for module, name in ((difflib, "ndiff"), (difflib, "SequenceMatcher"), (difflib, "Differ"),
                         (pprint, "PrettyPrinter"), (pprint, "pformat")):  # fmt: skip
        monkeypatch.setattr(module, name, lambda *_, what=name, **__: explained.append(what))
    text = "\n".join(f"{n * 7919 % 10007}" for n in range(300_000))
    found = judge(
        {"texts": grader(VALUE, f"expected = {TOKEN!r} + '\\n' * 300000", compares)},
        lambda rooms, asked: text,
    )
    check = found.one("texts")
    assert (check.verdict, check.cause) == (Verdict.FAILED, Cause.OBSERVED)
    assert explained == []
    assert (check.message, check.evidence) == ("", {})
    assert TOKEN not in str(check)
    assert check.detail == "test_texts.py:8"


@pytest.mark.parametrize(
    "says", ["value", "[value] * 1000", "{'a': value}", "f'{value} is wrong'", "10 ** 5000"]
)
def test_what_an_assertion_says_is_for_the_ta_and_bounded(judge, says: str) -> None:
    found = judge(
        {"says": grader(VALUE, f"assert not value, {says}")},
        lambda rooms, asked: "\x1b[31m" + "x" * 5_000_000,
    )
    check = found.one("says")
    assert (check.verdict, check.message) == (Verdict.FAILED, "")
    assert len(check.detail) <= MAX_DETAIL_CHARS + 50
    assert "\x1b" not in check.detail


def test_evidence_is_bounded_whatever_a_grader_puts_into_it(judge) -> None:
    found = judge(
        {"much": grader(
            VALUE,
            "many = {f'n{i}': i for i in range(100)}",
            "assert not value, blame(text=value, large=10**400, huge=10**6000, **many)",
        )},
        lambda rooms, asked: "\x1b[31m" + "x" * 1_000_000,
    )  # fmt: skip
    evidence = found.one("much").evidence
    assert len(evidence) == 32
    assert evidence["n1"] == 1
    assert all(len(str(value)) <= 401 for value in evidence.values())
    assert "\x1b" not in str(evidence)
    assert msgspec.json.decode(msgspec.json.encode(found.one("much")), type=CheckResult)


def test_evidence_of_a_fault_is_bounded_too(judge) -> None:
    raises = grader(
        "from shardwork.grading import Cause, StudentFault",
        VALUE,
        'raise StudentFault(Cause.OBSERVED, "no", evidence={"text": value})',
    )
    found = judge({"fault": raises}, lambda rooms, asked: "x" * 1_000_000)
    assert len(str(found.one("fault").evidence["text"])) == 401


def test_an_exception_of_a_grader_that_holds_an_observation_is_bounded(judge) -> None:
    found = judge({"key": grader(VALUE, "{}[value]")}, lambda rooms, asked: "x" * 1_000_000)
    check = found.one("key")
    assert check.verdict is Verdict.ERROR
    assert len(check.detail) <= MAX_DETAIL_CHARS


# what one exercise leaves behind in the sandbox

ASKS = grader('assert student.value("NAME", as_=int) == 1')


def asks(name: str) -> str:
    return ASKS.replace("NAME", name)


@pytest.mark.parametrize("left", [PeerGone, Returned(5, 1)], ids=["ends the process", "forges"])
def test_what_one_exercise_left_behind_costs_no_other_exercise(judge, left: object) -> None:
    """In the sandbox in which `first` was called, a thread of it spoils whatever comes after."""

    def reply(rooms: Rooms, asked: Call) -> object:
        return left if asked.target == "second" and rooms.starts == 1 else 1

    found = judge({"first": asks("first"), "second": asks("second")}, reply)
    assert found.one("first").verdict is Verdict.PASSED
    assert found.one("second").verdict is Verdict.PASSED
    assert found.starts == 2


@pytest.mark.parametrize("left", [PeerGone, Returned(5, 1)], ids=["ends the process", "forges"])
def test_what_an_exercise_does_in_a_sandbox_of_its_own_costs_itself(judge, left: object) -> None:
    found = judge(
        {"first": asks("first"), "second": asks("second"), "third": asks("third")},
        lambda rooms, asked: left if asked.target == "second" else 1,
    )
    assert found.one("first").verdict is Verdict.PASSED
    assert (found.one("second").verdict, found.one("second").cause) == (Verdict.FAILED, Cause.DIED)
    assert found.one("third").verdict is Verdict.PASSED
    assert found.starts == 3


def test_an_exercise_that_ends_its_own_sandbox_is_not_tried_again(judge) -> None:
    found = judge({"only": asks("only")}, lambda rooms, asked: PeerGone)
    assert found.one("only").cause is Cause.DIED
    assert found.starts == 1
