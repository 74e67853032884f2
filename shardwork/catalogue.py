"""Translations: gettext catalogues, and what they make of a notebook and of its public checks.

A catalogue is `locale/<language>/LC_MESSAGES/<domain>.po`, read directly, never compiled. The
domain of a chapter is its name; the engine's own sentences have the domain `shardwork`. A missing
translation falls back to the English text and is counted. Which texts have translations at all is
`shardwork.prose`; what is done with a translated notebook is `shardwork.release`.
"""

from __future__ import annotations

import ast
import copy
import functools
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import polib

from shardwork.course import Course
from shardwork.errors import CourseError
from shardwork.notebook import Notebook, Role, load_source, read_notebook, role, written_cells
from shardwork.prose import Translate, map_blocks, map_docstrings, map_messages

WRAP_COLUMN = 100


@dataclass(frozen=True)
class Catalogue:
    """The translations of one domain into one language.

    `messages` has no fuzzy, obsolete or empty entry; `fuzzy` are the msgids of the fuzzy ones.
    """

    language: str
    domain: str
    messages: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    fuzzy: frozenset[str] = frozenset()

    def gettext(self, msgid: str) -> str:
        """Return the translation of `msgid`, or `msgid` itself if there is none."""
        return self.messages.get(msgid, msgid)


@dataclass(frozen=True)
class Message:
    """One English text that wants a translation, and the places where it stands."""

    msgid: str
    places: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """How far a translation is.

    `outdated` are translations that cannot be used: their English text is gone, or they are marked
    fuzzy. (A fuzzy one is also missing.)
    """

    translated: int
    missing: int
    outdated: int


def catalogue_path(course: Course, language: str, domain: str) -> Path:
    return course.locale / language / "LC_MESSAGES" / f"{domain}.po"


def load_catalogue(course: Course, language: str, domain: str) -> Catalogue:
    """Read a catalogue; an empty one if there is no file, CourseError if it cannot be read.

    Cached as long as the file does not change.
    """
    path = catalogue_path(course, language, domain)
    try:
        status = path.stat()
    except FileNotFoundError:
        return Catalogue(language, domain)
    return _read_catalogue(path, language, domain, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=64)
def _read_catalogue(
    path: Path, language: str, domain: str, _mtime_ns: int, _size: int
) -> Catalogue:
    entries = [entry for entry in _read_po(path) if not entry.obsolete]
    fuzzy = frozenset(entry.msgid for entry in entries if entry.fuzzy)
    messages = {e.msgid: e.msgstr for e in entries if e.msgstr and not e.fuzzy}
    return Catalogue(language, domain, MappingProxyType(messages), fuzzy)


def translate_notebook(nb: Notebook, catalogue: Catalogue) -> Notebook:
    """Return a copy whose lessons and docstrings are translated; code, ids and metadata stay."""
    return _map_notebook(nb, catalogue.gettext)


def guides(course: Course, assignment: str, language: str) -> dict[str, str]:
    """Return the model answer and rubric of each written question, by name, in `language`.

    Cached as long as neither the notebook nor the catalogue changes.
    """
    path = course.source_notebook(assignment)
    status = path.stat()
    cells = _guide_cells(path, status.st_mtime_ns, status.st_size)
    if language in ("", course.config.languages[0]):
        return dict(cells)
    gettext = load_catalogue(course, language, assignment).gettext
    return {name: map_blocks(text, gettext) for name, text in cells}


@functools.lru_cache(maxsize=16)
def _guide_cells(path: Path, _mtime_ns: int, _size: int) -> tuple[tuple[str, str], ...]:
    cells = written_cells(read_notebook(path))
    return tuple((name, str(cell.source)) for name, cell in cells.items())


def translate_test_file(source: str, catalogue: Catalogue) -> str:
    """Return a public check file with its messages translated; its code stays."""
    return map_messages(source, catalogue.gettext)


def extract(course: Course, assignment: str) -> list[Message]:
    """List every text of an assignment that wants a translation, in the order of reading.

    Lessons and docstrings of the source notebook, messages of the public checks, what the graders
    tell a student (lines of checks, and `because`), and the causes and pointers of misconceptions.
    CourseError names a file that cannot be read and its line.
    """
    places: dict[str, list[str]] = {}
    for msgid, place in _texts(course, assignment):
        places.setdefault(msgid, []).append(place)
    return [Message(msgid, tuple(dict.fromkeys(found))) for msgid, found in places.items()]


def count(messages: Iterable[Message], catalogue: Catalogue) -> Counts:
    """Hold the texts of an assignment against a catalogue."""
    wanted = {message.msgid for message in messages}
    have = set(catalogue.messages)
    return Counts(
        translated=len(wanted & have),
        missing=len(wanted - have),
        outdated=len(have - wanted) + len(catalogue.fuzzy),
    )


def update_catalogue(course: Course, assignment: str, language: str) -> Counts:
    """Bring the catalogue file of an assignment up to date with its English texts.

    New texts are added without a translation, a vanished one is kept as obsolete if it had a
    translation, and every translation is kept. The file is replaced at once, and only if it
    changes.
    """
    messages = extract(course, assignment)
    path = catalogue_path(course, language, assignment)
    old = _read_po(path) if path.exists() else _new_po(language)
    text = str(_merged(old, messages)).removeprefix("#\n")  # polib's form of "no comment on top"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return count(messages, load_catalogue(course, language, assignment))


def _texts(course: Course, assignment: str) -> Iterator[tuple[str, str]]:
    found: list[str] = []

    def record(msgid: str) -> str:
        found.append(msgid)
        return msgid

    nb = load_source(course, assignment)
    notebook = course.source_notebook(assignment)
    for cell in nb.cells:
        found.clear()
        _map_cell(cell, record)
        place = f"{notebook.relative_to(course.root).as_posix()}:{cell.id}"
        yield from ((msgid, place) for msgid in found)
    for path in sorted((course.source / assignment / "tests").glob("*.py")):
        found.clear()
        map_public_check(path, record)
        yield from ((msgid, path.relative_to(course.root).as_posix()) for msgid in found)
    yield from _grader_texts(course, assignment)


def map_public_check(path: Path, translate: Translate) -> str:
    """Read a public check file and translate its messages; CourseError if it is no Python."""
    try:
        return map_messages(path.read_text(encoding="utf-8"), translate)
    except SyntaxError as error:
        raise CourseError(f"{path}, line {error.lineno}: {error.msg}.") from error


def _grader_texts(course: Course, assignment: str) -> Iterator[tuple[str, str]]:
    for path in sorted((course.graders / assignment).glob("test_*.py")):
        place = path.relative_to(course.root).as_posix()
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except SyntaxError as error:
            raise CourseError(f"{path}, line {error.lineno}: {error.msg}.") from error
        found = [*_check_lines(tree), *_explanations(tree)]
        yield from ((msgid, place) for _, msgid in sorted(found))
    path = course.graders / assignment / "misconceptions.toml"
    if not path.exists():
        return
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{path}: {error}.") from error
    place = path.relative_to(course.root).as_posix()
    for exercise in table.values():
        for misconception in exercise.values():
            for key in ("cause", "pointer"):
                if misconception.get(key):
                    yield misconception[key], place


def _check_lines(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield what a student reads of each check, as the judge has it: the docstring's first part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
            "test"
        ):
            paragraph = (ast.get_docstring(node) or "").partition("\n\n")[0]
            if paragraph:
                yield node.lineno, " ".join(paragraph.split())


def _explanations(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the sentences that a grader gives for a failure: the arguments `because`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "because":
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value:
                    yield part.lineno, part.value


def _map_notebook(nb: Notebook, translate: Translate) -> Notebook:
    mapped = copy.deepcopy(nb)
    for cell in mapped.cells:
        cell.source = _map_cell(cell, translate)
    return mapped


def _map_cell(cell: Notebook, translate: Translate) -> str:
    if cell.cell_type == "markdown":  # lessons, and what guides the TA at a written question
        return map_blocks(cell.source, translate)
    if role(cell) is Role.SOLUTION:
        return map_docstrings(cell.source, translate)
    return str(cell.source)


def _read_po(path: Path) -> polib.POFile:
    try:
        po = polib.pofile(str(path), encoding="utf-8", wrapwidth=WRAP_COLUMN)
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not UTF-8 text: {error}.") from error
    except OSError as error:
        if error.errno is not None:
            raise
        line = re.search(r"\(line (\d+)\)", str(error))
        where = f", line {line[1]}" if line else ""
        reason = str(error).rpartition(": ")[2] if line and ": " in str(error) else "syntax error"
        raise CourseError(
            f"{path}{where}: not a gettext catalogue ({reason}). Correct the line, or set the file "
            "aside and run `shardwork translate`."
        ) from error
    first_line: dict[str, int] = {}
    for entry in po:
        if (
            not entry.obsolete
            and first_line.setdefault(entry.msgid, entry.linenum) != entry.linenum
        ):
            raise CourseError(
                f"{path}, line {entry.linenum}: this msgid stands on line "
                f"{first_line[entry.msgid]} already. Delete one of the two."
            )
    return po


def _new_po(language: str) -> polib.POFile:
    po = polib.POFile(wrapwidth=WRAP_COLUMN)
    po.metadata = {
        "Language": language,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
    }
    return po


def _merged(old: polib.POFile, messages: Iterable[Message]) -> polib.POFile:
    po = polib.POFile(wrapwidth=WRAP_COLUMN)
    po.header = old.header
    po.metadata = old.metadata
    # A live entry of the same msgid counts more than an obsolete one, so it comes last.
    entries = {e.msgid: e for e in sorted(old, key=lambda e: not e.obsolete)}
    for message in messages:
        entry = entries.pop(message.msgid, None) or polib.POEntry(msgid=message.msgid)
        entry.obsolete = False
        entry.occurrences = [(place, "") for place in message.places]
        po.append(entry)
    for entry in entries.values():
        if entry.msgstr:
            entry.obsolete = True
            entry.occurrences = []
            po.append(entry)
    return po
