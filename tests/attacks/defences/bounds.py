"""Defences that bound time, memory, processes, files and output, and bring a sandbox back."""

from __future__ import annotations

import sys
from typing import Any

from tests.attacks.defences.surroundings import change_plan
from tests.attacks.weak import defence, module

_PLENTY = 1 << 40
_LONG_S = 150.0
"""Longer than any budget of these attacks, and shorter than a judge may run."""


def change_confinement(**changes: Any) -> None:
    """Replace fields of every confinement, or what functions of theirs return."""
    import msgspec

    def changed(plan: Any) -> Any:
        policy = plan.begin.confinement
        values = {k: v(getattr(policy, k)) if callable(v) else v for k, v in changes.items()}
        confinement = msgspec.structs.replace(policy, **values)
        begin = msgspec.structs.replace(plan.begin, confinement=confinement)
        return msgspec.structs.replace(plan, begin=begin)

    # What a probe would say of a weaker sandbox is another defence.
    module("shardwork.sandbox.isolation").unmet = lambda facts, wish: None
    change_plan(changed)


@defence("D03")
def cells_end() -> None:
    """A cell and a call may take so long, and no longer."""
    deadline = module("shardwork.wire").Deadline
    module("shardwork.sandbox.session").Session.patience = lambda self, limit_s: deadline(_LONG_S)


@defence("D04d")
def submissions_end() -> None:
    """All cells together may take so long, and no longer."""
    module("shardwork.sandbox.session").Session.seconds_left = lambda self: _LONG_S


@defence("D07")
def exercises_are_apart() -> None:
    """A function that ends its process costs its own exercise: the others get a new sandbox."""
    session = module("shardwork.sandbox.session").Session
    start = session.open

    def once(self: Any) -> None:
        if not self.starts:
            start(self)

    session.open = once


@defence("E01")
def memory_is_bounded() -> None:
    """Cgroup and watchdog end a sandbox that takes more memory than its assignment allows."""
    cgroup, watchdog = module("shardwork.sandbox.cgroup"), module("shardwork.sandbox.watchdog")
    make, start = cgroup.make, watchdog.Watchdog.__init__

    def generous(self: Any, pid: int, **bounds: Any) -> None:
        start(self, pid, **(bounds | {"memory_bytes": _PLENTY}))

    cgroup.make = lambda memory_bytes, tasks: make(_PLENTY, tasks)
    watchdog.Watchdog.__init__ = generous


@defence("E02")
def processes_are_counted() -> None:
    """The watchdog ends a sandbox that has too many processes."""
    module("shardwork.sandbox.tree").MAX_PROCESSES = _PLENTY


@defence("E03")
def threads_are_counted() -> None:
    """The kernel refuses a sandbox more processes and threads than it may have."""
    module("shardwork.sandbox.tree").MAX_TASKS = 100_000
    change_confinement(limits=lambda limits: limits | {"RLIMIT_NPROC": 100_000})


@defence("E05")
def scratch_is_bounded() -> None:
    """All that a sandbox may write lies on one private file system of bounded size."""
    change_confinement(scratch_mb=2048)


@defence("E05c")
def files_are_counted() -> None:
    """That file system has room for so many files."""
    change_confinement(scratch_inodes=0)


@defence("E07d")
def output_is_bounded() -> None:
    """What a cell prints is cut to what a person reads before it is recorded."""
    module("shardwork.sandbox.session").plain = lambda text, *limits: text


@defence("E09i")
def hashes_are_bounded() -> None:
    """Keys that were made to have one hash are refused."""
    module("shardwork.wire.values")._bound_hashes = lambda keys: None


@defence("G02c")
def packages_are_read_only() -> None:
    """The libraries and the engine are shown read-only, and belong to another user."""
    isolation = module("shardwork.sandbox.isolation")
    ways = isolation.ways
    isolation.ways = lambda: [way for way in ways() if not way.privileged]
    prefixes = {sys.prefix, str(module("shardwork").__path__[0])}

    def writable(plan: Any) -> Any:
        import msgspec

        command = list(plan.command)
        for at, argument in enumerate(command):
            if argument == "--ro-bind" and command[at + 1] in prefixes:
                command[at] = "--bind"
        return msgspec.structs.replace(plan, command=tuple(command))

    change_plan(writable)


@defence("G11c")
def segments_are_private() -> None:
    """Segments of System V cannot be made, and would end with a namespace."""
    change_confinement(
        seccomp=(), namespaces=lambda names: tuple(name for name in names if name != "ipc")
    )
