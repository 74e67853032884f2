"""End a judge that is about to do what no judge does.

The interpreter tells an audit hook before it acts (PEP 578), and a hook cannot be taken out again.
Unpickling runs code of whoever wrote the bytes; the others would reach the gradebook, the network
or a shell. Starting a process is not among them: a judge starts its sandbox.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

NEVER = frozenset(
    {
        "pickle.find_class",
        "os.system",
        "os.exec",
        "pty.spawn",
        "sqlite3.connect",
        "urllib.Request",
        "ftplib.connect",
        "smtplib.connect",
    }
)
"""Audit events of CPython 3.11."""


def watch(end: Callable[[str], NoReturn]) -> None:
    """Call `end` with the name of the first such event, from now until the process ends."""

    def hook(event: str, _: tuple[object, ...]) -> None:
        if event in NEVER:
            end(event)

    sys.addaudithook(hook)
