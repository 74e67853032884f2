"""D: stall the grader."""

from __future__ import annotations

from tests.attacks.corpus.d_kill import in_budget, keeps, right_but, ungraded
from tests.attacks.course import LIMITS, RIGHT
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen

STALLED = {Win.STALL, Win.BATCH}
# Where a sandbox was lost, cells that define something run again, on the time of an exercise.
NOTEBOOK_S = 1.25 * (LIMITS["plain"]["total_s"] + LIMITS["plain"]["exercise_s"])


def in_time(seen: Seen) -> list[tuple[Win, str]]:
    """Find a notebook whose cells ran for much longer than all of them may."""
    found = ungraded(seen)
    took = seen.record.timing.notebook_s if seen.record is not None else 0.0
    if took > NOTEBOOK_S:
        found.append((Win.STALL, f"the cells ran for {took:.0f} s"))
    return found


_STUBBORN = """
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
_DEAF = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
"""
_CHILD = """
import os
if os.fork() == 0:
    os.setsid()
    exec(DEAF)
    while True:
        pass
"""
_HANG = "def {name}(*args):\n    while True:\n        pass"
_SLOW_LIST = """
class Endless(list):
    def __iter__(self):
        while True:
            yield 1
def ordered(words):
    return Endless(words)
"""
_C_LOOPS = {
    "D06": ("a regular expression that backtracks",
            'import re; re.match(r"(a+)+$", "a" * 60 + "b")'),
    "D06b": ("a power of large numbers", "pow(3, 10 ** 9 + 7, 10 ** 400000)"),
    "D06c": ("a sum over a long range", "sum(range(10 ** 14))"),
    "D06d": ("a text of a large number", "import sys; sys.set_int_max_str_digits(0); "
             "str(3 ** 20_000_000)"),
    "D06e": ("a product of matrices", "import numpy; a = numpy.ones((3000, 3000))\n"
             "    while True:\n        a = a @ a / 3000"),
}  # fmt: skip

ATTACKS = in_budget([
    Attack(
        id="D03", title="a cell that loops", wins=STALLED, detect=in_time,
        submission=Submission(before=("while True:\n    pass",)),
    ),
    Attack(
        id="D03b", title="a function that loops", wins=STALLED, detect=keeps(11),
        twin=right_but("product"),
        submission=Submission(RIGHT | {"product": _HANG.format(name="product")}),
    ),
    Attack(
        id="D03c", title="every function loops", wins=STALLED, detect=in_time,
        submission=Submission({name: _HANG.format(name=name)
                               for name in ("product", "ordered", "mean", "fetch", "label")}),
    ),
    Attack(
        id="D03d", title="a cell that loops and catches every interrupt", wins=STALLED,
        detect=in_time, submission=Submission(before=(_STUBBORN, _STUBBORN)),
    ),
    Attack(
        id="D03e", title="a result that never ends when it is read", wins=STALLED,
        detect=keeps(12), twin=right_but("ordered"),
        submission=Submission(RIGHT | {"ordered": _SLOW_LIST}),
    ),
    Attack(
        id="D03f", title="waits for a lock that it holds", wins=STALLED, detect=in_time,
        submission=Submission(before=(
            "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
        )),
    ),
    Attack(
        id="D03g", title="awaits what never comes", wins=STALLED, detect=in_time,
        submission=Submission(before=("import asyncio\nawait asyncio.Event().wait()",)),
    ),
    Attack(
        id="D03h", title="asks the grader for input", wins=STALLED, detect=in_time,
        submission=Submission(before=(
            "name = input('name? ')", "import getpass; getpass.getpass()",
        )),
    ),
    Attack(
        id="D03i", title="is slow in every cell, by a hook", wins=STALLED, detect=in_time,
        submission=Submission(before=(
            "import time\nget_ipython().events.register('pre_run_cell', "
            "lambda info: time.sleep(6))",
        )),
    ),
    Attack(
        id="D03j", title="loops when the process ends", wins=STALLED, detect=in_time,
        submission=Submission(before=(
            "import atexit, threading\ndef forever():\n    while True:\n        pass\n"
            "atexit.register(forever)\nthreading._register_atexit(forever)\n"
            "class Last:\n    def __del__(self):\n        forever()\nlast = Last()",
        )),
    ),
    Attack(
        id="D04", title="199 cells that sleep", wins=STALLED, detect=in_time,
        submission=Submission(after=tuple(
            f"import time\ntime.sleep(29)  # {i}" for i in range(198)
        )),
    ),
    Attack(
        id="D04b", title="1,000 cells that sleep", wins=STALLED, detect=in_time,
        submission=Submission(after=tuple(
            f"import time\ntime.sleep(3)  # {i}" for i in range(1000)
        )),
    ),
    Attack(
        id="D04d", title="ten cells that sleep", wins=STALLED, detect=in_time,
        submission=Submission(after=tuple(
            f"import time\ntime.sleep(20)  # {i}" for i in range(10)
        )),
    ),
    Attack(
        id="D04c", title="a function that sleeps at every call", wins=STALLED, detect=in_time,
        submission=Submission({"product": "import time\ndef product(numbers):\n"
                               "    time.sleep(1000)\n    return 0"}),
    ),
    Attack(
        id="D05", title="a cell that ignores every signal and loops", wins=STALLED, detect=in_time,
        submission=Submission(before=(_DEAF + "while True:\n    pass",)),
    ),
    Attack(
        id="D05b", title="a function that ignores every signal and sleeps", wins=STALLED,
        detect=keeps(11),
        twin=right_but("product"),
        submission=Submission(RIGHT | {
            "product": f"def product(numbers):\n    exec({_DEAF!r}, {{}})\n    import time\n"
            "    while True:\n        time.sleep(100)"
        }),
    ),
    Attack(
        id="D05c", title="a detached child that ignores every signal goes on", detect=in_time,
        wins={*STALLED, Win.LEFT},
        submission=Submission(before=(f"DEAF = {_DEAF!r}\n{_CHILD}",)),
    ),
    *(
        Attack(id=id_, title=f"C code that does not listen: {title}", wins=STALLED,
               detect=keeps(11),
               twin=right_but("product"),
               submission=Submission(RIGHT | {
                   "product": f"def product(numbers):\n    {source}\n    return 0"
               }))
        for id_, (title, source) in _C_LOOPS.items()
    ),
])  # fmt: skip
