"""Do one job: run the notebook in a sandbox, run the graders, say what was found."""

from __future__ import annotations

import io
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import IO, NoReturn

import msgspec
import pytest

from shardwork.errors import ShardworkError
from shardwork.judge import guard
from shardwork.judge.faults import GraderFault
from shardwork.judge.job import Event, Finished, Job, Judged, Problem, Variant
from shardwork.judge.plugin import JudgePlugin, results_of
from shardwork.record import CheckResult, Verdict
from shardwork.sandbox.session import SandboxFailed, Session, as_notebook
from shardwork.sandbox.zygote import Zygote


def run_job(text: bytes, events: IO[bytes], control: int | None = None) -> None:
    """Decode and do a job, writing one JSON line for each event.

    `control` is the control socket of the batch's zygote; without it the job starts its own.

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
        job = msgspec.json.decode(text, type=Job)
        _do(job, say, control)
    except (SandboxFailed, GraderFault, ShardworkError) as error:
        say(Problem(str(error)))
    except Exception:
        say(Problem(traceback.format_exc()[-4000:]))


def _do(job: Job, say: Callable[[Event], None], control: int | None) -> None:
    began = time.monotonic()
    notebook = as_notebook(job.notebook)
    zygote = Zygote(job.plan, control)
    session = Session(job.assignment, zygote, notebook, job.files)
    try:
        if not job.variants or not job.variants[0].sources:
            session.open()
        for variant in job.variants:
            _prepare(session, variant)
            for event in _judge(job, session, variant):
                say(event)
        cells = tuple(session.outcomes.values())
    finally:
        session.close()
        zygote.close()
    say(Finished(cells, session.notebook_s, time.monotonic() - began - session.notebook_s,
                 session.peak_bytes, session.starts))  # fmt: skip


def _prepare(session: Session, variant: Variant) -> None:
    """Put the variant's solutions into the notebook, and into the open sandbox if there is one."""
    for cell in session.notebook.cells:
        source = variant.sources.get(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
        if source is not None:
            cell.source = source
    if variant.sources and session.alive:
        session.redefine(variant.sources)


def _judge(job: Job, session: Session, variant: Variant) -> list[Judged]:
    graders = Path(job.graders)
    plugin = JudgePlugin(session, job.assignment.limits, variant.seeds, job.codes)
    paths = [graders / f"test_{exercise}.py" for exercise in job.exercises]
    missing = {
        p.stem.removeprefix("test_"): f"there is no {p.name}" for p in paths if not p.is_file()
    }
    present = [str(path) for path in paths if path.is_file()]
    if present:
        _run_pytest(present, graders, plugin)
    judged = [Judged(variant.name, seed, name, checks) for seed, name, checks in results_of(plugin)]
    for exercise, why in {**missing, **plugin.broken}.items():
        check = CheckResult("collection", "The grader of this exercise could be loaded.",
                            Verdict.ERROR, detail=why)  # fmt: skip
        judged += [Judged(variant.name, seed, exercise, (check,)) for seed in variant.seeds]
    return judged


def _run_pytest(paths: list[str], graders: Path, plugin: JudgePlugin) -> None:
    """Run pytest in this process, with this plugin only. Raises GraderFault if pytest gives up."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.dont_write_bytecode = True
    args = [
        *paths, f"--rootdir={graders}", "-c", os.devnull, "--import-mode=importlib",
        "--assert=plain", "-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:doctest",
        "-p", "no:warnings", "--capture=no", "-q", "--no-header", "--continue-on-collection-errors",
    ]  # fmt: skip
    output = io.StringIO()
    with redirect_stdout(output):
        status = pytest.main(args, plugins=[plugin])
    if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        raise GraderFault(f"pytest stopped with {status!r}: {output.getvalue()[-3000:]}")
