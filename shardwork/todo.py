"""What waits for a teaching assistant in the records of a class."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from shardwork.course import Course
from shardwork.errors import ShardworkError
from shardwork.handgrading import HandGrading, read_hand_grading
from shardwork.pages import Language
from shardwork.plaintext import plain, plain_line
from shardwork.record import Record, Verdict


class ToDo(NamedTuple):
    """One thing that waits for a TA: `why` and `next_step` are plain text, `detail` may be long."""

    student: str
    subject: str
    why: str
    detail: str
    next_step: str


def to_dos(record: Record, language: Language, settled: Collection[str] = ()) -> list[ToDo]:
    """Return what waits for a TA in one record: what was refused, is ours, or was flagged.

    What concerns only an exercise in `settled` waits no longer.
    """
    say = language.say
    found: list[ToDo] = []
    student = plain_line(record.student, 200)
    again = str(
        say(
            "Run `shardwork grade {assignment} --student {student}` again. If it stays, enter the "
            "points in formgrader.",
            assignment=record.assignment,
            student=student,
        )
    ).replace("&#39;", "'")
    if record.status == "refused":
        found.append(
            ToDo(
                student,
                str(say("submission")),
                plain(language.tell(record.reason), 600, 10) or str(say("It was refused.")),
                "",
                str(
                    say(
                        "Look into submitted/{student}/{assignment}/ and ask the student to hand "
                        "in again, if it is no mistake of ours.",
                        assignment=record.assignment,
                        student=student,
                    )
                ),
            )
        )
    elif record.status == "incomplete":
        why = plain(record.reason, 600, 10) or str(say("It was not judged to the end."))
        found.append(ToDo(student, str(say("submission")), why, "", again))
    for exercise in record.exercises:
        if exercise.name in settled:
            continue
        for check in exercise.checks:
            if check.verdict is Verdict.ERROR:
                found.append(
                    ToDo(
                        student,
                        f"{exercise.name} · {check.name}",
                        plain(language.tell(check.message, check.evidence), 600, 10)
                        or str(say("An error of ours or the machine's.")),
                        plain(check.detail, 4_000, 60),
                        again,
                    )
                )
        if exercise.provisional and not any(c.verdict is Verdict.ERROR for c in exercise.checks):
            why = str(say("Its points are provisional."))
            found.append(ToDo(student, exercise.name, why, "", again))
    for notice in record.notices:
        if notice.flagged and notice.subject not in settled:
            found.append(
                ToDo(
                    student,
                    plain_line(notice.subject, 120),
                    plain(notice.text, 600, 10),
                    "",
                    str(say("Look at the notebook that was handed in, and decide.")),
                )
            )
    return found


def answers_to_grade(name: str, submissions: int, language: Language) -> ToDo:
    """Return the one line for all the answers to a written question that wait to be graded."""
    say = language.say
    return ToDo(
        str(say("Submissions: {count}", count=submissions)),
        plain_line(name, 120),
        str(say("Their answers to this written question wait to be graded by hand.")),
        "",
        str(say("Open formgrader, then Manual Grading; the rubric stands above each answer.")),
    )


def entered_by_hand(course: Course, assignment: str) -> dict[str, HandGrading]:
    """Return what people entered in formgrader, by student; nothing if it cannot be read."""
    try:
        return read_hand_grading(course, assignment)
    except ShardworkError:  # a gradebook that cannot be read: the list is only longer without it
        return {}


def settled_by_hand(by_hand: Mapping[str, HandGrading]) -> dict[str, Collection[str]]:
    """Return, by student, the exercises and questions whose points a person has given for good."""
    return {student: one.points.keys() - one.waiting for student, one in by_hand.items()}
