"""The page that a student reads."""

from __future__ import annotations

import ast
import base64
import hashlib
import re
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import polib
import pytest
from babel.messages.extract import extract_from_file

from shardwork.course import Course
from shardwork.feedback import feedback_page, write_feedback
from shardwork.handgrading import HandGrading
from shardwork.pages import show_points
from shardwork.record import (
    Cause,
    CellOutcome,
    CheckResult,
    ExerciseResult,
    Notice,
    NoticeKind,
    Record,
    Verdict,
)
from shardwork.sentences import SENTENCES, course_sentences, shown_number
from tests import factories
from tests.factories import ASSIGNMENT

pytestmark = pytest.mark.unit

REPOSITORY = Path(__file__).parents[2]
CATALOGUE = REPOSITORY / "locale" / "ja" / "LC_MESSAGES" / "shardwork.po"
GRADER = '''\
def test_values(student):
    """The figures of every key are right."""
    found = student.value("key_stats", as_=list)
    assert found, blame(because="Every one of the 20,000 values crossed the network.")
    assert found, blame(because="The mean is off by {percent:.1f} %.", percent=4.04)
    assert found, blame(because="" if found else "Written to {place}.", place="somewhere")
    assert found, blame(because="Your notebook holds two answers.")
'''
HOSTILE = "</pre><script>alert(1)</script>\x1b[31m\u202e<img src=x onerror=alert(2)>"


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course with misconceptions, and with the engine's own Japanese catalogue."""
    course = factories.write_course(tmp_path, ("en", "ja"))
    path = course.graders / ASSIGNMENT / "test_key_stats.py"
    path.write_text(GRADER, encoding="utf-8")
    catalogues = course.locale / "ja" / "LC_MESSAGES"
    catalogues.mkdir(parents=True)
    (catalogues / "shardwork.po").write_bytes(CATALOGUE.read_bytes())
    own = polib.POFile()
    own.append(polib.POEntry(msgid="The figures of every key are right.", msgstr="値が正しい。"))
    own.append(
        polib.POEntry(
            msgid="All values of a key are sent to one place before anything is added up.",
            msgstr="集計の前に、キーごとの値がすべて1か所に送られています。",
        )
    )
    own.save(str(catalogues / f"{ASSIGNMENT}.po"))
    return course


class Page(HTMLParser):
    """What a page is made of: elements with their attributes, and its text."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def _hostile_record() -> Record:
    check = factories.check(
        Verdict.FAILED, cause=Cause.RAISED, message="It raised {type}.", evidence={"type": HOSTILE},
        line=HOSTILE,
    )  # fmt: skip
    return factories.record(
        "eve<script>",
        exercises=(factories.exercise(points=0, checks=(check,)),),
        cells=(CellOutcome("a", "key_stats", "raised", HOSTILE * 2_000, HOSTILE * 2_000),),
        notices=(Notice(NoticeKind.CELL_MISSING, HOSTILE, HOSTILE, flagged=True),),
        reason=HOSTILE,
        versions={"shardwork": HOSTILE},
        graded_at=HOSTILE,
    )


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_page_is_well_formed_and_accessible(course: Course, language: str) -> None:
    for record in [*factories.a_class(), _hostile_record()]:
        page = Page(feedback_page(record, course, language))
        assert page.open == []
        assert page.all("html") == [{"lang": language}]
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1
        assert levels[0] == 1
        assert all(b - a <= 1 for a, b in pairwise(levels)), levels
        assert all(cell.get("scope") in {"row", "col"} for cell in page.all("th"))
        assert len(page.all("caption")) == len(page.all("table"))
        links = [a["href"] for a in page.all("a")]
        identities = [a["id"] for _, a in page.elements if "id" in a]
        assert links[0] == "#content"
        assert all(link is not None and link[1:] in identities for link in links)
        assert len(identities) == len(set(identities))


def test_a_page_asks_for_nothing_and_runs_nothing(course: Course) -> None:
    for record in [*factories.a_class(), _hostile_record()]:
        html = feedback_page(record, course, "en")
        page = Page(html)
        names = {tag for tag, _ in page.elements}
        assert not names & {"script", "link", "iframe", "object", "embed", "form", "img", "base"}
        for _, attributes in page.elements:
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
            assert not {"src", "srcset"} & attributes.keys()
        (policy,) = [str(m["content"]) for m in page.all("meta") if "http-equiv" in m]
        style = html.split("<style>")[1].split("</style>")[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert "default-src 'none'" in policy
        assert f"style-src 'sha256-{digest}';" in policy
        assert "unsafe" not in policy


def test_a_students_text_is_shown_and_never_markup_nor_a_control_character(course: Course) -> None:
    html = feedback_page(_hostile_record(), course, "en")
    assert "<script" not in html
    assert "onerror=alert(2)>" not in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", html)
    assert "⟨U+202E⟩" in html
    assert "&lt;script&gt;alert(1)" in html


@pytest.mark.parametrize("unit", ["x", '"', "\u202e", "\n&", "表"])
def test_a_page_is_bounded_whatever_a_notebook_prints(course: Course, unit: str) -> None:
    cells = tuple(
        CellOutcome(f"added-{i}", None, "raised", unit * 20_000, unit * 20_000) for i in range(200)
    )
    notices = tuple(
        Notice(NoticeKind.METADATA_EDITED, f"{i} {unit * 200}", "", flagged=True)
        for i in range(2_000)
    )
    html = feedback_page(factories.record(cells=cells, notices=notices), course, "en")
    assert len(html.encode()) < 100_000
    # 200 cells: those that are shown, and the number that is told
    told = re.search(r"The output of (\d+) more cells", html)
    assert told is not None
    assert html.count("<h3>Cell <code>") + int(told[1]) == 200


def test_what_the_course_itself_prints_is_not_on_the_page_unless_it_went_wrong(
    course: Course,
) -> None:
    cells = (
        CellOutcome("lesson-example", None, "ran", "printed by the lesson"),
        CellOutcome("lesson-other", None, "raised", "", "raised in the lesson"),
        CellOutcome("added-1", None, "ran", "printed by the student"),
        CellOutcome("key_stats", "key_stats", "ran", "printed by the answer"),
    )
    text = Page(feedback_page(factories.record(cells=cells), course, "en")).text
    assert "printed by the lesson" not in text
    assert "raised in the lesson" in text
    assert "printed by the student" in text
    assert "printed by the answer" in text


def test_a_failed_check_says_why_and_what_happened_and_where_to_read(course: Course) -> None:
    text = Page(feedback_page(factories.a_class()[3], course, "en")).text
    assert "5.5 of 8" in text
    assert "Values are combined before they cross the network." in text
    assert "Every one of the 20,000 values crossed the network." in text
    assert "All values of a key are sent to one place before anything is added up." in text
    assert 'Read "Combine before you shuffle" again.' in text


def test_a_message_is_filled_from_the_evidence(course: Course) -> None:
    text = Page(feedback_page(factories.a_class()[5], course, "en")).text
    assert "The mean is off by 4.0 %." in text


def test_detail_evidence_and_the_text_of_notices_are_not_the_students(course: Course) -> None:
    for record in factories.a_class():
        html = feedback_page(record, course, "en")
        assert "361784" not in html
        assert "bwrap" not in html
        assert "Two cells claim" not in html
        assert "GROUP_BY_KEY" not in html


def _planted() -> tuple[Record, dict[str, str]]:
    """Return a record with a word of its own in every text, and the words by where they are."""
    words: dict[str, str] = {}

    def word(place: str) -> str:
        return words.setdefault(place, f"Canary{len(words):02d}x")

    def check(verdict: Verdict, cause: Cause | None) -> CheckResult:
        at = verdict.value
        return CheckResult(
            word(f"check.name {at}"), word(f"check.line {at}"), verdict, cause,
            word(f"check.code {at}"), word(f"check.message {at}"), word(f"check.detail {at}"),
            {"text": word(f"check.evidence {at}")},
        )  # fmt: skip

    checks = (
        check(Verdict.PASSED, None),
        check(Verdict.FAILED, Cause.OBSERVED),
        check(Verdict.ERROR, None),
        check(Verdict.SKIPPED, None),
        factories.check(
            Verdict.FAILED, cause=Cause.RAISED, message="It raised {type}.", code="GROUP_BY_KEY",
            evidence={"type": word("class of an exception")},
        ),
        factories.check(
            Verdict.FAILED, cause=Cause.WRONG_TYPE,
            message="`{name}` should return {wanted}; it returned {found}.",
            evidence={"name": "key_stats", "wanted": "an RDD", "found": f"a `{word('type')}`"},
        ),
        factories.check(
            Verdict.FAILED, message="Written to {place}.", evidence={"place": word("a text")}
        ),
    )  # fmt: skip
    exercises = (
        ExerciseResult("key_stats", word("exercise.key"), 1.0, 5.0, checks),
        ExerciseResult(word("exercise.name"), word("exercise.key 2"), 1.0, 5.0, ()),
    )
    record = factories.record(
        word("student"),
        points=0.0,
        exercises=exercises,
        cells=(
            CellOutcome("x", word("cell.grade_id"), "ran", word("cell.text"), word("cell.error")),
            CellOutcome(f"added-{word('cell.cell_id')}", None, "raised", "", "..."),
        ),
        notices=(
            Notice(
                NoticeKind.CELL_MISSING, word("notice.subject"), word("notice.text"), flagged=True
            ),
        ),
        reason=word("reason"),
        submission_digest=f"sha256:{word('digest')}",
        graded_at=word("graded_at"),
        isolation=word("isolation"),
        versions={"shardwork": word("version"), "python": word("other version")},
    )
    return record, words


def test_of_all_texts_in_a_record_only_those_on_the_list_reach_the_student(course: Course) -> None:
    record, words = _planted()
    for language in ("en", "ja"):
        html = feedback_page(record, course, language)
        assert {place for place, word in words.items() if word in html} == {
            "student", "digest", "graded_at", "version",
            # a check's own line is the course's, whatever became of it
            "check.line passed", "check.line failed", "check.line error", "check.line skipped",
            # what the student's own cells are called and said
            "cell.grade_id", "cell.cell_id", "cell.text", "cell.error", "notice.subject",
        }  # fmt: skip
    assert "It raised an exception class of your own." in feedback_page(record, course, "en")
    assert "it returned an object of another class" in feedback_page(record, course, "en")
    assert "Written to …." in feedback_page(record, course, "en")


def test_the_reason_of_a_refusal_is_shown_and_that_of_an_error_of_ours_is_not(
    course: Course,
) -> None:
    for status, shown in (("refused", True), ("incomplete", False), ("graded", False)):
        record = factories.record(status=status, reason="Traceback: /srv/engine/judge.py")
        assert ("/srv/engine" in feedback_page(record, course, "en")) is shown


def test_a_message_that_no_grader_says_is_not_shown_and_the_check_still_is(course: Course) -> None:
    check = factories.check(
        Verdict.FAILED, cause=Cause.RAISED, message="The input was [17, 4, 271828]."
    )
    record = factories.record(exercises=(factories.exercise(points=0, checks=(check,)),))
    html = feedback_page(record, course, "en")
    assert "271828" not in html
    assert "Your function raised an exception." in html
    assert "The figures of every key are right." in html


def test_without_the_graders_only_the_engines_own_messages_are_shown(course: Course) -> None:
    course.source_notebook(ASSIGNMENT).unlink()
    assert course_sentences(course, ASSIGNMENT) == frozenset()
    assert "4.0 %" not in feedback_page(factories.a_class()[5], course, "en")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, 0), (-9_999, -9_999), (20_000, 20_000), (361_784, 361_800), (2**40, 1_100_000_000_000),
        (2**64, "…"), (-(10**300), "…"), (0.125, 0.125), (4.0412345, 4.041),
        (123_456.789, 123_500.0), (float("nan"), "…"), (float("inf"), "…"),
    ],
)  # fmt: skip
def test_a_number_has_too_few_digits_to_carry_a_message(value: float, shown: float | str) -> None:
    assert shown_number(value) == shown
    assert type(shown_number(value)) in {type(value), str}


def test_the_message_of_a_wrong_form_tells_no_long_position(course: Course) -> None:
    check = factories.check(
        Verdict.FAILED,
        cause=Cause.WRONG_TYPE,
        message="The result has another form than asked: {problem}.",
        evidence={"problem": "Expected `int`, got `str` - at `result[3][271828]`"},
    )
    record = factories.record(exercises=(factories.exercise(points=0, checks=(check,)),))
    html = feedback_page(record, course, "en")
    assert "Expected `int`, got `str` - at `result[3][…]`" in html


def test_paths_of_this_machine_are_taken_out_of_what_a_cell_printed(course: Course) -> None:
    warning = f"{sys.prefix}/lib/pandas.py:3: FutureWarning"
    engine = f"{REPOSITORY}/shardwork/probes/server.py"
    cells = (CellOutcome("a", "key_stats", "raised", warning, f"{engine}, {course.root}/graders"),)
    html = feedback_page(factories.record(cells=cells), course, "en")
    assert "…/lib/pandas.py:3: FutureWarning" in html
    for place in (sys.prefix, str(REPOSITORY), str(course.root)):
        assert place not in html


def test_an_error_of_ours_is_called_our_fault_and_not_a_zero(course: Course) -> None:
    text = Page(feedback_page(factories.a_class()[11], course, "en")).text
    assert "Part of this is not final" in text
    assert "our fault" in text
    assert "not a zero" in text
    for record in factories.a_class()[:10]:
        assert "our fault" not in Page(feedback_page(record, course, "en")).text


def test_an_error_never_shows_the_misconception_or_the_detail_beside_it(course: Course) -> None:
    check = factories.check(Verdict.ERROR, code="GROUP_BY_KEY", detail="engine says no")
    record = factories.record(
        exercises=(factories.exercise(points=0, checks=(check,), provisional=True),)
    )
    html = feedback_page(record, course, "en")
    assert "engine says no" not in html
    assert "sent to one place" not in html
    assert "that is our fault" in html


def test_an_error_with_a_sentence_for_the_student_shows_it_in_place_of_ours(course: Course) -> None:
    check = factories.check(Verdict.ERROR, message="Your notebook holds two answers.")
    record = factories.record(
        exercises=(factories.exercise(points=0, checks=(check,), provisional=True),)
    )
    html = feedback_page(record, course, "en")
    assert "Your notebook holds two answers." in html
    assert "that is our fault" not in html


def test_a_refused_submission_says_why_and_what_to_do(course: Course) -> None:
    text = Page(feedback_page(factories.a_class()[10], course, "en")).text
    assert "Your submission could not be graded" in text
    assert "it is no JSON" in text
    assert "hand the notebook in again" in text
    assert "Not judged" in text


@pytest.mark.parametrize("cause", [c for c in Cause if c is not Cause.OBSERVED])
def test_every_way_to_fail_has_its_own_sentence(course: Course, cause: Cause) -> None:
    def text(cause: Cause) -> str:
        check = factories.check(Verdict.FAILED, cause=cause)
        exercises = (factories.exercise(points=0, checks=(check,)),)
        return Page(feedback_page(factories.record(exercises=exercises), course, "en")).text

    assert text(cause) != text(Cause.OBSERVED)
    assert len({text(other) for other in Cause}) == len(Cause)


def test_every_state_is_told_in_words_beside_its_symbol(course: Course) -> None:
    html = feedback_page(factories.a_class()[3], course, "en")
    symbols = re.findall(
        r'<span class="symbol" aria-hidden="true">(.)</span>(\w[\w ]*)</span>', html
    )
    assert set(symbols) == {("✓", "Passed"), ("✓", "Complete"), ("✗", "Not yet"), ("◐", "In part")}


def test_the_page_speaks_the_students_language(course: Course) -> None:
    text = Page(feedback_page(factories.a_class()[3], course, "ja")).text
    assert "フィードバック" in text
    assert "値が正しい。" in text
    assert "集計の前に、キーごとの値がすべて1か所に送られています。" in text
    assert "Passed" not in text
    # No Japanese text is in the catalogue for this one: it falls back to English.
    assert "Values are combined before they cross the network." in text


def test_a_language_that_the_course_does_not_have_falls_back_to_its_first(course: Course) -> None:
    assert Page(feedback_page(factories.record(), course, "fr")).all("html") == [{"lang": "en"}]


def test_a_translation_with_a_wrong_placeholder_falls_back_to_english(course: Course) -> None:
    path = course.locale / "ja" / "LC_MESSAGES" / "shardwork.po"
    text = path.read_text(encoding="utf-8").replace(
        "フィードバック：{title}", "フィードバック：{titel}"
    )
    path.write_text(text, encoding="utf-8")
    assert "Feedback: Apache Spark" in feedback_page(factories.record(), course, "ja")


def test_what_a_person_entered_wins_over_the_record(course: Course) -> None:
    by_hand = HandGrading({"key_stats": 4.0}, {"key_stats": "Seen <b>by hand</b>."}, 1.5)
    html = feedback_page(factories.a_class()[11], course, "en", by_hand)
    text = Page(html).text
    assert "5.5 of 8" in text  # 4 + 3 - 1.5
    assert "entered by your teaching assistant" in text
    assert "Seen &lt;b&gt;by hand&lt;/b&gt;." in html
    assert "Part of this is not final" not in text
    assert "Handed in late −1.5" in text


def test_a_late_penalty_never_makes_points_negative(course: Course) -> None:
    record = factories.a_class()[2]
    html = feedback_page(record, course, "en", HandGrading(late_penalty=5.0))
    assert "0 of 8" in Page(html).text


def test_the_same_record_gives_the_same_bytes(course: Course) -> None:
    for record in factories.a_class():
        assert feedback_page(record, course, "ja") == feedback_page(record, course, "ja")


def test_pages_lie_where_nbgraders_exchange_looks_and_unchanged_ones_are_left_alone(
    course: Course,
) -> None:
    records = factories.a_class()
    paths = write_feedback(course, ASSIGNMENT, records)
    assert paths[0] == course.root / "feedback/s01_right/ch2_spark/ch2_spark.html"
    before = [path.stat().st_mtime_ns for path in paths]
    write_feedback(course, ASSIGNMENT, records)
    assert [path.stat().st_mtime_ns for path in paths] == before


@pytest.mark.parametrize(
    ("points", "shown"),
    [(3.0, "3"), (2.5, "2.5"), (5 / 3, "1.67"), (0.0, "0"), (-0.0, "0"), (100.0, "100")],
)
def test_points_have_at_most_two_decimals(points: float, shown: str) -> None:
    assert show_points(points) == shown


def _sentences() -> set[str]:
    """Every text of the pages that goes through gettext, found by Babel."""
    package = REPOSITORY / "shardwork"
    found: set[str] = set()
    for name in (
        "feedback.py",
        "studentview.py",
        "sentences.py",
        "pages.py",
        "report.py",
        "todo.py",
    ):
        for message in extract_from_file(
            "python", package / name, keywords={"say": None, "N_": None}
        ):
            found.add(message[1] if isinstance(message[1], str) else message[1][0])
    for path in sorted((package / "templates").glob("*.j2")):
        for message in extract_from_file("jinja2.ext:babel_extract", path, keywords={"say": None}):
            found.add(message[1] if isinstance(message[1], str) else message[1][0])
    assert len(found) > 80
    return found


def test_every_sentence_of_the_pages_is_in_japanese_with_the_same_placeholders() -> None:
    catalogue = {entry.msgid: entry for entry in polib.pofile(str(CATALOGUE))}
    missing = sorted(_sentences() - catalogue.keys())
    assert not missing
    for msgid, entry in catalogue.items():
        assert entry.msgstr, msgid
        assert not entry.fuzzy, msgid
        fields = re.findall(r"\{\w+\}", msgid)
        assert sorted(fields) == sorted(re.findall(r"\{\w+\}", entry.msgstr)), msgid


def test_the_engines_own_messages_are_those_that_the_judge_gives() -> None:
    """Every text that the judge gives as a message, read from its source, and no other."""
    said: set[str] = set()
    for path in [*(REPOSITORY / "shardwork/judge").glob("*.py"), REPOSITORY / "shardwork/batch.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            said |= set(_messages(node))
    assert said == set(SENTENCES)


def _messages(node: ast.AST) -> list[str]:
    """The literals in a `message=`, in the message of a fault, and in a local named `text`."""
    found: list[ast.expr] = []
    if isinstance(node, ast.keyword) and node.arg == "message":
        found = [node.value]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in {"StudentFault", "SandboxLost"}:
            found = node.args[1:2]
        elif node.func.id == "NotTried":
            found = node.args[:1]
    elif isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["text"]:
        found = [node.value]
    parts = [part for value in found for part in ast.walk(value)]
    return [p.value for p in parts if isinstance(p, ast.Constant) and str(p.value).count(" ") > 1]


def test_no_grader_builds_a_message_out_of_values() -> None:
    graders = sorted((REPOSITORY / "graders").glob("*/*.py"))
    assert graders
    for path in graders:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "because":
                built = [
                    n for n in ast.walk(node.value) if isinstance(n, ast.JoinedStr | ast.BinOp)
                ]
                assert not built, f"{path.name}:{node.value.lineno}"


def test_every_kind_of_object_that_the_judge_names_may_be_named_to_a_student(
    course: Course,
) -> None:
    from shardwork.judge.handle import _NAMES

    for wanted in _NAMES.values():
        check = factories.check(
            Verdict.FAILED,
            cause=Cause.WRONG_TYPE,
            message="`{name}` should return {wanted}; it returned {found}.",
            evidence={"name": "key_stats", "wanted": wanted, "found": "a `list`"},
        )
        exercises = (factories.exercise(points=0, checks=(check,)),)
        text = Page(feedback_page(factories.record(exercises=exercises), course, "en")).text
        assert f"`key_stats` should return {wanted}; it returned a `list`." in text
