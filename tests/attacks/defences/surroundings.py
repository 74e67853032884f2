"""Defences of the sandbox that keep things out of its sight."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.attacks.weak import defence, module


def course_root() -> Path:
    """Return the course folder that this process was started for."""
    return Path(sys.argv[sys.argv.index("--course") + 1])


def change_plan(change: Callable[[Any], Any]) -> None:
    """Apply `change` to every plan by which a zygote is started."""
    isolation = module("shardwork.sandbox.isolation")
    plan_at = isolation.plan_at
    isolation.plan_at = lambda *args, **kw: change(plan_at(*args, **kw))


def show(outside: Path, inside: str, how: str) -> Callable[[Any], Any]:
    """Return a change of a plan that shows a folder inside (`--ro-bind`, `--bind`)."""
    import msgspec

    def shown(plan: Any) -> Any:
        covered = plan.begin.confinement.covered | {inside: "/held/shown"}
        confinement = msgspec.structs.replace(plan.begin.confinement, covered=covered)
        begin = msgspec.structs.replace(plan.begin, confinement=confinement)
        at = plan.command.index("--dev")
        command = (*plan.command[:at], how, str(outside), "/held/shown", *plan.command[at:])
        return msgspec.structs.replace(plan, command=command, begin=begin)

    return shown


@defence("A01")
def own_view() -> None:
    """The course folder is not in the sandbox's file system."""
    if "--course" in sys.argv:  # the batch, which starts the zygote
        change_plan(show(course_root(), str(course_root()), "--ro-bind"))


@defence("B08")
def course_out_of_reach() -> None:
    """The gradebook cannot be written from a sandbox: it is not there, and of another user."""
    isolation = module("shardwork.sandbox.isolation")
    if "--course" not in sys.argv:
        return
    ways = isolation.ways
    isolation.ways = lambda: [way for way in ways() if not way.privileged]
    change_plan(show(course_root(), str(course_root()), "--bind"))


@defence("C07")
def scrubbed_environment() -> None:
    """A sandbox gets an environment made for it, and nothing of the caller's."""
    import msgspec

    def leaky(plan: Any) -> Any:
        given = dict(os.environ) | plan.begin.environment
        begin = msgspec.structs.replace(plan.begin, environment=given)
        return msgspec.structs.replace(plan, begin=begin)

    change_plan(leaky)


@defence("C11")
def fresh_files() -> None:
    """Every sandbox has files of its own, which end with it."""
    if "--course" not in sys.argv:
        return
    folder = course_root() / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    change_plan(show(folder, "/dev/shm", "--bind"))


@defence("A02")
def isolated() -> None:
    """Submissions run in a sandbox at all."""
    if "--course" in sys.argv:
        sys.argv += ["--isolation", "none"]
