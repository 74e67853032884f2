"""P: lies, floods and silence on the connection to the judge."""

from __future__ import annotations

from tests.attacks.corpus.d_kill import ungraded
from tests.attacks.course import RIGHT
from tests.attacks.kit import HONEST, Attack, Submission, Win
from tests.attacks.scene import Seen

PIPE = r'''
import gc, os, struct, threading, time
import msgspec
from shardwork.wire import messages as M
from shardwork.wire import to_wire
PIPE = int(os.environ["SHARDWORK_JUDGE_FD"])
def send(*frames):
    """Write messages, or bytes as they are, to the judge."""
    for frame in frames:
        if not isinstance(frame, bytes):
            frame = msgspec.msgpack.encode(frame)
            frame = struct.pack(">I", len(frame)) + frame
        view = memoryview(frame)
        while view:
            try:
                view = view[os.write(PIPE, view):]
            except BlockingIOError:
                time.sleep(0.001)
def server():
    return next(o for o in gc.get_objects() if type(o).__name__ == "Server"
                and type(o).__module__ == "shardwork.probes.server")
def asked():
    """Return the number of the question that is being answered."""
    import sys
    for frame in sys._current_frames().values():
        while frame is not None:
            if frame.f_code.co_name == "_reply":
                return frame.f_locals["asked"].number
            frame = frame.f_back
def later(work, after_s=0.0):
    def run():
        time.sleep(after_s)
        try:
            work()
        except Exception:
            pass
    threading.Thread(target=run, daemon=True).start()
'''
"""Defines `send(frame, ...)`: messages as a sandbox would send them, or any bytes."""

_FORGED = "[M.Returned(n, to_wire('Byron, Ada')) for n in NUMBERS]"
_ON_TIME = {Win.STALL, Win.RES, Win.BATCH}


def _asked(body: str) -> Submission:
    """When `product` is called, `body` runs; `asked()` is the number of the question."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return Submission({"product": f"def product(numbers):\n{lines}    return 0"}, before=(PIPE,))


_AHEAD = (
    PIPE
    + """
NUMBERS = [0, 1, -1, *range(2, 12), 2 ** 62 - 1]
"""
)
_DOUBLE = (
    "def label(first, last):\n    n = asked()\n"
    "    send(M.Returned(n, to_wire('x')), M.Returned(n, to_wire('Byron, Ada')))\n    return 'x'"
)
_NEXT = (
    "def label(first, last):\n    n = asked()\n"
    "    send(M.Returned(n, to_wire('x')), M.Returned(n + 1, to_wire('Byron, Ada')))\n"
    "    return 'x'"
)
_STRANGERS = """\
n = asked()
send(M.Invoke(1, 12345, []), M.Invoke(2, -1, []), M.Invoke(3, 2 ** 61, [to_wire(1)]))"""
_NOT_ASKED = """\
send(M.RankEnded(0), M.RankEnded(3), M.Ready(1), M.Ready(99))"""
_FOR_OTHERS = r"""
def fetch(load, n):
    s = server()
    for number in range(20):
        send(M.Invoke(number, number, [to_wire(0)]))
    return sum(load(i) for i in range(n))
"""
_LATE_CALLS = r"""
KEPT = []
def fetch(load, n):
    KEPT.append(load)
    for old in KEPT[:-1]:
        for _ in range(3):
            try:
                old(0)
            except Exception:
                pass
    return sum(load(i) for i in range(n))
"""
_LENGTHS = {
    "2^32 - 1": "b'\\xff\\xff\\xff\\xff'",
    "one above the bound": "struct.pack('>I', (32 << 20) + 1)",
    "the bound, and nothing more": "struct.pack('>I', 32 << 20)",
    "nothing": "struct.pack('>I', 0)",
}
_ENDLESS = """\
chunk = b"x" * (1 << 20)
while True:
    send(chunk)"""
_FULL_FRAMES = """\
n = asked()
body = b"\\x83\\xa4type\\xa8returned\\xa6number\\x00\\xa5value"
body += b"\\xdd" + struct.pack(">I", (32 << 20) - len(body) - 5)
frame = struct.pack(">I", 32 << 20) + body
frame += b"\\x90" * ((32 << 20) + 4 - len(frame))
while True:
    send(frame)"""
_DRIP = """\
send(struct.pack(">I", 1 << 20))
while True:
    send(b"x")
    time.sleep(0.3)"""
_DEEP = """\
body = b"\\x83\\xa4type\\xa8returned\\xa6number\\xcf" + struct.pack(">Q", asked()) + b"\\xa5value"
body += b"\\x91" * 5_000_000 + b"\\xc0"
send(struct.pack(">I", len(body)) + body)"""
_SAME_HASHES = """\
items = []
for i in range(60_000):
    items += [(2 ** 61 - 1) * (i + 1), 0]
send(M.Returned(asked(), ["d", *[["i", hex(k)] if k >= 2 ** 63 else k for k in items]]))"""
_GARBAGE = """\
import random
random.seed(7)
for size in (1, 5, 100, 3000):
    body = random.randbytes(size)
    send(struct.pack(">I", size) + body)"""
_SHAPES = """\
big = 1 << 62
for tree in (["n", "<f8", [big, 0], b""], ["n", "<f8", [1 << 25], b""], ["n", "O", [1], b"1" * 8],
             ["n", "(999999999,)f8", [1], b""], ["T", "<f8", [-1], b""], ["g", "<M8[ns]", b"1" * 8],
             ["i", "9" * 5_000_000], ["r", "spark.rdd", "x"], ["o", 5], ["d", 1], ["zzz"], [], [[]],
             ["s", ["l", 1]], ["c", "1", 2], {}):
    send(M.Returned(asked(), tree))"""
_TEXTS = """\
send(M.Raised(asked(), "answer", ["x" * 100] * 12, "y" * 2000, 1_000_000, 1023))"""
_BAD_TEXTS = """\
body = msgspec.msgpack.encode({"type": "raised", "number": asked(), "where": "answer",
    "types": ["E" * 5_000_000], "text": "y" * 9_000_000, "line": -1, "rank": 10 ** 9, "z": 1})
send(struct.pack(">I", len(body)) + body)"""
_DEAF = """\
n = asked()
while True:
    send(M.Invoke(1, 0, []))"""
_DEAF_INSTRUMENT = r"""
def fetch(load, n):
    import socket
    s = server()
    frame = s._connection
    ids = [ref for ref in gc.get_objects() if type(ref).__name__ == "Ref"]
    number = ids[0].id if ids else 0
    cells = [c.cell_contents for c in load.__closure__]
    number = next(c.id for c in cells if type(c).__name__ == "Ref")
    s._connection.receive = lambda *_: time.sleep(1e6)
    while True:
        send(M.Invoke(1, number, [0]))
"""
_MANY_CALLS = r"""
def fetch(load, n):
    total = 0
    for i in range(10_000_000):
        total = load(i % n)
    return total
"""
_GRANDCHILD = r"""
import signal, subprocess, sys
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
    signal.signal(number, signal.SIG_IGN)
code = '''
import os, signal, time
for n in range(1, 65):
    try: signal.signal(n, signal.SIG_IGN)
    except (OSError, ValueError): pass
os.setsid()
while True:
    try: os.write(int(os.environ["SHARDWORK_JUDGE_FD"]), b"")
    except OSError: pass
    time.sleep(0.2)
'''
for fd in range(3, 60):
    try: os.set_inheritable(fd, True)
    except OSError: pass
for _ in range(5):
    subprocess.Popen([sys.executable, "-c", code, "@MARK@"], close_fds=False,
                     start_new_session=True)
"""
_FORKS = r"""
import os, signal, time
def again():
    "A process that is always another one: each lives for a moment and leaves a child."
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        if os.fork():
            os._exit(0)
        os.setsid()
        time.sleep(0.002)
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
for _ in range(8):
    if os.fork() == 0:
        try:
            again()
        finally:
            os._exit(0)
"""
_AT_THE_END = (
    PIPE
    + r"""
import ctypes
def last():
    "When the judge has hung up, make as many processes as there may be."
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
                time.sleep(60)
                os._exit(0)
        except OSError:
            time.sleep(0.01)
def wait():
    import select
    poller = select.poll()
    poller.register(PIPE, select.POLLHUP | select.POLLRDHUP)
    while not poller.poll(50):
        pass
    last()
threading.Thread(target=wait, daemon=True).start()
import atexit
atexit.register(last)
"""
)

_LARGE_TEXT = (
    "def label(first, last):\n    import random\n    r = random.Random(3)\n"
    "    return ''.join(r.choices('ab \\n', k=4_000_000))"
)
_LARGE_LIST = "def ordered(words):\n    return [str(i) for i in range(400_000)]"
_LINES = (
    "def label(first, last):\n    import random\n    r = random.Random(3)\n"
    "    return '\\n'.join(''.join(r.choices('ab', k=30)) for _ in range(60_000))"
)
_LIKE = (
    "def ordered(words):\n    return [w + ' ' * (i % 7) for i in range(60_000)"
    " for w in sorted(words)[:1]]"
)
_LONG_NUMBER = "def product(numbers):\n    return 10 ** 600_000 + 1"
_NESTED = (
    "def mean(values):\n    tree = []\n    for _ in range(100_000):\n        tree = [tree]\n"
    "    return tree"
)
_COLLIDING = "def ordered(words):\n    return {(2 ** 61 - 1) * i: 0 for i in range(1, 40_000)}"
_RAISES_ALL = (
    "def ordered(words):\n    raise ValueError(repr(words) + '<script>alert(1)</script>"
    "\\x1b[31m\\x1b]0;x\\x07' + 'y' * 10_000_000)"
)
_RAISES_ALL_TOO = (
    "def label(first, last):\n    raise KeyError(first, last, '<img src=x onerror=alert(1)>\\x9b')"
)
_NAMED_AFTER = (
    "def ordered(words):\n    raise type(words[0] + '<b>\\x1b[2J', (ValueError,), {})('x')"
)
_OBJECT_NAMED_AFTER = "def ordered(words):\n    return type(words[0], (), {})()"
_CHAINED = r"""
def ordered(words):
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError(words[0])
        __repr__ = __str__
    error = Odd(words)
    error.add_note(words[0])
    try:
        raise KeyError(words[0]) from ValueError(words)
    except KeyError as cause:
        raise ExceptionGroup(words[0], [error, cause]) from cause
"""
_PATHS = "def ordered(words):\n    return {words[0]: [words[0]], (words[0],): words[0]}"
_PATHS_TOO = "def product(numbers):\n    return {str(numbers): 1}"
_PRINTS = r"""
def ordered(words):
    import os, sys, warnings
    text = " ".join(words) + "\n"
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        stream.write(text * 20_000)
        stream.flush()
    for fd in (1, 2):
        os.write(fd, text.encode())
    warnings.warn(text)
    from IPython.display import HTML, display
    display(HTML(f"<p>{text}</p>"))
    get_ipython().displayhook(words[0])
    return list(words)
"""
_LAST_WORDS = r"""
import os
for name in os.listdir("/proc/self/fd"):
    try:
        if os.readlink("/proc/self/fd/" + name).startswith("pipe:"):
            os.set_blocking(int(name), False)
            os.write(int(name), b"<script>alert(1)</script>\x1b[2J\x1b]0;owned\x07\xff\xfe" * 400)
    except OSError:
        pass
"""


def _large(seen: Seen) -> list[tuple[Win, str]]:
    """Find that one submission had the whole batch take more than two of its size would."""
    peak_mb = seen.batch.usage.memory_bytes >> 20
    return [(Win.RES, f"the batch took {peak_mb} MB")] * (peak_mb > 2048) + ungraded(seen)


def _pipe(
    name: str, title: str, submission: Submission, wins: set[Win] | None = None,
    *, sample: bool = False, twin: Submission = HONEST, budget_s: float = 120.0,
) -> Attack:  # fmt: skip
    return Attack(
        id=name, title=title, wins=wins or _ON_TIME, submission=submission, twin=twin,
        sample=sample, budget_s=budget_s, detect=ungraded,
    )  # fmt: skip


ATTACKS = [
    _pipe("P01", "sends a reply twice, the second for the next question",
          Submission({"label": _DOUBLE}, before=(PIPE,)), {Win.SCORE}),
    _pipe("P01b", "sends replies to questions that are not yet asked",
          Submission({"label": _NEXT}, before=(PIPE,)), {Win.SCORE}, sample=True),
    _pipe("P01c", "answers the judge before it asks, from a cell",
          Submission(before=(_AHEAD + f"send(M.Ready(1), *{_FORGED})",)), {Win.SCORE}),
    _pipe("P01d", "calls instruments that it was never given", _asked(_STRANGERS)),
    _pipe("P01e", "sends messages that nobody waits for", _asked(_NOT_ASKED)),
    _pipe("P01f", "calls instruments by guessed numbers",
          Submission({"fetch": _FOR_OTHERS}, before=(PIPE,)), {Win.SCORE}),
    _pipe("P01g", "keeps an instrument, and calls it while another check is judged",
          Submission({"fetch": _LATE_CALLS}, before=(PIPE,)), {Win.SCORE, Win.BATCH},
          twin=Submission({"fetch": RIGHT["fetch"]})),
    *(
        _pipe(f"P02{letter}", f"announces a frame of {what}", _asked(f"send({length})\nreturn 1"))
        for letter, (what, length) in zip(("", "b", "c", "d"), _LENGTHS.items(), strict=True)
    ),
    _pipe("P02e", "sends bytes without end", _asked(_ENDLESS), sample=True),
    Attack(
        id="P02f", title="sends frames of the largest size, full of empty lists",
        wins={Win.RES}, detect=_large, alone=True, submission=_asked(_FULL_FRAMES),
    ),
    _pipe("P02g", "sends one byte, and another, and another", _asked(_DRIP)),
    _pipe("P02h", "sends a list in a list, five million deep", _asked(_DEEP)),
    _pipe("P02i", "sends a dict whose keys have all one hash", _asked(_SAME_HASHES)),
    _pipe("P02j", "sends frames that are no messages", _asked(_GARBAGE)),
    _pipe("P02k", "sends values of impossible shapes and types", _asked(_SHAPES)),
    _pipe("P02l", "raises with texts, lines and ranks as large as may be", _asked(_TEXTS)),
    _pipe("P02m", "raises with texts, lines and ranks larger than may be", _asked(_BAD_TEXTS)),
    _pipe("P03", "calls instruments and never reads an answer",
          Submission({"fetch": _DEAF_INSTRUMENT}, before=(PIPE,)), sample=True),
    _pipe("P03b", "floods the judge with calls of an instrument that is not there", _asked(_DEAF)),
    _pipe("P03c", "calls an instrument ten million times",
          Submission({"fetch": _MANY_CALLS})),
    _pipe("P05", "leaves deaf grandchildren that hold every socket open",
          Submission(before=(_GRANDCHILD,)), {Win.LEFT, Win.STALL}, sample=True),
    _pipe("P14", "is always another process: forks, ends, and forks again",
          Submission(before=(_FORKS,)), {Win.LEFT, Win.STALL}),
    _pipe("P14b", "forks as fast as it can at the moment when the judge hangs up",
          Submission(after=(_AT_THE_END,)), {Win.LEFT, Win.STALL, Win.RES}),
    _pipe("P11", "returns a large text where a short one is compared",
          Submission({"label": _LARGE_TEXT, "ordered": _LARGE_LIST}), {Win.STALL, Win.RES}),
    _pipe("P11b", "returns texts of many lines, almost as expected",
          Submission({"label": _LINES, "ordered": _LIKE}), {Win.STALL, Win.RES}),
    _pipe("P11c", "returns numbers and structures that are slow to print, hash or convert",
          Submission({"product": _LONG_NUMBER, "mean": _NESTED, "ordered": _COLLIDING}),
          {Win.STALL, Win.RES}),
    _pipe("P12", "raises with its arguments, HTML, terminal codes and 10 MB in the text",
          Submission({"ordered": _RAISES_ALL, "label": _RAISES_ALL_TOO}), {Win.LEAK, Win.RES}),
    _pipe("P12b", "raises exceptions whose class is named after the input",
          Submission({"ordered": _NAMED_AFTER}), {Win.LEAK}, sample=True),
    _pipe("P12c", "returns an object whose class is named after the input",
          Submission({"ordered": _OBJECT_NAMED_AFTER}), {Win.LEAK}),
    _pipe("P12d", "raises exceptions that cannot be printed, with notes and causes",
          Submission({"ordered": _CHAINED}), {Win.LEAK}),
    _pipe("P12e", "returns the inputs in places where a type's problem is described",
          Submission({"ordered": _PATHS, "product": _PATHS_TOO}), {Win.LEAK}),
    _pipe("P12f", "prints the inputs, 10 MB of them, to every stream while it is judged",
          Submission({"ordered": _PRINTS}), {Win.LEAK, Win.RES}),
    _pipe("P12g", "writes markup and terminal codes as the sandbox's own last words",
          Submission(after=(_LAST_WORDS,)), {Win.LEAK, Win.RES, Win.BATCH}),
]  # fmt: skip
