"""Defences around a sandbox: its system calls, its neighbours, its privileges, its descriptors."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tests.attacks.defences.bounds import change_confinement
from tests.attacks.defences.surroundings import change_plan, course_root, show
from tests.attacks.weak import defence, module


def _without(*names: str) -> dict[str, Any]:
    return {"namespaces": lambda kinds: tuple(kind for kind in kinds if kind not in names)}


def _in_batch() -> bool:
    """Whether this process is the batch, which starts the zygote."""
    return "--course" in sys.argv


@defence("F01")
def no_way_out() -> None:
    """A sandbox has a network of its own with nothing but loopback, inside another such one."""
    import msgspec

    change_confinement(**_without("net"))
    change_plan(
        lambda plan: msgspec.structs.replace(
            plan, command=tuple(word for word in plan.command if word != "--unshare-net")
        )
    )


@defence("P10")
def neighbours_are_apart() -> None:
    """Each sandbox has a loopback of its own: two that run at once cannot meet."""
    change_confinement(**_without("net"))


@defence("P10b")
def own_processes() -> None:
    """A sandbox sees and signals no process but its own."""
    change_confinement(**_without("pid"))


@defence("F05")
def home_is_not_there() -> None:
    """The home of whoever grades is not in the sandbox's file system."""
    if _in_batch():
        home = Path(os.environ["HOME"])
        change_plan(show(home, str(home), "--ro-bind"))


@defence("F16c")
def calls_are_few() -> None:
    """System calls that no notebook needs are refused before the kernel looks at them."""
    change_confinement(seccomp=())


@defence("F16j")
def terminals_are_left_alone() -> None:
    """A second filter refuses to type into terminals and to load line disciplines."""
    change_confinement(seccomp=lambda filters: filters[:1])


@defence("F17c")
def capabilities_are_dropped() -> None:
    """A sandbox gives up every capability, also those over its own user namespace."""
    change_confinement(drop_capabilities=False)


@defence("F16f")
def own_user() -> None:
    """Where root grades, a sandbox is first made another user of the machine."""
    import msgspec

    module("shardwork.sandbox.isolation").unmet = lambda facts, wish: None
    change_plan(lambda plan: msgspec.structs.replace(plan, machine_root=False))


@defence("P07")
def descriptors_are_shed() -> None:
    """A zygote inherits no descriptor of the batch's, and its children keep none of its own."""
    import subprocess

    if not _in_batch():
        return
    change_confinement(shed_descriptors=False)
    leaked = os.open(course_root() / "graders/plain/test_product.py", os.O_RDONLY)
    popen: Any = subprocess.Popen
    start = popen.__init__

    def leaky(self: Any, args: Any, *more: Any, **kw: Any) -> None:
        if "shardwork.inside" in list(args):
            kw["pass_fds"] = [*kw.get("pass_fds", ()), leaked]
        start(self, args, *more, **kw)

    popen.__init__ = leaky


@defence("P15c")
def kernel_memory_is_counted() -> None:
    """A cgroup counts what the kernel keeps for a sandbox, which no look at its processes shows."""
    import msgspec

    change_plan(lambda plan: msgspec.structs.replace(plan, cgroup=False))
