"""A class graded by the workers of a real Dask scheduler."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client, LocalCluster

from shardwork.batch import Graded, Settings, grade
from shardwork.course import Course, Isolation
from shardwork.errors import MachineError
from shardwork.keys import versions
from shardwork.recordfile import readable_records
from shardwork.remote import compare
from shardwork.sandbox import isolation
from tests.attacks.course import RIGHT, handed_in, make_course
from tests.attacks.kit import Submission
from tests.attacks.tokens import Tokens

WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}"),
]
KINDS = {
    "right": Submission(RIGHT),
    "wrong": Submission(),
    "hangs": Submission(RIGHT | {"mean": "def mean(values):\n    while True:\n        pass"}),
    "raises": Submission(RIGHT | {"ordered": "def ordered(words):\n    raise KeyError(words)"}),
}
SLOW = Submission(RIGHT, before=("import time; time.sleep(4)",))


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return make_course(tmp_path / "course", Tokens())


def hand_in(course: Course, submissions: dict[str, Submission]) -> None:
    for student, submission in submissions.items():
        folder = course.submitted / student / "plain"
        folder.mkdir(parents=True)
        text = json.dumps(handed_in("plain", submission, student))
        (folder / "plain.ipynb").write_text(text, encoding="utf-8")


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield cluster


def by(scheduler: str) -> Settings:
    return Settings(Isolation.BUBBLEWRAP, jobs=1, scheduler=scheduler, force=True)


def verdicts(course: Course) -> dict[str, list[tuple[object, ...]]]:
    """What records say, but for times."""
    records, problems = readable_records(course, "plain")
    assert not problems
    return {
        record.student: [
            (record.status, record.points, record.protections, record.seed),
            *(
                (e.name, e.key, e.points, c.name, c.verdict, c.cause, c.code, c.message)
                for e in record.exercises
                for c in e.checks
            ),
        ]
        for record in records
    }


def test_workers_give_the_same_verdicts_and_keys_as_this_machine(
    course: Course, cluster: LocalCluster
) -> None:
    hand_in(course, KINDS)
    assignment = course.assignment("plain")
    grade(course, assignment, Settings(Isolation.BUBBLEWRAP, jobs=2))
    here = verdicts(course)
    assert here["right"][0][:2] == ("graded", 16.0)
    told: list[Graded] = []
    grade(course, assignment, by(cluster.scheduler_address), done=told.append)
    assert all(one.judged for one in told)
    assert verdicts(course) == here
    # Nothing has to be judged again, here or there.
    again = grade(course, assignment, Settings(Isolation.BUBBLEWRAP, jobs=1))
    assert not any(one.judged for one in again)


def test_what_a_lost_worker_had_is_judged_by_another(course: Course, cluster: LocalCluster) -> None:
    hand_in(course, {f"s{number}": SLOW for number in range(4)})
    with Client(cluster) as client:
        pids = list(client.run(os.getpid).values())
    killed = threading.Event()
    killer = threading.Thread(target=kill_when_it_judges, args=(pids[0], killed))
    killer.start()
    graded = grade(course, course.assignment("plain"), by(cluster.scheduler_address))
    killer.join()
    assert killed.is_set()
    assert [one.problem for one in graded] == [""] * 4
    assert [one.record.points if one.record else None for one in graded] == [16.0] * 4


def kill_when_it_judges(pid: int, killed: threading.Event) -> None:
    """Kill a worker as soon as a notebook runs in one of its sandboxes."""
    deadline = time.monotonic() + 120.0
    while time.monotonic() < deadline:
        # bubblewrap twice, zygote, attendant, first process, kernel, runner
        if sum("shardwork.inside" in command for command in commands_below(pid)) >= 7:
            os.kill(pid, signal.SIGKILL)
            killed.set()
            return
        time.sleep(0.05)


def commands_below(pid: int) -> Iterator[str]:
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            yield " ".join(process.cmdline())


def test_a_worker_that_cannot_isolate_takes_no_part(course: Course, cluster: LocalCluster) -> None:
    hand_in(course, {"right": KINDS["right"]})
    with Client(cluster) as client:
        client.run(lambda: os.environ.update(PATH="/nowhere"))
    with pytest.raises(MachineError, match="bubblewrap"):
        grade(course, course.assignment("plain"), by(cluster.scheduler_address))
    assert not (course.records / "plain" / "right.json").exists()


def test_without_a_worker_nothing_is_run(course: Course) -> None:
    hand_in(course, {"right": KINDS["right"]})
    with (
        LocalCluster(
            n_workers=0, processes=True, host="127.0.0.1", dashboard_address=None
        ) as empty,
        pytest.raises(MachineError, match="has no worker"),
    ):
        grade(course, course.assignment("plain"), by(empty.scheduler_address))


def test_without_a_scheduler_nothing_is_run(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shardwork.remote.CONNECT_S", 1.0)
    hand_in(course, {"right": KINDS["right"]})
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(MachineError, match="no Dask scheduler"):
            grade(course, course.assignment("plain"), by(address))


def test_a_worker_with_another_version_of_anything_takes_no_part() -> None:
    here = versions()
    compare(here, {"tcp://10.0.0.2:1": dict(here)})
    for name in ("engine", "torch", "python"):
        with pytest.raises(MachineError, match=rf"tcp://10\.0\.0\.2:1 has {name} 0\.1"):
            compare(here, {"tcp://10.0.0.2:1": here | {name: "0.1"}})
    with pytest.raises(MachineError, match="has numpy not at all"):
        compare(here, {"a": {k: v for k, v in here.items() if k != "numpy"}})
