"""What a TA reads of a whole class."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwork import picture
from shardwork.course import Course
from shardwork.errors import NothingMatched
from shardwork.handgrading import HandGrading
from shardwork.record import Notice, NoticeKind, Record, Timing, Verdict
from shardwork.report import (
    Report,
    count_codes,
    exercise_figures,
    histogram,
    summarise,
    write_report,
)
from tests import factories
from tests.factories import ASSIGNMENT
from tests.unit.test_feedback import CATALOGUE, HOSTILE, Page, _hostile_record

pytestmark = [
    pytest.mark.unit,
    # matplotlib 3 calls pyparsing by names that pyparsing has deprecated
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def course(tmp_path: Path) -> Course:
    course = factories.course(tmp_path)
    folder = course.graders / ASSIGNMENT
    folder.mkdir(parents=True)
    (folder / "misconceptions.toml").write_text(factories.MISCONCEPTIONS, encoding="utf-8")
    catalogues = course.locale / "ja" / "LC_MESSAGES"
    catalogues.mkdir(parents=True)
    (catalogues / "shardwork.po").write_bytes(CATALOGUE.read_bytes())
    return course


def _summary(course: Course, records: list[Record]) -> Report:
    return summarise(course.assignment(ASSIGNMENT), records, {})


def _scores(pairs: list[tuple[float, float]]) -> list[Record]:
    """A class with these points in key_stats (of 5) and top_words (of 3)."""
    return [
        factories.record(
            f"s{i:02}",
            exercises=(
                factories.exercise("key_stats", first),
                factories.exercise("top_words", second),
            ),
        )
        for i, (first, second) in enumerate(pairs)
    ]


def test_the_summary_counts_what_a_person_counts(course: Course) -> None:
    # By hand from tests/factories.py: 8 8 0 5.5 5.5 3 8 3 3 3 (refused) 5.5
    summary = _summary(course, factories.a_class()).summary
    assert (summary.submissions, summary.graded, summary.refused, summary.not_final) == (
        12,
        11,
        1,
        1,
    )
    assert summary.mean == pytest.approx(52.5 / 11)
    assert summary.median == 5.5
    assert summary.max_points == 8.0


def test_the_to_do_list_has_what_is_ours_refused_or_flagged_and_nothing_else(
    course: Course,
) -> None:
    to_do = _summary(course, factories.a_class()).to_do
    assert [(item.student, item.subject) for item in to_do] == [
        ("s11_no_notebook", "submission"),
        ("s12_ours", "key_stats · test_values"),
        ("s12_ours", "top_words"),
    ]
    assert "it is no JSON" in to_do[0].why
    assert to_do[1].detail == "bwrap: exit status 1"
    assert "shardwork grade ch2_spark --student s12_ours" in to_do[1].next_step
    assert all(item.why and item.next_step for item in to_do)


def test_whoever_needs_attention_is_on_the_to_do_list(course: Course) -> None:
    records = [
        *factories.a_class(),
        factories.record("t1", status="incomplete", exercises=(), reason="The disk is full."),
        factories.record("t2", exercises=(factories.exercise(points=1.0, provisional=True),)),
        factories.record("t3", notices=(Notice(NoticeKind.CELL_RESTORED, "setup", "Put back."),)),
    ]
    listed = {item.student for item in _summary(course, records).to_do}
    assert listed == {record.student for record in records if record.needs_attention}


def test_a_score_falls_into_the_bin_that_begins_at_it_and_the_highest_into_the_last() -> None:
    bins = histogram([0.0, 0.2, 0.6, 1.99, 2.0], 2.0)
    assert [b.submissions for b in bins] == [1, 1, 0, 1, 0, 0, 0, 0, 0, 2]


@given(st.lists(st.integers(0, 800)))
def test_a_histogram_is_numpys(hundredths: list[int]) -> None:
    # NumPy's histogram has the same convention: half-open bins, the last one closed. Counting in
    # whole hundredths keeps floating point out of the expected value.
    expected, _ = np.histogram(hundredths, bins=10, range=(0, 800))
    found = [b.submissions for b in histogram([n / 100 for n in hundredths], 8.0)]
    assert found == expected.tolist()


def test_facility_is_mean_over_possible(course: Course) -> None:
    graded = _scores([(5, 3), (2.5, 0), (0, 1.5)])
    key_stats, top_words = exercise_figures(course.assignment(ASSIGNMENT), graded)
    assert key_stats.mean == pytest.approx(2.5)
    assert key_stats.facility == pytest.approx(0.5)
    assert (key_stats.full, key_stats.part, key_stats.zero) == (1, 1, 1)
    assert top_words.facility == pytest.approx(0.5)


def test_discrimination_is_the_correlation_with_the_rest_from_twenty_submissions_on(
    course: Course,
) -> None:
    random = np.random.default_rng(7)
    pairs = [(float(a), float(b)) for a, b in random.uniform(0, 3, (20, 2)).round(1)]
    figures = exercise_figures(course.assignment(ASSIGNMENT), _scores(pairs))
    expected = np.corrcoef(*zip(*pairs, strict=True))[0, 1]  # NumPy, not the module under test
    assert figures[0].discrimination == pytest.approx(expected)
    few = exercise_figures(course.assignment(ASSIGNMENT), _scores(pairs[:19]))
    assert few[0].discrimination is None


def test_discrimination_is_left_out_where_nothing_varies(course: Course) -> None:
    figures = exercise_figures(course.assignment(ASSIGNMENT), _scores([(5.0, 3.0)] * 30))
    assert figures[0].discrimination is None


def test_a_misconception_counts_once_for_a_submission() -> None:
    twice = factories.check(factories.Verdict.FAILED, code="GROUP_BY_KEY")
    record = factories.record(exercises=(factories.exercise(points=0, checks=(twice, twice)),))
    (count,) = count_codes([record, factories.record("b")], {})
    assert (count.code, count.submissions, count.share) == ("GROUP_BY_KEY", 1, 0.5)


def test_misconceptions_come_the_most_frequent_first(course: Course) -> None:
    codes = _summary(course, factories.a_class()).codes
    assert [(c.code, c.submissions) for c in codes] == [("GROUP_BY_KEY", 2), ("MEAN_OF_MEANS", 1)]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_page_is_well_formed_and_every_picture_has_words_and_a_table(
    course: Course, language: str
) -> None:
    path, _ = write_report(course, ASSIGNMENT, [*factories.a_class(), _hostile_record()], language)
    assert path == course.root / "report/ch2_spark/index.html"
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert page.all("html") == [{"lang": language}]
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels == [1, *[2] * 6]
    pictures = page.all("img")
    assert len(pictures) == 4
    assert all(image["alt"] for image in pictures)
    assert len(page.all("table")) == 5
    assert all(cell.get("scope") in {"row", "col"} for cell in page.all("th"))
    for image in pictures:
        kind, _, data = str(image["src"]).partition(",")
        assert kind == "data:image/svg+xml;base64"
        ElementTree.fromstring(base64.b64decode(data))
    assert "<script" not in html
    assert "\u202e" not in html


def test_the_same_records_give_the_same_bytes_whatever_their_order(course: Course) -> None:
    records = factories.a_class()
    first = write_report(course, ASSIGNMENT, records)[0].read_bytes()
    assert write_report(course, ASSIGNMENT, records[::-1])[0].read_bytes() == first


def test_a_class_of_nothing_but_refusals_has_a_report(course: Course) -> None:
    records = [factories.a_class()[10]]
    text = Page(write_report(course, ASSIGNMENT, records)[0].read_text(encoding="utf-8")).text
    assert "s11_no_notebook" in text


def test_a_large_class_has_a_report_of_bounded_pictures(course: Course) -> None:
    records = [
        factories.record(f"s{i:03}", timing=Timing(total_s=float(i % 37))) for i in range(300)
    ]
    html = write_report(course, ASSIGNMENT, records)[0].read_text(encoding="utf-8")
    assert len(html) < 250_000
    assert "It is not shown for fewer" not in html


def test_without_records_there_is_no_report(course: Course) -> None:
    with pytest.raises(NothingMatched, match="shardwork grade ch2_spark"):
        write_report(course, ASSIGNMENT, [])


def test_a_picture_takes_any_name() -> None:
    for name in ("$x^2$", HOSTILE, "山田 太郎", "a & b <c>", "\\frac"):
        ElementTree.fromstring(picture.counts([(name, 1.0)], x_label="Seconds"))


def test_what_a_person_settled_in_formgrader_is_no_to_do_any_more(course: Course) -> None:
    missing = Notice(NoticeKind.CELL_MISSING, "key_stats", "There is no cell.", flagged=True)
    ours = factories.check(Verdict.ERROR)
    records = [
        factories.record("s01", notices=(missing,)),
        factories.record(
            "s02",
            exercises=(
                factories.exercise(points=0, checks=(ours,), provisional=True),
                factories.exercise("top_words", checks=(ours,), provisional=True),
            ),
        ),
        factories.record("s03", status="refused", exercises=(), reason="no notebook"),
        factories.record("s04", status="refused", exercises=(), reason="no notebook"),
    ]

    def waiting(**settled: tuple[str, ...]) -> list[tuple[str, str]]:
        report = summarise(course.assignment(ASSIGNMENT), records, {}, settled=settled)
        marked = [row.student for row in report.rows if row.needs_attention]
        assert marked == sorted({to_do.student for to_do in report.to_do})
        return [(to_do.student, to_do.subject.partition(" ")[0]) for to_do in report.to_do]

    assert waiting() == [
        ("s01", "key_stats"), ("s02", "key_stats"), ("s02", "top_words"),
        ("s03", "submission"), ("s04", "submission"),
    ]  # fmt: skip
    both = ("key_stats", "top_words")
    settled = waiting(s01=("key_stats",), s02=("key_stats",), s03=both, s04=("key_stats",))
    assert settled == [("s02", "top_words"), ("s04", "submission")]


def test_the_report_reads_what_was_settled_from_the_gradebook(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Notice(NoticeKind.CELL_MISSING, "key_stats", "There is no cell.", flagged=True)
    entered = {"alice": HandGrading(points={"key_stats": 4.0})}
    monkeypatch.setattr("shardwork.todo.read_hand_grading", lambda *_: entered)
    path, _ = write_report(course, ASSIGNMENT, [factories.record("alice", notices=(missing,))])
    text = Page(path.read_text(encoding="utf-8")).text
    assert "Nothing: every submission was judged to the end." in text
