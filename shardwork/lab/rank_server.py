"""The process that forks the ranks of `run_ranks`: `python -m shardwork.lab.rank_server FD`.

A notebook's kernel cannot fork ranks safely (threads; OpenMP after a backward pass), and a fresh
process pays for importing torch each time. This one imports torch once, has a single thread, never
runs student code itself, and forks the ranks of each call. It ends when its notebook ends.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from shardwork.lab.rank_frames import (
    Call,
    Cancel,
    Done,
    FrameBuffer,
    Output,
    RankState,
    Ready,
    Report,
    encode,
)
from shardwork.lab.rank_process import (
    PR_SET_CHILD_SUBREAPER,
    be_rank,
    is_whole,
    keep_store,
    places_in,
    prctl,
)

_TICK_S = 0.05
_SETTLE_S = 1.0
_STACK_WAIT_S = 1.0
_OUTPUT_LIMIT_BYTES = 1 << 20
_LINE_LIMIT_BYTES = 1 << 16
_READ_BYTES = 1 << 16


def serve(control: socket.socket) -> None:
    """Answer the calls that come over `control` until it is closed."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)  # what a rank leaves behind becomes our child, and is found
    with tempfile.TemporaryDirectory(prefix="shardwork-ranks-", ignore_cleanup_errors=True) as own:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(own) / "inductor")
        problem = import_torch()
        control.sendall(encode(Ready(problem)))
        if problem:
            return
        gc.freeze()
        buffer = FrameBuffer()
        while data := control.recv(_READ_BYTES):
            for message in buffer.feed(data):
                if isinstance(message, Call) and not _Run(control, buffer, message, own).run():
                    return


def import_torch() -> str:
    """Import what ranks need before they are forked; return what is wrong with it, or nothing."""
    try:
        import torch
        import torch._dynamo  # otherwise every rank imports it at its first optimiser step
        import torch.distributed
        import torch.nn.parallel
    except Exception:
        return traceback.format_exc()
    torch.set_num_threads(1)
    return ""


@dataclass
class _Pipe:
    """One stream of a rank, read as far as it has come."""

    rank: _Rank
    name: str
    descriptor: int
    open: bool = True
    pending: bytes = b""
    forwarded_bytes: int = 0


@dataclass
class _Rank:
    """One running rank, as the server sees it."""

    number: int
    pid: int
    pipes: dict[str, _Pipe] = field(default_factory=dict)
    buffer: FrameBuffer = field(default_factory=FrameBuffer)
    report: Report | None = None
    stack: str = ""
    exit_status: int | None = None

    def reap(self) -> bool:
        """Take the exit status if the process has ended; return whether it has."""
        if self.exit_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.exit_status = status
        return self.exit_status is not None


class _Run:
    """One call: forks the ranks, attends to them, ends them, reports."""

    def __init__(
        self, control: socket.socket, buffer: FrameBuffer, call: Call, folder: str
    ) -> None:
        self.control = control
        self.buffer = buffer
        self.call = call
        self.ranks: list[_Rank] = []
        self.selector = selectors.DefaultSelector()
        self.notebook_gone = False
        self.cancelled = False
        self.folder = tempfile.mkdtemp(dir=folder)

    def run(self) -> bool:
        """Run the call to its end; return whether the notebook is still there."""
        deadline = time.monotonic() + self.call.timeout_s
        self.selector.register(self.control, selectors.EVENT_READ)
        try:
            meeting = self.call.meeting
            if meeting is not None and meeting.kept_here and os.fork() == 0:
                keep_store(self.call)
            for number in self.call.ranks or range(self.call.world_size):
                self.ranks.append(self._fork(number))
            self._attend(deadline)
            if not self.cancelled and any(rank.report is None for rank in self.ranks):
                self._settle()
        finally:
            self._end_all()
            shutil.rmtree(self.folder, ignore_errors=True)
        if not self.notebook_gone:
            self._send(Done([self._final_report(rank) for rank in self.ranks]))
        return not self.notebook_gone

    def _fork(self, number: int) -> _Rank:
        ends = {name: os.pipe() for name in ("result", "stdout", "stderr", "stack")}
        pid = os.fork()
        if pid == 0:
            be_rank(number, self.call, self.folder, {n: write for n, (_, write) in ends.items()})
        with contextlib.suppress(OSError):  # the rank does the same; whoever is first
            os.setpgid(pid, pid)
        rank = _Rank(number, pid)
        for name, (read, write) in ends.items():
            os.close(write)
            os.set_blocking(read, False)
            pipe = _Pipe(rank, name, read)
            rank.pipes[name] = pipe
            self.selector.register(read, selectors.EVENT_READ, pipe)
        return rank

    def _attend(self, deadline: float) -> None:
        """Wait until every rank has reported, one has failed, or the time is over."""
        while not self.cancelled:
            self._listen(min(_TICK_S, max(0.0, deadline - time.monotonic())))
            self._notice_deaths()
            if all(rank.report is not None for rank in self.ranks):
                return
            if any(_has_failed(rank.report) for rank in self.ranks):
                return
            if time.monotonic() >= deadline:
                self._mark_unfinished()
                return

    def _settle(self) -> None:
        """Give the rank that took the others down a moment to be noticed itself."""
        until = time.monotonic() + _SETTLE_S
        while time.monotonic() < until:
            failures = [r.report for r in self.ranks if r.report and _has_failed(r.report)]
            if not failures or not all(report.lost_peer for report in failures):
                return
            if all(rank.report is not None for rank in self.ranks):
                return
            self._listen(_TICK_S)
            self._notice_deaths()

    def _listen(self, timeout_s: float) -> None:
        for key, _ in self.selector.select(timeout_s):
            if key.data is None:
                self._hear_notebook()
            else:
                self._read(key.data)

    def _hear_notebook(self) -> None:
        data = self.control.recv(_READ_BYTES)
        if not data:
            self.notebook_gone = self.cancelled = True
            self.selector.unregister(self.control)
        elif any(isinstance(message, Cancel) for message in self.buffer.feed(data)):
            self.cancelled = True

    def _read(self, pipe: _Pipe) -> bool:
        """Read what is there; return whether anything was."""
        try:
            data = os.read(pipe.descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._close(pipe)
            return False
        if pipe.name == "result":
            for message in pipe.rank.buffer.feed(data):
                if pipe.rank.report is None:
                    pipe.rank.report = message
        elif pipe.name == "stack":
            pipe.rank.stack += data.decode(errors="replace")
        else:
            self._forward(pipe, data)
        return True

    def _forward(self, pipe: _Pipe, data: bytes) -> None:
        """Send whole lines to the notebook; an unfinished line waits for its end."""
        pipe.pending += data
        whole, newline, rest = pipe.pending.rpartition(b"\n")
        if not newline and len(rest) < _LINE_LIMIT_BYTES:
            return
        text, pipe.pending = (whole, rest) if newline else (rest, b"")
        self._print(pipe, text)

    def _print(self, pipe: _Pipe, text: bytes) -> None:
        room = _OUTPUT_LIMIT_BYTES - pipe.forwarded_bytes
        if room <= 0:
            return
        pipe.forwarded_bytes += len(text) + 1
        shown = text[:room].decode(errors="replace")
        if pipe.forwarded_bytes >= _OUTPUT_LIMIT_BYTES:
            shown += "\n(more was printed, and is not shown)"
        self._send(Output(pipe.rank.number, pipe.name, shown))

    def _notice_deaths(self) -> None:
        for rank in self.ranks:
            if rank.report is None and (rank.reap() or not rank.pipes["result"].open):
                self._drain(rank)
                if rank.report is None:
                    rank.report = self._death(rank)

    def _death(self, rank: _Rank) -> Report:
        until = time.monotonic() + _SETTLE_S
        while not rank.reap() and time.monotonic() < until:
            time.sleep(0.005)
        if rank.exit_status is None:
            text = "its process closed its result channel"
        elif os.WIFSIGNALED(rank.exit_status):
            number = os.WTERMSIG(rank.exit_status)
            text = f"its process was ended by signal {number} ({signal.Signals(number).name})"
        else:
            code = os.waitstatus_to_exitcode(rank.exit_status)
            text = f"its process exited with status {code} before the function returned"
        return Report(
            rank.number, RankState.DIED, time.monotonic(), error=text, places=places_in(rank.stack)
        )

    def _mark_unfinished(self) -> None:
        """Ask the ranks that still run where they are, then give them up."""
        running = [rank for rank in self.ranks if rank.report is None]
        for rank in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rank.pid, signal.SIGUSR1)
        until = time.monotonic() + _STACK_WAIT_S
        while time.monotonic() < until and any(not is_whole(rank.stack) for rank in running):
            self._listen(_TICK_S)
        at_s = time.monotonic()
        for rank in running:
            rank.report = Report(
                rank.number, RankState.UNFINISHED, at_s, places=places_in(rank.stack)
            )

    def _end_all(self) -> None:
        """Kill every rank and whatever it started, take what they printed, close everything."""
        for rank in self.ranks:
            if rank.report is None or rank.report.state is not RankState.RETURNED:
                _kill_group(rank.pid)
        for rank in self.ranks:
            self._await_exit(rank)
            _kill_group(rank.pid)
        _kill_descendants()
        for rank in self.ranks:
            self._drain(rank)
            for pipe in rank.pipes.values():
                if pipe.pending and not self.notebook_gone:
                    self._print(pipe, pipe.pending)
                self._close(pipe)
        self.selector.close()

    def _await_exit(self, rank: _Rank) -> None:
        """A rank that returned flushes what it printed and exits; it gets a moment for that."""
        until = time.monotonic() + _SETTLE_S
        while not rank.reap():
            self._drain(rank)
            if time.monotonic() >= until:
                _kill_group(rank.pid)
            time.sleep(0.002)

    def _drain(self, rank: _Rank) -> None:
        for pipe in rank.pipes.values():
            while pipe.open and self._read(pipe):
                pass

    def _close(self, pipe: _Pipe) -> None:
        if pipe.open:
            pipe.open = False
            self.selector.unregister(pipe.descriptor)
            os.close(pipe.descriptor)

    def _final_report(self, rank: _Rank) -> Report:
        return rank.report or Report(rank.number, RankState.ENDED, time.monotonic())

    def _send(self, message: Any) -> None:
        if self.notebook_gone:
            return
        try:
            self.control.sendall(encode(message))
        except OSError:
            self.notebook_gone = self.cancelled = True


def _has_failed(report: Report | None) -> bool:
    return report is not None and report.state in (RankState.RAISED, RankState.DIED)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _kill_descendants() -> None:
    """End what left its rank's process group: as subreaper we are its parent by now."""
    while children := psutil.Process().children(recursive=True):
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.001)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(control)


if __name__ == "__main__":
    main()
