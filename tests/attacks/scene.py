"""Run a batch of attacks against the real product, and look at everything that came of it."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from shardwork.course import Course
from shardwork.record import Record
from shardwork.recordfile import read_record
from tests.attacks.course import (
    POINTS,
    REPOSITORY,
    RIGHT,
    copy_course,
    handed_in,
    make_course,
    put,
)
from tests.attacks.kit import Attack, Submission
from tests.attacks.sink import Sink
from tests.attacks.tokens import Tokens
from tests.attacks.usage import Usage, watch

PR_SET_CHILD_SUBREAPER = 36
END_S = 2.0
"""Seconds after the batch in which everything that it started must be gone."""

_PARTLY = {"mean": RIGHT["mean"].replace("if not values", "if False")}
_NOISY = (
    "import sys, warnings\nprint('warned' * 50, file=sys.stderr)\nwarnings.warn('a warning')\n"
    "print('to be seen')"
)
_SLOW = "import time\ntime.sleep(2)"
_PROCESSES = (
    "import subprocess, sys\nfor i in range(3):\n"
    "    print(subprocess.run([sys.executable, '-c', f'print({i} ** 2)'], capture_output=True)"
    ".stdout)"
)
CONTROLS: dict[str, Submission] = {
    "a-right": Submission(RIGHT),
    "b-part": Submission({"product": RIGHT["product"], "key_product": RIGHT["key_product"]}
                         | _PARTLY),
    "y-noisy": Submission(RIGHT, before=(_NOISY,)),
    "y-procs": Submission(RIGHT, before=(_PROCESSES,)),
    "y-slow": Submission(RIGHT, before=(_SLOW,)),
    "z-part": Submission({"product": RIGHT["product"], "key_product": RIGHT["key_product"]}
                         | _PARTLY),
    "z-right": Submission(RIGHT),
    "z-wrong": Submission(),
}  # fmt: skip
"""Students whose grades and pages must be the same with and without attackers, which come between
those whose names begin with `b` and `y`."""


def controls_of(assignment: str) -> dict[str, Submission]:
    """Return the controls of an assignment: all where they cost seconds, else three."""
    few = ("a-right", "z-right", "z-wrong")
    return {name: c for name, c in CONTROLS.items() if assignment == "plain" or name in few}


@dataclass
class Scene:
    """What all batches of one run share. A context manager: it ends with its folder."""

    folder: Path
    tokens: Tokens
    sink: Sink
    mark: str
    base: Course
    home: Path
    clean: dict[str, Batch] = field(default_factory=dict)
    """A batch with nothing but controls, by assignment."""
    kept_in: Path | None = None
    """Where the course folder of a batch goes in which something was found."""
    isolation: str = "bubblewrap"
    """The level that is tried."""

    def values(self, course: Course, student: str) -> dict[str, str]:
        """Return what stands for `@NAME@` in the texts of a submission."""
        return {
            "COURSE": str(course.root),
            "HOME": str(self.home),
            "REPO": str(REPOSITORY),
            "STUDENT": student,
            "VICTIM": "z-right",
            "MARK": self.mark_of(student),
            "ESC_FILE": str(self.folder / f"esc-{self.mark_of(student)}"),
            "SINK_PORT": str(self.sink.port),
            "SINK_HOSTS": repr(self.sink.hosts),
            "SINK_ABSTRACT": repr(self.sink.abstract),
            "UID": str(os.getuid()),
        }

    def mark_of(self, student: str) -> str:
        """Return what an attack puts into the names of everything that it leaves somewhere."""
        return f"{self.mark}-{student}-"

    def close(self) -> None:
        self.sink.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_scene() -> Scene:
    """Make tokens, a course that holds them, a home with a secret, and the sink."""
    folder = Path(tempfile.mkdtemp(prefix="swa-"))
    tokens, mark = Tokens(), f"swk{secrets.token_hex(4)}"
    home = folder / "home"
    for name in (".ssh/id_rsa", ".aws/credentials", ".netrc", "notes.txt"):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"secret {tokens.file.text}\n", encoding="utf-8")
    scene = Scene(folder, tokens, Sink(mark), mark, make_course(folder / "base", tokens), home)
    done = subprocess.run(
        [sys.executable, "-m", "tests.attacks.product", "--plant", str(scene.base.root),
         tokens.gradebook.text],
        env=environment(scene, folder), cwd=scene.base.root, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    if done.returncode:
        scene.close()
        raise RuntimeError(f"the gradebook could not be made: {done.stderr[-3000:]}")
    return scene


@dataclass
class Batch:
    """One batch of the product, after it has ended: the raw material of every detector."""

    scene: Scene
    course: Course
    assignment: str
    attacks: Sequence[Attack]
    status: int | None
    """Exit status; None if it had to be killed at the outer limit."""
    console: bytes
    """Everything that it wrote to the terminal."""
    seconds: float
    usage: Usage
    changed: list[str]
    """Files of course and home that it had to leave alone and did not."""
    remaining: list[str]
    """What was left behind: processes, files, mounts, cgroups, shared memory."""
    heard: list[tuple[str, bytes]]
    """What reached the sink."""
    twins: Mapping[str, str]
    """Name of the twin's student, by attack id."""
    weak: str | None = None
    """The defence that was switched off."""

    def record(self, student: str) -> Record | None:
        """Return the record of a student, or None if there is none that can be read."""
        try:
            return read_record(self.course.records / self.assignment / f"{student}.json")
        except Exception:
            return None

    def points(self, student: str) -> float | None:
        """Return the most that record or gradebook give, `tell` not counted; None if neither."""
        record = self.record(student)
        found = []
        if record is not None:
            found.append(sum(e.points for e in record.exercises if e.name != "tell"))
        entered = self.gradebook(student)
        if entered:
            found.append(sum(entered.values()))
        return max(found, default=None)

    def gradebook(self, student: str) -> dict[str, float]:
        """Return the points of each cell in nbgrader's gradebook, without those of `tell`."""
        rows = self.query(
            "SELECT b.name, COALESCE(g.manual_score, g.auto_score, 0) FROM grade g "
            "JOIN base_cell b ON b.id = g.cell_id "
            "JOIN submitted_notebook n ON n.id = g.notebook_id "
            "JOIN submitted_assignment s ON s.id = n.assignment_id "
            "JOIN assignment a ON a.id = s.assignment_id "
            "WHERE s.student_id = ? AND a.name = ?", student, self.assignment,
        )  # fmt: skip
        return {name: float(points) for name, points in rows if name != "test_tell"}

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the gradebook."""
        with contextlib.closing(sqlite3.connect(self.course.gradebook)) as connection:
            return connection.execute(sql, values).fetchall()

    def shown(self, student: str) -> dict[str, bytes]:
        """Return everything of a submission that a student or a TA sees, by where."""
        from shardwork.feedback import feedback_page

        shown = {}
        for folder in (self.course.feedback, self.course.autograded):
            for path in sorted((folder / student).rglob("*")):
                if path.is_file() and not path.is_symlink():
                    shown[str(path.relative_to(self.course.root))] = path.read_bytes()
        record = self.record(student)
        if record is not None:
            for language in self.course.config.languages:
                page = feedback_page(record, self.course, language)
                shown[f"page in {language}"] = page.encode("utf-8", "replace")
            cells = "\n".join(f"{c.text}\n{c.error}" for c in record.cells)
            shown["cells on record"] = cells.encode("utf-8", "replace")
        return shown

    def page(self, student: str) -> bytes:
        """Return the feedback page without the moment of grading."""
        path = self.course.feedback / student / self.assignment / f"{self.assignment}.html"
        page = path.read_bytes() if path.is_file() else b"(no page)"
        record = self.record(student)
        stamp = record.graded_at[:16].replace("T", " ").encode() if record else b"-"
        return page.replace(stamp, b"(graded at)")


@dataclass(frozen=True)
class Seen:
    """One attack in its batch, for an attack's own detector."""

    batch: Batch
    attack: Attack

    @property
    def scene(self) -> Scene:
        return self.batch.scene

    @property
    def record(self) -> Record | None:
        return self.batch.record(self.attack.student)

    def victim(self, suffix: str) -> Record | None:
        """Return the record of one of the attack's victims."""
        return self.batch.record(victim_of(self.attack, suffix))

    def told(self, student: str = "") -> str:
        """Return what a submission answered to the judge's `tell`."""
        record = self.batch.record(student or self.attack.student)
        checks = (
            [c for e in record.exercises if e.name == "tell" for c in e.checks] if record else []
        )
        told = [c.evidence[name] for c in checks for name in sorted(c.evidence)]
        return "\n".join(map(str, told))


def victim_of(attack: Attack, suffix: str) -> str:
    return f"{attack.student}-{suffix}"


def run_batch(
    scene: Scene,
    assignment: str,
    attacks: Sequence[Attack],
    *,
    weak: str | None = None,
    jobs: int = 2,
    controls: bool = True,
) -> Batch:
    """Grade the attacks, their twins and the controls with the real command.

    `weak` names a defence to switch off. Every attack must be of `assignment`.
    """
    course = copy_course(scene.base, scene.folder / f"c{secrets.token_hex(3)}")
    temporary = Path(tempfile.mkdtemp(prefix="t", dir=scene.folder))
    twins: dict[str, str] = {}
    by_content: dict[str, str] = {}
    for name, control in controls_of(assignment).items() if controls else ():
        lay(scene, course, assignment, name, control)
    for attack in attacks:
        lay(scene, course, assignment, attack.student, attack.submission)
        for suffix, victim in attack.victims.items():
            lay(scene, course, assignment, victim_of(attack, suffix), victim)
        content = repr(attack.twin)
        if content not in by_content:
            by_content[content] = f"t-{hashlib.sha256(content.encode()).hexdigest()[:10]}"
            lay(scene, course, assignment, by_content[content], attack.twin)
        twins[attack.id] = by_content[content]
    before = _digests(course)
    started = ["-m", "shardwork"] if weak is None else ["-m", "tests.attacks.product", weak]
    command = [sys.executable, *started, "--course", str(course.root), "grade", assignment,
               "--jobs", str(jobs), "--isolation", scene.isolation]  # fmt: skip
    limit_s = 180 + 120 * len(list(course.submitted.iterdir()))
    scene.sink.take()
    mounts = _mounts()
    cgroups = _cgroups()
    containers = _containers(scene)
    began = time.monotonic()
    with _adopting(), (scene.folder / "console").open("w+b") as console:
        process = subprocess.Popen(
            command, env=environment(scene, temporary), cwd=course.root, stdin=subprocess.DEVNULL,
            stdout=console, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            with watch(process.pid, temporary) as usage:
                status: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            process.kill()
            process.wait()
        seconds = time.monotonic() - began
        remaining = _remaining(scene, temporary)
        remaining += [f"mount {m}" for m in _mounts() - mounts if str(scene.folder) in m]
        remaining += [f"cgroup {c}" for c in _made_by(usage.pids, _cgroups() - cgroups)]
        remaining += [f"container {c}" for c in _containers(scene) - containers]
        changed = _changed(scene, course, before)
        console.seek(0)
        said = console.read()
    shutil.rmtree(temporary, ignore_errors=True)
    return Batch(scene, course, assignment, attacks, status, said, seconds, usage, changed,
                 remaining, scene.sink.take(), twins, weak)  # fmt: skip


def _containers(scene: Scene) -> set[str]:
    """Return the containers of sandboxes that there are; nothing where none is asked for."""
    if scene.isolation != "docker":
        return set()
    from shardwork.sandbox.container import LABEL
    from shardwork.sandbox.engine import Engine, address

    return {str(found["Id"]) for found in Engine(address()).containers(LABEL)}


def clean_batch(scene: Scene, assignment: str) -> Batch:
    """Return the batch of controls alone, run once."""
    if assignment not in scene.clean:
        batch = run_batch(scene, assignment, [])
        full = sum(points for name, points in POINTS[assignment].items() if name != "tell")
        earned = {name: batch.points(name) for name in controls_of(assignment)}
        if earned["z-right"] != full or (earned["z-wrong"] or 0) >= full:
            # Nothing could be detected: an attack needs a product that grades.
            said = batch.console[-2000:].decode("utf-8", "replace")
            raise RuntimeError(f"the controls are not graded as they should be: {earned}\n{said}")
        scene.clean[assignment] = batch
    return scene.clean[assignment]


def lay(
    scene: Scene, course: Course, assignment: str, student: str, submission: Submission
) -> None:
    """Put a submission into `submitted/`."""
    folder = course.submitted / student / assignment
    folder.mkdir(parents=True)
    values = scene.values(course, student)
    notebook = handed_in(assignment, submission, scene.tokens.other_of(student).text)
    if submission.edit is not None:
        submission.edit(notebook)
    data = put(json.dumps(notebook, ensure_ascii=True, indent=1), _in_json(values)).encode()
    if submission.raw is not None:
        data = submission.raw
    (folder / f"{assignment}.ipynb").write_bytes(data)
    for name, content in submission.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(put(content, values).encode() if isinstance(content, str) else content)
    if submission.prepare is not None:
        submission.prepare(folder, scene)


def _changed(scene: Scene, course: Course, before: Mapping[str, str]) -> list[str]:
    """Return the files of course and home that a batch must leave alone and did not."""
    after = _digests(course)
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    secret = f"secret {scene.tokens.file.text}\n"
    for path in scene.home.rglob("*"):
        planted = path.name in ("id_rsa", "credentials", ".netrc", "notes.txt")
        if scene.mark in path.name or (planted and path.read_text(encoding="utf-8") != secret):
            names.append(str(path))
    return names


def escaped(scene: Scene) -> list[str]:
    """Return the files that attacks made at their `@ESC_FILE@`, and remove them."""
    found = sorted(scene.folder.glob("esc-*"))
    for path in found:
        path.rmdir() if path.is_dir() else path.unlink()
    return list(map(str, found))


def _in_json(values: Mapping[str, str]) -> dict[str, str]:
    return {name: json.dumps(value)[1:-1] for name, value in values.items()}


def environment(scene: Scene, temporary: Path) -> dict[str, str]:
    """Return the environment of the product: a home and variables that hold tokens."""
    keep = ("PATH", "LANG", "JAVA_HOME", "SHARDWORK_JAVA")
    return {name: os.environ[name] for name in keep if name in os.environ} | {
        "HOME": str(scene.home),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
        "JUPYTERHUB_API_TOKEN": scene.tokens.environment.text,
        "AWS_SECRET_ACCESS_KEY": scene.tokens.environment.text,
        "LMS_TOKEN": scene.tokens.environment.text,
    }


def _digests(course: Course) -> dict[str, str]:
    """Digest what a batch must not change: everything but what it writes itself."""
    written = {"records", "autograded", "feedback", "report", "gradebook.db", "gradebook.db.lock",
               "gradebook.db-journal", "__pycache__"}  # fmt: skip
    found = {}
    for path in sorted(course.root.rglob("*")):
        name = path.relative_to(course.root)
        if name.parts[0] in written or "__pycache__" in name.parts or path.is_dir():
            continue
        if path.is_symlink():
            found[str(name)] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(name)] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[str(name)] = "special"
    return found


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Become the parent of every process that loses its own, so that it is found."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    known = set(psutil.Process().children(recursive=True))
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0)
        left = set(psutil.Process().children(recursive=True)) - known
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(5)


def _remaining(scene: Scene, temporary: Path) -> list[str]:
    own = set(psutil.Process().children(recursive=True))
    deadline = time.monotonic() + END_S
    while time.monotonic() < deadline and (own or _marked_processes(scene)):
        time.sleep(0.1)
        own = {p for p in psutil.Process().children(recursive=True) if _lives(p)}
    found = [f"process {p.pid} {_command(p)}" for p in own if _lives(p)]
    found += [f"process {p.pid} {_command(p)}" for p in _marked_processes(scene) if p not in own]
    found += [f"file {path}" for path in sorted(temporary.iterdir())]
    for folder in (Path("/tmp"), Path("/dev/shm"), Path("/var/tmp"), Path("/run")):
        with contextlib.suppress(OSError):
            found += [f"file {p}" for p in folder.iterdir() if scene.mark in p.name]
    with contextlib.suppress(OSError):
        lines = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace").splitlines()
        found += [
            f"abstract socket {line}" for line in lines
            if scene.mark in line and not line.endswith(f"@{scene.mark}")
        ]  # fmt: skip
    return found


def _marked_processes(scene: Scene) -> list[psutil.Process]:
    return [
        p for p in psutil.process_iter()
        if p.pid != os.getpid() and scene.mark in _command(p) and _lives(p)
    ]  # fmt: skip


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.Error:
        return ""


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _mounts() -> set[str]:
    return set(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines())


def _cgroups() -> set[Path]:
    found: set[Path] = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found.update(Path(folder) / name for name in names if "shardwork" in name)
    return found


def _made_by(pids: set[int], folders: set[Path]) -> list[Path]:
    """Return the cgroups that one of these processes made: their names hold its number.

    Other batches on this machine make some, too.
    """
    makers = {folder: re.search(r"shardwork-(\d+)", folder.name) for folder in sorted(folders)}
    return [f for f, maker in makers.items() if maker is not None and int(maker[1]) in pids]


ASSIGNMENTS = tuple(POINTS)
