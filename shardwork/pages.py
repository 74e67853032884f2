"""Pages: how a page of ours is made and written, and the language that it speaks.

A page stands alone: no script, no other resource, readable in print and by a screen reader. What
may stand on it is said by whoever makes it (`studentview.py` for a student's page, `report.py` for
a class); here every value is escaped, whatever it is.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import jinja2
from markupsafe import Markup, escape

from shardwork.catalogue import load_catalogue
from shardwork.course import Course
from shardwork.plaintext import filled
from shardwork.wholefile import write_whole

DOMAIN = "shardwork"


class Translations(Protocol):
    """Anything that translates: a catalogue, or gettext's own class."""

    def gettext(self, msgid: str) -> str: ...


class English:
    """The texts as they are written."""

    def gettext(self, msgid: str) -> str:
        return msgid


def N_(msgid: str) -> str:
    """Mark a text for translation where it is written but not yet shown."""
    return msgid


@dataclass(frozen=True)
class Language:
    """One language of a page: its code, the engine's sentences, and the assignment's texts."""

    code: str
    engine: Translations = field(default_factory=English)
    assignment: Translations = field(default_factory=English)

    def say(self, msgid: str, **values: object) -> Markup:
        """Return the engine's sentence in this language, its named placeholders filled, escaped.

        A translation with a placeholder that does not exist falls back to English.
        """
        for text in (self.engine.gettext(msgid), msgid):
            try:
                return escape(text).format(**values)
            except (KeyError, IndexError, ValueError):
                continue
        return escape(msgid)

    def tell(self, text: str, values: Mapping[str, object] | None = None) -> str:
        """Return a text of the assignment (a check's line, a cause, a message) in this language.

        Placeholders are filled from `values`, which are translated themselves where they are texts.
        """
        translated = self.assignment.gettext(text)
        if translated == text:
            translated = self.engine.gettext(text)
        if not values:
            return translated
        told = {k: self.tell(v) if isinstance(v, str) else v for k, v in values.items()}
        return filled(translated, told)


def load_language(course: Course, code: str, assignment: str) -> Language:
    """Return the language `code` of `course`; the course's first one if it does not have it."""
    if code not in course.config.languages:
        code = course.config.languages[0]
    return Language(
        code, load_catalogue(course, code, DOMAIN), load_catalogue(course, code, assignment)
    )


def page(template: str, language: Language, **values: Any) -> str:
    """Render a template of this package in `language`.

    The page's content security policy allows its own style sheet, by its hash, and pictures inside
    the page, and nothing else.
    """
    style = resources.files("shardwork").joinpath("templates/page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template(template)
        .render(
            language=language,
            say=language.say,
            tell=language.tell,
            style=Markup(style),  # our own file; the policy's hash is of exactly this text
            policy=(
                f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
                "form-action 'none'"
            ),
            **values,
        )
    )


def write_page(path: Path, html: str) -> None:
    """Write a page whole or not at all; an unchanged one is left alone. MachineError as there."""
    data = html.encode("utf-8", errors="replace")
    if not (path.is_file() and path.read_bytes() == data):
        write_whole(path, data)


def show_points(points: float) -> str:
    """Return points with at most two decimals: `3`, `2.5`, `1.67`."""
    text = f"{points:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("shardwork", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["points"] = show_points
    return environment
