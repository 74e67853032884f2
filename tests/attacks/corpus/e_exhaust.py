"""E: exhaust memory, processes, disk, output.

Each is capped, because with a defence switched off it really happens. Each says how far it has got
(`REACHED 512`), in what it prints: that it got past its assignment's limit is the win. A cell that
is ended prints nothing; then the detectors of the whole batch have to see it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from tests.attacks.corpus.d_kill import in_budget, keeps, right_but, ungraded
from tests.attacks.course import LIMITS, POINTS, RIGHT
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen

MEMORY_MB = LIMITS["plain"]["memory_mb"]
SCRATCH_MB = LIMITS["plain"]["scratch_mb"]
MAX_RECORD_BYTES = 1 << 20
_REACHED = re.compile(r"REACHED (\d+)")
EXHAUSTED = {Win.RES, Win.BATCH}


def reached(bound: int) -> Callable[[Seen], list[tuple[Win, str]]]:
    """Find that an attack got further than `bound`, by its own account, or was not graded."""

    def detect(seen: Seen) -> list[tuple[Win, str]]:
        found = ungraded(seen)
        cells = seen.record.cells if seen.record is not None else ()
        said = "\n".join(cell.text for cell in cells) + seen.told()
        most = max(map(int, _REACHED.findall(said)), default=0)
        if most > bound:
            found.append((Win.RES, f"reached {most:,}, above {bound:,}"))
        return found

    return detect


def small_record(seen: Seen) -> list[tuple[Win, str]]:
    """Find a record or a page that holds more than a person would read."""
    found = ungraded(seen)
    size = len(msgspec.json.encode(seen.record)) if seen.record is not None else 0
    page = len(seen.batch.page(seen.attack.student))
    if max(size, page) > MAX_RECORD_BYTES:
        found.append((Win.RES, f"a record of {size:,} bytes, a page of {page:,}"))
    return found


_ALLOCATE = """
import time
kept = []
for step in range(24):
    block = bytearray(128 << 20)
    block[::4096] = b"x" * len(block[::4096])
    kept.append(block)
    print("REACHED", 128 * len(kept), flush=True)
    time.sleep(0.1)
"""
_ALLOCATE_AT_ONCE = """
block = bytearray(3 << 30)
for start in range(0, len(block), 128 << 20):
    piece = memoryview(block)[start : start + (128 << 20)]
    piece[::4096] = b"x" * len(piece[::4096])
    print("REACHED", (start >> 20) + 128, flush=True)
"""
_ALLOCATE_IN_CHILDREN = """
import mmap, os, time
shared = mmap.mmap(-1, 4096)
for child in range(6):
    if os.fork() == 0:
        block = bytearray(384 << 20)
        block[::4096] = b"x" * len(block[::4096])
        shared[child] = 1
        time.sleep(6)
        os._exit(0)
for _ in range(12):
    time.sleep(0.25)
    print("REACHED", 384 * sum(shared[:6]), flush=True)
"""
_SHARED_PAGES = """
import mmap, os, time
blocks = []
for step in range(20):
    block = mmap.mmap(-1, 128 << 20)
    for at in range(0, len(block), 4096):
        block[at] = 1
    blocks.append(block)
    print("REACHED", 128 * len(blocks), flush=True)
    time.sleep(0.1)
"""
_HIDDEN = """
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.prctl(4, 0, 0, 0, 0)
kept = []
for step in range(20):
    block = bytearray(128 << 20)
    block[::4096] = b"x" * len(block[::4096])
    kept.append(block)
    print("REACHED", 128 * len(kept), flush=True)
    time.sleep(0.2)
"""
_SOCKETS = """
import os, socket, time
def fill(kept):
    total = 0
    for _ in range(1500):
        try:
            a, b = socket.socketpair()
        except OSError:
            break
        a.setblocking(False)
        kept.append((a, b))
        try:
            while True:
                total += a.send(bytes(1 << 16))
        except OSError:
            pass
    return total
results = []
for child in range(8):
    read, write = os.pipe()
    if os.fork() == 0:
        kept = []
        os.write(write, str(fill(kept)).encode())
        time.sleep(8)
        os._exit(0)
    os.close(write)
    results.append(read)
    total = sum(int(os.read(fd, 20) or 0) for fd in [read]) + globals().get("total", 0)
    print("REACHED", total >> 20, flush=True)
"""
_PIPES = """
import fcntl, os
total = 0
for _ in range(1800):
    try:
        read, write = os.pipe()
        os.set_blocking(write, False)
        try:
            fcntl.fcntl(write, 1031, 1 << 20)
        except OSError:
            pass
        while True:
            total += os.write(write, bytes(1 << 16))
    except BlockingIOError:
        continue
    except OSError:
        break
print("REACHED", total >> 20)
"""
_FORKS = """
import os, subprocess, time
alive = []
for _ in range(500):
    try:
        alive.append(os.posix_spawn("/bin/sleep", ["sleep", "20"], {}))
    except OSError:
        break
    if len(alive) % 25 == 0:
        print("REACHED", len(alive), flush=True)
        time.sleep(0.05)
time.sleep(2)
print("REACHED", sum(os.path.exists(f"/proc/{pid}/exe") for pid in alive), flush=True)
"""
_FORK_TREE = """
import mmap, os, time
count = mmap.mmap(-1, 1024)
def grow(me):
    for child in (2 * me, 2 * me + 1):
        if child >= 512:
            return
        try:
            pid = os.fork()
        except OSError:
            return
        if pid == 0:
            os.setsid()
            count[child] = 1
            grow(child)
            time.sleep(12)
            os._exit(0)
grow(1)
time.sleep(4)
print("REACHED", sum(count), flush=True)
"""
_CHURN = """
import os, time
made = 0
until = time.monotonic() + 6
while made < 3000 and time.monotonic() < until:
    try:
        pid = os.fork()
    except OSError:
        time.sleep(0.01)
        continue
    if pid == 0:
        if os.fork() == 0:
            os.setsid()
        os._exit(0)
    made += 1
"""
_THREADS = """
import threading, time
threading.stack_size(65536)
alive = 0
try:
    for _ in range(2500):
        threading.Thread(target=time.sleep, args=(6,), daemon=True).start()
        alive += 1
except RuntimeError as error:
    print(error)
print("REACHED", alive, flush=True)
"""
_DISK = """
import os
total = 0
for place in (".", "/tmp", "/dev/shm", os.path.expanduser("~"), "/var/tmp", "/run", "/scratch",
              "/dev", "/home", "/dev/mqueue", "/held"):
    folder = os.path.join(place, ".cache")
    try:
        os.makedirs(folder, exist_ok=True)
        for number in range(20):
            with open(os.path.join(folder, f"@MARK@{number}"), "wb", buffering=0) as file:
                for _ in range(16):
                    total += file.write(bytes(1 << 20))
            print("REACHED", total >> 20, flush=True)
    except OSError as error:
        print(place, error)
    if total > 600 << 20:  # below what the memory's bound, which counts these pages, ends first
        break
print("REACHED", total >> 20)
"""
_DELETED = """
import os
kept, total = [], 0
for place in (".", "/tmp", "/dev/shm"):
    try:
        for number in range(60):
            path = os.path.join(place, f"@MARK@{number}")
            file = open(path, "wb", buffering=0)
            os.unlink(path)
            kept.append(file)
            for _ in range(16):
                total += file.write(bytes(1 << 20))
    except OSError as error:
        print(place, error)
print("REACHED", total >> 20)
"""
_INODES = """
import os
made = 0
for place in ("/tmp", "/dev/shm", "."):
    folder = os.path.join(place, "@MARK@")
    try:
        os.mkdir(folder)
        for number in range(20_000):
            os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        print(place, error)
print("REACHED", made)
"""
_DEEP = """
import os
for place in ("/tmp", ".", "/dev/shm"):
    os.chdir(place)
    try:
        for _ in range(3000):
            os.mkdir("@MARK@d")
            os.chdir("@MARK@d")
    except OSError as error:
        print(error)
os.chdir("/tmp")
"""
_NAMES = """
import os, subprocess, sys
for place in (".", "/tmp"):
    for name in ("a" * 255, "\\n\\x1b[31m", "-rf *", "\\udcff", "...", " "):
        os.makedirs(os.path.join(place, name), exist_ok=True)
        os.chmod(os.path.join(place, name), 0)
    os.mkfifo(os.path.join(place, "@MARK@fifo"))
    os.symlink("/", os.path.join(place, "@MARK@link"))
"""
_PRINTS = """
import os, sys
block = "x" * (1 << 20)
for _ in range(150):
    print(block)
    print(block, file=sys.stderr)
for path in ("/proc/1/fd/1", "/proc/1/fd/2", "/proc/self/fd/1", "/dev/stdout", "/dev/console"):
    try:
        with open(path, "w") as file:
            for _ in range(50):
                file.write(block)
    except OSError:
        pass
for fd in (1, 2):
    for _ in range(50):
        try:
            os.write(fd, block.encode())
        except OSError:
            break
"""
_DISPLAYS = """
from IPython.display import HTML, display, clear_output
for number in range(4000):
    display(HTML("<b>x</b>" * 50))
    clear_output()
    print(number)
display({"text/plain": "y" * (32 << 20), "image/png": "A" * (32 << 20)}, raw=True)
"""
_SAYS = """
class Loud(Exception):
    def __str__(self):
        return "z" * (64 << 20)
def product(numbers):
    print("p" * (32 << 20))
    raise Loud()
def ordered(words):
    raise ExceptionGroup("g" * (1 << 20), [ValueError("v" * 1000) for _ in range(10_000)])
def recurse(n):
    recurse(n + 1)
raise Loud()
"""


def _value(id_: str, title: str, **sources: str) -> Attack:
    """Return an attack by what these functions return; the others are right."""
    answers = {name: f"def {name}(*args):\n    {source}" for name, source in sources.items()}
    return Attack(
        id=id_, title=title, wins={*EXHAUSTED, Win.STALL},
        submission=Submission(RIGHT | answers), twin=right_but(*sources),
        detect=keeps(sum(p for n, p in POINTS["plain"].items() if n not in (*sources, "tell"))),
    )  # fmt: skip


def _memory(id_: str, title: str, source: str, **more: object) -> Attack:
    # Half as much again: looking a few times a second sees it late.
    return Attack(
        id=id_, title=title, wins=EXHAUSTED, detect=reached(MEMORY_MB * 3 // 2),
        submission=Submission(before=(source,)), **more,  # type: ignore[arg-type]
    )  # fmt: skip


ATTACKS = in_budget([
    _memory("E01", "allocates step by step", _ALLOCATE, sample=True),
    _memory("E01b", "allocates in children that have left their group", _ALLOCATE_IN_CHILDREN),
    _memory("E01c", "fills shared anonymous pages", _SHARED_PAGES),
    _memory("E01d", "allocates where /proc shows nothing of it", _HIDDEN),
    _memory("E01e", "fills the kernel's buffers of sockets", _SOCKETS),
    _memory("E01f", "fills the kernel's buffers of pipes", _PIPES),
    Attack(
        id="E01g", title="a function allocates", wins=EXHAUSTED, detect=keeps(11),
        twin=right_but("product"),
        submission=Submission(RIGHT | {"product": "def product(numbers):\n"
                                       f"    exec({_ALLOCATE!r}, {{}})\n    return 0"}),
    ),
    Attack(
        id="E01h", title="allocates as fast as it can", wins=EXHAUSTED, detect=ungraded,
        submission=Submission(before=(_ALLOCATE_AT_ONCE,)),
    ),
    Attack(
        id="E02", title="starts 500 processes", wins=EXHAUSTED, detect=reached(430),
        submission=Submission(before=(_FORKS,)),
    ),
    Attack(
        id="E02b", title="processes that fork in turn, each in a session of its own",
        wins={*EXHAUSTED, Win.LEFT}, detect=reached(430),
        submission=Submission(before=(_FORK_TREE,)),
    ),
    Attack(
        id="E02c", title="thousands of processes that end at once and are not waited for",
        wins={*EXHAUSTED, Win.LEFT}, detect=ungraded, submission=Submission(before=(_CHURN,)),
    ),
    Attack(
        id="E03", title="starts 2,500 threads", wins=EXHAUSTED, detect=reached(1700),
        submission=Submission(before=(_THREADS,)),
    ),
    Attack(
        id="E05", title="fills every place where it may write", wins={*EXHAUSTED, Win.LEFT},
        detect=reached(3 * SCRATCH_MB + 16), sample=True,
        submission=Submission(before=(_DISK,)),
    ),
    Attack(
        id="E05b", title="fills files that have no name any more", wins=EXHAUSTED,
        detect=reached(3 * SCRATCH_MB + 16), submission=Submission(before=(_DELETED,)),
    ),
    Attack(
        id="E05c", title="makes 60,000 empty files", wins={*EXHAUSTED, Win.LEFT},
        detect=reached(20_000), submission=Submission(before=(_INODES,)),
    ),
    Attack(
        id="E05d", title="makes folders 3,000 deep", wins={*EXHAUSTED, Win.LEFT}, detect=ungraded,
        submission=Submission(before=(_DEEP,)),
    ),
    Attack(
        id="E05e", title="makes names that are hard to remove", wins={*EXHAUSTED, Win.LEFT},
        detect=ungraded, submission=Submission(before=(_NAMES,)),
    ),
    Attack(
        id="E07", title="prints hundreds of megabytes, by every descriptor", wins=EXHAUSTED,
        detect=small_record, submission=Submission(before=(_PRINTS,)),
    ),
    Attack(
        id="E07b", title="displays thousands of outputs, and large ones", wins=EXHAUSTED,
        detect=small_record, submission=Submission(before=(_DISPLAYS,)),
    ),
    Attack(
        id="E07c", title="raises what prints as 64 MB", wins=EXHAUSTED, detect=small_record,
        submission=Submission({"product": _SAYS}),
    ),
    Attack(
        id="E07d", title="prints a little in 199 cells", wins=EXHAUSTED, detect=small_record,
        submission=Submission(after=("print('q' * (1 << 16))",) * 198),
    ),
    _value("E09", "returns 10^7 elements", ordered="return ['x'] * 10 ** 7"),
    _value("E09b", "returns a list nested 10^5 deep", ordered=(
        "x = []\n    for _ in range(10 ** 5):\n        x = [x]\n    return x")),
    _value("E09c", "returns itself", ordered="x = []\n    x.append(x)\n    return x"),
    _value("E09d", "returns an int of 10^8 bits", product="return 1 << 10 ** 8"),
    _value("E09e", "returns a text of 500 MB", label="return 'l' * (500 << 20)"),
    _value(
        "E09f", "returns an array of 400 MB, and others that say that they are endless",
        mean="import numpy\n    return numpy.zeros(50_000_000)",
        ordered="import numpy\n    return numpy.lib.stride_tricks.as_strided("
        "numpy.zeros(1), (2 ** 40,), (0,))",
        label="import numpy\n    return numpy.broadcast_to(0.0, (1 << 50,))",
    ),
    _value("E09g", "calls an instrument without end", fetch="while True:\n        args[0](1)"),
    _value(
        "E09h", "gives an instrument 10^6 elements, from 20 threads",
        fetch="import threading\n    def call():\n        while True:\n"
        "            args[0]([0] * 10 ** 6)\n"
        "    for _ in range(20):\n        threading.Thread(target=call, daemon=True).start()\n"
        "    call()",
    ),
    _value(
        "E09i", "sends a dict of 200,000 keys of one hash",
        ordered="import shardwork.probes.server as server\n"
        "    flat = [x for n in range(5, 200_000) for x in (['i', hex(n * (2 ** 61 - 1))], 0)]\n"
        "    server.to_wire = lambda *a, **k: ['d', *flat]\n    return 0",
    ),
])  # fmt: skip
