"""The messages between judge and sandbox, as closed unions: first with the runner of the cells,
then with the kernel itself.

`number` ties an answer to its question; it is chosen by the side that asks, and by the judge so
that nobody can guess it. Values are in the wire form of `shardwork.wire.values`, so that a message
is decoded without looking into them. Whatever else a sandbox says is bounded here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

PROTOCOL = 1
MAX_NAME = 100
MAX_TYPES = 12
MAX_ERROR_TEXT = 2000
MAX_CELL_TEXT = 64 << 10
MAX_ARGS = 64
MAX_LINE = 1_000_000
MAX_RANKS = 1024
JUDGE_FD_VARIABLE = "SHARDWORK_JUDGE_FD"
"""The environment variable that tells a sandbox its descriptor of the connection."""


_Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME)]
_Rank = Annotated[int, msgspec.Meta(ge=0, lt=MAX_RANKS)]
_Line = Annotated[int, msgspec.Meta(ge=1, le=MAX_LINE)]


class RunCell(msgspec.Struct, frozen=True, tag="run_cell", forbid_unknown_fields=True):
    """Judge, to the runner: run this code in the notebook's kernel."""

    number: int
    source: str


class Serve(msgspec.Struct, frozen=True, tag="serve", forbid_unknown_fields=True):
    """Judge, to the runner: let the kernel serve the judge; the runner is done."""


class Listening(msgspec.Struct, frozen=True, tag="listening", forbid_unknown_fields=True):
    """Runner: the kernel runs, and waits for cells."""


class CellRan(msgspec.Struct, frozen=True, tag="cell_ran", forbid_unknown_fields=True):
    """Runner: a cell came to its end. `text` is what it printed, `error` what it raised."""

    number: int
    raised: bool
    text: Annotated[str, msgspec.Meta(max_length=MAX_CELL_TEXT)]
    error: Annotated[str, msgspec.Meta(max_length=MAX_ERROR_TEXT)]


class Call(msgspec.Struct, frozen=True, tag="call", forbid_unknown_fields=True):
    """Judge: call the student's function `target` with these arguments."""

    number: int
    target: str
    args: list[Any]
    kwargs: dict[str, Any] = {}


class CallRanks(msgspec.Struct, frozen=True, tag="call_ranks", forbid_unknown_fields=True):
    """Judge: call `target` once per rank, all at the same time; `args[r]` is rank r's.

    `driver` is a question of a probe that uses `target` in each rank, in place of a plain call.
    `threads` runs ranks as threads of the notebook's process, for instruments; `gloo` in processes
    of `shardwork.lab.run_ranks`.
    """

    number: int
    target: str
    args: list[list[Any]]
    on: Literal["threads", "gloo"]
    driver: str = ""


class Ask(msgspec.Struct, frozen=True, tag="ask", forbid_unknown_fields=True):
    """Judge: put a question to a probe (`spark.collect`); what it answers is a claim."""

    number: int
    question: str
    args: list[Any]


class Answer(msgspec.Struct, frozen=True, tag="answer", forbid_unknown_fields=True):
    """Judge: what an instrument answers to `Invoke` number `number`; `refusal` is raised there."""

    number: int
    value: Any = None
    refusal: str | None = None


class Ready(msgspec.Struct, frozen=True, tag="ready", forbid_unknown_fields=True):
    """Sandbox: the notebook has run and its functions can be called."""

    protocol: int


class Returned(msgspec.Struct, frozen=True, tag="returned", forbid_unknown_fields=True):
    """Sandbox: the value of a Call, CallRanks or Ask."""

    number: int
    value: Any


class Raised(msgspec.Struct, frozen=True, tag="raised", forbid_unknown_fields=True):
    """Sandbox: a Call, CallRanks or Ask raised.

    `where` says in whose code: the student's function was not there (`missing`), still the starter
    (`unanswered`), the student's function or an object it returned (`answer`), or the probe; or
    nothing raised, and what came of it cannot be sent (`unsendable`).
    `types` names the exception's class and its bases; `line` is a line of the student's cell.
    """

    number: int
    where: Literal["missing", "unanswered", "answer", "probe", "unsendable"]
    types: Annotated[list[_Name], msgspec.Meta(max_length=MAX_TYPES)]
    text: Annotated[str, msgspec.Meta(max_length=MAX_ERROR_TEXT)]
    line: _Line | None = None
    rank: _Rank | None = None


class Invoke(msgspec.Struct, frozen=True, tag="invoke", forbid_unknown_fields=True):
    """Sandbox: student code calls an instrument of the judge. `rank` is None outside ranks."""

    number: int
    instrument: int
    args: Annotated[list[Any], msgspec.Meta(max_length=MAX_ARGS)]
    rank: _Rank | None = None


class RankEnded(msgspec.Struct, frozen=True, tag="rank_ended", forbid_unknown_fields=True):
    """Sandbox: this rank of the running CallRanks has returned or raised."""

    rank: _Rank


ToRunner = RunCell | Serve
FromRunner = Listening | CellRan
FromJudge = Call | CallRanks | Ask | Answer
FromSandbox = Ready | Returned | Raised | Invoke | RankEnded
