"""The judge's side of the conversation with one open sandbox."""

from __future__ import annotations

import itertools
from typing import Any

from shardwork.judge.faults import InputsFailed, SandboxLost, StudentFault
from shardwork.judge.instruments import Instrument, Refusal
from shardwork.plaintext import plain, plain_line
from shardwork.record import Cause, Evidence
from shardwork.sandbox.session import Session
from shardwork.wire import (
    Answer,
    Ask,
    Call,
    CallRanks,
    Deadline,
    Invoke,
    PeerGone,
    Raised,
    RankEnded,
    Ref,
    Returned,
    TimeIsUp,
    WireError,
    from_wire,
    to_wire,
)

MAX_INVOCATIONS = 200_000


class Dialogue:
    """Ask an open session one question at a time, serving instrument calls meanwhile.

    A session that hangs, dies or breaks the protocol is closed, and SandboxLost is raised.
    """

    def __init__(self, session: Session, call_s: float) -> None:
        self._session = session
        self._call_s = call_s
        self._numbers = itertools.count(1)
        # Kept as long as the dialogue: a lazy result calls its instruments when it is computed.
        self._instruments: dict[int, Instrument] = {}
        self._called = False

    def call(self, target: str, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """Call the student's function; return its value. Raises StudentFault."""
        number = next(self._numbers)
        wire_args = [self._write(arg) for arg in args]
        return self._run(
            Call(number, target, wire_args, {k: self._write(v) for k, v in kwargs.items()})
        )

    def call_ranks(self, target: str, per_rank: list[list[object]], on: Any) -> list[Any]:
        """Call the function once per rank; return the values by rank. Raises StudentFault."""
        for instrument in {
            id(a): a for args in per_rank for a in args if isinstance(a, Instrument)
        }.values():
            instrument.ranks_begin(len(per_rank))
        args = [[self._write(arg) for arg in args] for args in per_rank]
        value = self._run(CallRanks(next(self._numbers), target, args, on))
        if not isinstance(value, list) or len(value) != len(per_rank):
            raise self._broken("the ranks' results are not a list with one entry for each rank")
        return value

    def ask(self, question: str, *args: object) -> Any:
        """Put a question to a probe about an object of the student's. Raises StudentFault."""
        return self._run(Ask(next(self._numbers), question, [self._write(arg) for arg in args]))

    def make(self, question: str, *args: object) -> Any:
        """Have a probe make an input. Raises InputsFailed, or SandboxLost."""
        try:
            return self.ask(question, *args)
        except SandboxLost:
            raise
        except StudentFault as fault:
            self._session.close_sandbox()
            raise InputsFailed(f"{question}: {fault.detail}", after_call=self._called) from fault

    def _write(self, value: object) -> Any:
        return to_wire(value, other=self._introduce)

    def _introduce(self, value: object) -> Ref:
        if isinstance(value, Instrument):
            self._instruments[id(value)] = value
            return Ref(value.kind, id(value))
        ref = getattr(value, "ref", None)  # a handle
        if isinstance(ref, Ref):
            return ref
        raise TypeError(f"a grader cannot send a {type(value).__name__}")

    def _run(self, message: Call | CallRanks | Ask) -> Any:
        connection = self._session.connection
        if connection is None:
            raise InputsFailed("the sandbox is closed", after_call=self._called)
        self._called |= not isinstance(message, Ask)
        deadline = self._session.patience(self._call_s)
        try:
            connection.send(message, deadline)
            for _ in range(MAX_INVOCATIONS):
                heard = connection.receive(deadline)
                if isinstance(heard, Invoke):
                    self._invoked(heard, deadline)
                elif isinstance(heard, RankEnded):
                    for instrument in self._instruments.values():
                        instrument.rank_ended(heard.rank)
                elif isinstance(heard, (Returned, Raised)) and heard.number == message.number:
                    return self._concluded(message, heard)
                else:
                    raise self._broken("a message that was not asked for")
            raise self._broken(f"more than {MAX_INVOCATIONS} calls of instruments in one call")
        except TimeIsUp:
            self._session.close_sandbox()
            raise SandboxLost(
                Cause.NEVER_RETURNED,
                "It had not finished after {limit_s} seconds and was stopped.",
                evidence={"limit_s": round(self._call_s)},
            ) from None
        except PeerGone:
            why = self._session.why_killed
            self._session.close_sandbox()
            raise SandboxLost(
                Cause.DIED,
                "The process that ran it ended: {why}." if why else "It ended its own process.",
                evidence={"why": why} if why else {},
            ) from None
        except WireError as error:
            raise self._broken(str(error)) from None

    def _invoked(self, invoke: Invoke, deadline: Deadline) -> None:
        instrument = self._instruments.get(invoke.instrument)
        if instrument is None:
            raise self._broken("a call of an instrument that was not given")
        connection = self._session.connection
        assert connection is not None

        def answer(value: object) -> None:
            reply = (
                Answer(invoke.number, refusal=str(value))
                if isinstance(value, Refusal)
                else Answer(invoke.number, to_wire(value))
            )
            connection.send(reply, deadline)

        args = [from_wire(arg) for arg in invoke.args]
        try:
            instrument.invoked(args, invoke.rank, answer)
        except Refusal as refusal:
            answer(refusal)

    def _concluded(self, message: Call | CallRanks | Ask, heard: Returned | Raised) -> Any:
        if isinstance(heard, Returned):
            return from_wire(heard.value)
        name = plain_line(heard.types[0] if heard.types else "Exception", 80)
        detail = f"{name}: {plain(heard.text)}"
        types = tuple(heard.types[:12])
        if heard.where == "missing":
            target = getattr(message, "target", "")
            raise StudentFault(
                Cause.NOT_DEFINED, "After the notebook had run there was no function `{name}`.",
                detail, {"name": target}, types,
            )  # fmt: skip
        if heard.where == "unanswered":
            raise StudentFault(
                Cause.UNANSWERED, "This exercise has not been answered yet.", detail, {}, types
            )
        text = "It raised {type}."
        evidence: Evidence = {"type": name}
        if heard.line is not None:
            text = "It raised {type} in line {line} of your cell."
            evidence |= {"line": heard.line}
        if heard.rank is not None:
            text = "Rank {rank} raised {type}."
            evidence |= {"rank": heard.rank}
        raise StudentFault(Cause.RAISED, text, detail, evidence, types)

    def _broken(self, what: str) -> SandboxLost:
        self._session.close_sandbox()
        return SandboxLost(Cause.DIED, "It disturbed the connection to the judge.", detail=what)
