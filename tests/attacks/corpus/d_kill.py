"""D: kill the grader, or leave a submission without a grade."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from shardwork.record import Verdict
from tests.attacks.course import LIMITS, POINTS, RIGHT, WRONG
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen

OUR_PROCESSES = str(Path("/proc/self/ns/pid").readlink())
PRIVATE = f"""
import os
def private():
    # With a defence switched off these attacks are real. What could hit a process of somebody
    # else's on this machine is done only where nothing but the batch can be seen.
    try:
        return os.readlink("/proc/self/ns/pid") != {OUR_PROCESSES!r}
    except OSError:
        return False
def of_batch(pid):
    try:
        with open(f"/proc/{{pid}}/cmdline", "rb") as file:
            return b"@COURSE@" in file.read()
    except OSError:
        return False
"""
"""Defines `private()`: whether this is another PID namespace than the runner's; `of_batch(pid)`:
whether a process is the batch's own command."""


_PLAIN = LIMITS["plain"]
BUDGET_S = _PLAIN["total_s"] + len(POINTS["plain"]) * _PLAIN.get("exercise_s", 40) + 60.0
"""What the limits of `plain` allow one submission, and a minute for a busy machine."""


def in_budget(attacks: Iterable[Attack]) -> list[Attack]:
    """Give each attack the time that its limits allow, if it has no more."""
    return [replace(attack, budget_s=max(attack.budget_s, BUDGET_S)) for attack in attacks]


def ungraded(seen: Seen) -> list[tuple[Win, str]]:
    """Find a submission that a student has made an error of ours: a zero would have been right."""
    record = seen.record
    if record is None:
        return []
    if record.status == "incomplete":
        return [(Win.BATCH, f"left without a grade: {record.reason[-300:]}")]
    return [
        (Win.BATCH, f"{exercise.name}/{check.name} is an error of ours: {check.detail[-300:]}")
        for exercise in record.exercises
        for check in exercise.checks
        if check.verdict is Verdict.ERROR and check.name != "ingest"
    ]


def keeps(points: float) -> Callable[[Seen], list[tuple[Win, str]]]:
    """Find that more was lost than the exercise with the attack in it."""

    def detect(seen: Seen) -> list[tuple[Win, str]]:
        found = ungraded(seen)
        earned = seen.batch.points(seen.attack.student)
        if not found and (earned is None or earned < points):
            found.append((Win.BATCH, f"{earned} points; the other exercises are worth {points:g}"))
        return found

    return detect


def right_but(*wrong: str) -> Submission:
    """Return the honest twin of an attack in these exercises: all others are right."""
    return Submission(RIGHT | {name: WRONG[name] for name in wrong})


def _dies(source: str) -> Submission:
    """Everything is right, but `product` does something to its process."""
    answer = (
        f"def product(numbers):\n    import ctypes, os, signal, sys\n    {source}\n    return 0"
    )
    return Submission(RIGHT | {"product": answer})


def _nbgrader(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], None]:
    def edit(notebook: dict[str, Any]) -> None:
        for cell in notebook["cells"]:
            if "nbgrader" in cell["metadata"]:
                change(cell["metadata"])

    return edit


def _again(*kinds: str) -> Callable[[dict[str, Any]], None]:
    """Paste every graded cell of these kinds (`grade`, `solution`) a second time."""

    def edit(notebook: dict[str, Any]) -> None:
        marked = [
            cell
            for cell in notebook["cells"]
            if any(cell["metadata"].get("nbgrader", {}).get(kind) for kind in kinds)
        ]
        notebook["cells"] += marked

    return edit


def _two_answers(notebook: dict[str, Any]) -> None:
    (cell,) = (c for c in notebook["cells"] if c["id"] == "product")
    notebook["cells"].append({**cell, "source": RIGHT["product"]})


def _second_notebook(folder: Path, scene: object) -> None:
    data = (folder / "plain.ipynb").read_bytes()
    for name in ("plain (1).ipynb", "PLAIN.ipynb", "plain.ipynb.ipynb", "plain/plain.ipynb"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)


KILLED = {Win.BATCH, Win.STALL}
_KILL_PARENT = (
    PRIVATE
    + """
import signal
parent = os.getppid()
if private() or of_batch(parent):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSTOP):
        try:
            os.kill(parent, number)
        except OSError as error:
            print(number, error)
"""
)
_SIGNAL_INIT = (
    PRIVATE
    + """
for number in range(1, 65):
    if private() and number not in (17, 18):
        try:
            os.kill(1, number)
        except (OSError, ValueError):
            pass
"""
)
_KILL_ALL = (
    PRIVATE
    + """
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
for pid in pids:
    if of_batch(pid):
        os.kill(pid, 9)
if private():
    os.kill(-1, 9)
"""
)
_KILL_EACH = (
    PRIVATE
    + """
import signal
for pid in range(2, 5000):
    if private() and pid != os.getpid():
        try:
            signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL)
        except OSError:
            pass
if private():
    os.killpg(0, signal.SIGKILL)
"""
)
_LOCK = """
import os, sqlite3, subprocess, sys, time
hold = '''
import fcntl, sqlite3, sys, time
for name in ("gradebook.db", "gradebook.db.lock"):
    try:
        file = open("@COURSE@/" + name, "r+b")
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        print(error)
connection = sqlite3.connect("@COURSE@/gradebook.db", timeout=0)
connection.execute("BEGIN EXCLUSIVE")
open("@ESC_FILE@", "w")
time.sleep(90)
'''
subprocess.Popen([sys.executable, "-c", hold, "@MARK@"], start_new_session=True)
time.sleep(1)
"""
_FILL = """
import os
places = ["@COURSE@", "@HOME@", "@COURSE@/records", "@COURSE@/submitted", "/var/tmp", "/run"]
with open("/proc/self/mounts") as mounts:
    places += [line.split()[1] for line in mounts]
written = 0
for place in dict.fromkeys(places):
    if not os.path.isdir(place) or place.startswith(("/proc", "/sys", "/tmp", "/home", "/dev/shm")):
        continue
    try:
        with open(os.path.join(place, "@MARK@fill"), "wb") as file:
            print("wrote into", place)
            for _ in range(20):
                written += file.write(bytes(1 << 20))
    except OSError:
        pass
    if place.startswith("@COURSE@") and written:
        break
"""
_NO_SERVER = {
    "D07j": ("takes get_ipython away, with which the judge's connection is begun",
             "get_ipython = None\n_serve = None"),
    "D07k": ("breaks the import that begins the judge's connection",
             "import builtins\ndef broken(*a, **k):\n    raise SystemExit(3)\n"
             "builtins.__import__ = broken"),
    "D07l": ("replaces the server by one that never says that it is ready",
             "import time, shardwork.probes.server as server\n"
             "server.serve = lambda *a: time.sleep(100000)"),
    "D07m": ("lets every later cell that is run silently do nothing",
             "kernel = get_ipython().kernel\nreal = kernel.do_execute\n"
             "async def do_execute(code, silent, *a, **k):\n"
             "    if silent:\n        return {'status': 'ok', 'execution_count': 0}\n"
             "    return await real(code, silent, *a, **k)\n"
             "kernel.do_execute = do_execute"),
    "D07n": ("hangs before each cell that is run silently",
             "import time\n"
             "get_ipython().events.register('pre_execute', lambda: time.sleep(0))\n"
             "def hang(lines):\n"
             "    if any('_serve' in line for line in lines):\n        time.sleep(100000)\n"
             "    return lines\n"
             "get_ipython().input_transformers_cleanup.append(hang)"),
}  # fmt: skip
_PROCESS = {
    "D07b": ("aborts", "os.abort()"),
    "D07c": ("ends its process with a status of its own", "os._exit(139)"),
    "D07d": ("overflows the stack of C",
             "sys.setrecursionlimit(10 ** 9); f = lambda n: f(n + 1); f(0)"),
    "D07e": ("becomes another program", 'os.execv("/bin/sleep", ["sleep", "1000"])'),
    "D07f": ("closes all its descriptors", "os.closerange(0, 4096)"),
    "D07g": ("stops itself", "os.kill(os.getpid(), signal.SIGSTOP)"),
    "D07h": ("forks, and two processes answer", "os.fork()"),
    "D07i": ("leaves itself no memory and no descriptors",
             "import resource as r; r.setrlimit(r.RLIMIT_AS, (1 << 20,) * 2); "
             "r.setrlimit(r.RLIMIT_NOFILE, (0, 0))"),
}  # fmt: skip

ATTACKS = in_budget([
    Attack(
        id="D01", title="kills its parent", wins=KILLED, detect=ungraded,
        submission=Submission(before=(_KILL_PARENT,)),
    ),
    Attack(
        id="D01b", title="kills its parent while the judge waits", wins=KILLED, detect=keeps(11),
        twin=right_but("product"),
        submission=Submission(
            RIGHT | {"product": f"def product(n):\n    exec({_KILL_PARENT!r}, {{}})\n    return 0"}
        ),
    ),
    Attack(
        id="D01c", title="sends every signal to the first process", wins=KILLED, detect=ungraded,
        submission=Submission(before=(_SIGNAL_INIT,)),
    ),
    Attack(
        id="D02", title="kills every process that it may", wins=KILLED, detect=ungraded,
        sample=True, submission=Submission(before=(_KILL_ALL,)),
    ),
    Attack(
        id="D02b", title="kills one process after another, then its group", wins=KILLED,
        detect=keeps(11), twin=right_but("product"),
        submission=Submission(
            RIGHT | {"product": f"def product(n):\n    exec({_KILL_EACH!r}, {{}})\n    return 0"}
        ),
    ),
    Attack(
        id="D07", title="a function reads from address 0", wins=KILLED, detect=keeps(11),
        sample=True, twin=right_but("product"), submission=_dies("ctypes.string_at(0)"),
    ),
    *(
        Attack(id=id_, title=f"a function {title}", wins=KILLED, detect=keeps(11),
               twin=right_but("product"), submission=_dies(source))
        for id_, (title, source) in _PROCESS.items()
    ),
    *(
        Attack(id=id_, title=title, wins=KILLED, detect=ungraded,
               submission=Submission(after=(source,)))
        for id_, (title, source) in _NO_SERVER.items()
    ),
    Attack(
        id="D07o", title="a cell ends the kernel in one way after another", wins=KILLED,
        detect=ungraded,
        submission=Submission(before=(
            "exit()", "get_ipython().kernel.do_shutdown(True)", "import os; os._exit(0)",
        )),
    ),
    Attack(
        id="D07p", title="a thread ends the process a moment after each start", wins=KILLED,
        detect=ungraded,
        submission=Submission(
            {"product": "import os, threading\nthreading.Timer(1.5, os._exit, (0,)).start()\n"
             "def product(numbers):\n    return 0"}
        ),
    ),
    Attack(
        id="D10", title="all cells say schema version 99", wins={Win.BATCH}, detect=ungraded,
        submission=Submission(edit=_nbgrader(lambda m: m["nbgrader"].update(schema_version=99))),
    ),
    Attack(
        id="D10b", title="all cells say schema version 1", wins={Win.BATCH}, detect=ungraded,
        submission=Submission(edit=_nbgrader(lambda m: m["nbgrader"].update(schema_version=1))),
    ),
    Attack(
        id="D10c", title="nbgrader's marks are a list", wins={Win.BATCH}, detect=ungraded,
        submission=Submission(edit=_nbgrader(lambda m: m.update(nbgrader=[1, "x"]))),
    ),
    Attack(
        id="D10d", title="nbgrader's marks are of wild types", wins={Win.BATCH}, detect=ungraded,
        submission=Submission(edit=_nbgrader(lambda m: m["nbgrader"].update(
            schema_version="3", points={}, grade=[], locked=None, cell_type=7, task=1e308
        ))),
    ),
    Attack(
        id="D11", title="pastes every test cell a second time", wins={Win.BATCH, Win.SCORE},
        detect=ungraded, submission=Submission(edit=_again("grade")),
    ),
    Attack(
        id="D11b", title="pastes every answer a second time", wins={Win.BATCH, Win.SCORE},
        detect=ungraded, submission=Submission(edit=_again("solution")),
    ),
    Attack(
        id="D11c", title="hands in a wrong and a right answer", wins={Win.BATCH, Win.SCORE},
        detect=ungraded, submission=Submission(edit=_two_answers),
    ),
    Attack(
        id="D12", title="a detached process holds the gradebook's lock", wins={Win.BATCH, Win.ESC},
        detect=ungraded, submission=Submission(before=(_LOCK,)),
    ),
    Attack(
        id="D13", title="fills whatever it may write", wins={Win.BATCH, Win.ESC, Win.RES},
        detect=ungraded, submission=Submission(before=(_FILL,)),
    ),
    Attack(
        id="D16", title="several files that could be the notebook", wins={Win.BATCH, Win.SCORE},
        detect=ungraded, submission=Submission(prepare=_second_notebook),
    ),
])  # fmt: skip
