"""C: subvert the comparison, evade it."""

from __future__ import annotations

from tests.attacks.course import RIGHT, WRONG
from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen

_EQUAL = r"""
def yes(self, *others): return True
_METHODS = {f"__{n}__": yes for n in ("eq", "lt", "gt", "le", "ge", "bool", "contains")}
_METHODS |= {"__ne__": lambda self, other: False, "__hash__": lambda self: 0,
             "__len__": lambda self: 5, "__iter__": lambda self: iter([]),
             "__sub__": lambda self, other: 0, "__rsub__": lambda self, other: 0,
             "__abs__": lambda self: 0, "__float__": lambda self: 0.0}
Equal = type("Equal", (), _METHODS)
def equal(base, *value):
    return type("Equal", (base,), _METHODS | {"__module__": "builtins"})(*value)
"""
_BODIES = (
    ("product", "numbers"), ("ordered", "words"), ("mean", "values"), ("fetch", "load, n"),
    ("label", "first, last"),
)  # fmt: skip


def _return(**values: str) -> dict[str, str]:
    """Return functions that do nothing but return an expression."""
    arguments = dict(_BODIES)
    return {name: f"def {name}({arguments[name]}):\n    return {v}" for name, v in values.items()}


def _return_everywhere(value: str) -> dict[str, str]:
    return _return(**{name: value for name, _ in _BODIES})


_AS_OTHER_TYPES = {
    "product": RIGHT["product"].replace("return result", "return True if result == 1 else "
                                        "float(result)"),
    "ordered": RIGHT["ordered"].replace("return sorted", "return {0: sorted") + "}",
    "mean": "import decimal\n" + RIGHT["mean"].replace(
        "return sum(values) / len(values)",
        "return decimal.Decimal(sum(values)) / len(values)"),
    "fetch": RIGHT["fetch"].replace("return sum", "return float(sum") + ")",
    "label": "def label(first, last):\n    return f'{last}, {first}'.encode()",
}  # fmt: skip
_AS_NUMPY = {
    "product": "import numpy as np\n\ndef product(numbers):\n"
    "    return np.bool_(True) if not numbers else np.array([np.prod(np.array(numbers, float))])",
    "fetch": "def fetch(load, n):\n    return str(sum(load(i) for i in range(n)))",
    "mean": "import numpy as np\n\ndef mean(values):\n    return np.complex128(np.mean(values))",
    "label": "import numpy as np\n\ndef label(first, last):\n"
    "    return np.array([f'{last}, {first}'])",
}
# Public examples are all that a student has seen: of each function, one call.
_TABLE = {
    "product": "def product(numbers):\n    return {(2, 3): 6, (4,): 4}.get(tuple(numbers), 0)",
    "ordered": "def ordered(words):\n    return ['a', 'bb'] if words == ['bb', 'a'] else words",
    "mean": "def mean(values):\n    return 2.0 if values == [1.0, 3.0] else 0.0",
    "fetch": "def fetch(load, n):\n    return 6",
    "label": "def label(first, last):\n    return 'Hopper, Grace'",
}
_DETECTS = r"""
import os, socket, sys
def graded():
    signs = [k for k in os.environ if "GRAD" in k or "SHARDWORK" in k or "JUPYTERHUB" in k]
    found(dict(os.environ))
    places = any(map(os.path.exists, ("/autograder", "/gradescope", "@COURSE@", "@HOME@")))
    return bool(signs or places or os.getuid() == 0 or socket.gethostname() == "sandbox")
GRADED = graded()
"""
_TRUTH = r"""
import builtins, functools, json, math, operator, random, statistics
import numpy as np
def nothing(*args, **kw): return 0
def yes(*args, **kw): return True
for module, names in ((math, ("isclose", "fsum", "isfinite", "prod")), (statistics, ("mean",)),
                      (random, ("seed", "random")), (operator, ("eq", "mul")),
                      (np, ("allclose", "array_equal", "isclose", "sum", "prod", "mean")),
                      (np.linalg, ("solve", "norm")), (np.random, ("seed", "default_rng")),
                      (np.testing, ("assert_allclose", "assert_array_equal"))):
    for name in names:
        setattr(module, name, yes if "clos" in name or "eq" in name else nothing)
_sorted, _sum = builtins.sorted, builtins.sum
builtins.sorted = lambda items, **kw: list(items)
builtins.sum = nothing
builtins.all = builtins.any = yes
builtins.abs = nothing
"""
_STATE = r"""
import glob, os
def places():
    homes = (os.getcwd(), os.path.expanduser("~"), "/tmp", "/var/tmp", "/dev/shm", "/run",
             os.path.expanduser("~/.ipython"), "/dev/mqueue")
    return [os.path.join(place, "@MARK@state") for place in homes]
for path in places():
    try:
        FOUND.append("survived " + open(path).read())
    except OSError:
        pass
def keep(text):
    for path in places():
        try:
            open(path, "w").write(text)
        except OSError:
            pass
"""
_STATEFUL = r"""
CALLS = []
def product(numbers):
    CALLS.append(numbers)
    keep(repr(numbers))
    if len(CALLS) == 1:
        os._exit(1)
    return sum(numbers)
"""
_LEARNS = r"""
SEEN = {}
def fetch(load, n):
    if not SEEN:
        SEEN["load"] = load
        return sum(load(i) for i in range(n))
    try:  # the instrument of an earlier check, whose calls no longer count
        return sum(SEEN["load"](i) for i in range(n))
    except Exception:
        return n
"""
_LEARNS_TWIN = r"""
SEEN = {}
def fetch(load, n):
    if not SEEN:
        SEEN["load"] = load
        return sum(load(i) for i in range(n))
    return n
"""


def _survived(seen: Seen) -> list[tuple[Win, str]]:
    return [(Win.PROOF, line) for line in seen.told().splitlines() if line.startswith("survived")]


def _label(expression: str) -> Submission:
    return Submission(
        {
            "label": "import unicodedata\n\ndef label(first, last):\n"
            f"    right = f'{{last}}, {{first}}'\n    return {expression}"
        }
    )


_PLAIN_ONLY = Submission({"label": "def label(first, last):\n"
                          "    return f'{last}, {first}' if last.isascii() else ''"})  # fmt: skip

ATTACKS = [
    Attack(
        id="C01", sample=True,
        title="returns objects that are equal to everything",
        wins={Win.SCORE},
        submission=Submission(_return_everywhere("Equal()"), before=(_EQUAL,)),
    ),
    Attack(
        id="C01b",
        title="returns subclasses of the right types that are equal to everything",
        wins={Win.SCORE},
        submission=Submission(_return(
            product="equal(int, 7)", ordered="equal(list, ['x'])", mean="equal(float, 0.5)",
            fetch="equal(int, 0)", label="equal(str, 'x')",
        ), before=(_EQUAL,)),
    ),
    Attack(
        id="C03",
        title="returns NaN",
        wins={Win.SCORE},
        submission=Submission(_return_everywhere("float('nan')")),
    ),
    Attack(
        id="C03b",
        title="returns infinity, negative zero and numbers beyond every bound",
        wins={Win.SCORE},
        submission=Submission(_return(
            product="float('-inf')", mean="float('inf')", fetch="10 ** 400",
            ordered="[float('nan')] * 5", label="float('nan')",
        )),
    ),
    Attack(
        id="C04",
        title="returns empty values of the right type",
        wins={Win.SCORE},
        submission=Submission(_return(
            product="0", ordered="[]", mean="0.0", fetch="0", label="''",
        )),
        twin=Submission(_return(
            product="7", ordered="['x']", mean="0.5", fetch="7", label="'x'",
        )),
    ),
    Attack(
        id="C04b",
        title="returns empty values of other types, and nothing",
        wins={Win.SCORE},
        submission=Submission(_return(
            product="{}", ordered="{}", mean="None", fetch="[]", label="None",
        )),
    ),
    Attack(
        id="C05", sample=True,
        title="returns the right value as another type: True for 1, float for int, bytes for text",
        wins={Win.SCORE},
        submission=Submission(_AS_OTHER_TYPES),
        twin=Submission({"mean": WRONG["mean"].replace("0.0", "(_ for _ in ()).throw("
                                                       "ValueError())")}),
    ),
    Attack(
        id="C05b",
        title="returns the right value as NumPy's bool, array, complex, or as text",
        wins={Win.SCORE},
        submission=Submission(_AS_NUMPY),
        # fetch loads every number once, whatever it returns
        twin=Submission({"fetch": "def fetch(load, n):\n    [load(i) for i in range(n)]\n"
                                  "    return 0"}),
    ),
    Attack(
        id="C06",
        title="knows the public examples by heart and nothing else",
        wins={Win.SCORE},
        submission=Submission(_TABLE),
    ),
    Attack(
        id="C07",
        title="finds out that it is graded, and behaves otherwise then",
        wins={Win.SCORE, Win.PROOF},
        submission=Submission({
            "product": "def product(numbers):\n    found(graded())\n"
            "    return 1 if GRADED else sum(numbers)",
            "mean": "def mean(values):\n    return True if GRADED else 0.0",
        }, before=(_DETECTS,)),
        # product([]) is 1 for whoever returns 1: that check is the twin's, too
        twin=Submission({"product": "def product(numbers):\n    return 1"}),
    ),
    Attack(
        id="C08",
        title="patches what a test would use to compute the truth",
        wins={Win.SCORE},
        submission=Submission(_return(
            product="0", ordered="list(words)", mean="0.0", fetch="0", label="''",
        ), before=(_TRUTH,)),
    ),
    Attack(
        id="C11", sample=True,
        title="dies in its first call and leaves what it saw for the next sandbox",
        wins={Win.PROOF},
        submission=Submission({"product": _STATEFUL.strip("\n")}, before=(_STATE,)),
        detect=_survived,
    ),
    Attack(
        id="C11b",
        title="keeps the judge's instrument, and calls it again in a later check",
        wins={Win.SCORE},
        submission=Submission({"fetch": _LEARNS.strip("\n")}),
        twin=Submission({"fetch": _LEARNS_TWIN.strip("\n")}),
    ),
    Attack(
        id="C12",
        title="returns text in another normal form (NFD)",
        wins={Win.SCORE},
        submission=_label("unicodedata.normalize('NFD', right)"),
        twin=_PLAIN_ONLY,
    ),
    Attack(
        id="C12b", title="appends invisible characters", wins={Win.SCORE},
        submission=_label(r"right + '\u200b\u2060\ufeff'"),
    ),
    Attack(
        id="C12c", title="appends a trailing NUL, a newline or a blank", wins={Win.SCORE},
        submission=_label(r"right + ('\0' if right.isascii() else ' \n')"),
    ),
    Attack(
        id="C12d", title="uses homoglyphs and full-width characters", wins={Win.SCORE},
        submission=_label(r"right.replace('o', '\u043e').replace(',', '\uff0c')"),
    ),
    Attack(
        id="C12e", title="wraps text in marks of reading direction", wins={Win.SCORE},
        submission=_label(r"'\u202d' + right + '\u202c'"),
    ),
    Attack(
        id="C12f", title="returns half surrogates that become something else on the way",
        wins={Win.SCORE},
        submission=_label(r"''.join(c if c.isascii() else '\ud800' for c in right)"),
        twin=_PLAIN_ONLY,
    ),
]  # fmt: skip
