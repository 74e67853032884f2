"""One submission in one sandbox: its notebook run cell by cell, then its functions within reach.

The notebook runs through nbclient on a kernel in the sandbox. Afterwards the same kernel serves the
judge's questions over a socket that the sandbox inherited. A session that hangs or dies is
started again without the cell that caused it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import nbformat
import zmq
import zmq.asyncio
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from shardwork.course import Assignment
from shardwork.plaintext import plain
from shardwork.record import CellOutcome
from shardwork.sandbox import provisioner
from shardwork.sandbox.client import BoundedClient, shown
from shardwork.sandbox.patience import Patience
from shardwork.sandbox.tree import Sandbox
from shardwork.sandbox.zygote import Zygote, ZygoteFailed
from shardwork.wire import (
    Ask,
    Connection,
    Deadline,
    FromJudge,
    FromSandbox,
    PeerGone,
    Ready,
    Returned,
    TimeIsUp,
    WireError,
)

MAX_MESSAGE_BYTES = 4 << 20
"""A kernel that sends a larger message is cut off; an honest one cuts what it shows before that."""
MAX_MESSAGES = 64
"""Messages of one channel that wait on this side; more wait in the sandbox, under its limits."""
AGAIN = 0.25
"""Share of a cell's time for one that has hung before and runs again in a fresh sandbox."""
START_S = 90.0
_CLIENT = "shardwork.sandbox.client.QuietKernelClient"
_SERVE = "from shardwork.probes.server import serve as _serve; _serve(get_ipython().user_ns)"


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
        self._runner = asyncio.Runner()
        self._client: BoundedClient | None = None
        self._sandbox: Sandbox | None = None
        self.connection: Connection[FromJudge, FromSandbox] | None = None
        self.outcomes: dict[str, CellOutcome] = {}
        self.skip: set[str] = set()
        self.starts = 0
        self.peak_bytes = 0
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

    def open(self) -> None:
        """Start a sandbox, run the notebook and wait until its functions can be called.

        Cells that stop the kernel are left out and the rest is run again in a new sandbox; after
        three such cells what remains is given up. Raises SandboxFailed if the platform failed.
        """
        for _ in range(4):
            self.close_sandbox()
            began = time.monotonic()
            self._start()
            lost = self._runner.run(self._run_cells())
            self.notebook_s += time.monotonic() - began
            if lost is None:
                self._serve()
                return
            self.skip.add(lost)
        self.close_sandbox()

    def close_sandbox(self) -> None:
        """End the sandbox, if there is one; the session may be opened again."""
        self.connection = None
        client, self._client = self._client, None
        sandbox, self._sandbox = self._sandbox, None
        if client is not None:
            if client.kc is not None:
                client.kc.stop_channels()
            client.km.context.destroy(linger=0)
        if sandbox is not None:
            sandbox.close()
            self.peak_bytes = max(self.peak_bytes, sandbox.peak_bytes)
            if sandbox.left_alive:
                raise SandboxFailed("the sandbox did not end within two seconds of being killed")

    def close(self) -> None:
        """End everything; may be called twice."""
        self.close_sandbox()
        self._runner.close()

    def _start(self) -> None:
        self.starts += 1
        self._sandbox = Sandbox(self._assignment.limits, self._zygote, self._files)
        context = zmq.asyncio.Context()
        context.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
        context.setsockopt(zmq.RCVHWM, MAX_MESSAGES)
        manager = AsyncKernelManager(
            context=context, transport="ipc", ip=self._sandbox.address, client_class=_CLIENT
        )
        manager._kernel_spec = KernelSpec(
            argv=[],
            display_name="sandbox",
            language="python",
            interrupt_mode="signal",
            metadata={"kernel_provisioner": {"provisioner_name": provisioner.NAME}},
        )
        manager.sandbox = self._sandbox
        self._client = BoundedClient(
            self.notebook, km=manager, allow_errors=True, store_widget_state=False,
            timeout=1,
            startup_timeout=int(START_S), record_timing=False,
        )  # fmt: skip
        try:
            self._runner.run(self._start_kernel(self._client))
        except (RuntimeError, OSError, DeadKernelError, ZygoteFailed) as error:
            sandbox = self._sandbox
            self.close_sandbox()
            said = f"; it said: {sandbox.log[-2000:]}" if sandbox.log else ""
            raise SandboxFailed(f"the sandbox did not start: {error}{said}") from error

    async def _start_kernel(self, client: NotebookClient) -> None:
        await client.async_start_new_kernel()
        await client.async_start_new_kernel_client()

    async def _run_cells(self) -> str | None:
        """Run the code cells in order; return the id of a cell that stopped the kernel, or None."""
        again = self.starts > 1
        for index, cell in enumerate(self.notebook.cells):
            if cell.cell_type != "code" or cell.id in self.skip or not cell.source.strip():
                continue
            if again and not _defines(cell):
                continue
            outcome = await self._run_cell(cell, index)
            self.outcomes.setdefault(cell.id, outcome)
            if outcome.status in ("never_returned", "died"):
                self.outcomes[cell.id] = outcome
                if outcome.status == "died" or not await self._interrupted():
                    return str(cell.id)
        return None

    async def _run_cell(self, cell: NotebookNode, index: int) -> CellOutcome:
        client = self._client
        assert client is not None
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")

        def outcome(status: Any, error: str = "") -> CellOutcome:
            text = "".join(shown(output) for output in cell.outputs)
            return CellOutcome(cell.id, grade_id, status, plain(text), plain(error))

        if self.seconds_left() <= 0:
            return CellOutcome(cell.id, grade_id, "not_run")
        limit_s = self._assignment.limits.cell_s
        known = self.outcomes.get(cell.id)
        if known is not None and known.status == "never_returned":
            limit_s *= AGAIN  # enough to define what it defines before it hangs once more
        client.patience = self.patience(limit_s)
        cell.outputs = []
        try:
            await client.async_execute_cell(cell, index, store_history=False)
        except CellTimeoutError:
            return outcome("never_returned")
        except DeadKernelError:
            return outcome("died", self.why_killed or "")
        except CellExecutionError as error:
            return outcome("raised", f"{error.ename}: {error.evalue}")
        failed = next((o for o in cell.outputs if o.output_type == "error"), None)
        if failed is not None:
            return outcome("raised", f"{failed.ename}: {failed.evalue}")
        return outcome("ran")

    async def _interrupted(self) -> bool:
        """Interrupt the kernel; return whether it listens again within a few seconds."""
        client = self._client
        assert client is not None
        assert client.kc is not None
        await client.km.interrupt_kernel()
        try:
            await client.kc.kernel_info(reply=True, timeout=6)
        except Exception:  # queue.Empty, or the channel of a kernel that died meanwhile
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
            for number, source in enumerate(sources.values()):
                connection.send(Ask(-1 - number, "notebook.define", [source]), deadline)
                if not isinstance(connection.receive(deadline), Returned):
                    self.close_sandbox()
                    return
        except (PeerGone, TimeIsUp, WireError):
            self.close_sandbox()

    def _serve(self) -> None:
        client, sandbox = self._client, self._sandbox
        assert client is not None
        assert sandbox is not None
        client.kc.execute(_SERVE, silent=True, store_history=False)
        connection: Connection[FromJudge, FromSandbox] = Connection(sandbox.judge_end, FromSandbox)
        try:
            ready = connection.receive(Deadline(START_S))
        except TimeIsUp:
            self.close_sandbox()
            raise SandboxFailed("the kernel did not begin to serve the judge") from None
        except (PeerGone, WireError):
            self.close_sandbox()
            return
        if isinstance(ready, Ready):
            self.connection = connection


def _defines(cell: NotebookNode) -> bool:
    """Whether a cell can matter to the functions that are called later."""
    tags = cell.metadata.get("tags", [])
    graded = cell.metadata.get("nbgrader", {}).get("grade", False)
    return not graded and "check" not in tags


def as_notebook(text: str) -> NotebookNode:
    """Parse a notebook that the engine itself wrote."""
    return nbformat.reads(text, as_version=4)
