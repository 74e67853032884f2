"""The judge's side of the conversation with one open sandbox.

Nothing that a sandbox says is taken on trust. A reply counts for the question whose number nobody
could know before it was asked. The text of an exception could hold a hidden input: it is for the
TA, and never part of a message.
"""

from __future__ import annotations

import secrets
from typing import Any

from shardwork.judge.faults import GraderFault, InputsFailed, SandboxLost, StudentFault
from shardwork.judge.instruments import Instrument, Refusal
from shardwork.plaintext import plain, plain_line
from shardwork.record import Cause, Evidence
from shardwork.sandbox.session import Session
from shardwork.wire import (
    Allowance,
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
CALL_BYTES = 128 << 20
"""At most what a sandbox may send while one question is answered."""
SUBMISSION_BYTES = 1 << 30
SUBMISSION_MESSAGES = 2_000_000


class Ledger:
    """What the dialogues of one submission share: how much may still be sent, and what is over.

    `retired` holds the numbers of the instruments of earlier checks.
    """

    def __init__(self) -> None:
        self.allowance = Allowance(SUBMISSION_BYTES, SUBMISSION_MESSAGES)
        self.retired: set[int] = set()


class Dialogue:
    """Ask an open session one question at a time, serving instrument calls meanwhile.

    A session that hangs, dies or breaks the protocol is closed, and SandboxLost is raised.
    """

    def __init__(self, session: Session, call_s: float, ledger: Ledger | None = None) -> None:
        self._session = session
        self._call_s = call_s
        self._ledger = ledger or Ledger()
        # Kept as long as the dialogue: a lazy result calls its instruments when it is computed.
        self._instruments: dict[int, Instrument] = {}
        self._called = False
        self._ranks_left: set[int] = set()

    def close(self) -> None:
        """Retire the instruments: threads that are left over may still call them, in vain."""
        self._ledger.retired.update(self._instruments)
        self._instruments.clear()

    def call(self, target: str, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """Call the student's function; return its value. Raises StudentFault."""
        wire_args = [self._write(arg) for arg in args]
        return self._run(
            Call(_number(), target, wire_args, {k: self._write(v) for k, v in kwargs.items()})
        )

    def call_ranks(
        self, target: str, per_rank: list[list[object]], on: Any, driver: str = ""
    ) -> list[Any]:
        """Call the function once per rank; return the values by rank. Raises StudentFault."""
        for instrument in {
            id(a): a for args in per_rank for a in args if isinstance(a, Instrument)
        }.values():
            instrument.ranks_begin(len(per_rank))
        args = [[self._write(arg) for arg in args] for args in per_rank]
        self._ranks_left = set(range(len(per_rank))) if on == "threads" else set()
        try:
            value = self._run(CallRanks(_number(), target, args, on, driver))
        finally:
            self._ranks_left = set()
        if not isinstance(value, list) or len(value) != len(per_rank):
            raise self._broken("the ranks' results are not a list with one entry for each rank")
        return value

    def ask(self, question: str, *args: object) -> Any:
        """Put a question to a probe about an object of the student's. Raises StudentFault."""
        return self._run(Ask(_number(), question, [self._write(arg) for arg in args]))

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
            known = next((n for n, one in self._instruments.items() if one is value), None)
            number = _number() if known is None else known
            self._instruments[number] = value
            return Ref(value.kind, number)
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
        allowance = Allowance(CALL_BYTES, MAX_INVOCATIONS, within=self._ledger.allowance)
        try:
            connection.send(message, deadline)
            while True:
                heard = connection.receive(deadline, allowance)
                if isinstance(heard, Invoke):
                    self._invoked(heard, deadline)
                elif isinstance(heard, RankEnded) and heard.rank in self._ranks_left:
                    self._ranks_left.remove(heard.rank)
                    for instrument in self._instruments.values():
                        instrument.rank_ended(heard.rank)
                elif isinstance(heard, (Returned, Raised)) and heard.number == message.number:
                    return self._concluded(message, heard)
                else:
                    raise self._broken("a message that was not asked for")
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
        connection = self._session.connection
        assert connection is not None

        def answer(value: object) -> None:
            if isinstance(value, Refusal):
                connection.send(Answer(invoke.number, refusal=str(value)), deadline)
                return
            try:
                tree = to_wire(value)
            except WireError as error:
                raise GraderFault(f"what an instrument answers cannot be sent: {error}") from None
            connection.send(Answer(invoke.number, tree), deadline)

        args = [from_wire(arg) for arg in invoke.args]
        instrument = self._instruments.get(invoke.instrument)
        if instrument is None:
            if invoke.instrument not in self._ledger.retired:
                raise self._broken("a call of an instrument that was not given")
            answer(Refusal("the call that this belonged to is over"))
            return
        try:
            instrument.invoked(args, invoke.rank, answer)
        except Refusal as refusal:
            answer(refusal)
        except (TimeIsUp, PeerGone, WireError):
            raise
        except Exception:  # the grader's; the student's code waits, and can be asked nothing else
            self._session.close_sandbox()
            raise

    def _concluded(self, message: Call | CallRanks | Ask, heard: Returned | Raised) -> Any:
        if isinstance(heard, Returned):
            return from_wire(heard.value)
        types = tuple(heard.types)
        name = plain_line(types[0] if types else "Exception", 80)
        detail = f"{name}: {plain(heard.text)}"
        if heard.where == "missing":
            target = message.args[0] if isinstance(message, Ask) else message.target
            raise StudentFault(
                Cause.NOT_DEFINED, "After the notebook had run there was no function `{name}`.",
                detail, {"name": target}, types,
            )  # fmt: skip
        if heard.where == "unanswered":
            raise StudentFault(
                Cause.UNANSWERED, "This exercise has not been answered yet.", detail, {}, types
            )
        if heard.where == "unsendable":
            raise StudentFault(
                Cause.WRONG_TYPE, "It returned something too large or too deep to be read.",
                plain(heard.text),
            )  # fmt: skip
        text = "It raised {type}."
        evidence: Evidence = {"type": name}
        if heard.line is not None and heard.line <= self._longest_cell():
            text = "It raised {type} in line {line} of your cell."
            evidence |= {"line": heard.line}
        if isinstance(message, CallRanks) and heard.rank in range(len(message.args)):
            text = "Rank {rank} raised {type}."
            evidence |= {"rank": heard.rank}
        raise StudentFault(Cause.RAISED, text, detail, evidence, types)

    def _longest_cell(self) -> int:
        """Lines of the longest cell: no line of an exception lies behind it."""
        return max((c.source.count("\n") + 1 for c in self._session.notebook.cells), default=0)

    def _broken(self, what: str) -> SandboxLost:
        self._session.close_sandbox()
        return SandboxLost(
            Cause.DIED, "It disturbed the connection to the judge.", detail=plain(what)
        )


def _number() -> int:
    """Return a number that no sandbox can know before it is sent."""
    return secrets.randbits(62)
