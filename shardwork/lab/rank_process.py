"""One rank: what a fork of the rank server does, from the fork to its exit.

It gives itself streams, signals and a process group of its own, joins the gloo group, calls the
student's function, and reports.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import functools
import inspect
import io
import os
import pickle
import random
import re
import resource
import signal
import sys
import time
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from shardwork.lab.rank_frames import Call, Place, RankState, Report, encode

_SEED = 0
_ERROR_LIMIT_CHARS = 20_000

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# What gloo (torch 2.13) says in a rank whose peer has gone: a consequence, never the root cause.
_LOST_PEER = re.compile(
    r"Connection (closed|reset) by (remote )?peer|Broken pipe|Connection refused"
    r"|failed to pass monitoredBarrier|Application timeout caused pair closure",
    re.IGNORECASE,
)
_OWN_FOLDER = Path(__file__).parent
_STACK_LINE = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)


def be_rank(number: int, call: Call, folder: str, ends: dict[str, int]) -> NoReturn:
    """Turn this forked process into rank `number`; never returns."""
    status = 1
    try:
        _detach(ends)
        report = _answer(number, call, folder)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with open(ends["result"], "wb", closefd=False) as result:
            result.write(encode(report))
        status = 0
    finally:
        os._exit(status)


def _detach(ends: dict[str, int]) -> None:
    """Give the process its own group, streams and signals, and no descriptor of another."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(ends["stdout"], 1)
    os.dup2(ends["stderr"], 2)
    keep = sorted((ends["result"], ends["stack"]))
    os.closerange(3, keep[0])
    os.closerange(keep[0] + 1, keep[1])
    os.closerange(keep[1] + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb"))
    sys.stdout = _text_stream(1)
    sys.stderr = _text_stream(2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(file=ends["stack"], all_threads=False)
    faulthandler.register(signal.SIGUSR1, file=ends["stack"], all_threads=False)


def _text_stream(descriptor: int) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        os.fdopen(descriptor, "wb"), encoding="utf-8", errors="replace", line_buffering=True
    )


def _answer(number: int, call: Call, folder: str) -> Report:
    try:
        _enter(number, call)
        function, arguments = pickle.loads(call.payload)
        store = _join_group(number, call, folder)
        value = function(number, call.world_size, *arguments)
        from shardwork.lab.rank_values import dump

        payload = dump(value, f"rank {number} returned a value that cannot be sent back")
        # Leaving while another rank still connects to this one would fail that rank.
        store.wait([f"joined {rank}" for rank in range(call.world_size)])
        return Report(number, RankState.RETURNED, time.monotonic(), payload=payload)
    except BaseException as error:
        at_s = time.monotonic()
        places = [
            (frame.filename, frame.lineno or 0, frame.name)
            for frame in traceback.extract_tb(error.__traceback__)
        ]
        text = "".join(traceback.format_exception_only(error)).strip()
        return Report(
            number,
            RankState.RAISED,
            at_s,
            error=text[:_ERROR_LIMIT_CHARS],
            types=tuple(kind.__name__ for kind in type(error).__mro__),
            lost_peer=_LOST_PEER.search(text) is not None,
            places=_student_places(places),
        )


def _enter(number: int, call: Call) -> None:
    """Take over the notebook's folder, import path and environment."""
    os.chdir(call.folder)
    sys.path[:] = call.path
    os.environ.clear()
    os.environ.update(call.environment)
    here = call.ranks or tuple(range(call.world_size))
    os.environ.update(
        RANK=str(number),
        LOCAL_RANK=str(here.index(number)),
        WORLD_SIZE=str(call.world_size),
        LOCAL_WORLD_SIZE=str(len(here)),
    )


def _join_group(number: int, call: Call, folder: str) -> Any:
    """Seed this rank and make it a member of the gloo group; return the group's store.

    The store has a key `joined <rank>` for each rank that has all its connections.
    """
    import numpy as np
    import torch
    import torch.distributed as dist

    random.seed(_SEED)
    np.random.seed(_SEED)
    torch.manual_seed(_SEED)
    torch.set_num_threads(1)
    timeout = timedelta(seconds=call.timeout_s)
    store = _store(call, folder, timeout)
    store.set_timeout(timeout)
    # Two different collectives then end in an error at once instead of waiting for each other, or
    # (different shapes) taking the process down with SIGABRT. The environment variable is read at
    # import, which has happened long ago.
    dist.set_debug_level(dist.DebugLevel.DETAIL)
    dist.init_process_group(
        "gloo",
        store=store,
        rank=number,
        world_size=call.world_size,
        timeout=timeout,
    )
    dist.set_debug_level(dist.DebugLevel.OFF)
    _give_ddp_a_plain_group(dist.new_group(backend="gloo", timeout=timeout))
    store.set(f"joined {number}", "")
    return store


def _store(call: Call, folder: str, timeout: timedelta) -> Any:
    """Return the store in which ranks find each other: a file, or on the host that keeps it."""
    import torch.distributed as dist

    if call.meeting is None:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo" if sys.platform == "linux" else "lo0"
        return dist.FileStore(str(Path(folder) / "store"), call.world_size)
    os.environ.pop("GLOO_SOCKET_IFNAME", None)  # the interface that this host's name stands for
    return dist.TCPStore(call.meeting.host, call.meeting.port, is_master=False, timeout=timeout)


def keep_store(call: Call) -> NoReturn:
    """Turn this forked process into the keeper of the call's store, until it is killed.

    A process of its own: a rank that kept it would take it along when it returns.
    """
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setpgid(0, 0)
        import torch.distributed as dist

        assert call.meeting is not None
        kept = dist.TCPStore("0.0.0.0", call.meeting.port, is_master=True, wait_for_workers=False)
        while kept is not None:
            signal.pause()
    finally:
        os._exit(1)


def _give_ddp_a_plain_group(group: Any) -> None:
    """Let DDP default to `group`: with the checking default group it crashes (torch 2.13, SIGSEGV).

    The crash is in `Logger::set_construction_data_and_log`, for gloo at debug level DETAIL.
    """
    from torch.nn.parallel import DistributedDataParallel

    create = DistributedDataParallel.__init__
    signature = inspect.signature(create)

    @functools.wraps(create)
    def create_on_plain_group(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs).arguments
        if given.get("process_group") is None and given.get("device_mesh") is None:
            given["process_group"] = group
        create(**given)

    DistributedDataParallel.__init__ = create_on_plain_group


def is_whole(stack: str) -> bool:
    """Say whether faulthandler has written the stack of a rank to its end."""
    return f'{__file__}"' in stack and stack.endswith("\n")


def places_in(stack: str) -> list[Place]:
    """Read faulthandler's text (most recent call first) into places, most recent call last."""
    found = [(file, int(line), name) for file, line, name in _STACK_LINE.findall(stack)]
    return _student_places(found[::-1])


def _student_places(places: list[Place]) -> list[Place]:
    """Leave out how this package came to call the student's function."""
    own = [index for index, place in enumerate(places) if place[0] == __file__]
    inner = places[own[-1] + 1 :] if own else places
    return [place for place in inner if Path(place[0]).parent != _OWN_FOLDER]


def prctl(option: int, value: int) -> None:
    """Call prctl(2). Linux only; elsewhere a rank is ended by its group alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
