"""`run_ranks`: a function of the notebook in several processes that can talk over gloo.

The notebook keeps one helper process (`shardwork.lab.rank_server`) that forks the ranks of each
call; on a cluster, one on each host (`shardwork.lab.rank_hosts`). Functions, arguments and results
travel as pickles: both ends are the student's own, in the same sandbox, laptop or cluster.
"""

from __future__ import annotations

import atexit
import contextlib
import linecache
import os
import pickle
import re
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import psutil

from shardwork.lab.rank_frames import (
    Call,
    Cancel,
    Done,
    FrameBuffer,
    Output,
    Place,
    RankState,
    Ready,
    Report,
    encode,
)
from shardwork.lab.rank_hosts import RankHosts
from shardwork.lab.rank_values import dump

MAX_WORLD_SIZE = 64
_START_LIMIT_S = 120.0
_GRACE_S = 30.0
_EXIT_LIMIT_S = 10.0
_READ_BYTES = 1 << 16
_HEADLINE_CHARS = 300
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# What torch logs to stderr about a failed collective also stands in the exception.
_QUIET = {"TORCH_CPP_LOG_LEVEL": "FATAL"}

# One per rank in the mismatch error of torch 2.13 at debug level DETAIL.
_FINGERPRINT = re.compile(
    r"Rank (\d+) is running collective: CollectiveFingerPrint\("
    r"SequenceNumber=\d+, OpType=(\w+)(?:, TensorShape=\[(.*?)\])?"
)


@dataclass(frozen=True)
class RankStatus:
    """How one rank ended: `error` is one line or a few, `traceback` says where (may be empty).

    Of a rank that raised, `types` names the exception's class and its bases. `places` is where the
    rank was, outermost first, without this package's own code.
    """

    rank: int
    state: RankState
    error: str = ""
    traceback: str = ""
    types: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()


class RankError(RuntimeError):
    """A call of `run_ranks` that did not end with a value from every rank.

    `ranks` holds one status per rank, in order. `root` is the rank that failed first and took the
    others down, or None where no rank failed but some had not finished in time.
    """

    def __init__(self, message: str, ranks: tuple[RankStatus, ...], root: RankStatus | None):
        super().__init__(message)
        self.ranks = ranks
        self.root = root

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.args[0], self.ranks, self.root)


def run_ranks(
    function: Callable[..., Any], world_size: int, *args: Any, timeout_s: float = 60.0
) -> list[Any]:
    """Run `function(rank, world_size, *args)` in `world_size` processes; return one value per rank.

    Each rank is a process of its own with `torch.distributed` initialised (gloo, on this machine or
    spread over the hosts that `SHARDWORK_RANK_HOSTS` names, such as `ranks-1:7000,ranks-2:7000`).
    `function` and `args` may be defined in the notebook. Values come back by copy, tensors without
    their graph; the `.grad` of a parameter does not travel with it, so return it by itself.
    Every rank starts with the same random state, the same in every call, as processes that
    `torchrun` starts do for torch; seed with the rank where ranks should differ. What a rank prints
    appears in the notebook behind `[rank 0] `.

    When a rank fails, the others are ended at once; after `timeout_s` (wall seconds) all are.
    Raises RankError, which names the rank that failed first; TypeError where `function` or `args`
    cannot be sent; ValueError for an impossible `world_size` or `timeout_s`. No process and no file
    of a call outlives it. The first call starts a helper process, which takes a few seconds.
    """
    __tracebackhide__ = True  # IPython then shows the student's line, not this function
    if not callable(function):
        raise TypeError(f"run_ranks needs a function, and got a {type(function).__name__}.")
    if not 1 <= world_size <= MAX_WORLD_SIZE:
        raise ValueError(f"world_size is {world_size}; it must be from 1 to {MAX_WORLD_SIZE}.")
    if not timeout_s > 0:
        raise ValueError(f"timeout_s is {timeout_s}; it must be more than 0.")
    call = Call(
        world_size=world_size,
        timeout_s=float(timeout_s),
        payload=dump((function, args), "The function or its arguments cannot be sent to a rank"),
        folder=str(Path.cwd()),
        path=list(sys.path),
        environment={**os.environ, **_ONE_THREAD},
    )
    with _current.lock:
        reports = _current.running_server().call(call)
    if all(report.state is RankState.RETURNED for report in reports):
        return [pickle.loads(report.payload) for report in reports]
    raise _rank_error(reports, timeout_s)


def stop_ranks() -> None:
    """End the helper process of `run_ranks`; calling it twice is allowed."""
    with _current.lock:
        _current.stop()


def adopt(control: socket.socket) -> None:
    """Use the rank server at the other end of `control`, which somebody else has started."""
    with _current.lock:
        _current.waiting = control


class Server:
    """The notebook's end of its rank server, of one that waits already or a new one."""

    def __init__(self, waiting: socket.socket | None = None) -> None:
        self.owner = os.getpid()
        self.process: subprocess.Popen[bytes] | None = None
        if waiting is None:
            self._start()
        else:
            self.control = waiting
        self._buffer = FrameBuffer()
        try:
            ready = next(self._messages(_START_LIMIT_S))
        except BaseException:
            self.close()
            raise
        if not isinstance(ready, Ready) or ready.problem:
            self.close()
            raise RuntimeError(f"The helper process of run_ranks cannot import torch:\n{ready}")

    def _start(self) -> None:
        package_root = str(Path(__file__).resolve().parents[2])
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([package_root, *([inherited] if inherited else [])])
        self.control, theirs = socket.socketpair()
        with theirs:
            # A session of its own: an interrupt of the notebook must reach the notebook alone.
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "shardwork.lab.rank_server", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={**os.environ, **_ONE_THREAD, **_QUIET, "PYTHONPATH": path},
            )

    def say(self, message: Call | Cancel) -> None:
        self.control.sendall(encode(message))

    def call(self, call: Call) -> list[Report]:
        """Run one call, printing what the ranks print; return the reports in rank order."""
        try:
            self.say(call)
            return self._follow(call.timeout_s + _GRACE_S)
        except KeyboardInterrupt:
            self._cancel()
            raise
        except OSError:  # a broken pipe, or silence beyond every limit
            self.close()
            raise RuntimeError(
                "The helper process of run_ranks has ended unexpectedly. The next call starts a "
                "new one; if it happens again, restart the kernel."
            ) from None

    def _follow(self, limit_s: float) -> list[Report]:
        for message in self._messages(limit_s):
            if isinstance(message, Output):
                _show(message)
            elif isinstance(message, Done):
                return message.reports
        raise ConnectionError("no answer")

    def _cancel(self) -> None:
        try:
            self.say(Cancel())
            self._follow(_EXIT_LIMIT_S)
        except (OSError, KeyboardInterrupt):
            self.close()

    def arrived(self) -> list[Any]:
        """Return the messages that come with what can be read now; an OSError at the end."""
        data = self.control.recv(_READ_BYTES)
        if not data:
            raise ConnectionError("the helper process of run_ranks has ended")
        return self._buffer.feed(data)

    def _messages(self, limit_s: float) -> Iterator[Any]:
        """Yield messages as they come; an OSError after `limit_s` of silence, or at the end."""
        self.control.settimeout(limit_s)
        while True:
            yield from self.arrived()

    @property
    def usable(self) -> bool:
        # A process forked from the notebook must not talk over its parent's socket.
        if self.owner != os.getpid() or self.control.fileno() < 0:
            return False
        self.control.setblocking(False)
        try:
            return bool(self.control.recv(1, socket.MSG_PEEK))
        except BlockingIOError:  # it is there, and says nothing
            return True
        except OSError:
            return False
        finally:
            self.control.setblocking(True)  # a call may be more than the socket takes at once

    def close(self) -> None:
        self.control.close()  # the server ends its ranks and itself
        if self.owner != os.getpid() or self.process is None:
            return
        try:
            self.process.wait(_EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            left = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            self.process.wait()
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


class _Current:
    """This notebook's rank server, if it has been needed yet."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.server: Server | RankHosts | None = None
        self.waiting: socket.socket | None = None

    def running_server(self) -> Server | RankHosts:
        if self.server is None or not self.server.usable:
            self.stop()
            waiting, self.waiting = self.waiting, None
            if waiting is not None:
                with contextlib.suppress(ConnectionError):
                    self.server = Server(waiting)
            if self.server is None or not self.server.usable:  # it had ended meanwhile
                self.stop()
                hosts = os.environ.get("SHARDWORK_RANK_HOSTS")
                self.server = RankHosts(hosts, Server, _show) if hosts else Server()
        return self.server

    def stop(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            server.close()


_current = _Current()
atexit.register(stop_ranks)


def _show(output: Output) -> None:
    stream = sys.stderr if output.stream == "stderr" else sys.stdout
    lines = output.text.split("\n")
    print("\n".join(f"[rank {output.rank}] {line}" for line in lines), file=stream, flush=True)


# ---- the account of a failure ---------------------------------------------------------------


def _rank_error(reports: Sequence[Report], timeout_s: float) -> RankError:
    statuses = tuple(
        RankStatus(r.rank, r.state, r.error, _render(r), r.types, tuple(r.places)) for r in reports
    )
    root = _root_cause(reports)
    root_status = None if root is None else statuses[root.rank]
    message = _describe(statuses, root_status, timeout_s)
    if root is not None:
        message = "\n".join([message, *_explain(root, statuses)])
    return RankError(message, statuses, root_status)


def _root_cause(reports: Sequence[Report]) -> Report | None:
    """The earliest failure; one that only says that another rank has gone comes last."""
    failed = [r for r in reports if r.state in (RankState.RAISED, RankState.DIED)]
    return min(failed, key=lambda r: (r.lost_peer, r.at_s), default=None)


def _describe(ranks: tuple[RankStatus, ...], root: RankStatus | None, timeout_s: float) -> str:
    size = len(ranks)
    if root is None:
        late = [status for status in ranks if status.state is RankState.UNFINISHED]
        where = [
            f"rank {status.rank} was here:\n{status.traceback}"
            for status in late
            if status.traceback
        ]
        return "\n".join(
            [
                f"After {timeout_s:g} s, {_named(late)} of {size} had not finished; all were ended."
                + _others(ranks, late),
                *where,
            ]
        )
    verb = "failed" if root.state is RankState.RAISED else "died"
    what = shorten(root.error, _HEADLINE_CHARS, placeholder=" ...")
    headline = f"rank {root.rank} of {size} {verb} first: {what}" + _others(ranks, [root])
    return f"{headline}\n{root.traceback}".rstrip()


def _explain(root: Report, ranks: tuple[RankStatus, ...]) -> list[str]:
    """Say in the course's words what gloo says in its own."""
    if calls := _FINGERPRINT.findall(root.error):
        found = " and ".join(f"rank {r} called {op} (shape [{shape}])" for r, op, shape in calls)
        return [f"The ranks disagree on what they do together: {found}."]
    returned = [status for status in ranks if status.state is RankState.RETURNED]
    if root.lost_peer and returned:
        return [
            f"{_named(returned).capitalize()} had already returned while rank {root.rank} waited "
            "in a collective. Every rank must call the same collectives, in the same order."
        ]
    return []


def _others(ranks: tuple[RankStatus, ...], named: list[RankStatus]) -> str:
    words = {
        RankState.RETURNED: "had returned",
        RankState.RAISED: "failed after that",
        RankState.DIED: "died after that",
        RankState.UNFINISHED: "had not finished",
        RankState.ENDED: "was ended",
    }
    rest = [f"rank {s.rank} {words[s.state]}" for s in ranks if s not in named]
    return f" ({', '.join(rest)})" if rest else ""


def _named(ranks: list[RankStatus]) -> str:
    numbers = [str(status.rank) for status in ranks]
    if len(numbers) == 1:
        return f"rank {numbers[0]}"
    return f"ranks {', '.join(numbers[:-1])} and {numbers[-1]}"


def _render(report: Report) -> str:
    """Format where a rank was; the source lines come from the notebook's own cells."""
    if not report.places:
        return ""
    frames = []
    for file, line, name in report.places:
        text = linecache.getline(file, line).strip()
        frames.append(traceback.FrameSummary(_cell_name(file), line, name, line=text))
    lines = "".join(traceback.StackSummary.from_list(frames).format())
    last = report.error if report.state is RankState.RAISED else ""
    return f"Traceback (most recent call last):\n{lines}{last}".rstrip()


def _cell_name(file: str) -> str:
    """`Cell In[3]` for the file name that IPython gives to a cell's code."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        with contextlib.suppress(Exception):  # an IPython that names cells in another way
            label, name = shell.compile.format_code_name(file)
            return f"{label} {name}"
    return file
