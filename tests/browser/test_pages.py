"""Our own pages in a browser: whatever a student wrote, nothing runs and nothing is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from markupsafe import Markup

from shardwork import feedback, pages
from shardwork.course import Course
from shardwork.feedback import feedback_path, write_feedback
from shardwork.handgrading import HandGrading
from shardwork.record import Cause, CellOutcome, Notice, NoticeKind, Record, Verdict
from shardwork.report import write_report
from tests import factories
from tests.browser.conftest import Seen, Viewer
from tests.browser.hostile import SINK, words
from tests.factories import ASSIGNMENT

pytestmark = [
    pytest.mark.functional,
    # matplotlib 3 calls pyparsing by names that pyparsing has deprecated
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return factories.write_course(tmp_path, ("en", "ja"))


def _hostile_record() -> Record:
    """A record with active content in every text that comes out of a submission, and in others."""
    failed = factories.check(
        Verdict.FAILED, cause=Cause.RAISED, message="It raised {type}.", line=words("line"),
        evidence={"type": words("type")}, detail=words("detail"),
    )  # fmt: skip
    ours = factories.check(Verdict.ERROR, message=words("message"), detail=words("our detail"))
    return factories.record(
        "eve",
        exercises=(
            factories.exercise(points=0, checks=(failed, ours), provisional=True),
            factories.exercise("top_words"),
        ),
        cells=(
            CellOutcome("a", "key_stats", "raised", words("text"), words("error")),
            CellOutcome(f"added-{words('id')}", None, "died", "", words("end")),
        ),
        notices=(Notice(NoticeKind.CELL_MISSING, words("subject"), words("notice"), flagged=True),),
        versions={"shardwork": words("version")},
        graded_at=words("graded"),
        submission_digest=words("digest"),
    )


def _refused_record() -> Record:
    reason = words("reason")
    return factories.record("mallory", status="refused", exercises=(), reason=reason)


def _is_inert(seen: Seen, path: Path) -> bool:
    return (
        seen.ran == set()
        and seen.dialogs == []
        and seen.console == []
        and {url for url in seen.requests if not url.startswith("data:")} == {path.as_uri()}
        and all(link.startswith(path.as_uri()) for link in seen.links)
    )


@pytest.mark.parametrize("record", [_hostile_record(), _refused_record()], ids=lambda r: r.status)
def test_a_feedback_page_runs_nothing_and_asks_for_nothing(
    course: Course, viewer: Viewer, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    comment = HandGrading(comments={"key_stats": words("comment")})
    monkeypatch.setattr(feedback, "read_hand_grading", lambda *_: {record.student: comment})
    (path,) = write_feedback(course, ASSIGNMENT, [record])
    seen = viewer.look(path.as_uri())
    assert _is_inert(seen, path), seen
    assert "<script>" in seen.text  # shown as text, not left out
    assert seen.title.startswith("Feedback: Apache Spark")


def test_the_class_report_runs_nothing_and_asks_for_nothing(course: Course, viewer: Viewer) -> None:
    hostile = factories.record("<script>x</script>", cells=_hostile_record().cells)
    path, _ = write_report(course, ASSIGNMENT, [_hostile_record(), _refused_record(), hostile])
    seen = viewer.look(path.as_uri())
    assert _is_inert(seen, path), seen
    assert "<script>" in seen.text


@pytest.mark.parametrize(
    ("escaped", "policed", "runs"),
    [(True, True, False), (True, False, False), (False, True, False), (False, False, True)],
)
def test_either_of_escaping_and_policy_would_do_and_without_both_the_detector_sees_it(
    course: Course, viewer: Viewer, monkeypatch: pytest.MonkeyPatch,
    escaped: bool, policed: bool, runs: bool,
) -> None:  # fmt: skip
    made = pages._environment()
    if not escaped:
        raw = made.overlay(autoescape=False)
        monkeypatch.setattr(pages, "_environment", lambda: raw)
        monkeypatch.setattr(pages, "escape", Markup)
    record = _hostile_record()
    html = feedback.feedback_page(record, course, "en")
    if not policed:
        html = html.replace("Content-Security-Policy", "No-Policy")
    path = feedback_path(course, ASSIGNMENT, "eve")
    pages.write_page(path, html)
    seen = viewer.look(path.as_uri())
    assert bool(seen.ran) is runs, seen.ran
    if runs:
        assert seen.asked_of(SINK)


def test_a_picture_of_the_report_is_drawn_from_names_and_not_made_of_them(
    course: Course, viewer: Viewer
) -> None:
    records = [factories.record(f"</svg><script>{i}</script>") for i in range(3)]
    path, _ = write_report(course, ASSIGNMENT, records)
    seen = viewer.look(path.as_uri())
    assert _is_inert(seen, path), seen
