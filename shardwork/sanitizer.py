"""Notebooks on their way into a browser: rebuilt from what may be shown, and no active content.

formgrader and nbgrader's own feedback make a page of a notebook with nbconvert 7, whose templates
write much of it as it is: HTML in markdown and outputs, cell numbers, the students' names. Our
autograded notebooks hold a student's code, plain text and written answers, which are markdown; this
stands between the browser and them, and any other notebook that may lie in `autograded/`.

`Sanitized` is an allow-list over the parts of a notebook, `safe_markdown` over rendered HTML.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any

import bleach  # type: ignore[import-untyped] # it publishes no types
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import escape
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode, from_dict
from traitlets import Bool

_TAGS = """
a abbr b blockquote br caption code col colgroup dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins
kbd li ol p pre q s samp small span strong sub sup table tbody td tfoot th thead tr tt u ul var
"""
TAGS = frozenset(_TAGS.split())
ATTRIBUTES = frozenset({"align", "alt", "colspan", "rowspan", "scope", "title"})
"""No `id` and no free `class`: formgrader's own script finds its fields and buttons by them."""
SCHEMES = frozenset({"http", "https", "mailto", "data"})
"""`data` is for pictures; `_is_shown` refuses it everywhere else."""

_PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/=\s]*\Z")
_CODE_CLASS = re.compile(r"highlight(?: hl-\w+)?|[a-z][a-z0-9]{0,2}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}\Z")
_MATH_COMMANDS = re.compile(r"\\(?:href|require|cssId|class|style|unicode)\b")
"""Commands of MathJax that make links, load code, or touch the page's elements."""

_NAMES_IN_PAGE = ("student", "first_name", "last_name", "notebook_path")
"""What formgrader writes into its page of a submission as it is."""


class Sanitized(Preprocessor):  # type: ignore[misc] # nbconvert publishes no types
    """Rebuild a notebook from the parts that a page may show. The last of the preprocessors."""

    # nbgrader registers preprocessors switched off
    enabled = Bool(True).tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        clean = from_dict(
            {
                "nbformat": 4,
                "nbformat_minor": 5,
                "metadata": {"language_info": {"name": "python"}},
                "cells": [made for cell in nb.get("cells", []) if (made := _cell(cell))],
            }
        )
        for name in _NAMES_IN_PAGE:
            if isinstance(resources.get(name), str):
                resources[name] = str(escape(resources[name]))
        return clean, resources


@pass_context
def safe_markdown(context: Context, source: str) -> str:
    """Render markdown as nbconvert does, and keep only what a page may show."""
    cell = context.get("cell") or {}
    text = _MATH_COMMANDS.sub(r"\\text", str(source))
    renderer = IPythonRenderer(escape=False, attachments=cell.get("attachments", {}))
    try:
        html = MarkdownWithMath(renderer=renderer).render(text)
    except Exception:  # a reference to nothing, nesting without end: shown as it was written
        html = f"<pre>{escape(text)}</pre>"
    return clean_html(html)


def clean_html(html: str) -> str:
    """Return `html` with everything escaped that is not on the lists above."""
    cleaned: str = bleach.clean(
        html, tags=TAGS, attributes=_is_shown, protocols=SCHEMES, strip=False
    )
    return cleaned


def _is_shown(tag: str, name: str, value: str) -> bool:
    if tag == "a" and name == "href":
        return not re.match(r"[\s\x00-\x20]*data:", value, re.IGNORECASE)
    if tag == "img" and name == "src":  # nothing is fetched from elsewhere
        return _PICTURE.match(value) is not None
    if name == "class":  # of highlighted code
        return tag in {"div", "span"} and _CODE_CLASS.fullmatch(value) is not None
    return name in ATTRIBUTES


def _cell(cell: Any) -> dict[str, Any] | None:
    kind, source = cell.get("cell_type"), _text(cell.get("source"))
    made: dict[str, Any] = {
        "cell_type": kind,
        "source": source,
        "metadata": _metadata(cell.get("metadata")),
    }
    if _is_name(cell.get("id")):
        made["id"] = cell["id"]
    if kind == "markdown":
        pictures = {name: _pictures(data) for name, data in _dict(cell.get("attachments")).items()}
        return made | {"attachments": {name: data for name, data in pictures.items() if data}}
    if kind == "raw":
        return made | {"source": str(escape(source))}
    if kind != "code":
        return None
    number = cell.get("execution_count")
    outputs = [_output(output) for output in cell.get("outputs", []) if isinstance(output, dict)]
    return made | {
        "execution_count": number if type(number) is int else None,
        "outputs": [output for output in outputs if output is not None],
    }


def _metadata(metadata: Any) -> dict[str, Any]:
    """Keep what nbgrader's templates read of a cell, each of its own type."""
    marks = _dict(_dict(metadata).get("nbgrader"))
    if not _is_name(marks.get("grade_id")):
        return {}
    kept: dict[str, Any] = {"grade_id": marks["grade_id"]}
    for name in ("grade", "solution", "task", "locked"):
        kept[name] = marks.get(name) is True
    for name in ("points", "score"):
        value = marks.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            kept[name] = float(value)
    if isinstance(marks.get("comment"), str):
        kept["comment"] = marks["comment"]  # goes through safe_markdown
    return {"nbgrader": kept}


def _output(output: dict[str, Any]) -> dict[str, Any] | None:
    kind = output.get("output_type")
    if kind == "stream":
        name = "stderr" if output.get("name") == "stderr" else "stdout"
        return {"output_type": kind, "name": name, "text": _text(output.get("text"))}
    if kind == "error":
        lines = [_text(line) for line in output.get("traceback", []) if isinstance(line, str)]
        return {
            "output_type": kind,
            "ename": _text(output.get("ename")),
            "evalue": _text(output.get("evalue")),
            "traceback": lines,
        }
    if kind not in ("execute_result", "display_data"):  # a tuple: `kind` may be unhashable
        return None
    given = _dict(output.get("data"))
    data: dict[str, Any] = _pictures(given)
    if "text/plain" in given:
        data["text/plain"] = _text(given["text/plain"])
    if "text/html" in given:
        data["text/html"] = clean_html(_text(given["text/html"]))
    made: dict[str, Any] = {"output_type": kind, "data": data, "metadata": {}}
    return made | {"execution_count": None} if kind == "execute_result" else made


def _pictures(data: Any) -> dict[str, str]:
    """Keep the pictures whose data is nothing but base64."""
    kept = {}
    for kind in ("image/png", "image/jpeg"):
        encoded = "".join(_text(_dict(data).get(kind)).split())
        try:
            base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        if encoded:
            kept[kind] = encoded
    return kept


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.match(value) is not None


def _text(value: object) -> str:
    if isinstance(value, list):
        value = "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
