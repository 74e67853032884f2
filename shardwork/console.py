"""The console that results are printed on."""

from __future__ import annotations

from rich.console import Console

WIDTH_PIPED = 140
"""Columns where there is no terminal: a table in a file must not be cut for want of one."""


def result_console() -> Console:
    """Return a console for stdout, as wide as the terminal, or wide enough for a file."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH_PIPED)
