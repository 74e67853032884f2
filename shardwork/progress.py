"""Grade a class and hand it back, with a progress bar on stderr."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shardwork.batch import Graded, Settings, grade
from shardwork.course import Assignment, Course
from shardwork.handback import HandedBack, hand_back
from shardwork.ingest import students_of
from shardwork.leftovers import own_prefix
from shardwork.phases import Phases
from shardwork.plaintext import plain_line
from shardwork.recordfile import readable_records


class Outcome(msgspec.Struct, frozen=True):
    """One assignment of a batch: every submission, and what was handed back."""

    assignment: str
    graded: tuple[Graded, ...]
    handed_back: HandedBack
    seconds: float
    phases: Mapping[str, float] = {}
    """Wall seconds of the parts of it, by name."""

    @property
    def needs_attention(self) -> bool:
        """Whether something could not be judged, written or handed back."""
        return bool(self.handed_back.problems) or any(
            one.record is None or one.record.status != "graded" or one.record.needs_attention
            for one in self.graded
        )


def grade_with_progress(
    course: Course, assignment: Assignment, settings: Settings, students: Sequence[str] = ()
) -> Outcome:
    """Grade and hand back one assignment. Interrupted, it says how to go on, and raises."""
    console = Console(stderr=True, soft_wrap=True)
    began = time.monotonic()
    count = len(set(students)) or len(students_of(course, assignment))
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[last]}"), console=console, disable=not console.is_terminal,
    )  # fmt: skip
    phases = Phases()
    finished = judged = 0
    judging_since = began

    def done(one: Graded) -> None:
        nonlocal finished, judged, judging_since
        finished += 1
        if one.judged:
            judged += 1
        elif not judged:
            judging_since = time.monotonic()
        said = "judged" if one.judged else "not judged" if one.record is None else "unchanged"
        if one.record is not None and one.record.status == "refused":
            said = "refused"
        student = plain_line(one.student, 80)
        left = ""
        if judged >= 2 * settings.jobs:
            left = about(left_s(time.monotonic() - judging_since, judged, count - finished))
        bar.update(task, advance=1, last=escape(f"{student} {said}{left}"))
        if not console.is_terminal:
            console.print(
                f"{assignment.name} {finished}/{count} {student}: {said}",
                highlight=False,
                markup=False,
            )

    try:
        with bar, tempfile.TemporaryDirectory(prefix=own_prefix()) as kept:
            task = bar.add_task(assignment.name, total=count, last="")
            graded = grade(
                course, assignment, settings, students=students, keep=Path(kept), done=done,
                phases=phases,
            )  # fmt: skip
            bar.update(task, last="handing back")
            records, problems = readable_records(course, assignment.name)
            notebooks = {g.student: g.notebook for g in graded if g.notebook is not None}
            handed_back = hand_back(course, assignment, records, notebooks, phases)
            if problems:
                problems += handed_back.problems
                handed_back = msgspec.structs.replace(handed_back, problems=tuple(problems))
    except KeyboardInterrupt:
        again = ["shardwork", *(word for word in sys.argv[1:] if word != "--force")]
        console.print(
            f"Interrupted after {finished} of {count} submissions. Their records are kept, and the "
            f"work goes on from there with: {plain_line(' '.join(again), 2_000)}",
            highlight=False,
            markup=False,
        )
        raise
    seconds = time.monotonic() - began
    return Outcome(assignment.name, tuple(graded), handed_back, seconds, phases.seconds())


def left_s(elapsed_s: float, judged: int, remaining: int) -> float:
    """Estimate the wall seconds that the rest takes, if it goes on as it went so far."""
    return elapsed_s / judged * remaining


def about(seconds: float) -> str:
    """Say an estimate no more exactly than it is: `, about 3 min left`; nothing below 5 s."""
    if seconds < 5:
        return ""
    if seconds < 90:
        return f", about {math.ceil(seconds / 10) * 10} s left"
    return f", about {math.ceil(seconds / 60)} min left"
