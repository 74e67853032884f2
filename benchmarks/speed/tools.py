"""Grade one class with each tool, by its own command line, and count what it says is right."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.speed.classes import (
    LANGUAGE,
    REPOSITORY,
    copy_course,
    hand_in,
    names_of_students,
    reference_text,
    stock_course,
)
from benchmarks.speed.commands import CommandFailed, Spent, run
from benchmarks.speed.figures import Run, Timing, Tool
from shardwork.course import Course
from shardwork.recordfile import read_records

ALL_PASSED = "All test cases passed!"
"""What otter's public checks say in the notebook."""


class Graded(msgspec.Struct, frozen=True):
    """What `shardwork grade` says of a class, beside what it took."""

    run: Run
    phases: dict[str, float]
    timings: tuple[Timing, ...]


class Classroom:
    """One class, laid out for all three tools below a folder of its own.

    The stock tools grade the first `stock` of the class.
    """

    def __init__(self, folder: Path, assignments: Sequence[str], students: int, stock: int) -> None:
        self._folder = folder
        self._students = names_of_students(students)
        self._sampled = self._students[:stock]
        self.course: Course = copy_course(folder / "course")
        self._stock = stock_course(folder / "stock", assignments)
        self._texts = {}
        for name in assignments:
            text = reference_text(self.course, self.course.assignment(name))
            self._texts[name] = text
            hand_in(self.course.submitted, name, self._students, text)
            hand_in(self._stock / "submitted", name, self._sampled, text)

    def shardwork(self, assignment: str, jobs: int) -> Graded:
        """Grade with the real command, hand back everything, and read the records."""
        spent = grade(self.course, assignment, "--force", "--jobs", str(jobs))
        said = _summary(spent)
        records = read_records(self.course, assignment)
        right = sum(r.status == "graded" and r.points == r.max_points for r in records)
        timings = (msgspec.to_builtins(record.timing) for record in records)
        return Graded(
            self._result(assignment, Tool.SHARDWORK, [spent], right, jobs),
            said.phases,
            tuple(msgspec.convert(timing, Timing) for timing in timings),
        )

    def nbgrader(self, assignment: str) -> Run:
        """Grade with `nbgrader autograde`; registering the assignment is not counted."""
        program = shutil.which("nbgrader", path=_path()) or "nbgrader"
        _checked(run([program, "generate_assignment", assignment], self._stock, environment()))
        spent = _checked(run([program, "autograde", assignment], self._stock, environment()))
        notebooks = self._stock.glob(f"autograded/*/{assignment}/{assignment}.ipynb")
        exercises = len(self.course.assignment(assignment).exercises)
        right = sum(
            path.read_text(encoding="utf-8").count(f"results: {ALL_PASSED}\\n") >= exercises
            for path in notebooks
        )
        return self._result(assignment, Tool.NBGRADER, [spent], right, 1)

    def otter(self, assignment: str) -> Run:
        """Grade with `otter run`, a command for each submission; packing the tests is not counted.

        `otter grade` does the same in containers, several at once where Docker has room; it needs
        an image built from the network.
        """
        program = shutil.which("otter", path=_path()) or "otter"
        folder = self._folder / "otter" / assignment
        folder.mkdir(parents=True)
        tests = str(self.course.release / LANGUAGE / assignment / "tests")
        pack = [program, "generate", "--tests-dir", tests, "--output-path", "autograder.zip",
                "--no-config", "--no-requirements", "--no-environment"]  # fmt: skip
        _checked(run(pack, folder, environment()))
        each, right = [], 0
        for path in hand_in(folder, assignment, self._sampled, self._texts[assignment]):
            results = folder / "results" / path.parents[1].name
            results.mkdir(parents=True)
            command = [program, "run", "--no-logo", "--autograder", "autograder.zip",
                       "--output-dir", str(results), str(path)]  # fmt: skip
            each.append(_checked(run(command, folder, environment())))
            right += is_right(json.loads((results / "results.json").read_text(encoding="utf-8")))
        return self._result(assignment, Tool.OTTER, each, right, 1)

    def _result(
        self, assignment: str, tool: Tool, spent: Sequence[Spent], right: int, at_once: int
    ) -> Run:
        return Run(
            assignment=assignment,
            tool=tool,
            submissions=len(self._students if tool is Tool.SHARDWORK else self._sampled),
            right=right,
            at_once=at_once,
            wall_s=round(sum(one.wall_s for one in spent), 2),
            cpu_s=round(sum(one.cpu_s for one in spent), 2),
            cpu_from=spent[0].cpu_from,
            peak_bytes=max(one.peak_bytes for one in spent),
        )


class Summary(msgspec.Struct, frozen=True):
    """What is read of `shardwork grade --json`."""

    problems: tuple[str, ...] = ()
    phases: dict[str, float] = {}
    submissions: tuple[dict[str, object], ...] = ()


def grade(course: Course, assignment: str, *options: str) -> Spent:
    """Run `shardwork grade --json` on a course; CommandFailed unless all was judged."""
    return _checked(run(shardwork(course, "grade", assignment, "--json", *options),
                        course.root, environment()))  # fmt: skip


def shardwork(course: Course, *arguments: str) -> list[str]:
    """Return the command line of Shardwork in this environment, for a course."""
    return [sys.executable, "-m", "shardwork", "--course", str(course.root), *arguments]


def environment() -> dict[str, str]:
    """Return the environment of every tool: this one, with this installation's commands first."""
    return {**os.environ, "PATH": _path(), "PYTHONPATH": str(REPOSITORY)}


def is_right(results: dict[str, list[dict[str, object]]]) -> bool:
    """Whether otter's results.json says that every test has its full score."""
    scored = [test for test in results["tests"] if "max_score" in test]
    return bool(scored) and all(test["score"] == test["max_score"] for test in scored)


def _summary(spent: Spent) -> Summary:
    summary = msgspec.json.decode(spent.stdout, type=Summary)
    if summary.problems:
        raise CommandFailed("; ".join(summary.problems))
    return summary


def _path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _checked(spent: Spent) -> Spent:
    if spent.status != 0:
        raise CommandFailed(
            f"the command ended with status {spent.status}:\n{spent.stdout[-1500:]}"
            f"{spent.stderr[-1500:]}"
        )
    return spent
