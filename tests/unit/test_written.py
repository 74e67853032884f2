"""Written questions: the notebook's conventions, what is taken in, and what people read of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from shardwork.catalogue import guides
from shardwork.course import Course
from shardwork.errors import CourseError
from shardwork.feedback import feedback_page
from shardwork.handgrading import HandGrading
from shardwork.ingest import MAX_ANSWER_CHARS, Ingested, code_digest, ingest
from shardwork.notebook import Role, load_source, problems, role
from shardwork.record import NoticeKind, Record, WrittenAnswer
from shardwork.report import summarise, write_report
from shardwork.sanitizer import clean_html
from tests import factories
from tests.factories import ASSIGNMENT, EMPTY, GUIDE, QUESTION
from tests.unit.test_feedback import Page

pytestmark = [
    pytest.mark.unit,
    # matplotlib 3 calls pyparsing by names that pyparsing has deprecated
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
ANSWER = "A *broadcast* join.\n\n- it moves the small table"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course with a written question, released by hand: the answer is empty, as nbgrader's."""
    made = factories.write_written_course(tmp_path, ("en", "ja"))
    released = load_source(made, ASSIGNMENT)
    for cell in released.cells:
        if role(cell) is Role.WRITTEN:
            cell.source = EMPTY
        if role(cell) is Role.SOLUTION:
            cell.source = cell.source.partition("    ###")[0] + "    raise NotImplementedError()"
    for language in ("en", "ja"):
        released.metadata.shardwork["language"] = language
        path = made.release / language / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(released, path)
    return made


@pytest.fixture
def taken(course: Course) -> Callable[..., Ingested]:
    """Hand in the release as `change` leaves it, and take it in."""

    def take(change: Callable[[list[Any]], None] = lambda cells: None, lang: str = "en") -> Any:
        path = course.release / lang / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
        notebook = json.loads(path.read_text(encoding="utf-8"))
        change(notebook["cells"])
        path = course.submitted / "alice" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(notebook), encoding="utf-8")
        return ingest(course, course.assignment(ASSIGNMENT), "alice")

    return take


def answer(text: str, **fields: Any) -> Callable[[list[Any]], None]:
    def change(cells: list[Any]) -> None:
        cells[-1].update({"source": text, **fields})

    return change


def prose(taken: Ingested) -> str:
    assert taken.notebook is not None
    return next(str(c.source) for c in taken.notebook.cells if c.id == QUESTION)


def kinds(taken: Ingested) -> list[tuple[NoticeKind, bool]]:
    return [(notice.kind, notice.flagged) for notice in taken.notices]


# the source notebook -----------------------------------------------------------------------------


def test_a_written_question_is_a_markdown_cell_with_a_model_answer_and_a_rubric(
    course: Course,
) -> None:
    source = load_source(course, ASSIGNMENT)
    assert role(source.cells[-1]) is Role.WRITTEN
    assert role(source.cells[-2]) is Role.LESSON  # the question is there for everybody to read


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.metadata.nbgrader.update(points=2), "gives 2 points, and course_config.py"),
        (lambda c: c.metadata.nbgrader.update(locked=True), "nbgrader locked True"),
        (lambda c: c.update(source="Only a model answer."), "then the line '### Rubric'"),
        (lambda c: c.update(source="\n### Rubric\n\n- **3 points.** All."), "needs a model answer"),
        (
            lambda c: c.update(source=GUIDE.replace("2 points", "1 point")),
            "the rubric are worth 2 points, and the question 3",
        ),
        (lambda c: c.update(id="other"), "'choose_tool' has no answer cell"),
        (lambda c: c.update(source=GUIDE + "\n### BEGIN SOLUTION"), "has a solution marker"),
    ],
)
def test_what_is_wrong_with_the_cell_is_said(course: Course, change: Any, said: str) -> None:
    source = load_source(course, ASSIGNMENT)
    change(source.cells[-1])
    assert any(said in problem for problem in problems(source, course.assignment(ASSIGNMENT)))


def test_a_question_has_a_name_of_its_own(course: Course) -> None:
    path = course.root / "course_config.py"
    text = path.read_text(encoding="utf-8")
    for taken in ("key_stats", "test_key_stats", "setup"):
        path.write_text(text.replace(QUESTION, taken), encoding="utf-8")
        from shardwork.course import load_course

        with pytest.raises(CourseError, match="is taken already"):
            load_course(course.root)


# what was handed in ------------------------------------------------------------------------------


def test_the_answer_is_taken_from_its_cell_and_nothing_else_changes(taken: Any) -> None:
    left = taken()
    answered = taken(answer(ANSWER))
    assert prose(answered) == ANSWER
    assert answered.written == (WrittenAnswer(QUESTION, 3.0, True),)
    assert answered.notices == ()
    # no exercise is judged anew
    assert code_digest(answered.notebook) == code_digest(left.notebook)


@pytest.mark.parametrize("text", [EMPTY, f"  {EMPTY} \n", "", " \n\n"])
def test_an_answer_that_says_nothing_is_the_starters_text(taken: Any, text: str) -> None:
    empty = taken(answer(text), "ja")
    assert prose(empty) == EMPTY
    assert empty.written == (WrittenAnswer(QUESTION, 3.0, False),)
    assert empty.notices == ()


@pytest.mark.parametrize("kind", ["code", "raw"])
def test_a_cell_of_another_type_is_read_and_never_run(taken: Any, kind: str) -> None:
    more = {"outputs": [], "execution_count": None} if kind == "code" else {}
    changed = taken(answer(ANSWER, cell_type=kind, **more))
    assert prose(changed) == ANSWER
    assert all(ANSWER not in c.source for c in changed.notebook.cells if c.cell_type == "code")
    assert changed.notices == ()


def test_a_deleted_cell_comes_back_empty_and_is_a_to_do(taken: Any) -> None:
    gone = taken(lambda cells: cells.pop())
    assert prose(gone) == EMPTY
    assert not gone.written[0].answered
    assert kinds(gone) == [(NoticeKind.CELL_MISSING, True)]


def test_several_answers_are_all_kept_because_a_person_reads_them(taken: Any) -> None:
    def twice(cells: list[Any]) -> None:
        cells[-1]["source"] = "First."
        cells.append({**cells[-1], "source": "Second."})
        cells.append({**cells[-1], "source": EMPTY})

    both = taken(twice)
    assert prose(both) == "First.\n\n---\n\nSecond."
    assert kinds(both) == [(NoticeKind.CELL_DUPLICATED, False)]


@pytest.mark.parametrize("place", [-1, 10])
def test_text_beside_an_empty_answer_is_a_to_do_and_beside_an_answer_it_is_none(
    taken: Any, place: int
) -> None:
    note = {"cell_type": "markdown", "id": "mine", "metadata": {}, "source": "I think so."}

    def beside(cells: list[Any]) -> None:
        cells.insert(place if place < 0 else len(cells), note)

    def beside_an_answer(cells: list[Any]) -> None:
        answer(ANSWER)(cells)
        beside(cells)

    def elsewhere(cells: list[Any]) -> None:
        cells.insert(1, note)

    assert kinds(taken(beside)) == [(NoticeKind.ANSWER_ELSEWHERE, True)]
    assert kinds(taken(beside_an_answer)) == []
    assert kinds(taken(elsewhere)) == []


def test_an_answer_without_end_is_cut_and_invisible_characters_are_shown(taken: Any) -> None:
    long = taken(answer("word " * MAX_ANSWER_CHARS))
    assert len(prose(long)) == MAX_ANSWER_CHARS + 1
    assert kinds(long) == [(NoticeKind.ANSWER_CUT, True)]
    assert prose(taken(answer("a\u202eb\x1b[31mc"))) == "a⟨U+202E⟩bc"


def test_edited_points_of_the_cell_have_no_effect(taken: Any) -> None:
    def greedy(cells: list[Any]) -> None:
        cells[-1]["metadata"]["nbgrader"]["points"] = 100

    edited = taken(greedy)
    cell = next(c for c in edited.notebook.cells if c.id == QUESTION)
    assert cell.metadata.nbgrader.points == 3
    assert kinds(edited) == [(NoticeKind.METADATA_EDITED, False)]


def test_what_a_page_shows_of_a_hostile_answer_is_not_active() -> None:
    assert "<script" not in clean_html("<script>x()</script><b onclick='x()'>answer</b>")


# what people read --------------------------------------------------------------------------------


def record(student: str = "alice", answered: bool = True, **fields: Any) -> Record:
    return factories.record(student, written=(WrittenAnswer(QUESTION, 3.0, answered),), **fields)


def shown(course: Course, one: Record, by_hand: HandGrading | None = None) -> str:
    return Page(feedback_page(one, course, "en", by_hand)).text


def test_the_page_says_that_the_answer_waits_and_counts_its_points_as_possible(
    course: Course,
) -> None:
    for by_hand in (None, HandGrading(waiting=frozenset({QUESTION}))):
        text = shown(course, record(), by_hand)
        assert "Waiting to be graded by hand" in text
        assert "8 of 11" in text
        assert "0 of 3 points" not in text  # it is no zero
        assert "Part of this is not final" not in text  # that is for errors of ours


def test_the_page_has_the_points_and_the_comment_of_the_person(course: Course) -> None:
    graded = HandGrading({QUESTION: 2.0}, {QUESTION: "What if it <b>grows</b>?"})
    text = shown(course, record(), graded)
    assert "10 of 11" in text
    assert "2 of 3 points" in text
    assert "What if it <b>grows</b>?" in text
    assert "Waiting" not in text


def test_after_a_changed_answer_the_page_waits_again_and_keeps_the_comment_back(
    course: Course,
) -> None:
    again = HandGrading({QUESTION: 2.0}, {QUESTION: "Too short."}, waiting=frozenset({QUESTION}))
    text = shown(course, record(), again)
    assert "You have changed this answer since it was graded" in text
    assert "10 of 11" in text
    assert "Too short." not in text


def test_no_answer_is_no_points_and_no_waiting(course: Course) -> None:
    text = shown(course, record(answered=False))
    assert "Not answered" in text
    assert "8 of 11" in text
    assert "Waiting" not in text
    assert "Not judged" in shown(
        course, factories.record(status="refused", exercises=(), reason="no notebook")
    )


def test_neither_the_page_nor_the_report_holds_the_model_answer(course: Course) -> None:
    path, _ = write_report(course, ASSIGNMENT, [record()])
    for text in (feedback_page(record(), course, "en"), path.read_text(encoding="utf-8")):
        assert "broadcast join fits" not in text
        assert "moves no rows" not in text


def test_the_report_counts_what_waits_in_one_line(course: Course) -> None:
    records = [
        record("a"), record("b"), record("c"), record("d", answered=False),
        factories.record("e", status="refused", exercises=(), reason="no notebook"),
    ]  # fmt: skip
    entered = {
        "b": HandGrading({QUESTION: 2.0}),
        "c": HandGrading({QUESTION: 1.0}, waiting=frozenset({QUESTION})),
    }
    report = summarise(course.assignment(ASSIGNMENT), records, {}, entered=entered)
    (figures,) = report.written
    assert (figures.answered, figures.not_answered, figures.waiting, figures.graded) == (3, 1, 2, 1)
    assert figures.mean == 2.0
    assert report.answers_waiting == 2
    assert [(to_do.student, to_do.subject) for to_do in report.to_do] == [
        ("e", "submission"), ("Submissions: 2", QUESTION),
    ]  # fmt: skip
    assert {row.student: [s.state for s in row.written] for row in report.rows} == {
        "a": ["waiting"], "b": ["graded"], "c": ["waiting"], "d": ["not answered"], "e": [],
    }  # fmt: skip
    assert report.summary.max_points == 8.0  # of what is judged


def test_a_written_answer_alone_is_nothing_that_went_wrong() -> None:
    assert not record().needs_attention


def test_the_guide_is_in_the_students_language(course: Course) -> None:
    path = course.locale / "ja" / "LC_MESSAGES" / f"{ASSIGNMENT}.po"
    path.parent.mkdir(parents=True)
    path.write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
        'msgid "### Rubric"\nmsgstr "### 採点基準"\n',
        encoding="utf-8",
    )
    assert guides(course, ASSIGNMENT, "en") == {QUESTION: GUIDE.rstrip("\n")}
    assert "### 採点基準" in guides(course, ASSIGNMENT, "ja")[QUESTION]
