"""From submissions to grades through the real command, on a course of pure Python.

What each answer must earn is known by hand (`tiny_course.ANSWERS`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import psutil
import pytest

from shardwork import batch
from shardwork.course import Course, Isolation, load_course
from shardwork.handback import hand_back
from shardwork.notebook import fill
from shardwork.record import Record, Verdict
from shardwork.recordfile import read_record, record_path
from shardwork.sandbox import isolation
from tests.tiny_course import (
    ANSWERS,
    CONFIG,
    NAME,
    RIGHT,
    STARTERS,
    TEST_LARGEST,
    answered,
    copy_course,
    hand_in,
    hand_in_class,
    make_tiny_course,
    source_notebook,
    write,
)

WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}"),
]

REPOSITORY = Path(__file__).resolve().parents[2]
LIMIT_S = 240
BAD_NAME = "a[b]"
NO_NOTEBOOK = "no_notebook"
CLASS = sorted([*ANSWERS, BAD_NAME, NO_NOTEBOOK])


class Run(NamedTuple):
    """What a command gave back; `lines` are the submissions of its JSON by student."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> dict[str, dict[str, Any]]:
        return {line["student"]: line for line in json.loads(self.out)["submissions"]}

    @property
    def judged(self) -> list[str]:
        return [student for student, line in self.lines.items() if line["judged"]]


def command(course: Course, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "shardwork", "--course", str(course.root), *arguments]


def environment(**changed: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), **changed}


def shardwork(course: Course, *arguments: str, **changed: str) -> Run:
    """Run the command to its end, as a person would."""
    done = subprocess.run(
        command(course, *arguments), env=environment(**changed), cwd=course.root,
        capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    return Run(done.returncode, done.stdout, done.stderr)


def grade(course: Course, *arguments: str, **changed: str) -> Run:
    return shardwork(course, "grade", NAME, "--json", "--jobs", "2", *arguments, **changed)


def record(course: Course, student: str) -> Record:
    return read_record(course.records / NAME / f"{student}.json")


def content(course: Course) -> dict[str, bytes]:
    """Return every record as it lies on the disk."""
    return {path.stem: path.read_bytes() for path in (course.records / NAME).glob("*.json")}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Course, Run]:
    """The course with a release that nbgrader made, and a class that has handed in."""
    course = make_tiny_course(tmp_path_factory.mktemp("released") / "course", released=False)
    run = shardwork(course, "release")
    hand_in_class(course)
    hand_in(course, NO_NOTEBOOK, "I could not save it.\n")
    hand_in(course, BAD_NAME, answered(RIGHT))
    return course, run


def test_a_class_that_was_released_the_core_track_is_judged_on_nothing_else(
    tmp_path: Path,
) -> None:
    course = make_tiny_course(tmp_path / "course", released=False)
    total = '"name": "total", "points": 4, '
    assert total in CONFIG
    write(course.root / "course_config.py", CONFIG.replace(total, f'{total}"track": "core", '))
    assert shardwork(course, "release", "--track", "core").code == 0
    path = course.release / "en" / NAME / f"{NAME}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    assert [c.id for c in notebook.cells if "largest" in c.id] == []
    hand_in(course, "alice", fill(notebook, {"total": RIGHT["total"]}))
    run = grade(load_course(course.root))
    assert run.code == 0, run.err
    assert (run.lines["alice"]["points"], run.lines["alice"]["max_points"]) == (4.0, 4.0)
    judged = record(course, "alice")
    assert [result.name for result in judged.exercises] == ["total"]
    assert judged.notices == ()
    verified = shardwork(course, "verify", f"{NAME}/largest", "--seeds", "1", "--json")
    assert [row["kind"] for row in json.loads(verified.out)["rows"]] == ["reference", "starter"]


@pytest.fixture(scope="module")
def graded(released, tmp_path_factory: pytest.TempPathFactory) -> tuple[Course, Run]:
    """The same class, graded once. Not to be changed."""
    course = copy_course(released[0], tmp_path_factory.mktemp("graded") / "course")
    return course, grade(course)


@pytest.fixture
def mine(graded, tmp_path: Path) -> Course:
    """A copy of the graded course, to be changed."""
    return copy_course(graded[0], tmp_path / "course")


@pytest.fixture
def fresh(released, tmp_path: Path) -> Course:
    """A copy of the course in which nothing has been graded, without the odd submissions."""
    course = copy_course(released[0], tmp_path / "course")
    for student in (BAD_NAME, NO_NOTEBOOK):
        (course.submitted / student).rename(tmp_path / f"away-{len(student)}")
    return course


# once through -------------------------------------------------------------------------------------


def test_the_release_holds_the_starters_and_nothing_of_the_reference(released) -> None:
    course, run = released
    assert run.code == 0, run.err
    notebook = nbformat.read(course.release / "en" / NAME / f"{NAME}.ipynb", as_version=4)
    sources = {cell.id: cell.source for cell in notebook.cells}
    assert {name: sources[name] for name in STARTERS} == STARTERS


def test_every_answer_earns_what_is_known_by_hand_and_is_named(graded) -> None:
    course, run = graded
    for student, (_, points, codes) in ANSWERS.items():
        line = run.lines[student]
        assert (line["points"], tuple(line["codes"])) == (points, codes), student
        assert (record(course, student).points, record(course, student).codes) == (points, codes)
        assert record(course, student).isolation == "bubblewrap"


def test_what_is_no_notebook_is_refused_and_the_rest_is_graded(graded) -> None:
    course, run = graded
    assert run.lines[NO_NOTEBOOK]["status"] == "refused"
    assert "it is no JSON" in record(course, NO_NOTEBOOK).reason
    assert run.code == 1  # there is something for a person to do


def test_a_folder_name_that_no_student_can_have_is_a_problem_and_the_rest_is_graded(graded) -> None:
    course, run = graded
    assert sorted(run.lines) == CLASS
    assert run.lines[BAD_NAME]["status"] == "not graded"
    assert "Rename the student's folder in submitted/" in run.lines[BAD_NAME]["problem"]
    assert BAD_NAME not in content(course)


def test_the_gradebook_holds_the_points_of_the_records(graded) -> None:
    course, _ = graded
    assert scores(course) == {student: points for student, (_, points, _) in ANSWERS.items()} | {
        NO_NOTEBOOK: 0.0
    }


def test_nbgraders_own_autograde_gives_the_same_points(mine) -> None:
    before = scores(mine)
    mine.gradebook.unlink()
    (mine.submitted / BAD_NAME).rename(mine.root / "away")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "autograde", NAME, "--force"], cwd=mine.root,
        env=environment(PATH=path), capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert scores(mine) == before


def test_each_student_gets_a_page_and_the_class_a_report(graded) -> None:
    course, run = graded
    pages = {path.parent.parent.name for path in course.feedback.rglob("*.html")}
    assert set(ANSWERS) <= pages
    assert Path(json.loads(run.out)["report"]).is_file()


def scores(course: Course) -> dict[str, float]:
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course.gradebook}") as gradebook:
        found = gradebook.assignment_submissions(NAME)
        return {submission.student.id: submission.score for submission in found}


# again --------------------------------------------------------------------------------------------


def test_a_second_run_judges_nothing_and_leaves_every_record_as_it_was(mine) -> None:
    before = content(mine)
    again = grade(mine)
    assert again.judged == []
    assert content(mine) == before
    assert again.code == 1  # the refused one is still refused


def test_an_unchanged_class_needs_no_sandbox(mine, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    assert grade(mine, PATH=str(tmp_path / "bin")).judged == []


def test_a_changed_grader_judges_its_own_exercise_again_and_no_other(mine) -> None:
    before = record(mine, "from_zero")
    changed = TEST_LARGEST.replace("[-3, -2, -4]", "[-3, -1, -4]").replace("== -2", "== -1")
    write(mine.graders / NAME / "test_largest.py", changed)
    run = grade(mine, "--student", "from_zero")
    assert run.judged == ["from_zero"]
    total, largest = record(mine, "from_zero").exercises
    assert total == before.exercises[0]  # with the seconds that each check took
    assert largest.key != before.exercises[1].key
    assert largest.codes == ("FROM_ZERO",)


def test_changed_points_and_weights_are_added_up_without_judging(mine) -> None:
    config = CONFIG.replace('"points": 4', '"points": 8').replace(
        '{"test_values": 2}', '{"test_values": 6}'
    )
    write(mine.root / "course_config.py", config)
    notebook = source_notebook()
    for cell in notebook.cells:
        if cell.id == "test_total":
            cell.metadata.nbgrader.points = 8
    write(mine.source_notebook(NAME), nbformat.writes(notebook))
    assert shardwork(load_course(mine.root), "release").code == 0
    run = grade(mine)
    assert run.judged == []
    # skips_first passes one check of weight 1 out of 6 + 1 + 1, and all of largest
    expected = {"right": 11.0, "starter": 0.0, "skips_first": 8 * 1 / 8 + 3, "from_zero": 9.0}
    assert {student: run.lines[student]["points"] for student in expected} == expected
    assert {student: scores(mine)[student] for student in expected} == expected


def test_a_changed_answer_is_judged_again_and_nobody_elses(mine) -> None:
    hand_in(mine, "starter", answered(RIGHT))
    run = grade(mine)
    assert run.judged == ["starter"]
    assert run.lines["starter"]["points"] == 7.0


def test_what_is_handed_in_after_the_judging_is_not_shown_beside_the_old_points(
    mine, tmp_path: Path
) -> None:
    assignment = mine.assignment(NAME)
    hand_in(mine, "late", answered(RIGHT))
    settings = batch.Settings(Isolation.BUBBLEWRAP, 1)
    (graded,) = batch.grade(mine, assignment, settings, students=["late"], keep=tmp_path)
    assert graded.judged and graded.notebook is not None
    hand_in(mine, "late", answered({}))
    records = [read_record(record_path(mine, NAME, "late"))]
    assert not hand_back(mine, assignment, records, {"late": graded.notebook}).problems
    shown = (mine.autograded / "late" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    assert "return sum(numbers)" in shown
    assert "return max(numbers)" in shown


def test_data_that_is_released_anew_judges_again(mine) -> None:
    write(mine.source / NAME / "data.csv", "1,2,3\n")
    assert shardwork(mine, "release").code == 0
    assert grade(mine, "--student", "right").judged == ["right"]
    assert grade(mine, "--student", "right").judged == []


def test_a_broken_record_of_a_student_who_left_keeps_nothing_from_the_others(mine) -> None:
    write(mine.records / NAME / "gone.json", "{")
    run = grade(mine)
    assert run.judged == []
    assert run.code == 1
    assert scores(mine)["right"] == 7.0
    assert any("gone.json" in problem for problem in json.loads(run.out)["problems"])


def test_another_seed_is_judged_anew_and_recorded(mine) -> None:
    run = grade(mine, "--student", "right", "--seed", "99")
    assert run.judged == ["right"]
    assert (record(mine, "right").seed, record(mine, "right").points) == (99, 7.0)


def test_a_broken_record_is_made_anew(mine) -> None:
    (mine.records / NAME / "right.json").write_text("{")
    run = grade(mine, "--student", "right")
    assert run.judged == ["right"]
    assert record(mine, "right").points == 7.0


def test_an_exercise_with_a_broken_grader_is_a_to_do_and_the_other_keeps_its_points(mine) -> None:
    write(mine.graders / NAME / "test_largest.py", "def test_values(student:\n")
    run = grade(mine, "--student", "right")
    assert run.code == 1
    total, largest = record(mine, "right").exercises
    assert (total.points, total.provisional) == (4.0, False)
    assert largest.provisional
    assert largest.checks[0].verdict is Verdict.ERROR
    assert "SyntaxError" in largest.checks[0].detail


def test_two_different_answers_are_a_to_do_and_the_other_exercise_is_judged(fresh) -> None:
    notebook = answered(RIGHT)
    extra = nbformat.from_dict(dict(notebook.cells[3]))
    extra.update(id="copy", source="def total(numbers):\n    return 0")
    notebook.cells.append(extra)
    hand_in(fresh, "right", notebook)
    run = grade(fresh, "--student", "right")
    total, largest = record(fresh, "right").exercises
    assert run.code == 1
    assert total.provisional
    assert "decide which one counts" in total.checks[0].detail
    assert largest.points == 3.0


# interrupted --------------------------------------------------------------------------------------


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a command in a process group of its own, as a terminal does."""
    running: list[subprocess.Popen[str]] = []

    def call(course: Course, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(course, "grade", NAME, "--jobs", "1", *arguments), cwd=course.root,
            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )  # fmt: skip
        running.append(process)
        return process

    yield call
    for process in running:
        process.kill()
        process.communicate()


def first_said(process: subprocess.Popen[str]) -> str:
    """Wait until the first submission is done; return what was said of it."""
    assert process.stderr is not None
    return next(line for line in process.stderr if " 1/4 " in line)


def interrupted_after(err: str) -> int:
    """Return how many submissions were done when the command was interrupted."""
    found = re.search(r"Interrupted after (\d) of 4 submissions\.", err)
    assert found, err
    return int(found[1])


def wait_for_a_sandbox(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Wait until the next notebook runs in its sandbox; return all processes of the batch."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        tree = psutil.Process(process.pid).children(recursive=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(child.name() != "bwrap" and child.parents()[1].name() == "bwrap"
                   for child in tree if len(child.parents()) > 1):  # fmt: skip
                return tree
        time.sleep(0.02)
    raise AssertionError("no sandbox was started")


def test_a_batch_that_is_killed_leaves_no_process_and_goes_on_where_it_stopped(
    fresh, start
) -> None:
    sleeps = answered(RIGHT)
    sleeps.cells.append(nbformat.v4.new_code_cell("import time\ntime.sleep(600)"))
    hand_in(fresh, "right", sleeps)  # the second of the class: nothing ends by itself
    batch = start(fresh)
    first_said(batch)
    tree = wait_for_a_sandbox(batch)
    batch.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(tree, timeout=10)
    assert alive == []
    hand_in(fresh, "right", answered(RIGHT))
    done = content(fresh)
    assert 1 <= len(done) < len(ANSWERS)
    assert not list((fresh.records / NAME).glob(".*"))
    resumed = grade(fresh)
    assert sorted([*done, *resumed.judged]) == sorted(ANSWERS)
    assert {student: line["points"] for student, line in resumed.lines.items()} == {
        student: points for student, (_, points, _) in ANSWERS.items()
    }
    assert {student: content(fresh)[student] for student in done} == done


@pytest.mark.usefixtures("no_leaks")
def test_ctrl_c_keeps_what_is_done_stops_the_rest_and_says_how_to_go_on(fresh, start) -> None:
    batch = start(fresh)
    first_said(batch)
    tree = wait_for_a_sandbox(batch)
    os.killpg(batch.pid, signal.SIGINT)
    _, err = batch.communicate(timeout=LIMIT_S)
    assert batch.returncode == 130
    finished = interrupted_after(err)
    assert f"grade {NAME} --jobs 1" in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(tree, timeout=20)
    assert alive == []
    kept = len(content(fresh))  # the last record may have been written and not been told yet
    assert finished <= kept <= finished + 1 < 4
    assert len(grade(fresh).judged) == 4 - kept


@pytest.mark.usefixtures("no_leaks")
def test_ctrl_c_in_a_run_with_force_loses_no_record_of_the_run_before(mine, start) -> None:
    for student in (BAD_NAME, NO_NOTEBOOK):
        (mine.submitted / student).rename(mine.root / f"away-{len(student)}")
    before = content(mine)
    batch = start(mine, "--force")
    first_said(batch)
    wait_for_a_sandbox(batch)
    os.killpg(batch.pid, signal.SIGINT)
    _, err = batch.communicate(timeout=LIMIT_S)
    after = content(mine)
    assert after.keys() == before.keys()
    changed = [student for student, data in after.items() if data != before[student]]
    assert len(changed) <= interrupted_after(err) + 1 < 4
    assert all(record(mine, student).status == "graded" for student in ANSWERS)


# the machine --------------------------------------------------------------------------------------


def test_without_bubblewrap_nothing_is_graded(fresh, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    run = grade(fresh, PATH=str(tmp_path / "bin"))
    assert run.code == 4
    assert "No submission was run: bubblewrap (`bwrap`) is not installed" in run.err
    assert not fresh.records.exists() or content(fresh) == {}


@pytest.mark.usefixtures("no_leaks")
def test_no_isolation_must_be_asked_for_and_is_recorded(fresh, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    arguments = ("--student", "right", "--isolation", "none")
    run = grade(fresh, *arguments, PATH=str(tmp_path / "bin"))
    assert run.code == 0
    assert record(fresh, "right").isolation == "none"
    assert record(fresh, "right").points == 7.0
    stronger = grade(fresh, "--student", "right")
    assert stronger.judged == ["right"]  # what was found without a sandbox does not count with one
    assert record(fresh, "right").isolation == "bubblewrap"


@pytest.fixture
def small_disk(fresh: Course) -> Iterator[Path]:
    """A file system of 64 KB for the records."""
    fresh.records.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(fresh.records)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield fresh.records
    subprocess.run(["umount", str(fresh.records)], check=True)


def test_on_a_full_disk_nothing_is_lost_and_the_next_step_is_said(fresh, small_disk) -> None:
    assert grade(fresh, "--student", "right").code == 0
    before = content(fresh)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))
    run = grade(fresh, "--student", "right", "--student", "starter")
    assert run.code == 1
    assert "The disk is full" in run.lines["starter"]["problem"]
    assert "run the same command again" in run.lines["starter"]["problem"]
    assert content(fresh) == before
    filler.unlink()
    assert grade(fresh, "--student", "right", "--student", "starter").judged == ["starter"]


# proving the graders ------------------------------------------------------------------------------


def rows(run: Run) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(run.out)["rows"]}


@pytest.mark.usefixtures("no_leaks")
def test_the_matrix_is_clean_for_graders_that_name_every_mutant(fresh) -> None:
    run = shardwork(fresh, "verify", f"{NAME}/total", "--seeds", "2", "--json")
    assert run.code == 0, run.out + run.err
    points = {name: [cell["points"] for cell in row["cells"]] for name, row in rows(run).items()}
    assert points == {
        "reference": [4.0, 4.0],
        "alternate_loop": [4.0, 4.0],
        "starter": [0.0, 0.0],
        # one of the two light checks is passed: 4 * 1/4
        "SKIPS_FIRST": [1.0, 1.0],
        "SKIPS_LAST": [1.0, 1.0],
        "COUNTS": [1.0, 1.0],
    }
    named = {name: row["cells"][0]["codes"] for name, row in rows(run).items()}
    assert [named[code] for code in ("SKIPS_FIRST", "SKIPS_LAST", "COUNTS")] == [
        ["SKIPS_FIRST"],
        ["SKIPS_LAST"],
        ["COUNTS"],
    ]


def test_a_mutant_that_is_not_named_makes_the_matrix_unclean_and_says_so(fresh) -> None:
    folder = fresh.graders / NAME / "solutions" / "total"
    write(folder / "mutant_SKIPS_LAST.py", RIGHT["total"] + "\n")
    write(folder / "alternate_loop.py", "def total(numbers):\n    return sum(numbers[1:])\n")
    only = ("--only", "SKIPS_LAST", "--only", "alternate_loop")
    run = shardwork(fresh, "verify", f"{NAME}/total", "--seeds", "1", *only)
    assert run.code == 1
    said = " ".join(run.out.split())
    assert "should be named SKIPS_LAST; was named nothing" in said
    assert "should have all points; failed: test_values (SKIPS_FIRST)" in said
    assert "0 of 2 solutions are judged as they should be." in said


def test_what_an_exercise_lacks_before_it_can_be_proven_is_listed(fresh) -> None:
    run = shardwork(fresh, "verify", f"{NAME}/largest", "--seeds", "1", "--json")
    assert run.code == 1
    assert json.loads(run.out)["missing"] == [
        f"{NAME}/largest: there is no alternate",
        f"{NAME}/largest: 0 mutants; at least 3 are needed",
        f"{NAME}/largest: misconception FIRST has no mutant",
        f"{NAME}/largest: misconception FROM_ZERO has no mutant",
    ]
