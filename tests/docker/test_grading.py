"""`--isolation docker`: the same records as with bubblewrap, the same walls, and nothing left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shardwork.course import Isolation, load_course
from shardwork.record import Record
from shardwork.recordfile import read_record
from shardwork.sandbox import isolation
from shardwork.sandbox.container import LABEL
from shardwork.sandbox.session import Session
from shardwork.sandbox.zygote import Zygote
from shardwork.verify import verify
from tests import sandboxes, tiny_course
from tests.docker.conftest import REPOSITORY, docker

WITHOUT_BUBBLEWRAP = isolation.problem()
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("images", "nothing_left")]


FORKS = """
import os, time
n = 0
try:
    while n < 5000:
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        n += 1
except OSError:
    pass
print(n)
"""


def containers() -> list[str]:
    return docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split()


@pytest.fixture
def nothing_left() -> Iterator[None]:
    before = containers()
    yield
    assert containers() == before


@pytest.fixture
def start() -> Iterator[Any]:
    sessions: list[Session] = []

    def call(_limits: dict[str, Any] | None = None, /, **cells: str) -> Session:
        limits = {"cell_s": 30.0, **(_limits or {})}
        plan = isolation.plan(sandboxes.assignment(**limits), Isolation.DOCKER, {})
        session = sandboxes.session(Zygote(plan), cells, **limits)
        sessions.append(session)
        session.open()
        return session

    yield call
    for session in sessions:
        session.close()


def grade(folder: Path, level: str, *more: str) -> dict[str, Record]:
    """Grade the tiny class by the real command; return the records by student."""
    course = tiny_course.make_tiny_course(folder)
    for student, (answers, _, _) in tiny_course.ANSWERS.items():
        tiny_course.hand_in(course, student, tiny_course.answered(answers))
    command = [sys.executable, "-m", "shardwork", "--course", str(folder), "grade",
               tiny_course.NAME, "--isolation", level, *more]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    paths = (folder / "records" / tiny_course.NAME).glob("*.json")
    return {path.stem: read_record(path) for path in paths}


def judged(record: Record) -> object:
    """What of a record may not depend on where it was judged."""
    plain = msgspec.to_builtins(record)
    for name in ("isolation", "protections", "timing", "graded_at"):
        plain.pop(name, None)
    for exercise in plain["exercises"]:
        exercise.pop("key", None)
        for check in exercise["checks"]:
            check.pop("seconds", None)
    return plain


@pytest.mark.skipif(WITHOUT_BUBBLEWRAP is not None, reason=f"bubblewrap: {WITHOUT_BUBBLEWRAP}")
def test_a_class_gets_the_same_records_in_containers_as_in_bubblewrap(tmp_path: Path) -> None:
    inside = grade(tmp_path / "docker", "docker")
    outside = grade(tmp_path / "bubblewrap", "bubblewrap")
    points = {name: record.points for name, record in inside.items()}
    assert points == {name: expected for name, (_, expected, _) in tiny_course.ANSWERS.items()}
    assert {n: judged(r) for n, r in inside.items()} == {n: judged(r) for n, r in outside.items()}
    assert {record.isolation for record in inside.values()} == {"docker"}
    assert all("container:" in record.protections[0] for record in inside.values())


@pytest.mark.parametrize("name", ["ch2_spark/key_stats", "ch3_dask/tree", "ch4_training/dp_grads"])
def test_real_frameworks_are_judged_inside_a_container(name: str) -> None:
    """Spark, Dask and gloo ranks each start within the one container of a submission."""
    course = load_course(REPOSITORY)
    assignment, _, exercise = name.partition("/")
    chosen = course.assignment(assignment)
    matrix = verify(course, chosen, [chosen.exercise(exercise)], [4_002], Isolation.DOCKER, jobs=1,
                    only=["reference", "starter"])  # fmt: skip
    wrong = {row.name: row.problem or [cell.wrong for cell in row.cells] for row in matrix.rows}
    assert wrong == {"reference": [None], "starter": [None]}


def test_a_submission_sees_a_closed_room(start) -> None:
    look = """
import json, os, socket, subprocess
from pathlib import Path
def attempt(what):
    try:
        what()
        return "done"
    except BaseException as error:
        return type(error).__name__
lines = Path("/proc/self/status").read_text().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
answer = {
    "uid is root": os.getuid() == 0,
    "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
    "interfaces": [n for _, n in socket.if_nameindex()],
    "outside": attempt(lambda: socket.create_connection(("1.1.1.1", 53), 3)),
    "engine": os.path.exists("/var/run/docker.sock"),
    "system": attempt(lambda: Path("/usr/x").write_text("")),
    "package": attempt(lambda: Path("/opt/shardwork/x").write_text("")),
    "pipe of the first process": attempt(lambda: os.open("/proc/1/fd/1", os.O_WRONLY)),
    "memory of it": attempt(lambda: os.open("/proc/1/mem", os.O_RDONLY)),
    "kill it": attempt(lambda: os.kill(1, 9)),
    "namespace": subprocess.run(["unshare", "-Ur", "true"]).returncode != 0,
    "vsock": attempt(lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)),
    "secrets": sorted(n for n in os.environ if "TOKEN" in n or "SECRET" in n),
}
print(json.dumps(answer))
"""
    os.environ["A_SECRET"] = "x"
    session = start(look=look)
    seen = json.loads(session.outcomes["look"].text)
    assert seen == {
        "uid is root": False, "capabilities": 0, "interfaces": ["lo"], "outside": "OSError",
        "engine": False, "system": "OSError", "package": "OSError",
        "pipe of the first process": "PermissionError", "memory of it": "PermissionError",
        "kill it": "done",  # the kernel lets nobody in a namespace kill its first process
        "namespace": True, "vsock": "OSError", "secrets": [],
    }  # fmt: skip
    assert session.alive


def test_what_goes_wrong_in_a_cell_costs_that_cell(start) -> None:
    session = start(
        {"cell_s": 4.0},
        hangs="while True: pass",
        dies="import os\nos._exit(3)",
        last="x = 41\ndef f(n):\n    return n + x",
    )
    statuses = {name: outcome.status for name, outcome in session.outcomes.items()}
    assert statuses == {"hangs": "never_returned", "dies": "died", "last": "ran"}
    assert session.alive


def test_memory_and_processes_have_bounds(start) -> None:
    session = start(
        {"memory_mb": 512, "scratch_mb": 64},
        forks=FORKS,
        eats="held = []\nwhile True: held.append(bytes(1 << 24))",
    )
    forked = session.outcomes["forks"]
    assert forked.status == "died" or int(forked.text) <= 1600
    assert session.outcomes["eats"].status == "died"


def test_a_batch_that_is_killed_leaves_no_container(tmp_path: Path) -> None:
    course = tiny_course.make_tiny_course(tmp_path)
    slow = {
        **tiny_course.RIGHT,
        "total": "import time\ntime.sleep(60)\n" + tiny_course.RIGHT["total"],
    }
    tiny_course.hand_in(course, "slow", tiny_course.answered(slow))
    before = set(containers())
    command = [sys.executable, "-m", "shardwork", "--course", str(tmp_path), "grade",
               tiny_course.NAME, "--isolation", "docker"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as batch:
        _until(lambda: len(set(containers()) - before) == 1, 120)
        time.sleep(3)  # past the container that only describes what it sees, into a submission's
        _until(lambda: len(set(containers()) - before) == 1, 120)
        batch.send_signal(signal.SIGKILL)
        batch.wait(60)
    # Its first process hears that the pipe has ended once it has started, on a busy machine too.
    _until(lambda: set(containers()) == before, 180)


def _until(reached: Any, limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while not reached():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_an_image_of_another_installation_is_refused(monkeypatch, tmp_path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM shardwork-grading\nUSER root\n"
        "RUN echo '# changed' >> $(python -c 'import shardwork.grading as g; print(g.__file__)')\n"
        "USER 1000:1000\n"
    )
    docker("build", "--tag", "shardwork-other", str(tmp_path), limit_s=300)
    try:
        monkeypatch.setenv(isolation.IMAGE_VARIABLE, "shardwork-other")
        isolation.level.cache_clear()
        with pytest.raises(isolation.MachineError, match="not of this installation: engine is"):
            isolation.level(Isolation.DOCKER)
        monkeypatch.setenv(isolation.IMAGE_VARIABLE, "shardwork-missing")
        with pytest.raises(isolation.MachineError, match="no image shardwork-missing"):
            isolation.level(Isolation.DOCKER)
    finally:
        isolation.level.cache_clear()
        docker("image", "rm", "shardwork-other")
