"""Where prose stands in a notebook and in a public check, and how it is replaced in place.

Pure functions. Each `map_*` walks over the prose of one text, hands every piece (a *msgid*, in the
words of gettext) to `translate`, and returns the text with the answers in the same places. Code is
left as it is: only docstrings and the messages of checks change. A recording `translate` that
answers what it was given therefore lists the msgids. Catalogues are `shardwork.catalogue`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from shardwork.errors import CourseError
from shardwork.notebook import regions

Translate = Callable[[str], str]

FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
LITERAL_PREFIX = re.compile(r"""^([a-zA-Z]*)("{3}|'{3}|"|')""")
MESSAGE_KEYWORDS = {"success_message", "failure_message"}
FORMAT_FIELD = re.compile(r"%(?:\(\w+\))?[-+#0]*\d*(?:\.\d+)?[a-zA-Z]|\{[^{}]*\}")


class Replacement(NamedTuple):
    """New text for a syntax node of a Python source."""

    node: ast.expr
    text: str


def map_blocks(markdown: str, translate: Translate) -> str:
    """Translate markdown block by block.

    A block is a run of lines without a blank line (a paragraph, a list, a heading, a table); a
    blank line inside a code fence ends none. Blocks of nothing but code or a formula stay as
    they are.
    """
    translated = (
        translate(block) if _is_prose_block(block) else block for block in _split(markdown)
    )
    return "".join(translated)


def map_docstrings(source: str, translate: Translate) -> str:
    """Translate the docstrings of a solution cell, except those inside the solution region.

    A msgid is the docstring as Python has it, cleaned by `inspect.cleandoc`. The new docstring is
    indented as the old one was. Raises SyntaxError if the source is no Python.
    """
    lines = source.split("\n")
    hidden = {line for region in regions(source) for line in region}
    replacements = []
    for node, owner in _docstring_nodes(ast.parse(source)):
        if node.lineno - 1 in hidden:
            continue
        msgid = inspect.cleandoc(str(node.value))
        answer = translate(msgid)
        if answer != msgid:
            literal = ast.get_source_segment(source, node) or ""
            indent = lines[owner.lineno - 1][: _indent_width(lines[owner.lineno - 1])]
            text = _docstring_literal(literal, str(node.value), answer, indent)
            replacements.append(Replacement(node, text))
    return _replace(source, replacements)


def map_messages(source: str, translate: Translate) -> str:
    """Translate the messages of a public check file.

    Messages are the arguments `success_message` and `failure_message`, what an `assert` says, and
    what a `raise` says. The msgid of an f-string has its placeholders as written, `{len(parts)}`;
    a translation that has others is a CourseError, because it would raise at the student's.
    Raises SyntaxError if the source is no Python.
    """
    replacements = []
    found = _message_nodes(ast.parse(source))
    for message in sorted(found, key=lambda node: (node.lineno, node.col_offset)):
        for node, nested in _string_nodes(message):
            if isinstance(node, ast.JoinedStr):
                msgid = _template(node)
                answer = translate(msgid)
                if answer != msgid:
                    replacements.append(Replacement(node, _fstring_literal(node, msgid, answer)))
                continue
            msgid = str(node.value)
            if nested and not _is_sentence(msgid):
                continue
            answer = translate(msgid)
            if nested and sorted(FORMAT_FIELD.findall(msgid)) != sorted(
                FORMAT_FIELD.findall(answer)
            ):
                raise _placeholder_error(msgid, answer)
            if answer != msgid:
                replacements.append(Replacement(node, _literal(answer)))
    return _replace(source, replacements)


def _split(markdown: str) -> Iterator[str]:
    """Yield blocks and the blank lines between them; joined, they are the text again."""
    block: list[str] = []
    fence = ""
    for line in re.findall(r"[^\n]*\n|[^\n]+", markdown):
        if not fence and not line.strip():
            yield from _block_and_ending(block)
            block = []
            yield line
            continue
        block.append(line)
        mark = FENCE.match(line)
        if not fence and mark:
            fence = mark[1]
        elif fence and mark and mark[1].startswith(fence) and line.strip() == mark[1]:
            fence = ""
    yield from _block_and_ending(block)


def _block_and_ending(lines: list[str]) -> Iterator[str]:
    text = "".join(lines)
    if text:
        body = text.rstrip("\r\n")
        yield body
        if body != text:
            yield text[len(body) :]


def _is_prose_block(block: str) -> bool:
    text = block.strip()
    if not any(character.isalpha() for character in text):
        return False
    if text.startswith("$$") and text.endswith("$$") and text.count("$$") == 2:
        return False
    fence = FENCE.match(text)
    return not (fence and text.endswith(fence[1]) and _is_one_fence(text, fence[1]))


def _is_one_fence(text: str, fence: str) -> bool:
    closings = [line for line in text.split("\n")[1:] if line.strip().startswith(fence)]
    return len(closings) == 1


def _docstring_nodes(tree: ast.Module) -> Iterator[tuple[ast.Constant, ast.stmt]]:
    owners = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for owner in ast.walk(tree):
        if isinstance(owner, owners) and ast.get_docstring(owner) is not None:
            statement = owner.body[0]
            assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            yield statement.value, statement


def _message_nodes(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and node.msg is not None:
            yield node.msg
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from node.exc.args
        elif isinstance(node, ast.Call):
            yield from (k.value for k in node.keywords if k.arg in MESSAGE_KEYWORDS)


def _string_nodes(
    message: ast.expr, nested: bool = False
) -> Iterator[tuple[ast.Constant | ast.JoinedStr, bool]]:
    """Yield the string literals of a message, and whether each is only a part of it."""
    if isinstance(message, ast.JoinedStr):
        yield message, nested
    elif isinstance(message, ast.Constant):
        if isinstance(message.value, str):
            yield message, nested
    else:
        for child in ast.iter_child_nodes(message):
            if isinstance(child, ast.expr) and not isinstance(message, ast.Subscript):
                yield from _string_nodes(child, nested=True)


def _is_sentence(text: str) -> bool:
    return " " in text.strip() and any(character.isalpha() for character in text)


def _docstring_literal(literal: str, value: str, text: str, indent: str) -> str:
    """Write `text` as the literal that takes the place of `literal`, in the same layout."""
    text = "\n".join(line if line.strip() else "" for line in inspect.cleandoc(text).split("\n"))
    text = text.rstrip("\n")
    prefix = LITERAL_PREFIX.match(literal)
    raw = prefix is not None and "r" in prefix[1].lower()
    if raw and '"""' not in text and not text.endswith(('"', "\\")):
        mark, body = 'r"""', text
    else:
        # Of any run of quotes the last two stay as they are: no three are left to end the literal.
        mark, body = '"""', re.sub('"(?="")', r'\\"', text.replace("\\", "\\\\"))
        if body.endswith('"'):
            body = body[:-1] + '\\"'
    lines = body.split("\n")
    head = "" if not value.startswith("\n") else "\n" + indent
    laid_out = "\n".join([lines[0], *((indent + line) if line else "" for line in lines[1:])])
    own_line = "\n" in value and not value.rsplit("\n", 1)[1].strip()
    return f"{mark}{head}{laid_out}" + (f"\n{indent}" if own_line else "") + '"""'


def _literal(text: str) -> str:
    """Write a string in double quotes; Japanese stays readable."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    escaped = escaped.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return f'"{escaped}"'


def _template(node: ast.JoinedStr) -> str:
    parts = []
    for value in node.values:
        if isinstance(value, ast.Constant):
            parts.append(str(value.value).replace("{", "{{").replace("}", "}}"))
        else:
            parts.append(_placeholder(value))
    return "".join(parts)


def _placeholder(value: ast.expr) -> str:
    """Write a placeholder as it stands between the quotes of an f-string."""
    assert isinstance(value, ast.FormattedValue)
    conversion = f"!{chr(value.conversion)}" if value.conversion != -1 else ""
    spec = (
        f":{_template(value.format_spec)}" if isinstance(value.format_spec, ast.JoinedStr) else ""
    )
    return f"{{{ast.unparse(value.value)}{conversion}{spec}}}"


def _fstring_literal(node: ast.JoinedStr, msgid: str, answer: str) -> str:
    known = {_placeholder(v): v for v in node.values if isinstance(v, ast.FormattedValue)}
    pattern = "|".join(
        [r"\{\{", r"\}\}", *(re.escape(p) for p in sorted(known, key=len, reverse=True))]
    )
    values: list[ast.expr] = []
    used = set()
    for part in re.split(f"({pattern})", answer):
        if part in known:
            used.add(part)
            values.append(known[part])
        elif part in ("{{", "}}"):
            values.append(ast.Constant(part[0]))
        elif "{" in part or "}" in part:
            raise _placeholder_error(msgid, answer)
        elif part:
            values.append(ast.Constant(part))
    if used != set(known):
        raise _placeholder_error(msgid, answer)
    return ast.unparse(ast.JoinedStr(values))


def _placeholder_error(msgid: str, answer: str) -> CourseError:
    return CourseError(
        f"The translation {answer!r} must have the same placeholders as {msgid!r}. Correct it in "
        "the catalogue."
    )


def _indent_width(line: str) -> int:
    return len(line) - len(line.lstrip())


def _replace(source: str, replacements: Iterable[Replacement]) -> str:
    """Put new texts in the place of nodes; a node's columns count UTF-8 bytes."""
    lines = [line.encode() for line in source.split("\n")]
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    data = source.encode()
    backwards = sorted(replacements, key=lambda r: (r.node.lineno, r.node.col_offset), reverse=True)
    for node, text in backwards:
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        data = data[:begin] + text.encode() + data[end:]
    return data.decode()
