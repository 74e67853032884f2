"""Do one job: run the notebook in a sandbox, run the graders, say what was found."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn

import msgspec

from shardwork.errors import ShardworkError
from shardwork.judge import guard
from shardwork.judge.faults import GraderFault
from shardwork.judge.graders import Graders
from shardwork.judge.job import (
    GO,
    Event,
    Finished,
    Job,
    Judged,
    Prepared,
    Problem,
    Setting,
    Variant,
)
from shardwork.record import CheckResult, Verdict
from shardwork.sandbox.session import SandboxFailed, Session, as_notebook
from shardwork.sandbox.zygote import Zygote


def run_job(
    orders: IO[bytes],
    events: IO[bytes],
    setting: Setting,
    graders: Graders,
    control: int | None = None,
) -> None:
    """Decode and do the job in `orders`, writing one JSON line for each event.

    `orders` has a second line when it is the job's turn. `control` is the control socket of the
    batch's zygote; without it the job starts its own.

    Everything that goes wrong on this side becomes a Problem, never a verdict.
    """
    encoder = msgspec.json.Encoder()

    def say(event: Event) -> None:
        events.write(encoder.encode(event) + b"\n")

    def end(event: str) -> NoReturn:
        say(Problem(f"the judge was about to do what no judge does ({event}), and was ended"))
        os._exit(1)  # an exception could be caught on its way

    guard.watch(end)
    try:
        job = msgspec.json.decode(orders.readline(), type=Job)

        def has_turn() -> bool:
            say(Prepared())
            return orders.readline() == GO

        _do(job, setting, graders, say, has_turn, control)
    except (SandboxFailed, GraderFault, ShardworkError) as error:
        say(Problem(str(error)))
    except Exception:
        say(Problem(traceback.format_exc()[-4000:]))


def _do(
    job: Job,
    setting: Setting,
    graders: Graders,
    say: Callable[[Event], None],
    has_turn: Callable[[], bool],
    control: int | None,
) -> None:
    notebook = as_notebook(job.notebook)
    zygote = Zygote(setting.plan, control)
    files = setting.files[job.files] if job.files else ""
    session = Session(setting.assignment, zygote, notebook, files)
    try:
        session.prepare()
        if not has_turn():
            return  # the batch has hung up
        began = time.monotonic() - session.sandbox_s
        if not job.variants or not job.variants[0].sources:
            session.open()
        for variant in job.variants:
            _prepare(session, variant)
            for event in _judge(setting, graders, session, variant):
                say(event)
        cells = tuple(session.outcomes.values())
    finally:
        session.close()
        zygote.close()
    spent = session.sandbox_s + session.notebook_s
    say(Finished(cells, session.sandbox_s, session.notebook_s, time.monotonic() - began - spent,
                 session.peak_bytes, session.starts))  # fmt: skip


def _prepare(session: Session, variant: Variant) -> None:
    """Put the variant's solutions into the notebook, and into the open sandbox if there is one."""
    new: dict[str, str] = {}
    for cell in session.notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if name in variant.sources and cell.source != variant.sources[name]:
            cell.source = new[name] = variant.sources[name]
    if new and session.alive:
        session.redefine(new)


def _judge(setting: Setting, graders: Graders, session: Session, variant: Variant) -> list[Judged]:
    found = graders.judge(session, variant.seeds, variant.exercises)
    judged = [Judged(variant.name, seed, name, checks) for (seed, name), checks in found.items()]
    for exercise in variant.exercises:
        if exercise in graders.broken:
            why = graders.broken[exercise]
        elif not Path(setting.graders, f"test_{exercise}.py").is_file():
            why = f"there is no test_{exercise}.py"
        else:
            continue
        check = CheckResult("collection", "The grader of this exercise could be loaded.",
                            Verdict.ERROR, detail=why)  # fmt: skip
        judged += [Judged(variant.name, seed, exercise, (check,)) for seed in variant.seeds]
    return judged
