"""The leak check fails when something is given away, and only then."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from shardwork.course import Course
from shardwork.leaks import Finding, Kind, Secrets, collect_secrets, find_leaks
from shardwork.release import compile_release
from tests.functional.small_course import (
    GRADER,
    MUTANT,
    make_small_course,
    source_notebook,
    write,
    write_notebook,
)

pytestmark = pytest.mark.functional

NAME = "ch0_lists"
NOTEBOOK = f"{NAME}.ipynb"
CHECK = "tests/halves.py"

REFERENCE_LINE = "    return items[:middle], items[middle:]"
GRADER_LINE = "    assert sorted(left.value + right.value) == sorted(items)"
ALTERNATE_LINE = "    cut = len(items) - len(items) // 2"
MUTANT_LINE = MUTANT.splitlines()[2]
assert GRADER_LINE in GRADER


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return make_small_course(tmp_path_factory.mktemp("leaks") / "course")


@pytest.fixture(scope="module")
def secrets(course: Course) -> Secrets:
    return collect_secrets(course, NAME)


@pytest.fixture(scope="module")
def released(course: Course) -> dict[str, bytes]:
    return dict(compile_release(course, NAME, "en").files)


Edit = Callable[[dict], None]


def edited(released: dict[str, bytes], edit: Edit) -> dict[str, bytes]:
    nb = json.loads(released[NOTEBOOK])
    edit(nb)
    return {**released, NOTEBOOK: json.dumps(nb).encode()}


def cell(nb: dict, cell_id: str) -> dict:
    return next(c for c in nb["cells"] if c["id"] == cell_id)


def appended(released: dict[str, bytes], cell_id: str, text: str) -> dict[str, bytes]:
    def edit(nb: dict) -> None:
        cell(nb, cell_id)["source"].append(f"\n{text}")

    return edited(released, edit)


def kinds(findings: list[Finding]) -> set[Kind]:
    return {finding.kind for finding in findings}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_an_honest_release_has_no_findings(course, secrets, language):
    assert find_leaks(secrets, compile_release(course, NAME, language).files) == []


@pytest.mark.parametrize(
    "lesson",
    [
        "middle = len(words) // 2",
        "for letter, group in itertools.groupby('aab'):\n    print(letter, list(group))",
        "left, right = words[:2], words[2:]\nassert sorted(left + right) == sorted(words)",
        "if not isinstance(words, list):\n    raise TypeError('words is no list')",
        "def halves(items):\n    '''Return the two halves of a list.'''",
        "from itertools import accumulate, chain, groupby, islice",
        "sizes = [len(word) for word in words]\ntotal = sum(sizes)",
    ],
)
def test_a_worked_example_may_use_the_same_calls_on_another_problem(secrets, released, lesson):
    assert find_leaks(secrets, appended(released, "ch0-example", lesson)) == []
    assert find_leaks(secrets, appended(released, "ch0-lesson", f"\n```\n{lesson}\n```")) == []


@pytest.mark.parametrize(
    ("line", "kind", "origin"),
    [
        (REFERENCE_LINE, Kind.SOLUTION, "solution cell halves, line 11"),
        (
            "        lengths.append(sum(1 for _ in group))",
            Kind.SOLUTION,
            "solution cell runs, line 6",
        ),
        (GRADER_LINE, Kind.GRADER, "graders/ch0_lists/test_halves.py, line 12"),
        (
            ALTERNATE_LINE,
            Kind.ALTERNATE,
            "graders/ch0_lists/solutions/halves/alternate_ranges.py, line 8",
        ),
        (
            MUTANT_LINE,
            Kind.MUTANT,
            "graders/ch0_lists/solutions/halves/mutant_ODD_ONE_RIGHT.py, line 3",
        ),
    ],
)
class TestOnePlantedLine:
    """The grader's line has ten words only with the line before it, so that one comes along."""

    def planted(self, line: str) -> str:
        before = "    left, right = student.halves(items)\n" if line == GRADER_LINE else ""
        return before + line

    def test_is_found_in_a_code_cell(self, secrets, released, line, kind, origin):
        found = find_leaks(secrets, appended(released, "ch0-example", self.planted(line)))
        assert kind in kinds(found)
        assert {f.place for f in found} == {f"{NOTEBOOK}, cell ch0-example"}

    def test_is_found_in_a_lesson(self, secrets, released, line, kind, origin):
        found = find_leaks(secrets, appended(released, "ch0-lesson", f"`{self.planted(line)}`"))
        assert kind in kinds(found)
        assert {f.place for f in found} == {f"{NOTEBOOK}, cell ch0-lesson"}

    def test_is_found_in_a_public_check(self, secrets, released, line, kind, origin):
        text = released[CHECK].decode() + "\ndef f(items):\n" + self.planted(line)
        found = find_leaks(secrets, {**released, CHECK: text.encode()})
        assert kind in kinds(found)
        assert {f.place for f in found} == {CHECK}

    def test_is_found_in_any_other_file(self, secrets, released, line, kind, origin):
        found = find_leaks(secrets, {**released, "data/notes.txt": self.planted(line).encode()})
        assert kind in kinds(found)

    def test_is_found_with_other_spacing_and_comments(self, secrets, released, line, kind, origin):
        spaced = self.planted(line).replace(",", " ,\n# and then\n").replace("(", "( ")
        found = find_leaks(secrets, appended(released, "ch0-example", f"f(\n{spaced})"))
        assert kind in kinds(found)

    def test_is_found_in_metadata(self, secrets, released, line, kind, origin):
        def edit(nb: dict) -> None:
            cell(nb, "halves")["metadata"]["note"] = {"deep": [self.planted(line)]}
            nb["metadata"]["title"] = self.planted(line)

        found = find_leaks(secrets, edited(released, edit))
        assert kind in kinds(found)
        assert {f.place for f in found} == {f"{NOTEBOOK}, cell halves", f"{NOTEBOOK}, metadata"}

    def test_is_found_in_an_output(self, secrets, released, line, kind, origin):
        def edit(nb: dict) -> None:
            output = {"output_type": "stream", "name": "stdout", "text": [self.planted(line)]}
            cell(nb, "ch0-example")["outputs"] = [output]

        assert kinds(find_leaks(secrets, edited(released, edit))) >= {kind, Kind.OUTPUT}

    @pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, bytes.hex])
    def test_is_found_encoded(self, secrets, released, line, kind, origin, encode):
        encoded = encode(self.planted(line).encode())
        text = encoded if isinstance(encoded, str) else encoded.decode()
        found = find_leaks(secrets, appended(released, "ch0-lesson", f"![]({text})"))
        assert kind in kinds(found)

    def test_is_named_by_its_origin_and_not_repeated(self, secrets, released, line, kind, origin):
        found = find_leaks(secrets, appended(released, "ch0-example", self.planted(line)))
        hidden = {finding.hidden for finding in found if finding.kind is kind}
        if line != GRADER_LINE:
            assert hidden == {origin}
        assert not any(line.strip()[10:30] in str(finding) for finding in found)


@pytest.mark.parametrize("value", ["271828182", "271_828_182", "314159265.0"])
def test_an_expected_value_of_a_grader_is_found(secrets, released, value):
    found = find_leaks(secrets, appended(released, "ch0-example", f"x = {value}"))
    assert kinds(found) == {Kind.LITERAL}
    assert found[0].hidden.startswith("graders/ch0_lists/test_halves.py, line 13")


def test_a_long_string_of_a_grader_is_found_and_a_setting_is_not(tmp_path, released):
    course = make_small_course(tmp_path / "course")
    write(
        course.graders / NAME / "test_runs.py",
        '"""Docstrings are for students, 123456789."""\n\n'
        'assert x, blame(because="Public text, see 123456789.")\n'
        'TOKEN = "7f3a9c0e5b1d4862"\nKEY = "spark.sql.shuffle.partitions"\nSIZE = 65536\n',
    )
    secrets = collect_secrets(course, NAME)
    assert list(secrets.literals) == ["7f3a9c0e5b1d4862"]
    assert 123456789.0 not in secrets.numbers
    assert 65536.0 not in secrets.numbers
    found = find_leaks(secrets, appended(released, "ch0-lesson", "see 7f3a9c0e5b1d4862"))
    assert kinds(found) == {Kind.LITERAL}
    for public in ("spark.sql.shuffle.partitions", "65536", "Docstrings are for students"):
        assert find_leaks(secrets, appended(released, "ch0-lesson", public)) == []


@pytest.mark.parametrize(
    "marker", ["BEGIN SOLUTION", "END SOLUTION", "BEGIN HIDDEN TESTS", "END MARK SCHEME"]
)
def test_a_marker_that_was_left_is_found(secrets, released, marker):
    found = find_leaks(secrets, appended(released, "halves", f"### {marker}"))
    assert found == [Finding(f"{NOTEBOOK}, cell halves", Kind.MARKER, marker)]


def test_an_output_or_a_count_that_was_left_is_found(secrets, released):
    def edit(nb: dict) -> None:
        cell(nb, "ch0-example")["execution_count"] = 1

    found = find_leaks(secrets, edited(released, edit))
    assert found == [Finding(f"{NOTEBOOK}, cell ch0-example", Kind.OUTPUT)]


def test_a_public_check_that_is_marked_hidden_is_found(secrets, released):
    text = released[CHECK].decode()
    assert "points=1," in text
    hidden = text.replace("points=1,", "points=1, hidden=True,")
    assert kinds(find_leaks(secrets, {**released, CHECK: hidden.encode()})) == {Kind.HIDDEN_CASE}
    shown = text.replace("points=1,", "points=1, hidden=False,")
    assert find_leaks(secrets, {**released, CHECK: shown.encode()}) == []


def test_the_whole_source_notebook_in_the_release_is_found(course, secrets, released):
    source = course.source_notebook(NAME).read_bytes()
    found = find_leaks(secrets, {**released, "backup.ipynb": source})
    places = [f.place for f in found if f.kind is Kind.SOLUTION]  # one finding each, not one a line
    assert sorted(places) == ["backup.ipynb, cell halves", "backup.ipynb, cell runs"]


def test_a_whole_hidden_file_in_the_release_is_found(course, secrets, released):
    for path in sorted((course.graders / NAME).rglob("*.py")):
        assert find_leaks(secrets, {**released, f"tests/{path.name}": path.read_bytes()}), path


def test_hidden_code_that_is_no_python_is_searched_for_all_the_same(tmp_path, released):
    course = make_small_course(tmp_path / "course")
    write(
        course.graders / NAME / "solutions/halves/mutant_BROKEN.py",
        "def halves(items:\n    first, second, third, fourth = one, two, three, four, five, six\n",
    )
    secrets = collect_secrets(course, NAME)
    line = "first, second, third, fourth = one, two, three, four, five, six"
    found = find_leaks(secrets, appended(released, "ch0-example", line))
    assert kinds(found) == {Kind.MUTANT}
    assert Path(found[0].hidden.partition(",")[0]).name == "mutant_BROKEN.py"


def test_a_signature_that_the_starter_shows_is_no_secret(tmp_path):
    course = make_small_course(tmp_path / "course")
    signature = "def runs(items, first=None, second=None, third=None, fourth=None, fifth=None):"
    nb = source_notebook()
    cells = {c.id: c for c in nb.cells}
    cells["runs"].source = cells["runs"].source.replace("def runs(items):", signature)
    write_notebook(course.source_notebook(NAME), nb)
    write(course.graders / NAME / "solutions/runs/alternate_short.py", f"{signature}\n    pass\n")
    files = compile_release(course, NAME, "en").files
    assert signature in files[NOTEBOOK].decode()
    assert find_leaks(collect_secrets(course, NAME), files) == []


def test_binary_files_are_read_without_complaint(secrets, released):
    picture = bytes(range(256)) * 40
    assert find_leaks(secrets, {**released, "data/picture.png": picture}) == []
