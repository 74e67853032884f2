"""The messages that a student may read, and what may fill them.

A message is shown only if its sentence stands in a grader of the assignment or below. What fills it
is cut down: the class of an exception, the type of a value and a count are the student's to choose
while the judge calls a function, and each could carry a piece of a hidden input out.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Collection, Mapping

from shardwork.catalogue import extract
from shardwork.course import Course
from shardwork.errors import CourseError
from shardwork.pages import N_, Language
from shardwork.plaintext import plain, plain_line
from shardwork.record import CheckResult, Evidence

MESSAGE_LIMIT_CHARS = 1_500
EXACT_BELOW = 10_000
"""Counts from here on are shown with four digits: enough to read, too few to carry a message."""
SHOWN_DIGITS = 4
LARGEST_SHOWN = 1e15
LEFT_OUT = "…"

_UNKNOWN_EXCEPTION = N_("an exception class of your own")
_UNKNOWN_TYPE = N_("an object of another class")

# of the standard library and of the frameworks that the course teaches
_OTHER_EXCEPTIONS = """
JSONDecodeError PicklingError UnpicklingError BrokenProcessPool BrokenBarrierError Empty Full
InvalidOperation DivisionByZero CalledProcessError TimeoutExpired CancelledError Error
LinAlgError AxisError ParserError EmptyDataError MergeError OutOfBoundsDatetime
IntCastingNaNError SpecificationError ArrowInvalid ArrowTypeError ArrowNotImplementedError
PySparkException PySparkTypeError PySparkValueError PySparkRuntimeError PySparkKeyError
PySparkAttributeError PySparkNotImplementedError PySparkAssertionError PySparkPicklingError
PySparkIndexError PySparkImportError AnalysisException ParseException PythonException
IllegalArgumentException ArithmeticException NumberFormatException DateTimeException
ArrayIndexOutOfBoundsException UnsupportedOperationException SparkRuntimeException
QueryExecutionException Py4JError Py4JJavaError Py4JNetworkError KilledWorker CommClosedError
FutureCancelledError OutOfMemoryError DistError DistBackendError DistStoreError
DistNetworkError ProcessRaisedException ProcessExitedException NotFittedError
"""
_OTHER_TYPES = """
NoneType function generator module ndarray Tensor Parameter DataFrame Series Index Column Row
RDD PipelinedRDD SparkSession SparkContext Broadcast Accumulator Delayed DelayedLeaf Array
Bag Item Future Client Module Linear Sequential Counter defaultdict OrderedDict deque Decimal
Fraction Timestamp Timedelta datetime date timedelta Path PosixPath partial method dict_keys
dict_values dict_items coroutine Table RecordBatch GroupBy DataFrameGroupBy SeriesGroupBy
GroupedData bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64
str_ bytes_ datetime64 timedelta64
"""
_EXCEPTIONS = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
) | frozenset(_OTHER_EXCEPTIONS.split())
_TYPES = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and not issubclass(value, BaseException)
) | frozenset(_OTHER_TYPES.split())
_KINDS = frozenset(
    {
        "an RDD",
        "a Spark DataFrame",
        "a fitted model of MLlib",
        "a SparkSession",
        "a SparkContext",
        "a StorageLevel",
        "a Delayed",
        "a Dask array",
        "a Dask bag",
        "a Dask DataFrame",
        "a Dask client",
        "an object that it was given",
        "an estimator",
        "a torch module",
        "a function",
        "an object",
        "nothing (None)",
    }
)


def _exception(name: str) -> str:
    return name if name in _EXCEPTIONS else _UNKNOWN_EXCEPTION


def _type(described: str) -> str:
    named = re.fullmatch(r"a `(\w+)`", described)
    if described in _KINDS or (named is not None and named[1] in _TYPES):
        return described
    return _UNKNOWN_TYPE


def _form(problem: str) -> str:
    """Keep what msgspec says of types, which are ours; a position in a value is the student's."""
    return re.sub(r"\d{3,}", LEFT_OUT, plain_line(problem, 200))


def _words(text: str) -> str:
    return plain_line(text, 120)


SENTENCES: Mapping[str, Mapping[str, Callable[[str], str]]] = {
    "After the notebook had run there was no function `{name}`.": {"name": _words},
    "`{name}` should return {wanted}; it returned {found}.": {
        "name": _words,
        "wanted": _type,
        "found": _type,
    },
    "The result has another form than asked: {problem}.": {"problem": _form},
    "This exercise has not been answered yet.": {},
    "It raised {type}.": {"type": _exception},
    "It raised {type} in line {line} of your cell.": {"type": _exception},
    "Rank {rank} raised {type}.": {"type": _exception},
    "It had not finished after {limit_s} seconds and was stopped.": {},
    "It ended its own process.": {},
    "The process that ran it ended: {why}.": {"why": _words},
    "It returned something too large or too deep to be read.": {},
    "It disturbed the connection to the judge.": {},
    "After your function had run, nothing worked in its process any more.": {},
    "Your notebook could not be run: its cells kept ending the process.": {},
    "Not tried: your answer had already hung or ended its process {times} times.": {},
    "Not tried: the time for this exercise was used up.": {},
    "Your notebook holds several different answers to this exercise. A teaching assistant decides "
    "which one counts; you need not do anything.": {},
}
"""The engine's own messages, and what may stand in each placeholder that is filled with a text.

A sentence of a grader has numbers in its placeholders, and no text.
"""


def course_sentences(course: Course, assignment: str) -> frozenset[str]:
    """Return the texts of an assignment that a message may be: what its graders say as `because`.

    Empty if the course's files cannot be read: then only the engine's own messages are shown.
    """
    try:
        return frozenset(message.msgid for message in extract(course, assignment))
    except (CourseError, OSError):
        return frozenset()


def shown_message(check: CheckResult, language: Language, sentences: Collection[str]) -> str:
    """Return the message of a check as a student may read it; empty if it is of unknown origin."""
    if check.message not in SENTENCES and check.message not in sentences:
        return ""
    values = shown_values(check.message, check.evidence)
    return plain(language.tell(check.message, values), MESSAGE_LIMIT_CHARS, 30)


def shown_values(message: str, evidence: Evidence) -> dict[str, object]:
    """Return the values that may fill the placeholders of `message`, each cut down."""
    rules = SENTENCES.get(message, {})
    shown: dict[str, object] = {}
    for name, value in evidence.items():
        if isinstance(value, str):
            shown[name] = rules[name](value) if name in rules else LEFT_OUT
        elif value is None or isinstance(value, bool):
            shown[name] = value
        else:
            shown[name] = shown_number(value)
    return shown


def shown_number(value: float) -> int | float | str:
    """Return a number with at most four digits that say something; a dots sign if it is too big.

    A count below 10,000 stays exact.
    """
    if isinstance(value, int) and abs(value) < EXACT_BELOW:
        return value
    if not abs(value) < LARGEST_SHOWN:  # NaN too
        return LEFT_OUT
    rounded = float(f"{value:.{SHOWN_DIGITS}g}")
    return int(rounded) if isinstance(value, int) else rounded
