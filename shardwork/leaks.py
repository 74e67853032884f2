"""Does a release give anything away? What is hidden is searched for in everything that is released.

Hidden are the references, the graders, the alternates and the mutants. Their code is compared with
the release token by token, so new spacing, line breaks and comments hide nothing:

- a *line* of a solution, right or wrong, that says enough (`LINE_WORDS` words, or one fewer in
  `LINE_TOKENS` tokens) must not stand in the release;
- `WINDOW_WORDS` consecutive words of any hidden code, with the signs between them, must not;
- long literals of a grader (`LITERAL_CHARACTERS`, `NUMBER_DIGITS`) must not: expected values;
- `WINDOW_WORDS` consecutive words of the model answer or the rubric of a written question must not,
  nor a sentence of their translations (`LITERAL_CHARACTERS`).

A *word* is a name or a number; keywords and signs count nothing. Docstrings, comments and imports
of hidden code are not secret, nor is what the starter says. The search covers the source, metadata
and attachments of cells, other files, and what base64 and hexadecimal text in them decodes to; a
cell that kept an output, a marker of a solution region, and a case of a public check marked hidden
are findings of their own. A worked example may use the same calls on another problem.

Not covered: paraphrases, translated names, values inside pictures.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import enum
import io
import json
import keyword
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shardwork.catalogue import load_catalogue
from shardwork.course import Course
from shardwork.notebook import (
    load_source,
    regions,
    solution_cell,
    starter_source,
    written_cells,
)
from shardwork.prose import map_blocks

# Tried on the first three chapters and on 4.7 million tokens of dask, distributed, pyspark, torch
# and scikit-learn: these find every telling line of the references and nothing in that honest code;
# with 4 and 8 the first chance hits appear.
LINE_WORDS = 5
LINE_TOKENS = 12
WINDOW_WORDS = 10
LITERAL_CHARACTERS = 16
NUMBER_DIGITS = 5

MARKERS = tuple(
    f"{edge} {kind}"
    for edge in ("BEGIN", "END")
    for kind in ("SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
)
TOKEN = re.compile(r"\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?|\w+|[^\w\s]")
ENCODED = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
HEXADECIMAL = re.compile(r"[0-9a-fA-F]{48,}")
PLAIN_NAME = re.compile(r"[A-Za-z_./-]+")


class Kind(enum.Enum):
    """What was found in a release."""

    SOLUTION = "the reference"
    GRADER = "a grader"
    ALTERNATE = "an alternate"
    MUTANT = "a mutant"
    LITERAL = "a value of a grader"
    GUIDE = "a model answer or a rubric"
    MARKER = "a marker of nbgrader's regions"
    OUTPUT = "an output"
    HIDDEN_CASE = "a public check's case that is marked hidden"


@dataclass(frozen=True)
class Finding:
    """Something in a release that must not be there.

    `place` is a file of the release, with the cell if it is a notebook; `hidden` says where the
    hidden text stands in the course, so that no message need repeat it.
    """

    place: str
    kind: Kind
    hidden: str = ""

    def __str__(self) -> str:
        origin = f" ({self.hidden})" if self.hidden else ""
        return f"{self.place}: {self.kind.value}{origin}"


@dataclass(frozen=True)
class Secret:
    """A piece of hidden code: a sequence of tokens that a release must not contain."""

    tokens: tuple[str, ...]
    kind: Kind
    hidden: str


@dataclass(frozen=True)
class Part:
    """A searchable text of a release. `code` is true where comments can be taken out."""

    place: str
    text: str
    code: bool = False


@dataclass(frozen=True)
class HiddenText:
    """Hidden code and where it comes from; `first_line` is the number of its first line there."""

    kind: Kind
    place: str
    source: str
    first_line: int = 1


@dataclass(frozen=True)
class Secrets:
    """Everything of one assignment that a release must not contain. Made once, used per language.

    `pieces` are indexed by their first token.
    """

    pieces: Mapping[str, tuple[Secret, ...]]
    literals: Mapping[str, str]
    numbers: Mapping[float, str]
    sentences: Mapping[str, str] = field(default_factory=dict)
    """Of translated guides: scripts without blanks between words have no windows of words."""


def find_leaks(secrets: Secrets, files: Mapping[str, bytes]) -> list[Finding]:
    """Search a release (file name to content) for what is hidden; [] if it gives nothing away."""
    found: dict[Finding, None] = {}
    for name, content in sorted(files.items()):
        for part in _parts(name, content):
            for finding in _search(secrets, part):
                found[finding] = None
        for finding in _structural(name, content):
            found[finding] = None
    return list(found)


def collect_secrets(course: Course, assignment: str) -> Secrets:
    """Read what an assignment hides: references, graders, alternates and mutants.

    A hidden file that is no Python is searched for as text, line by line.
    """
    texts = list(_hidden_texts(course, assignment))
    public = _public_tokens(course, assignment)
    pieces: dict[str, dict[tuple[str, ...], Secret]] = {}
    literals: dict[str, str] = {}
    numbers: dict[float, str] = {}
    for text in texts:
        for secret in _pieces(text):
            if not _contains(public, secret.tokens):
                pieces.setdefault(secret.tokens[0], {}).setdefault(secret.tokens, secret)
        if text.kind is Kind.GRADER:
            for literal, line in sorted(_literals(text.source), key=lambda found: found[1]):
                place = f"{text.place}, line {line}"
                if isinstance(literal, str):
                    literals.setdefault(literal, place)
                else:
                    numbers.setdefault(literal, place)
    sentences = dict(_guide_sentences(course, assignment))
    return Secrets({k: tuple(v.values()) for k, v in pieces.items()}, literals, numbers, sentences)


def _hidden_texts(course: Course, assignment: str) -> Iterator[HiddenText]:
    nb = load_source(course, assignment)
    for exercise in course.whole(assignment).exercises:
        source = solution_cell(nb, exercise.name).source
        lines = source.split("\n")
        place = f"solution cell {exercise.name}"
        for region in regions(source):
            text = "\n".join(lines[region.start : region.stop])
            yield HiddenText(Kind.SOLUTION, place, text, region.start + 1)
    for name, cell in written_cells(nb).items():
        yield HiddenText(Kind.GUIDE, f"answer cell {name}", cell.source)
    folder = course.graders / assignment
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(course.root).as_posix()
        yield HiddenText(_kind(path), place, path.read_text(encoding="utf-8"))


def _guide_sentences(course: Course, assignment: str) -> Iterator[tuple[str, str]]:
    """Yield the sentences of the translated model answers and rubrics, each with its place."""
    nb = load_source(course, assignment)
    for language in course.config.languages[1:]:
        gettext = load_catalogue(course, language, assignment).gettext
        for name, cell in written_cells(nb).items():
            for sentence in re.split(r"[。\n]|\. ", map_blocks(cell.source, gettext)):
                text = sentence.strip(" -*#")
                if len(text) >= LITERAL_CHARACTERS and text not in cell.source:
                    yield text, f"answer cell {name}, in {language!r}"


def _kind(path: Path) -> Kind:
    if path.name.startswith("mutant_"):
        return Kind.MUTANT
    return Kind.ALTERNATE if path.name.startswith("alternate_") else Kind.GRADER


def _public_tokens(course: Course, assignment: str) -> list[str]:
    """Return what every student may read anyway: the starters with their signatures."""
    nb = load_source(course, assignment)
    starters = [
        starter_source(solution_cell(nb, exercise.name).source)
        for exercise in course.whole(assignment).exercises
    ]
    return [token for starter in starters for token in [*TOKEN.findall(starter), "\n"]]


def _pieces(text: HiddenText) -> Iterator[Secret]:
    """Cut hidden code into the pieces that are searched for: telling lines, and windows."""
    lines = _code_lines(text)
    if text.kind not in (Kind.GRADER, Kind.GUIDE):
        for number, tokens in lines:
            if _is_telling_line(tokens):
                yield Secret(tuple(tokens), text.kind, f"{text.place}, line {number}")
    flat = [(token, number) for number, tokens in lines for token in tokens]
    for begin, (token, number) in enumerate(flat):
        if not _is_word(token):
            continue
        words = 0
        for end in range(begin, len(flat)):
            words += _is_word(flat[end][0])
            if words == WINDOW_WORDS:
                tokens = [t for t, _ in flat[begin : end + 1]]
                yield Secret(tuple(tokens), text.kind, f"{text.place}, line {number}")
                break


def _code_lines(text: HiddenText) -> list[tuple[int, list[str]]]:
    """Return the tokens of each logical line that is secret, with its line number."""
    source = _dedented(text.source)
    open_lines = _public_lines(source)
    logical: list[tuple[int, list[str]]] = []
    current: list[str] = []
    first = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                if current and first not in open_lines:
                    logical.append((first + text.first_line - 1, current))
                current, first = [], 0
            elif token.type not in (
                tokenize.COMMENT,
                tokenize.NL,
                tokenize.INDENT,
                tokenize.DEDENT,
            ):
                first = first or token.start[0]
                current += TOKEN.findall(token.string)
    except (tokenize.TokenError, SyntaxError):
        return [
            (number + text.first_line, TOKEN.findall(line))
            for number, line in enumerate(source.split("\n"))
        ]
    return logical


def _dedented(source: str) -> str:
    lines = [line for line in source.split("\n") if line.strip()]
    width = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return "\n".join(line[width:] for line in source.split("\n"))


def _public_lines(source: str) -> set[int]:
    """Return the first lines of statements that are no secret: docstrings and imports."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return set()
    return {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        )
    }


def _literals(source: str) -> Iterator[tuple[str | float, int]]:
    """Yield the long literals of a grader that could be expected values, with their lines."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    open_lines = _public_lines(source)
    told = {id(part) for part in ast.walk(tree) if _is_told(part) for part in ast.walk(part)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or node.lineno in open_lines or id(node) in told:
            continue
        value = node.value
        if isinstance(value, str):
            text = value.strip()
            if len(text) >= LITERAL_CHARACTERS and not PLAIN_NAME.fullmatch(text):
                yield text, node.lineno
        elif isinstance(value, int | float) and _is_telling_number(value):
            yield float(value), node.lineno


def _is_told(node: ast.AST) -> bool:
    """Whether students read the text in their feedback: what a grader gives as `because`."""
    return isinstance(node, ast.keyword) and node.arg == "because"


def _is_telling_number(value: float) -> bool:
    """Whether a number is unlikely to stand in a lesson by chance; powers of two do."""
    if value == int(value) and int(value) & (int(value) - 1) == 0:
        return False
    digits = f"{value!r}".partition("e")[0].replace(".", "").strip("0")
    return len(digits) >= NUMBER_DIGITS


def _is_word(token: str) -> bool:
    return (token[0].isalnum() or token[0] == "_") and not keyword.iskeyword(token)


def _is_telling_line(tokens: list[str]) -> bool:
    words = sum(map(_is_word, tokens))
    return words >= LINE_WORDS or (words == LINE_WORDS - 1 and len(tokens) >= LINE_TOKENS)


def _parts(name: str, content: bytes) -> Iterator[Part]:
    text = content.decode("utf-8", errors="replace")
    if name.endswith(".ipynb"):
        nb = json.loads(text)
        for cell in nb["cells"]:
            place = f"{name}, cell {cell['id']}"
            source = "".join(cell["source"])
            yield Part(place, source, code=cell["cell_type"] == "code")
            rest = {key: value for key, value in cell.items() if key not in ("source", "id")}
            yield from _strings(place, rest)
        yield from _strings(f"{name}, metadata", nb["metadata"])
    else:
        yield Part(name, text, code=name.endswith(".py"))


def _strings(place: str, value: object) -> Iterator[Part]:
    """Yield every string inside a JSON value, keys too."""
    if isinstance(value, str):
        yield Part(place, value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield Part(place, str(key))
            yield from _strings(place, inner)
    elif isinstance(value, list):
        yield Part(place, "".join(v for v in value if isinstance(v, str)))
        for inner in value:
            yield from _strings(place, inner)


def _structural(name: str, content: bytes) -> Iterator[Finding]:
    if name.endswith(".ipynb"):
        for cell in json.loads(content)["cells"]:
            if cell.get("outputs") or cell.get("execution_count") is not None:
                yield Finding(f"{name}, cell {cell['id']}", Kind.OUTPUT)
    elif name.endswith(".py"):
        try:
            tree = ast.parse(content)
        except (SyntaxError, ValueError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "hidden":
                value = node.value
                if not (isinstance(value, ast.Constant) and value.value is False):
                    yield Finding(f"{name}, line {value.lineno}", Kind.HIDDEN_CASE)


def _search(secrets: Secrets, part: Part) -> Iterator[Finding]:
    for marker in MARKERS:
        if marker in part.text:
            yield Finding(part.place, Kind.MARKER, marker)
    for text in [part.text, *_decoded(part.text)]:
        sequences = [TOKEN.findall(text)]
        if part.code:
            sequences.append(TOKEN.findall(_without_comments(text)))
        for tokens in sequences:
            yield from _search_tokens(secrets, part.place, tokens)
        for literal, hidden in secrets.literals.items():
            if literal in text:
                yield Finding(part.place, Kind.LITERAL, hidden)
        for sentence, hidden in secrets.sentences.items():
            if sentence in text:
                yield Finding(part.place, Kind.GUIDE, hidden)


def _search_tokens(secrets: Secrets, place: str, tokens: list[str]) -> Iterator[Finding]:
    reported = set()
    for at, token in enumerate(tokens):
        for secret in secrets.pieces.get(token, ()):
            # The pieces of one hidden file overlap; its first one in this text says enough.
            origin = secret.hidden.partition(",")[0]
            if origin not in reported and tuple(tokens[at : at + len(secret.tokens)]) == (
                secret.tokens
            ):
                reported.add(origin)
                yield Finding(place, secret.kind, secret.hidden)
        if secrets.numbers and token[0].isdigit():
            try:
                value = float(token.replace("_", ""))
            except ValueError:
                continue
            if value in secrets.numbers:
                yield Finding(place, Kind.LITERAL, secrets.numbers[value])


def _without_comments(source: str) -> str:
    """Return the tokens of a Python source without its comments; the source if it is no Python."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return source
    return " ".join(token.string for token in tokens if token.type != tokenize.COMMENT)


def _decoded(text: str) -> Iterator[str]:
    """Yield what base64 and hexadecimal runs in a text say, where that is text."""
    unwrapped = re.sub(r"\s*\n\s*", "", text)
    for run in dict.fromkeys(ENCODED.findall(text) + ENCODED.findall(unwrapped)):
        digits = run.rstrip("=").replace("-", "+").replace("_", "/")
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]
        with contextlib.suppress(ValueError):
            yield base64.b64decode(digits + "=" * (-len(digits) % 4)).decode("utf-8")
    for run in HEXADECIMAL.findall(text):
        with contextlib.suppress(ValueError):
            yield bytes.fromhex(run[: len(run) // 2 * 2]).decode("utf-8")


def _contains(tokens: list[str], piece: tuple[str, ...]) -> bool:
    size = len(piece)
    return any(tuple(tokens[i : i + size]) == piece for i in range(len(tokens) - size + 1))
