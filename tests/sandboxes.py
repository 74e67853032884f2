"""Real sandboxes for tests: zygotes that start once, and sessions in what they fork."""

from __future__ import annotations

import functools
import json
import textwrap
from typing import Any

import nbformat

from shardwork.course import Assignment, Exercise, Isolation, Limits
from shardwork.sandbox import isolation
from shardwork.sandbox.session import Session
from shardwork.sandbox.zygote import Zygote

LIMITS = {"cell_s": 2.0, "call_s": 10.0, "total_s": 120.0, "memory_mb": 1024, "scratch_mb": 64}


def assignment(**limits: Any) -> Assignment:
    exercises = (Exercise("f", 1, 5),)
    return Assignment("ch0_numbers", "Numbers", exercises, limits=Limits(**{**LIMITS, **limits}))


@functools.cache
def zygote(level: isolation.Level | None = None, scratch_mb: int = 64) -> Zygote:
    """Return a running zygote, the same for the same arguments; `end_zygotes` ends them all."""
    if level is None:
        plan = isolation.plan(assignment(scratch_mb=scratch_mb), Isolation.BUBBLEWRAP, {})
    else:
        plan = isolation.plan_at(level, Limits(scratch_mb=scratch_mb), environment=environment())
    made = Zygote(plan)
    _made.append(made)
    if not plan.single_use:
        made.start()
    return made


_made: list[Zygote] = []


def environment() -> dict[str, str]:
    return isolation.plan(assignment(), Isolation.NONE, {}).begin.environment


def end_zygotes() -> None:
    zygote.cache_clear()
    while _made:
        _made.pop().close()


def session(zygote: Zygote, cells: dict[str, str], files: str = "", **limits: Any) -> Session:
    """Return a session on code cells (`id=source`), not yet open."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, id=name) for name, source in cells.items()]
    )
    return Session(assignment(**limits), zygote, notebook, files)


def run(zygote: Zygote, code: str, files: str = "", **limits: Any) -> Any:
    """Run code in a sandbox of its own; return what it binds to `answer`, which must be JSON."""
    source = textwrap.dedent(code) + "\nimport json\nprint(json.dumps(answer))\n"
    limits = {"cell_s": 60.0} | limits
    opened = session(zygote, {"code": source}, files, **limits)
    try:
        opened.open()
        outcome = opened.outcomes["code"]
        assert outcome.status == "ran", outcome
        return json.loads(outcome.text)
    finally:
        opened.close()
