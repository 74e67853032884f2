"""One submission in one sandbox: its notebook run cell by cell, then its functions within reach.

A runner inside runs the cells on a Jupyter kernel, one at a time, as it is asked. Afterwards the
same kernel serves the judge's questions over a connection of its own. A session that hangs or dies
is started again without the cell that caused it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

import nbformat.v4
from nbformat import NotebookNode

from shardwork.course import Assignment
from shardwork.dependence import needless_cells
from shardwork.plaintext import plain
from shardwork.record import CellOutcome
from shardwork.sandbox.container import Container
from shardwork.sandbox.patience import Patience
from shardwork.sandbox.tree import Sandbox
from shardwork.sandbox.zygote import Zygote, ZygoteFailed
from shardwork.wire import (
    Allowance,
    Ask,
    CellRan,
    Connection,
    Deadline,
    FromJudge,
    FromRunner,
    FromSandbox,
    Listening,
    PeerGone,
    Ready,
    Returned,
    RunCell,
    Serve,
    TimeIsUp,
    ToRunner,
    WireError,
)

AGAIN = 0.25
"""Share of a cell's time for one that has hung before and runs again in a fresh sandbox."""
START_S = 90.0
INTERRUPT_S = 6.0
"""Seconds that an interrupted cell has to end."""
_CELL_BYTES = 1 << 20
_DISTURBED = "it disturbed the connection to the judge"


class SandboxFailed(Exception):
    """The sandbox could not be started: the platform's fault, never the student's."""


class Session:
    """A rebuilt notebook, the sandbox it runs in, and the connection to its functions.

    `skip` holds the ids of cells that are left out from now on: those that stopped a kernel.
    `outcomes` is what happened to each code cell the first time it ran.
    """

    def __init__(
        self, assignment: Assignment, zygote: Zygote, notebook: NotebookNode, files: str = ""
    ) -> None:
        self._assignment = assignment
        self._zygote = zygote
        self.notebook = notebook
        self._files = files
        self._deadline = time.monotonic() + assignment.limits.total_s
        self._sandbox: Sandbox | Container | None = None
        self._cells: Connection[ToRunner, FromRunner] | None = None
        self.connection: Connection[FromJudge, FromSandbox] | None = None
        self.outcomes: dict[str, CellOutcome] = {}
        self.skip: set[str] = set()
        self.starts = 0
        self._prepared = False
        self.peak_bytes = 0
        self.sandbox_s = 0.0
        self.notebook_s = 0.0

    @property
    def alive(self) -> bool:
        return self.connection is not None

    @property
    def why_killed(self) -> str | None:
        return self._sandbox.why_killed if self._sandbox else None

    def grant(self, limit_s: float) -> None:
        """Give what comes next so many wall seconds, whatever is left of an earlier limit."""
        self._deadline = time.monotonic() + limit_s

    def seconds_left(self) -> float:
        """Seconds that are left of the limit that was granted last, at least 0."""
        return max(0.0, self._deadline - time.monotonic())

    def patience(self, limit_s: float) -> Patience:
        """Return a limit for what the open sandbox is about to do."""
        sandbox = self._sandbox
        assert sandbox is not None
        return Patience(min(limit_s, self.seconds_left() + 0.01), lambda: sandbox.cpu_s)

    def prepare(self) -> None:
        """Start the sandbox ahead of its turn; nothing of the submission runs in it yet.

        Raises SandboxFailed if the platform failed twice.
        """
        self.close_sandbox()
        began = time.monotonic()
        try:
            self._start()
        except SandboxFailed:  # a stumble of the machine: nothing of the submission has run yet
            self._start()
        self._prepared = True
        self.sandbox_s += time.monotonic() - began

    def open(self) -> None:
        """Run the notebook in a sandbox and wait until its functions can be called.

        Cells that stop the kernel are left out and the rest is run again in a new sandbox; after
        three such cells what remains is given up. Raises SandboxFailed if the platform failed.
        """
        for _ in range(4):
            if not self._is_ready():
                self.prepare()
            self._prepared = False
            if not self.outcomes:  # what was waited for is not the notebook's
                self.grant(self._assignment.limits.total_s)
            began = time.monotonic()
            lost = self._run_cells()
            self.notebook_s += time.monotonic() - began
            if lost is None:
                self._serve()
                return
            self.skip.add(lost)
        self.close_sandbox()

    def _is_ready(self) -> bool:
        """Whether a sandbox was prepared, and has not died while it waited."""
        return self._prepared and self._sandbox is not None and self._sandbox.alive

    def close_sandbox(self) -> None:
        """End the sandbox, if there is one; the session may be opened again."""
        self.connection = self._cells = None
        self._prepared = False
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()
            self.peak_bytes = max(self.peak_bytes, sandbox.peak_bytes)
            if sandbox.left_alive:
                raise SandboxFailed("the sandbox did not end when it was killed")

    def close(self) -> None:
        """End everything; may be called twice."""
        self.close_sandbox()

    def _start(self) -> None:
        self.starts += 1
        self._sandbox = sandbox = self._new_sandbox()
        self._cells = Connection(sandbox.cells_end, FromRunner)
        try:
            sandbox.start()
            if not isinstance(self._cells.receive(Deadline(START_S)), Listening):
                raise ZygoteFailed("its runner said something else first")
        except (OSError, ZygoteFailed, PeerGone, TimeIsUp, WireError) as error:
            self.close_sandbox()
            what = str(error) or type(error).__name__
            said = f"; it said: {sandbox.log[-2000:]}" if sandbox.log else ""
            raise SandboxFailed(f"the sandbox did not start: {what}{said}") from error

    def _new_sandbox(self) -> Sandbox | Container:
        limits, plan = self._assignment.limits, self._zygote.plan
        if plan.container is not None:
            return Container(limits, plan.container, plan.begin, self._files)
        return Sandbox(limits, self._zygote, self._files)

    def _run_cells(self) -> str | None:
        """Run the code cells that matter, in order; return the id of one that stopped the kernel.

        None if all of them came to an end.
        """
        left_out = self.skip | needless_cells(self.notebook)
        for number, cell in enumerate(self.notebook.cells):
            if cell.cell_type != "code" or cell.id in left_out or not cell.source.strip():
                continue
            outcome = self._run_cell(cell, number)
            self.outcomes.setdefault(cell.id, outcome)
            if outcome.status in ("never_returned", "died"):
                self.outcomes[cell.id] = outcome
                if outcome.status == "died" or not self._interrupted(number):
                    return str(cell.id)
        return None

    def _run_cell(self, cell: NotebookNode, number: int) -> CellOutcome:
        assert self._cells is not None

        def outcome(status: Any, text: str = "", error: str = "") -> CellOutcome:
            grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
            return CellOutcome(cell.id, grade_id, status, plain(text), plain(error))

        if self.seconds_left() <= 0:
            return outcome("not_run")
        limit_s = self._assignment.limits.cell_s
        known = self.outcomes.get(cell.id)
        if known is not None and known.status == "never_returned":
            limit_s *= AGAIN  # enough to define what it defines before it hangs once more
        patience = self.patience(limit_s)
        try:
            self._cells.send(RunCell(number, cell.source), patience)
            ran = self._ran(number, patience)
        except TimeIsUp:
            return outcome("never_returned")
        except PeerGone:
            return outcome("died", error=self.why_killed or "")
        except WireError:
            return outcome("died", error=_DISTURBED)
        if why := self.why_killed:  # a part of it is gone already, and the rest goes too
            self._sandbox_is_killed()
            return outcome("died", ran.text, why)
        return outcome("raised" if ran.raised else "ran", ran.text, ran.error)

    def _sandbox_is_killed(self) -> None:
        if self._sandbox is not None:
            self._sandbox.kill()

    def _ran(self, number: int, deadline: Deadline) -> CellRan:
        assert self._cells is not None
        ran = self._cells.receive(deadline, Allowance(_CELL_BYTES, 1))
        if not isinstance(ran, CellRan) or ran.number != number:
            raise WireError("not what became of the cell that was run")
        return ran

    def _interrupted(self, number: int) -> bool:
        """Interrupt the kernel; return whether its cell ends within a few seconds."""
        assert self._sandbox is not None
        self._sandbox.interrupt()
        try:
            self._ran(number, Deadline(INTERRUPT_S))
        except (PeerGone, TimeIsUp, WireError):
            return False
        return True

    def redefine(self, sources: Mapping[str, str]) -> None:
        """Run other sources of solution cells in the open sandbox (`shardwork verify`).

        A source that raises, hangs or kills closes the sandbox: opening it again shows what the
        notebook makes of it.
        """
        connection = self.connection
        assert connection is not None
        deadline = self.patience(self._assignment.limits.cell_s)
        try:
            for source in sources.values():
                number = secrets.randbits(62)
                connection.send(Ask(number, "notebook.define", [source]), deadline)
                heard = connection.receive(deadline, Allowance(_CELL_BYTES, 1))
                if not isinstance(heard, Returned) or heard.number != number:
                    self.close_sandbox()
                    return
        except (PeerGone, TimeIsUp, WireError):
            self.close_sandbox()

    def _serve(self) -> None:
        """Let the kernel serve. If what its cells left running keeps it from that, it is lost."""
        sandbox, cells = self._sandbox, self._cells
        assert sandbox is not None
        assert cells is not None
        patience = self.patience(self._assignment.limits.call_s)
        connection: Connection[FromJudge, FromSandbox] = Connection(sandbox.judge_end, FromSandbox)
        try:
            cells.send(Serve(), patience)
            ready = connection.receive(patience, Allowance(_CELL_BYTES, 1))
        except (PeerGone, TimeIsUp, WireError):
            ready = None
        if isinstance(ready, Ready):
            self.connection = connection
        else:
            self.close_sandbox()


def as_notebook(text: str) -> NotebookNode:
    """Parse a notebook that the engine itself wrote, and so need not validate."""
    return nbformat.v4.reads(text)
