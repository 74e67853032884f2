"""Made-up courses and records for tests, small and fully determined by their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import nbformat
from nbformat import NotebookNode

from shardwork.course import Course, CourseConfig, load_course
from shardwork.record import (
    Cause,
    CellOutcome,
    CheckResult,
    ExerciseResult,
    Notice,
    NoticeKind,
    Record,
    Timing,
    Verdict,
)

ASSIGNMENT = "ch2_spark"
EXERCISES = ("key_stats", "top_words")
POINTS = {"key_stats": 5.0, "top_words": 3.0}

QUESTION = "choose_tool"
QUESTION_POINTS = 3.0
EMPTY = "YOUR ANSWER HERE"
"""What nbgrader 0.9.6 leaves of a written answer in a release."""
GUIDE = """\
A broadcast join fits: the small table is sent once to every executor, and the large one stays.

### Rubric

- **1 point.** Names the join that moves no rows of the large table.
- **2 points.** Says what is sent where, and what happens when the small table grows.

A right answer about another join earns everything if its costs are compared.
"""

MISCONCEPTIONS = """\
[key_stats.GROUP_BY_KEY]
cause = "All values of a key are sent to one place before anything is added up."
pointer = "Read \\"Combine before you shuffle\\" again."
cell = "key_stats-lesson-combine"

[key_stats.MEAN_OF_MEANS]
cause = "The mean of the partitions' means is taken, whatever their sizes."
pointer = "Read \\"What a partial result must carry\\" again."
cell = "key_stats-lesson-partial"
"""


def course(root: Path, languages: tuple[str, ...] = ("en", "ja")) -> Course:
    """Return a course of one assignment with two exercises; its folders are not made."""
    config = {
        "id": "shardwork",
        "title": "Large-scale data processing",
        "languages": list(languages),
        "assignments": [
            {
                "name": ASSIGNMENT,
                "title": "Apache Spark",
                "exercises": [
                    {"name": name, "points": POINTS[name], "minutes": 30} for name in EXERCISES
                ],
            }
        ],
    }
    return Course(root, msgspec.convert(config, CourseConfig))


def check(
    verdict: Verdict = Verdict.PASSED,
    *,
    name: str = "test_values",
    line: str = "The figures of every key are right.",
    **fields: Any,
) -> CheckResult:
    return CheckResult(name=name, line=line, verdict=verdict, **fields)


def exercise(
    name: str = "key_stats",
    points: float | None = None,
    checks: tuple[CheckResult, ...] | None = None,
    **fields: Any,
) -> ExerciseResult:
    return ExerciseResult(
        name=name,
        key="0" * 64,
        points=POINTS[name] if points is None else points,
        max_points=POINTS[name],
        checks=(check(),) if checks is None else checks,
        **fields,
    )


def record(student: str = "alice", **fields: Any) -> Record:
    """Return a record with full points; `points` follow from the exercises unless given."""
    exercises = fields.pop("exercises", tuple(exercise(name) for name in EXERCISES))
    values: dict[str, Any] = {
        "assignment": ASSIGNMENT,
        "status": "graded",
        "points": sum(e.points for e in exercises),
        "max_points": sum(POINTS.values()),
        "submission_digest": "sha256:" + "4e07408562bedb8b" * 4,
        "graded_at": "2027-01-16T03:04:05+00:00",
        "language": "en",
        "isolation": "bubblewrap",
        "seed": 20261,
        "versions": {"shardwork": "0.1.0"},
        "timing": Timing(notebook_s=4.0, judge_s=6.5, total_s=10.5),
    } | fields
    return Record(student=student, exercises=exercises, **values)


def a_class() -> list[Record]:
    """Return twelve submissions, one of each kind that a demo class has."""
    wrong = check(
        Verdict.FAILED,
        cause=Cause.OBSERVED,
        code="GROUP_BY_KEY",
        message="Every one of the 20,000 values crossed the network.",
        detail="shuffle_write_bytes 361784 > 4096",
        evidence={"shuffle_write_bytes": 361784},
        name="test_combines",
        line="Values are combined before they cross the network.",
    )
    mean = check(
        Verdict.FAILED,
        cause=Cause.OBSERVED,
        code="MEAN_OF_MEANS",
        message="The mean is off by {percent:.1f} %.",
        evidence={"percent": 4.04},
    )
    ours = check(
        Verdict.ERROR, message="The sandbox could not be started.", detail="bwrap: exit status 1"
    )

    def failing(cause: Cause, message: str = "") -> tuple[ExerciseResult, ...]:
        failed = check(Verdict.FAILED, cause=cause, message=message)
        return (exercise(points=0.0, checks=(failed,)), exercise("top_words"))

    two = (check(), wrong)
    raised = CellOutcome(
        "key_stats", "key_stats", "raised", "before\n", "ZeroDivisionError: division by zero"
    )
    return [
        record("s01_right"),
        record("s02_other_way"),
        record(
            "s03_starter",
            exercises=tuple(
                exercise(n, 0.0, (check(Verdict.SKIPPED, cause=Cause.UNANSWERED),))
                for n in EXERCISES
            ),
        ),
        record("s04_group", exercises=(exercise(points=2.5, checks=two), exercise("top_words"))),
        record("s05_group", exercises=(exercise(points=2.5, checks=two), exercise("top_words"))),
        record("s06_means", exercises=(exercise(points=0, checks=(mean,)), exercise("top_words"))),
        record("s07_noisy", cells=(CellOutcome("key_stats", "key_stats", "ran", "WARN\n" * 500),)),
        record(
            "s08_raises",
            exercises=failing(Cause.RAISED, "ZeroDivisionError: division by zero"),
            cells=(raised,),
        ),
        record("s09_endless", exercises=failing(Cause.NEVER_RETURNED), timing=Timing(9, 80, 89)),
        record("s10_kills", exercises=failing(Cause.DIED)),
        record(
            "s11_no_notebook",
            status="refused",
            exercises=(),
            reason="ch2_spark.ipynb is not a notebook: it is no JSON.",
            timing=Timing(),
        ),
        record(
            "s12_ours",
            exercises=(
                exercise(points=2.5, checks=(check(), ours), provisional=True),
                exercise("top_words"),
            ),
            notices=(
                Notice(
                    NoticeKind.CELL_DUPLICATED,
                    "top_words",
                    "Two cells claim to be top_words; the first was used.",
                    flagged=True,
                ),
            ),
        ),
    ]


def source_notebook() -> NotebookNode:
    """Return an instructor's notebook for `ASSIGNMENT`, as the conventions of `source/` want it."""
    v4 = nbformat.v4
    cells = [
        v4.new_markdown_cell("# Apache Spark", id="title"),
        v4.new_code_cell("x = 1", id="setup", metadata=_cell("setup", locked=True)),
    ]
    for name in EXERCISES:
        solution = (
            f'def {name}(records):\n    """Return the records."""\n'
            "    ### BEGIN SOLUTION\n    return records\n    ### END SOLUTION"
        )
        cells += [
            v4.new_markdown_cell(f"## Task: {name}", id=f"{name}-task"),
            v4.new_code_cell(solution, id=name, metadata=_cell(name, solution=True)),
            v4.new_code_cell(
                f'grader.check("{name}")',
                id=f"test_{name}",
                metadata=_cell(f"test_{name}", grade=True, locked=True, points=POINTS[name]),
            ),
        ]
    notebook = v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "shardwork": {"assignment": ASSIGNMENT},
        },
    )
    nbformat.validate(notebook)
    return notebook


def write_course(root: Path, languages: tuple[str, ...] = ("en",)) -> Course:
    """Write the course's configuration, source notebook and misconceptions into `root`."""
    made = course(root, languages)
    (root / "source" / ASSIGNMENT).mkdir(parents=True)
    (root / "graders" / ASSIGNMENT).mkdir(parents=True)
    config = f"course = {msgspec.to_builtins(made.config)!r}\n"
    (root / "course_config.py").write_text(config, encoding="utf-8")
    nbformat.write(source_notebook(), made.source_notebook(ASSIGNMENT))
    path = made.graders / ASSIGNMENT / "misconceptions.toml"
    path.write_text(MISCONCEPTIONS, encoding="utf-8")
    return made


def write_written_course(root: Path, languages: tuple[str, ...] = ("en",)) -> Course:
    """Write the same course with a written question at the end of the chapter."""
    made = write_course(root, languages)
    config = msgspec.to_builtins(made.config)
    question = {"name": QUESTION, "points": QUESTION_POINTS, "minutes": 10, "track": "core"}
    config["assignments"][0]["written"] = [question]
    (root / "course_config.py").write_text(f"course = {config!r}\n", encoding="utf-8")
    notebook = source_notebook()
    notebook.cells += written_cells()
    nbformat.validate(notebook)
    nbformat.write(notebook, made.source_notebook(ASSIGNMENT))
    return load_course(root)


def written_cells() -> list[NotebookNode]:
    marks = _cell(QUESTION, grade=True, solution=True, points=QUESTION_POINTS)
    marks["nbgrader"]["cell_type"] = "markdown"
    v4 = nbformat.v4
    return [
        v4.new_markdown_cell("## Written question\n\nWhich join, and why?", id=f"{QUESTION}-task"),
        v4.new_markdown_cell(GUIDE.rstrip("\n"), id=QUESTION, metadata=marks),
    ]


def _cell(grade_id: str, **fields: Any) -> dict[str, Any]:
    marks = {"grade": False, "locked": False, "solution": False, "task": False}
    return {
        "nbgrader": {"grade_id": grade_id, "schema_version": 3, "cell_type": "code"}
        | marks
        | fields
    }
