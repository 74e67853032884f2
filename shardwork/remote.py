"""Judges on other machines: the workers of a Dask cluster.

Ingest, records and the gradebook stay here. What travels is the graders and released files, once to
each worker, and a job for each submission; what comes back is verdicts. A worker starts its own
zygote and sandboxes, as strong as was asked for here, or takes no part. If one is lost, Dask gives
what it had to another.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from distributed import CancelledError, Client, Future, KilledWorker, WorkerPlugin, get_worker

from shardwork.course import Assignment, Isolation
from shardwork.errors import MachineError, ShardworkError
from shardwork.judge.job import Finished, Job, Judged, Problem
from shardwork.judging import JudgeProcesses, run_judge, setting_of
from shardwork.keys import versions
from shardwork.leftovers import own_prefix, sweep
from shardwork.misconceptions import Misconceptions

CONNECT_S = 30.0
_NAME = "shardwork-judges"
Files = dict[str, bytes]
"""Files of a folder, by their path in it."""


class Bundle(msgspec.Struct, frozen=True):
    """What a worker needs to judge one assignment. `files` are released folders, by language."""

    batch: str
    assignment: Assignment
    isolation: Isolation
    codes: dict[str, tuple[str, ...]]
    graders: Files
    files: dict[str, Files]
    seeds: tuple[int, ...]


class Sat(msgspec.Struct, frozen=True):
    """What a worker answers: everything that the judge of one job said."""

    judged: tuple[Judged, ...]
    end: Finished | Problem
    protections: tuple[str, ...]


def bundle(
    assignment: Assignment,
    isolation: Isolation,
    codes: Misconceptions,
    graders: Path,
    files: Mapping[str, Path],
    seeds: Sequence[int],
) -> Bundle:
    """Read what workers need. Raises OSError."""
    return Bundle(
        batch=uuid.uuid4().hex,
        assignment=assignment,
        isolation=isolation,
        codes={name: tuple(known) for name, known in codes.items()},
        graders={path.name: path.read_bytes() for path in sorted(graders.glob("*.py"))},
        files={name: _read(folder) for name, folder in files.items()},
        seeds=tuple(seeds),
    )


def _read(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


class RemoteJudges:
    """The judges of one batch on the workers of a Dask scheduler.

    Entering connects, compares versions and has every worker get ready, those included that join
    later. Raises MachineError if there is no scheduler, no worker, a worker with other versions
    than here, or one that cannot isolate as was asked for.
    """

    def __init__(self, address: str, sent: Bundle) -> None:
        self._address = address
        self._bundle = sent
        self._client: Client | None = None
        self._waiting: set[Future[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self.slots = 0

    def __enter__(self) -> RemoteJudges:
        try:
            self._client = Client(self._address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise MachineError(
                f"No submission was run: there is no Dask scheduler at {self._address} ({error}). "
                "Start one with `dask scheduler`, and workers with `dask worker`."
            ) from error
        try:
            self._get_ready(self._client)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _get_ready(self, client: Client) -> None:
        if not client.nthreads():
            raise MachineError(
                f"No submission was run: the scheduler at {self._address} has no worker. Start "
                f"some with `dask worker {self._address}`."
            )
        compare(versions(), client.run(versions))
        try:
            client.register_plugin(_GetsReady(msgspec.msgpack.encode(self._bundle)), name=_NAME)
        except Exception as error:  # whatever a worker raised, as Dask hands it on
            raise MachineError(f"No submission was run: a worker is not ready: {error}") from error
        self.slots = sum(client.nthreads().values())

    def __exit__(self, *error: object) -> None:
        self.stop()
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):  # a scheduler that is gone has nothing to end
                client.unregister_worker_plugin(_NAME)
            client.close()

    def stop(self) -> None:
        """Give up every job that is not done yet."""
        with self._lock:
            self._stopped = True
            waiting = list(self._waiting)
        for future in waiting:
            with contextlib.suppress(Exception):
                future.cancel()

    def judge(
        self, job: Job, heard: Callable[[Judged], None]
    ) -> tuple[Finished | Problem, tuple[str, ...]]:
        """Have a job done by some worker; return how it ended, and what it was shut in with.

        Raises InterruptedError if the batch was stopped meanwhile.
        """
        with self._lock:
            if self._stopped or self._client is None:
                raise InterruptedError
            future = self._client.submit(
                _judge_here, self._bundle.batch, msgspec.msgpack.encode(job),
                key=f"judge-{uuid.uuid4().hex}", pure=False, retries=0,
            )  # fmt: skip
            self._waiting.add(future)
        try:
            sat = msgspec.msgpack.decode(future.result(), type=Sat)
        except CancelledError:
            raise InterruptedError from None
        except KilledWorker:
            return Problem("one worker after the other was lost while it judged it"), ()
        except Exception as error:  # of the worker or of the way to it
            if self._stopped:
                raise InterruptedError from None
            return Problem(f"a worker could not judge it: {type(error).__name__}: {error}"), ()
        finally:
            with self._lock:
                self._waiting.discard(future)
            future.release()
        for event in sat.judged:
            heard(event)
        return sat.end, sat.protections


def compare(here: Mapping[str, str], workers: Mapping[str, Mapping[str, str]]) -> None:
    """Raise MachineError if a worker has other versions of engine or libraries than this machine.

    Grades must not depend on where a submission was judged.
    """
    found = []
    for address, there in sorted(workers.items()):
        found += [
            f"{address} has {name} {there.get(name, 'not at all')}, and this machine {version}"
            for name, version in here.items()
            if there.get(name) != version
        ]
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise MachineError(
            f"No submission was run: {'; '.join(found[:3])}{more}. Install the same version of "
            "Shardwork with the same constraints.txt on all machines."
        )


class _GetsReady(WorkerPlugin):  # type: ignore[misc]
    """Starts the judges of a worker when it joins, and ends them when it leaves."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded

    def setup(self, worker: Any) -> None:
        worker.shardwork_station = Station(self._encoded, worker.state.nthreads)

    def teardown(self, worker: Any) -> None:
        station: Station | None = getattr(worker, "shardwork_station", None)
        if station is not None:
            station.close()


class Station:
    """The judges of one worker, and the folder with what was sent to it."""

    def __init__(self, encoded: bytes, at_once: int) -> None:
        sweep()
        sent = msgspec.msgpack.decode(encoded, type=Bundle)
        self.batch = sent.batch
        self._folder = Path(tempfile.mkdtemp(prefix=own_prefix()))
        try:
            graders = _write(self._folder / "graders", sent.graders)
            files = {
                name: _write(self._folder / "release" / name, content)
                for name, content in sent.files.items()
            }
            self.processes = JudgeProcesses(
                setting_of(sent.assignment, sent.isolation, graders, files, sent.codes, sent.seeds),
                at_once,
            )
            self.processes.__enter__()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def close(self) -> None:
        self.processes.__exit__()
        shutil.rmtree(self._folder, ignore_errors=True)


def _write(folder: Path, content: Files) -> Path:
    folder.mkdir(parents=True)
    for name, data in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def _judge_here(batch: str, encoded: bytes) -> bytes:
    """Do a job in this worker's station. Raises ShardworkError if it serves another batch."""
    station: Station | None = getattr(get_worker(), "shardwork_station", None)
    if station is None or station.batch != batch:
        raise ShardworkError("this worker serves another batch; let that one end first")
    judged: list[Judged] = []
    job = msgspec.msgpack.decode(encoded, type=Job)
    end = run_judge(job, station.processes, judged.append)
    protections = station.processes.setting.protections
    return msgspec.msgpack.encode(Sat(tuple(judged), end, protections))
