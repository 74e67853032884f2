"""Kill a batch at a random moment of its work, then run the same command until it is done.

A moment is the n-th change of a file in one of the places that a batch writes to, not a time, so a
slow machine is hit where a fast one is: in the middle of a record, of a transaction of the
gradebook, of a page. `python -m tests.attacks.killing --times 20` does it.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import itertools
import json
import os
import random
import secrets
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from shardwork.course import Course, load_course
from tests.attacks.course import copy_course
from tests.attacks.crowd import ASSIGNMENT, HONEST_KINDS, flaws, harmed, students_of
from tests.attacks.scene import (
    END_S,
    Batch,
    Scene,
    _adopting,
    _cgroups,
    _lives,
    _made_by,
    _mounts,
    environment,
    lay,
    open_scene,
)
from tests.attacks.usage import Usage, watch

PLACES = ("start", "judging", "records", "gradebook", "autograded", "feedback", "report")
"""Where a batch writes, in the order in which it does. `start` is before anything was written;
`judging` are the folder for temporary files and what is in it."""
CHILDREN = ("zygote", "judge", "attendant")
"""Processes of a batch that may be killed in its place; the batch goes on then."""
LIMIT_S = 600.0
_CHAIN = 4

_WRITTEN = 0x2 | 0x40 | 0x80 | 0x100 | 0x200  # modified, moved from and to, created, deleted
_IS_FOLDER, _MADE = 0x40000000, 0x100
_HEAD = struct.Struct("iIII")


@dataclass(frozen=True)
class Moment:
    """What is killed, how, and when: at the `count`-th change in `place`, or after `delay_s`."""

    place: str
    count: int
    victim: str = "batch"
    number: signal.Signals = signal.SIGKILL
    delay_s: float = 0.0

    def __str__(self) -> str:
        what = f"{self.number.name} to the {self.victim}"
        when = f"{self.delay_s:.2f} s" if self.place == "start" else f"change {self.count}"
        return f"{what} at {when} in {self.place}"


class Watch:
    """Changes of files in the places that a batch writes to, as inotify(7) tells them."""

    def __init__(self, course: Course, temporary: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify")
        self._root = course.root
        self._folders: dict[int, tuple[str, Path]] = {}
        self._add("gradebook", course.root)
        self._add("judging", temporary)
        for place in ("records", "autograded", "feedback", "report"):
            self._add(place, course.root / place)

    def _add(self, place: str, folder: Path) -> None:
        if not folder.is_dir():
            return
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _WRITTEN)
        if number >= 0:
            self._folders[number] = (place, folder)
        # The course's own folder holds source and graders, too; only its files are looked at.
        for below in folder.iterdir() if folder != self._root else ():
            if below.is_dir() and not below.is_symlink():
                self._add(place, below)

    def changes(self, timeout_s: float) -> Iterator[str]:
        """Yield the place of each change that happens within the time."""
        if not select.select([self._fd], [], [], timeout_s)[0]:
            return
        data, at = os.read(self._fd, 1 << 16), 0
        while at < len(data):
            number, mask, _, length = _HEAD.unpack_from(data, at)
            name = os.fsdecode(data[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0"))
            at += _HEAD.size + length
            place, folder = self._folders.get(number, ("", Path()))
            if folder == self._root and mask & _IS_FOLDER:
                place = name if name in PLACES else ""
            elif folder == self._root and "gradebook.db" not in name:
                place = ""
            if mask & _IS_FOLDER and mask & _MADE and place:
                with contextlib.suppress(OSError):
                    self._add(place, folder / name)
            if place:
                yield place

    def close(self) -> None:
        os.close(self._fd)


@dataclass
class Run:
    """One call of the command: how it ended, and whether its moment came."""

    status: int | None
    console: bytes
    hit: bool
    alive: list[str]
    """Processes that were there `END_S` after the end."""
    changes: Counter[str] = field(default_factory=Counter)
    pids: set[int] = field(default_factory=set)
    """All processes that were seen below it."""


def run(scene: Scene, course: Course, temporary: Path, moment: Moment | None = None) -> Run:
    """Run the command as a process of its own, and kill at the moment if there is one."""
    command = [sys.executable, "-m", "shardwork", "--course", str(course.root), "grade",
               ASSIGNMENT, "--jobs", "2"]  # fmt: skip
    watched = Watch(course, temporary)
    changes: Counter[str] = Counter()
    with _adopting(), tempfile.TemporaryFile(dir=scene.folder) as console:
        process = subprocess.Popen(
            command, env=environment(scene, temporary), cwd=course.root, stdin=subprocess.DEVNULL,
            stdout=console, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        began, hit = time.monotonic(), False
        try:
            with watch(process.pid, temporary) as usage:
                while process.poll() is None:
                    if time.monotonic() - began > LIMIT_S:
                        process.kill()
                    for place in watched.changes(0.02):
                        changes[place] += 1
                        if not hit and moment and _has_come(moment, place, changes):
                            hit = _strike(process, moment)
                    if not hit and moment is not None and moment.place == "start":
                        hit = time.monotonic() - began > moment.delay_s and _strike(process, moment)
                ended = time.monotonic()
            alive = _alive()
            while alive and time.monotonic() - ended < END_S:
                time.sleep(0.02)
                alive = _alive()
        finally:
            process.kill()
            process.wait()
            watched.close()
        console.seek(0)
        pids = usage.pids | {process.pid}
        return Run(process.returncode, console.read(), hit, alive, changes, pids)


def _has_come(moment: Moment, place: str, changes: Counter[str]) -> bool:
    return place == moment.place and changes[place] >= moment.count


def _strike(process: subprocess.Popen[bytes], moment: Moment) -> bool:
    """Send the signal; return whether there was somebody to hear it."""
    if moment.victim == "group":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, moment.number)
            return True
        return False
    if moment.victim == "batch":
        process.send_signal(moment.number)
        return True
    try:
        target = _find(process.pid, moment.victim)
        if target is not None:
            target.send_signal(moment.number)
    except psutil.Error:
        return False
    return target is not None


def _find(batch: int, victim: str) -> psutil.Process | None:
    """Return a child of the batch: the zygote, the oldest judge, the oldest attendant."""
    below = psutil.Process(batch).children(recursive=True)
    if victim == "judge":
        return next((p for p in below if "shardwork.judge" in p.cmdline()), None)
    # Forked processes have the command of the zygote; it is the first that Python runs.
    of_zygote = [p for p in below if "shardwork.inside" in p.cmdline() and "bwrap" not in p.name()]
    if victim == "zygote":
        return of_zygote[0] if of_zygote else None
    return next((p for p in of_zygote if p.ppid() == of_zygote[0].pid), None)


def _alive() -> list[str]:
    """Return what lives of all that this process has adopted; the dead are buried, as init does."""
    found = []
    for process in psutil.Process().children(recursive=True):
        if _lives(process):
            with contextlib.suppress(psutil.Error):
                found.append(f"process {process.pid} {' '.join(process.cmdline())[:160]}")
        elif process.ppid() == os.getpid():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(process.pid, os.WNOHANG)
    return found


def chains(
    seed: int, changes: Counter[str], places: Sequence[str] = PLACES
) -> Iterator[list[Moment]]:
    """Draw moments without end, in chains: those of one hit one class, which gets on in between.

    `changes` are those of an undisturbed run. A chain has a moment in each of a few places.
    """
    draw = random.Random(seed)
    deck: list[str] = []
    while True:
        chain = []
        if len(deck) < _CHAIN:  # every place has its turn
            deck += draw.sample(places, len(places))
        chosen, deck = set(deck[:_CHAIN]), deck[_CHAIN:]
        for place in sorted(chosen, key=PLACES.index):
            number, victim = signal.SIGKILL, draw.choice(("batch", "batch", "group"))
            if place == "judging":
                victim = draw.choice((*CHILDREN, "batch"))
            if victim == "batch":
                number = draw.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT,
                                      signal.SIGTERM))  # fmt: skip
            # After an interruption less is left to write, and least of what all students share.
            share = 2 if place in ("judging", "records") else 4
            at = draw.randint(1, max(1, changes[place] // share))
            chain.append(Moment(place, at, victim, number, draw.uniform(0.0, 3.0)))
        yield chain


@dataclass
class Tally:
    """What came of killing."""

    hits: list[Moment] = field(default_factory=list)
    missed: list[Moment] = field(default_factory=list)
    found: list[str] = field(default_factory=list)


def make_class(scene: Scene, count: int) -> Course:
    """Make a course in which `count` honest students have handed in."""
    course = copy_course(scene.base, scene.folder / f"k{secrets.token_hex(3)}")
    kinds = list(HONEST_KINDS.items())
    for number in range(count):
        kind, submission = kinds[number % len(kinds)]
        lay(scene, course, ASSIGNMENT, f"m-{number:02d}-{kind}", submission)
    return course


def undisturbed(scene: Scene, count: int) -> tuple[Batch, Counter[str], list[str]]:
    """Grade a class without any interruption, and return what is not as it must be even so."""
    course = make_class(scene, count)
    temporary = Path(tempfile.mkdtemp(prefix="t", dir=scene.folder))
    ran = run(scene, course, temporary)
    batch = _as_batch(scene, course, ran)
    return batch, ran.changes, [*flaws(batch), *ran.alive, *_files_left(temporary)]


def kill_often(
    scene: Scene,
    students: int,
    times: int,
    seed: int,
    places: Sequence[str] = PLACES,
    say: Callable[[str], None] = lambda text: None,
) -> Tally:
    """Interrupt classes until so many moments were hit; each class comes to its end."""
    clean, changes, found = undisturbed(scene, students)
    tally = Tally(found=[f"undisturbed: {what}" for what in found])
    for chain in itertools.islice(chains(seed, changes, places), times):
        if len(tally.hits) < times:
            known = len(tally.found)
            kill_and_resume(scene, clean, chain[: times - len(tally.hits)], tally, say)
            for what in tally.found[known:]:
                say(f"found: {what}")
    return tally


def kill_and_resume(
    scene: Scene,
    clean: Batch,
    chain: Sequence[Moment],
    tally: Tally,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Interrupt one class at every moment of the chain, then let it come to its end, and look."""
    root = scene.folder / f"k{secrets.token_hex(3)}"
    shutil.copytree(clean.course.root, root, ignore=_results)
    course = load_course(root)
    temporary = Path(tempfile.mkdtemp(prefix="t", dir=scene.folder))
    cgroups, mounts, pids = _cgroups(), _mounts(), set[int]()
    for moment in chain:
        before, files = set(_records(course)), _files_left(temporary)
        ran = run(scene, course, temporary, moment)
        pids |= ran.pids
        say(f"{moment}: {'hit' if ran.hit else 'came too late'}, status {ran.status}, "
            f"{len(_records(course))} records")  # fmt: skip
        (tally.hits if ran.hit else tally.missed).append(moment)
        batch = _as_batch(scene, course, ran)
        tally.found += [f"after {moment}: {what}" for what in _after(ran, moment)]
        if moment.number is signal.SIGINT and ran.hit:
            new = sorted(set(_files_left(temporary)) - set(files))
            tally.found += [f"after {moment}: {what}" for what in new]
        tally.found += [f"after {moment}: the record of {name} is lost"
                        for name in sorted(before - set(_records(course)))]  # fmt: skip
        tally.found += [f"after {moment}: {what}" for what in _wrong_so_far(batch, clean)]
        if not ran.hit:  # it has come to its end, and nothing is left to interrupt
            break
    ran = run(scene, course, temporary)
    batch = _as_batch(scene, course, ran)
    about = f"after {len(chain)} interruptions, the last a {chain[-1]}" if chain else "at once"
    for what in [
        *flaws(batch),
        *harmed(batch, clean, students_of(clean)),
        *_unlike(batch, clean),
        *ran.alive,
        *_files_left(temporary),
        *(f"cgroup {folder}" for folder in _made_by(pids | ran.pids, _cgroups() - cgroups)),
        *(f"mount {mount}" for mount in _mounts() - mounts if str(scene.folder) in mount),
    ]:
        tally.found.append(f"resumed {about}: {what}")
    shutil.rmtree(root)
    shutil.rmtree(temporary)


def _results(folder: str, names: list[str]) -> list[str]:
    """Name what a batch has written, for a copy without it."""
    written = ("records", "autograded", "feedback", "report")
    return [n for n in names if n in written or "gradebook.db" in n] if Path(
        folder, "course_config.py").is_file() else []  # fmt: skip


def _as_batch(scene: Scene, course: Course, ran: Run) -> Batch:
    return Batch(scene, course, ASSIGNMENT, [], ran.status, ran.console, 0.0, Usage(), {}, [], [],
                 {})  # fmt: skip


def _records(course: Course) -> list[str]:
    return sorted(path.stem for path in (course.records / ASSIGNMENT).glob("[!.]*.json"))


def _after(ran: Run, moment: Moment) -> Iterator[str]:
    """Yield what must not be so at once after an interruption."""
    yield from ran.alive
    if not ran.hit:
        return
    if moment.victim in CHILDREN:
        # Without a zygote nothing can be begun (4); later it costs the submissions that it served.
        ended = (0, 1, 4) if moment.victim == "zygote" else (0, 1)
        if ran.status not in ended:
            yield f"exit status {ran.status}: {ran.console[-800:]!r}"
        return
    # At the start Python itself ends by it; in the end the work may be done already.
    ended_well = moment.place == "start" or ran.status in (130, 0, 1)
    if moment.number is signal.SIGINT and not ended_well:
        yield f"exit status {ran.status}: {ran.console[-800:]!r}"


def _wrong_so_far(batch: Batch, clean: Batch) -> Iterator[str]:
    """Yield records that cannot be read, or say of a student's work what is not so.

    What we broke ourselves may be unknown, and to be done again; it is never a student's failure.
    """
    for name in _records(batch.course):
        record, right = batch.record(name), clean.record(name)
        if record is None or right is None:
            yield f"the record of {name} cannot be read"
            continue
        for exercise, due in zip(record.exercises, right.exercises, strict=False):
            if not exercise.provisional and exercise.points != due.points:
                causes = [f"{c.name} {c.cause} {c.message}" for c in exercise.checks]
                yield f"{name}/{exercise.name}: {exercise.points} points for {due.points}: {causes}"


def _unlike(batch: Batch, clean: Batch) -> Iterator[str]:
    """Yield results that are there and should not be, or the other way round."""

    def names(of: Batch) -> set[str]:
        top = of.course.root
        return {str(path.relative_to(top)) for place in ("records", "autograded", "feedback",
                "report") for path in (top / place).rglob("*")}  # fmt: skip

    for name in sorted(names(batch) ^ names(clean)):
        yield f"{name} is {'there' if name in names(batch) else 'not there'}"


def _files_left(temporary: Path) -> list[str]:
    return [f"file {path.name}" for path in sorted(temporary.iterdir())]


def main() -> int:
    """Kill and print what came of it; the exit status is 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.killing")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--students", type=int, default=9)
    parser.add_argument("--places", nargs="*", default=PLACES, choices=PLACES)
    chosen = parser.parse_args()
    sys.stderr.write(f"seed {chosen.seed}\n")
    with open_scene() as scene:
        tally = kill_often(scene, chosen.students, chosen.times, chosen.seed, chosen.places,
                           lambda text: print(text, file=sys.stderr, flush=True))  # fmt: skip
    sys.stdout.write(json.dumps({
        "seed": chosen.seed, "hit": len(tally.hits), "missed": list(map(str, tally.missed)),
        "found": tally.found}, indent=1) + "\n")  # fmt: skip
    return 1 if tally.found or len(tally.hits) < chosen.times else 0


if __name__ == "__main__":
    sys.exit(main())
