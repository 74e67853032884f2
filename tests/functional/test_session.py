"""A session: the notebook runs cell by cell in a real sandbox, and its functions stay within reach.

Whatever a cell does costs that cell; what the others define can be called afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from shardwork.judge.dialogue import Dialogue
from shardwork.judge.faults import StudentFault
from shardwork.record import Cause
from shardwork.sandbox import isolation
from shardwork.sandbox.session import Session
from tests import sandboxes

WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}"),
    pytest.mark.usefixtures("warm", "no_leaks"),
]


@pytest.fixture(scope="module", autouse=True)
def zygotes() -> Iterator[None]:
    yield
    sandboxes.end_zygotes()


@pytest.fixture
def warm() -> None:
    """Start the zygote before anybody counts processes."""
    sandboxes.zygote()


@pytest.fixture
def start() -> Iterator[Callable[..., Session]]:
    """Open a session on code cells (`id=source`); it is closed when the test ends."""
    sessions: list[Session] = []

    def call(_limits: dict[str, Any] | None = None, /, **cells: str) -> Session:
        session = sandboxes.session(sandboxes.zygote(), cells, **(_limits or {}))
        sessions.append(session)
        session.open()
        return session

    yield call
    for session in sessions:
        session.close()


def ask(session: Session, name: str, *args: object) -> Any:
    return Dialogue(session, sandboxes.LIMITS["call_s"]).call(name, args, {})


def statuses(session: Session) -> dict[str, str]:
    return {name: outcome.status for name, outcome in session.outcomes.items()}


def test_cells_run_in_order_and_what_they_print_and_define_is_kept(start) -> None:
    session = start(
        one="trace = ['one']",
        two="trace.append('two')\nprint('from', trace[0])\n6 * 7",
        three="import sys\nprint('noise', file=sys.stderr)\ndef f(x):\n    return trace + [x]",
    )
    assert statuses(session) == {"one": "ran", "two": "ran", "three": "ran"}
    assert session.outcomes["two"].text == "from one\n42\n"
    assert session.outcomes["three"].text == ""  # what goes to stderr is not what was asked
    assert ask(session, "f", 3) == ["one", "two", 3]
    assert session.starts == 1


def test_what_goes_wrong_in_one_cell_costs_that_cell_only(start) -> None:
    """Raising, never returning, ignoring the interrupt, and ending the process: one of each."""
    session = start(
        before="def before():\n    return 'before'",
        raises="print('so far')\nundefined + 1",
        endless="while True:\n    pass",
        deaf="import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(600)",
        kills="import os\nos._exit(3)",
        after="def after():\n    return before() + ' and after'",
    )
    assert statuses(session) == {
        "before": "ran",
        "raises": "raised",
        "endless": "never_returned",
        "deaf": "never_returned",
        "kills": "died",
        "after": "ran",
    }
    assert session.outcomes["raises"].text == "so far\n"
    assert session.outcomes["raises"].error == "NameError: name 'undefined' is not defined"
    assert ask(session, "after") == "before and after"
    assert session.skip == {"deaf", "kills"}  # an interrupted cell needs no new sandbox


def test_a_notebook_of_which_every_cell_ends_the_process_is_given_up(start) -> None:
    session = start(**{f"kills{n}": "import os\nos._exit(0)" for n in range(5)})
    assert not session.alive
    assert [outcome.status for outcome in session.outcomes.values()] == ["died"] * 4
    assert session.starts == 4


def test_no_cell_runs_once_the_time_of_the_submission_is_up(start) -> None:
    session = start(
        {"total_s": 6.0, "cell_s": 60.0}, endless="while True:\n    pass", after="print(1)"
    )
    assert statuses(session) == {"endless": "never_returned", "after": "not_run"}
    assert session.seconds_left() == 0


def test_output_is_bounded_and_shown_as_plain_text(start) -> None:
    session = start(
        {"cell_s": 60.0},
        much="for _ in range(200):\n    print('x' * 50_000)",
        sly="print('\\x1b[31mred\\x1b[0m', '\\u202e')\n"
        "raise ValueError('\\x1b[2J' + 'y' * 100_000)",
        many="from IPython.display import display\nfor n in range(1000):\n    display(n)",
        f="def f():\n    return 1",
    )
    much, sly = session.outcomes["much"], session.outcomes["sly"]
    assert len(much.text) < 5_000
    assert sly.text == "red ⟨U+202E⟩\n"
    assert "\x1b" not in sly.error
    assert len(sly.error) < 5_000
    assert session.outcomes["many"].status == "ran"
    assert ask(session, "f") == 1


def test_a_tree_above_its_memory_is_ended_and_says_why(start) -> None:
    session = start(
        {"memory_mb": 500, "cell_s": 60.0},
        grows="import time\nhoard = b'x' * (600 << 20)\ntime.sleep(600)",
        f="def f():\n    return 'still here'",
    )
    assert session.outcomes["grows"].status == "died"
    assert session.outcomes["grows"].error == "it used more than 500 MB of memory"
    assert ask(session, "f") == "still here"
    session.close()
    assert session.peak_bytes > 500 << 20


def test_the_memory_of_child_processes_counts(start) -> None:
    session = start(
        {"memory_mb": 500, "cell_s": 60.0},
        grows="import subprocess, sys\n"
        "code = \"import time; hoard = b'x' * (600 << 20); time.sleep(600)\"\n"
        "subprocess.run([sys.executable, '-c', code])",
        f="def f():\n    return 'still here'",
    )
    assert session.outcomes["grows"].status == "died"
    assert ask(session, "f") == "still here"


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.closerange(0, 4096)
    os.execvp("sleep", ["sleep", "98765"])
time.sleep(0.5)
def f():
    return sorted(open(f"/proc/{n}/cmdline").read() for n in os.listdir("/proc") if n.isdigit())
"""


def test_nothing_outlives_a_session_not_even_a_daemon_that_left_its_session(start) -> None:
    session = start(daemon=DAEMON)
    assert "sleep\x0098765\x00" in ask(session, "f")
    processes = psutil.process_iter(["cmdline"])
    sleeping = [p for p in processes if p.info["cmdline"] == ["sleep", "98765"]]
    assert sleeping
    session.close()
    _, alive = psutil.wait_procs(sleeping, timeout=10)
    assert alive == []


def test_a_session_may_be_closed_twice_and_its_sandbox_too(start) -> None:
    session = start(f="def f():\n    return 1")
    session.close_sandbox()
    session.close_sandbox()
    assert not session.alive
    session.close()
    session.close()


def test_a_sandbox_that_was_ended_can_be_opened_again_with_the_same_functions(start) -> None:
    session = start(f="print('hello')\ndef f():\n    return 1")
    session.close_sandbox()
    session.open()
    assert ask(session, "f") == 1
    assert session.outcomes["f"].text == "hello\n"  # of the first run


def test_another_source_can_be_defined_in_an_open_sandbox(start) -> None:
    session = start(f="def f():\n    return 1")
    session.redefine({"f": "def f():\n    return 2"})
    assert ask(session, "f") == 2
    session.redefine({"f": "raise ValueError"})
    assert not session.alive


# calls --------------------------------------------------------------------------------------------


def fault_of(session: Session, name: str, *args: object) -> StudentFault:
    with pytest.raises(StudentFault) as raised:
        Dialogue(session, 3.0).call(name, args, {})
    return raised.value


def test_every_way_in_which_a_call_can_go_wrong_has_its_cause(start) -> None:
    session = start(
        unanswered="def unanswered():\n    raise NotImplementedError()",
        raises="def raises():\n\n    return {}['secret']",
        exits="def exits():\n    raise SystemExit(3)",
        own="class Own(Exception):\n    def __str__(self):\n        raise ValueError\n"
        "def own():\n    raise Own",
        deep="def deep():\n    x = []\n    x.append(x)\n    return x",
    )
    fault = fault_of(session, "raises")
    assert (fault.cause, fault.evidence) == (Cause.RAISED, {"type": "KeyError", "line": 3})
    assert fault.types[:3] == ("KeyError", "LookupError", "Exception")
    assert "secret" not in fault.message
    assert "secret" in fault.detail
    assert fault_of(session, "unanswered").cause is Cause.UNANSWERED
    assert fault_of(session, "no_such_function").cause is Cause.NOT_DEFINED
    assert fault_of(session, "__name__").cause is Cause.NOT_DEFINED  # there, and no function
    assert fault_of(session, "exits").evidence["type"] == "SystemExit"
    assert fault_of(session, "own").evidence["type"] == "Own"
    assert fault_of(session, "deep").cause is Cause.WRONG_TYPE
    assert session.alive
    assert session.starts == 1


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("def f():\n    while True:\n        pass", Cause.NEVER_RETURNED),
        ("import os\ndef f():\n    os._exit(0)", Cause.DIED),
        ("import os, signal\ndef f():\n    os.kill(os.getpid(), signal.SIGSEGV)", Cause.DIED),
    ],
    ids=["endless", "exits", "crashes"],
)
def test_a_call_that_hangs_or_ends_the_process_closes_the_sandbox(start, source, cause) -> None:
    session = start(f=source)
    assert fault_of(session, "f").cause is cause
    assert not session.alive


FORGED = """
import os, socket, struct, msgspec
sock = socket.socket(fileno=os.dup(int(os.environ["SHARDWORK_JUDGE_FD"])))
def f():
    body = {body}
    sock.setblocking(True)
    sock.sendall(struct.pack(">I", len(body)) + body)
    import time
    time.sleep(600)
"""


@pytest.mark.parametrize(
    "body",
    [
        r'b"\xc1"',
        r'b"\x83\xa4type\xa8returned\xa6number\x01\xa5value\xa1\xff"',
        'msgspec.msgpack.encode({"type": "returned", "number": 999, "value": 1})',
        'msgspec.msgpack.encode({"type": "returned", "number": 1, "value": ["n", "3)", [1], b""]})',
        'msgspec.msgpack.encode({"type": "invoke", "number": 1, "instrument": 5, "args": []})',
        'msgspec.msgpack.encode({"type": "ready", "protocol": 1})',
    ],
    ids=["bytes", "not-utf-8", "number", "array", "instrument", "ready"],
)
def test_a_submission_that_disturbs_the_connection_fails_its_check(start, body: str) -> None:
    """Never an error of ours, which would be a to-do for a person in the place of a zero."""
    session = start(f=FORGED.format(body=body))
    fault = fault_of(session, "f")
    assert fault.cause is Cause.DIED
    assert "disturbed the connection" in fault.message
    assert not session.alive


@pytest.mark.parametrize("text", ["", "x" * 3_000_000])
def test_a_value_of_any_size_within_the_bounds_arrives(start, text: str) -> None:
    session = start(f="def f(text):\n    return text[::-1]")
    assert ask(session, "f", text) == text


def test_a_value_above_the_bounds_is_the_students_and_the_sandbox_stays(start) -> None:
    session = start(f="def f():\n    return 'x' * (20 << 20)", g="def g():\n    return 1")
    assert fault_of(session, "f").cause is Cause.WRONG_TYPE
    assert ask(session, "g") == 1


def test_a_prepared_sandbox_that_died_while_it_waited_is_replaced() -> None:
    session = sandboxes.session(sandboxes.zygote(), {"code": "def f():\n    return 7"})
    try:
        session.prepare()
        session._sandbox_is_killed()
        while session._sandbox is not None and session._sandbox.alive:
            pass
        session.open()
        assert session.outcomes["code"].status == "ran"
        assert ask(session, "f") == 7
        assert session.starts == 2
    finally:
        session.close()
