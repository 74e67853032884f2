"""Run the judges of a batch, and hear what they say."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Protocol

import msgspec

from shardwork.course import Assignment, Isolation
from shardwork.errors import CourseError, MachineError
from shardwork.inside.orders import receive, send
from shardwork.judge.job import (
    GO,
    LOADED,
    Event,
    Finished,
    Job,
    Judged,
    Prepared,
    Problem,
    Setting,
    Sit,
)
from shardwork.leftovers import own_prefix
from shardwork.sandbox import isolation
from shardwork.sandbox.zygote import Zygote, ZygoteFailed, tail_of

GRACE_S = 120.0
"""Seconds that a judge may take beyond what its submission may: its own clean-up."""
LOAD_S = 120.0
"""Seconds that the graders of an assignment may take to be imported."""
_FORK_S = 60.0
_END_S = 10.0
COMMAND = (sys.executable, "-m", "shardwork.judge")


def setting_of(
    assignment: Assignment,
    level: Isolation,
    graders: Path,
    files: Mapping[str, Path],
    codes: Mapping[str, Iterable[str]],
    seeds: Sequence[int],
    exercises: Sequence[str] = (),
) -> Setting:
    """Return what the judges of an assignment share on this machine.

    `files` are the folders of extra files that its jobs name, `codes` the misconceptions by
    exercise. What graders prepare is computed beforehand for `seeds`. Only the graders of
    `exercises` are loaded; all of them if empty. Raises MachineError if there is no such isolation,
    or no Java.
    """
    return Setting(
        assignment=assignment,
        plan=isolation.plan(assignment, level, files),
        protections=isolation.level(level).protections,
        graders=str(graders),
        files={name: isolation.seen_from_inside(level, name, at) for name, at in files.items()},
        exercises=tuple(exercises) or tuple(e.name for e in assignment.exercises),
        codes={name: tuple(known) for name, known in codes.items()},
        seeds=tuple(seeds),
    )


class Judges(Protocol):
    """Where the jobs of a batch are done: in processes of this machine, or by remote workers."""

    def judge(
        self, job: Job, heard: Callable[[Judged], None]
    ) -> tuple[Finished | Problem, tuple[str, ...]]: ...

    def stop(self) -> None: ...


class JudgeProcesses:
    """The judges of one batch: their station, and the zygote that makes the sandboxes for all.

    At most `at_once` submissions run at a time; who is waiting for its turn may have its sandbox
    prepared. Entering starts both; leaving ends them, and every judge. MachineError if one does not
    start, CourseError if the graders cannot be loaded.
    """

    def __init__(self, setting: Setting, at_once: int = 1) -> None:
        self.setting = setting
        self.turns = threading.BoundedSemaphore(at_once)
        self._zygote = Zygote(setting.plan)
        self._station: _Station | None = None
        self._running: set[int] = set()
        """Process descriptors of judges."""
        self._lock = threading.Lock()
        self._stopped = False

    def __enter__(self) -> JudgeProcesses:
        self._folder = tempfile.mkdtemp(prefix=own_prefix())
        try:
            # In this thread, which lives as long as the batch: a zygote ends with its parent's.
            # Zygote and station import at the same time, each on a core of its own.
            if not self.setting.plan.single_use:
                self._zygote.launch()
            self._station = self._new_station()
            if not self.setting.plan.single_use:
                self._zygote.start()
        except ZygoteFailed as error:
            self.__exit__()
            raise MachineError(f"No submission was run: the zygote failed: {error}") from error
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
        if self._station is not None:
            self._station.close()
        self._zygote.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def stop(self) -> None:
        """End every running judge, and with it its sandbox. No new one will be started."""
        with self._lock:
            self._stopped = True
            for judge in self._running:
                _kill(judge)

    @property
    def stopped(self) -> bool:
        return self._stopped

    def judge(
        self, job: Job, heard: Callable[[Judged], None]
    ) -> tuple[Finished | Problem, tuple[str, ...]]:
        """Do a job; return how it ended, and what it was shut in with. See `run_judge`."""
        return run_judge(job, self, heard), self.setting.protections

    @contextlib.contextmanager
    def start(self) -> Iterator[tuple[socket.socket, int]]:
        """Start a judge: the socket to it, and its process descriptor.

        It is ended, and its files removed, when the block is left. Raises InterruptedError if no
        new one shall be started, MachineError if it cannot be.
        """
        # The judge's own clean-up does not run when it is killed.
        with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as folder:
            ours, theirs = socket.socketpair()
            with ours:
                with theirs, self._lock:
                    if self._stopped:
                        raise InterruptedError
                    self._order(Sit(folder), theirs)
                judge = _forked(ours)
                with self._lock:
                    self._running.add(judge)
                    if self.stopped:  # meanwhile
                        _kill(judge)
                try:
                    yield ours, judge
                finally:
                    _kill(judge)
                    select.select([judge], [], [], _END_S)
                    with self._lock:
                        self._running.discard(judge)
                        os.close(judge)

    def _order(self, sit: Sit, conversation: socket.socket) -> None:
        """Ask the station for a judge; if it has ended, a new one."""
        for _ in range(2):
            if self._station is None:
                self._station = self._new_station()
            try:
                self._station.order(sit, conversation)
                return
            except OSError:
                self._station.close()
                self._station = None
        raise MachineError("The station of the judges ended as soon as it was asked for one.")

    def _new_station(self) -> _Station:
        single_use = self.setting.plan.single_use
        return _Station(self.setting, None if single_use else self._zygote.descriptor)


class _Station:
    """The process that has loaded the graders and forks the judges."""

    def __init__(self, setting: Setting, zygote: int | None) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        inherited = (theirs.fileno(), *(() if zygote is None else (zygote,)))
        with theirs:
            self._process = subprocess.Popen(
                [*COMMAND, *map(str, inherited)],
                stdin=subprocess.PIPE, stdout=self._log, stderr=self._log,
                env=_environment(), pass_fds=inherited,
            )  # fmt: skip
        try:
            self._load(setting)
        except BaseException:
            self.close()
            raise

    def _load(self, setting: Setting) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError), stdin:
            stdin.write(msgspec.json.encode(setting))
        problem = f"they were not loaded after {LOAD_S:.0f} s"
        if select.select([self._control], [], [], LOAD_S)[0]:
            heard = receive(self._control, LOADED)
            if heard is None:
                problem = f"loading them ended the process with status {self._process.wait()}"
            elif isinstance(heard[0], Problem):
                problem = heard[0].text
            else:
                return
        said = tail_of(self._log)
        raise CourseError(
            f"Nothing was judged: the graders in {setting.graders} cannot be used: {problem}."
            + (f" They said: {said}" if said else "")
        )

    def order(self, sit: Sit, conversation: socket.socket) -> None:
        """Ask for a judge. Raises OSError if there is no station any more."""
        send(self._control, sit, (conversation.fileno(),))

    def close(self) -> None:
        """End it, and with it the judges that it has forked; twice is allowed."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        self._log.close()


def _forked(conversation: socket.socket) -> int:
    """Return the process descriptor of the judge at the other end. Raises MachineError."""
    conversation.settimeout(_FORK_S)
    try:
        _, descriptors, _, _ = socket.recv_fds(conversation, 1, 1)
    except OSError:
        descriptors = []
    if not descriptors:
        raise MachineError("The judge of a submission could not be started.")
    conversation.settimeout(None)
    return descriptors[0]


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


def run_judge(
    job: Job, processes: JudgeProcesses, heard: Callable[[Judged], None], grace_s: float = GRACE_S
) -> Finished | Problem:
    """Run one job in a judge process of its own, and return how it ended.

    Its sandbox is prepared at once, and the submission runs when it is its turn. `heard` is called
    with each exercise as it is judged. A judge that dies or is still running after what its job may
    take and `grace_s` seconds is a Problem: an error of ours. Raises InterruptedError if
    `processes` was stopped meanwhile: then nothing is known.
    """
    limit_s = processes.setting.limit_s(job) + grace_s
    decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
    late = threading.Event()
    try:
        with processes.start() as (conversation, judge), contextlib.ExitStack() as turn:

            def end() -> None:
                late.set()
                _kill(judge)

            turn.enter_context(_alarm(limit_s, end))
            _say(conversation, msgspec.json.encode(job) + b"\n")
            for line in _lines(conversation):
                try:
                    event = decoder.decode(line)
                except msgspec.DecodeError:  # half a line: the judge ended while it wrote
                    break
                if isinstance(event, Prepared):
                    turn.close()
                    turn.enter_context(processes.turns)
                    turn.enter_context(_alarm(limit_s, end))
                    _say(conversation, GO)
                elif isinstance(event, Judged):
                    heard(event)
                else:
                    return event
    except MachineError as error:
        return Problem(str(error))
    if processes.stopped:
        raise InterruptedError
    return Problem(
        "the judge process ended before it was done"
        + (f" (its limit was {limit_s:.0f} s)" if late.is_set() else "")
    )


@contextlib.contextmanager
def _alarm(limit_s: float, end: Callable[[], None]) -> Iterator[None]:
    alarm = threading.Timer(limit_s, end)
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()
        alarm.join()  # so that it kills nobody who gets the descriptor's number next


def _say(conversation: socket.socket, line: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        conversation.sendall(line)


def _lines(conversation: socket.socket) -> Iterator[bytes]:
    with conversation.makefile("rb") as file, contextlib.suppress(ConnectionResetError):
        yield from file


def _environment() -> dict[str, str]:
    """What a judge needs of the caller's environment: nothing that is a secret."""
    keep = ("PATH", "HOME", "LANG", "LC_ALL", "JAVA_HOME", "VIRTUAL_ENV", "PYTHONPATH", "TMPDIR")
    kept = {name: os.environ[name] for name in keep if name in os.environ}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
