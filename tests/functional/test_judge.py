"""The judge, as the batch runs it: a process of its own, a real sandbox, graders written here.

One notebook holds an exercise for every fate, so that each judging also shows that what one answer
does costs no other exercise.
"""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import psutil
import pytest

from shardwork.course import Assignment, Exercise, Isolation, Limits
from shardwork.errors import CourseError
from shardwork.judge.job import Finished, Job, Judged, Problem, Setting, Variant
from shardwork.judging import JudgeProcesses, run_judge
from shardwork.record import Cause, CheckResult, Verdict
from shardwork.sandbox import isolation

WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}"),
    pytest.mark.usefixtures("no_leaks"),
]

PASSED, FAILED, ERROR, SKIPPED = Verdict.PASSED, Verdict.FAILED, Verdict.ERROR, Verdict.SKIPPED

GRADER = '''
from shardwork.grading import blame


def test_double(student, rng):
    """A number is
    doubled.

    For the author only.
    """
    n = int(rng.integers(1, 1000))
    value = student.value("{name}", n, as_=int)
    assert value == 2 * n, blame(
        "TRIPLES" if value == 3 * n else None, because="{{n}} became {{value}}.", n=n, value=value
    )


def test_zero(student):
    """Zero stays zero."""
    assert student.value("{name}", 0, as_=int) == 0, "zero"


def test_negative(student):
    """A negative number is doubled, too."""
    assert student.value("{name}", -4, as_=int) == -8
'''


class Heard(msgspec.Struct):
    """All that a judge said."""

    end: Finished | Problem
    judged: list[Judged]

    def checks(self, exercise: str, variant: str = "submission") -> tuple[CheckResult, ...]:
        (found,) = (j for j in self.judged if (j.exercise, j.variant) == (exercise, variant))
        return found.checks

    def verdicts(self, exercise: str, variant: str = "submission") -> list[Verdict]:
        return [check.verdict for check in self.checks(exercise, variant)]

    def causes(self, exercise: str) -> list[Cause | None]:
        return [check.cause for check in self.checks(exercise)]


def judge(
    graders: Path,
    answers: dict[str, str],
    *,
    variants: tuple[Variant, ...] | None = None,
    processes: JudgeProcesses | None = None,
    grace_s: float = 60.0,
    level: Isolation = Isolation.BUBBLEWRAP,
    **limits: Any,
) -> Heard:
    """Judge `answers` (function name to source) with what lies in `graders`."""
    for name in answers:
        path = graders / f"test_{name}.py"
        if not path.exists():
            path.write_text(GRADER.format(name=name))
    limits = {"cell_s": 20.0, "call_s": 2.0, "total_s": 100.0, "memory_mb": 1024} | limits
    assignment = Assignment(
        "ch0_doubles", "Doubles", tuple(Exercise(name, 1, 5) for name in answers),
        limits=Limits(**limits),
    )  # fmt: skip
    cells = []
    for name, source in answers.items():
        meta = {"nbgrader": {"grade_id": name, "solution": True, "grade": False}}
        cells.append(nbformat.v4.new_code_cell(source, id=name, metadata=meta))
    job = Job(
        notebook=nbformat.writes(nbformat.v4.new_notebook(cells=cells)),
        files="",
        variants=variants or (Variant("submission", tuple(answers), {}, (1,)),),
    )
    heard: list[Judged] = []
    with processes or JudgeProcesses(setting_at(graders, assignment, level)) as judges:
        return Heard(run_judge(job, judges, heard.append, grace_s), heard)


def setting_at(graders: Path, assignment: Assignment, level: Isolation) -> Setting:
    names = tuple(exercise.name for exercise in assignment.exercises)
    return Setting(
        assignment=assignment,
        plan=isolation.plan(assignment, level, {}),
        protections=(),
        graders=str(graders),
        files={},
        exercises=names,
        codes=dict.fromkeys(names, ("TRIPLES",)),
    )


@pytest.fixture
def graders(tmp_path: Path) -> Path:
    folder = tmp_path / "graders"
    folder.mkdir()
    return folder


def doubles(name: str) -> str:
    return f"def {name}(n):\n    return 2 * n"


# answers ------------------------------------------------------------------------------------------

FATES = {
    "endless": "def endless(n):\n    while True:\n        pass",
    "right": doubles("right"),
    "triples": "def triples(n):\n    return 3 * n",
    "off": "def off(n):\n    return 2 * n + (1 if n else 0)",
    "starter": "def starter(n):\n    # YOUR CODE HERE\n    raise NotImplementedError()",
    "missing": "x = 1",
    "raises": "def raises(n):\n\n    return {}[n]",
    "exits": "import sys\ndef exits(n):\n    sys.exit(0)",
    "dies": "import os\ndef dies(n):\n    os._exit(0)",
    "text": "def text(n):\n    return str(2 * n)",
    "number": "def number(n):\n    return 2.0 * n",
    "nothing": "def nothing(n):\n    2 * n",
    "loud": "def loud(n):\n    print('x' * (10 << 20))\n    return 2 * n",
    "numpy_one": "import numpy as np\ndef numpy_one(n):\n    return np.int64(2 * n)",
    "broken": "def broken(n:\n    return 2 * n",
    "last": doubles("last"),
}


@pytest.fixture(scope="module")
def class_of_fates(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """Every answer of FATES in one notebook, judged once."""
    return judge(tmp_path_factory.mktemp("graders"), FATES)


def test_a_right_answer_passes_every_check_whatever_stands_beside_it(class_of_fates) -> None:
    for name in ("right", "last", "numpy_one", "loud"):
        assert class_of_fates.verdicts(name) == [PASSED] * 3, name
    assert isinstance(class_of_fates.end, Finished)


def test_the_line_of_a_check_is_the_first_paragraph_of_its_docstring(class_of_fates) -> None:
    lines = [(check.name, check.line) for check in class_of_fates.checks("right")]
    assert lines == [
        ("test_double", "A number is doubled."),
        ("test_zero", "Zero stays zero."),
        ("test_negative", "A negative number is doubled, too."),
    ]


def test_a_wrong_value_fails_with_the_misconception_the_sentence_and_the_evidence(
    class_of_fates,
) -> None:
    named = class_of_fates.checks("triples")[0]
    assert (named.verdict, named.cause, named.code) == (FAILED, Cause.OBSERVED, "TRIPLES")
    assert named.message == "{n} became {value}."
    assert named.evidence["value"] == 3 * named.evidence["n"]
    assert class_of_fates.verdicts("triples") == [FAILED, PASSED, FAILED]
    assert class_of_fates.checks("off")[0].code is None


def test_a_plain_sentence_of_an_assertion_is_for_the_ta_and_not_for_the_student(graders) -> None:
    heard = judge(graders, {"zero": "def zero(n):\n    return 2 * n or 7"})
    check = heard.checks("zero")[1]
    assert (check.verdict, check.message) == (FAILED, "")
    assert check.detail.startswith("test_zero.py:")
    assert check.detail.endswith(": zero")


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("starter", Cause.UNANSWERED),
        ("missing", Cause.NOT_DEFINED),
        ("broken", Cause.NOT_DEFINED),
        ("raises", Cause.RAISED),
        ("exits", Cause.RAISED),
        ("text", Cause.WRONG_TYPE),
        ("number", Cause.WRONG_TYPE),
        ("nothing", Cause.WRONG_TYPE),
    ],
)
def test_an_answer_that_cannot_be_observed_fails_every_check_with_its_cause(
    class_of_fates, name, cause
) -> None:
    assert class_of_fates.verdicts(name) == [FAILED] * 3
    assert class_of_fates.causes(name) == [cause] * 3


@pytest.mark.parametrize(
    ("name", "cause"), [("endless", Cause.NEVER_RETURNED), ("dies", Cause.DIED)]
)
def test_after_two_hangs_or_deaths_the_rest_of_the_exercise_is_not_tried(
    class_of_fates, name, cause
) -> None:
    assert class_of_fates.verdicts(name) == [FAILED, FAILED, SKIPPED]
    assert class_of_fates.causes(name) == [cause, cause, None]
    assert "Not tried" in class_of_fates.checks(name)[2].message


def test_a_hang_costs_one_new_sandbox_and_a_death_in_a_shared_one_is_tried_again(
    class_of_fates,
) -> None:
    assert class_of_fates.end.starts == 1 + 2 + 3


def test_no_message_for_students_holds_a_path_or_a_hidden_value(class_of_fates) -> None:
    for judged in class_of_fates.judged:
        for check in judged.checks:
            assert "/" not in check.message
            assert "Traceback" not in check.message
            assert all("/" not in str(value) for value in check.evidence.values())


def test_what_each_cell_did_is_told_in_the_order_of_the_notebook(class_of_fates) -> None:
    cells = class_of_fates.end.cells
    assert [cell.cell_id for cell in cells] == list(FATES)
    raised = [cell for cell in cells if cell.status == "raised"]
    assert [cell.cell_id for cell in raised] == ["broken"]
    assert raised[0].error.startswith("SyntaxError")


def test_the_same_seed_gives_the_same_inputs_whatever_else_is_judged(
    class_of_fates, graders
) -> None:
    alone = judge(graders, {"triples": FATES["triples"]}).checks("triples")
    assert alone[0].evidence == class_of_fates.checks("triples")[0].evidence


def test_another_seed_gives_other_inputs(graders) -> None:
    variants = (Variant("submission", ("triples",), {}, (1, 2)),)
    heard = judge(graders, {"triples": FATES["triples"]}, variants=variants)
    assert [judged.seed for judged in heard.judged] == [1, 2]
    first, second = (judged.checks[0].evidence["n"] for judged in heard.judged)
    assert first != second


def test_a_notebook_that_uses_up_its_time_costs_only_what_it_had_not_defined(graders) -> None:
    answers = {
        "right": doubles("right"),
        "slow": "import time\ntime.sleep(600)",
        "late": doubles("late"),
    }
    heard = judge(graders, answers, total_s=8.0, cell_s=60.0)
    assert isinstance(heard.end, Finished)
    assert heard.verdicts("right") == [PASSED] * 3
    assert heard.causes("late") == [Cause.NOT_DEFINED] * 3


def test_an_exercise_that_uses_up_its_time_costs_no_other(graders) -> None:
    answers = {"endless": FATES["endless"], "right": doubles("right")}
    heard = judge(graders, answers, call_s=60.0, exercise_s=3.0)
    assert heard.verdicts("endless") == [FAILED, SKIPPED, SKIPPED]
    assert "time for this exercise" in heard.checks("endless")[1].message
    assert heard.verdicts("right") == [PASSED] * 3


def test_a_notebook_that_keeps_ending_its_process_fails_and_is_no_error_of_ours(graders) -> None:
    heard = judge(graders, {f"kills{n}": "import os\nos._exit(0)" for n in range(4)})
    assert isinstance(heard.end, Finished)
    assert heard.verdicts("kills0") == [FAILED] * 3
    assert {cell.status for cell in heard.end.cells} == {"died"}


@pytest.mark.parametrize("privileged_nested", [(False, True), (False, False)])
def test_every_way_of_making_sandboxes_gives_the_same_verdicts(
    graders, monkeypatch: pytest.MonkeyPatch, privileged_nested: tuple[bool, bool]
) -> None:
    privileged, nested = privileged_nested
    way = isolation.Level(Isolation.BUBBLEWRAP, privileged=privileged, nested=nested)
    if isolation.unreachable(way):
        pytest.skip(f"not here: {isolation.unreachable(way)}")
    monkeypatch.setattr(isolation, "level", lambda wish: way)
    heard = judge(graders, {name: FATES[name] for name in ("right", "triples", "dies")})
    assert heard.verdicts("right") == [PASSED] * 3
    assert heard.verdicts("triples") == [FAILED, PASSED, FAILED]
    assert heard.verdicts("dies") == [FAILED, FAILED, SKIPPED]


def test_without_isolation_the_verdicts_are_the_same(graders) -> None:
    answers = {name: FATES[name] for name in ("right", "triples", "dies")}
    heard = judge(graders, answers, level=Isolation.NONE)
    assert heard.verdicts("right") == [PASSED] * 3
    assert heard.verdicts("triples") == [FAILED, PASSED, FAILED]
    assert heard.verdicts("dies") == [FAILED, FAILED, SKIPPED]


# graders ------------------------------------------------------------------------------------------

BAD_GRADERS = {
    "unknown_code": '''
from shardwork.grading import blame

def test_it(student):
    """It."""
    assert student.value("unknown_code", 1, as_=int) == 5, blame("NO_SUCH_CODE")
''',
    "agreeing": '''
from shardwork.grading import OracleBank

def test_it(student):
    """It."""
    OracleBank(4, {"TRIPLES": 4}, lambda a, b: a == b)
''',
    "failing": '''
def test_it(student):
    """It."""
    {}["no such key"]

def test_other(student):
    """Other."""
    assert student.value("failing", 1, as_=int) == 2
''',
    "no_fixture": "def test_it(studnet):\n    pass\n",
    "syntax": "def test_it(student:\n    pass\n",
    "imports": "import no_such_module\n\ndef test_it(student):\n    pass\n",
    "unsendable": '''
def test_it(student):
    """It."""
    student.value("unsendable", object(), as_=int)
''',
    "bad_input": '''
def test_it(student, dialogue):
    """It."""
    dialogue.make("nonsense.question")
''',
}


@pytest.fixture(scope="module")
def class_of_graders(tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """Right answers, judged by graders that are wrong, and by one that is right."""
    folder = tmp_path_factory.mktemp("graders")
    for name, text in BAD_GRADERS.items():
        (folder / f"test_{name}.py").write_text(text)
    heard = judge(folder, {name: doubles(name) for name in (*BAD_GRADERS, "right")})
    assert not list(folder.glob("**/__pycache__"))
    return heard


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("unknown_code", "'NO_SUCH_CODE', which misconceptions.toml does not have"),
        ("agreeing", "the oracles of the right value and TRIPLES agree"),
        ("failing", "KeyError: 'no such key'"),
        ("no_fixture", "FixtureLookupError: ('studnet'"),
        ("syntax", "SyntaxError"),
        ("imports", "No module named 'no_such_module'"),
        ("unsendable", "a grader cannot send a object"),
        ("bad_input", "no probe module for 'nonsense.question'"),
    ],
)
def test_a_grader_that_is_wrong_is_an_error_of_ours_and_never_the_students(
    class_of_graders, name, what
) -> None:
    check = class_of_graders.checks(name)[0]
    assert check.verdict is ERROR
    assert what in check.detail
    assert check.message == ""


def test_the_other_checks_and_the_other_exercises_are_judged_all_the_same(class_of_graders) -> None:
    assert class_of_graders.verdicts("failing") == [ERROR, PASSED]
    assert class_of_graders.verdicts("right") == [PASSED] * 3
    assert isinstance(class_of_graders.end, Finished)


def test_a_grader_that_is_missing_is_an_error_that_names_it(graders) -> None:
    (graders / "test_gone.py").mkdir()
    heard = judge(graders, {"gone": doubles("gone"), "right": doubles("right")})
    (check,) = heard.checks("gone")
    assert (check.verdict, check.detail) == (ERROR, "there is no test_gone.py")
    assert heard.verdicts("right") == [PASSED] * 3


@pytest.mark.parametrize(
    "line",
    ["pytest.skip('not today')", "pytest.fail('no')", "raise SystemExit(3)",
     "with pytest.raises(ValueError): pass"],
    ids=["skip", "fail", "exit", "raises"],
)  # fmt: skip
def test_a_grader_that_uses_pytests_own_ways_out_costs_no_other_exercise(graders, line) -> None:
    text = f'import pytest\n\ndef test_it(student):\n    """It."""\n    {line}\n'
    (graders / "test_odd.py").write_text(text)
    heard = judge(graders, {"odd": doubles("odd"), "right": doubles("right")})
    assert heard.verdicts("odd") == [ERROR]
    assert heard.verdicts("right") == [PASSED] * 3


def test_a_grader_that_exits_when_it_is_imported_costs_no_other_exercise(graders) -> None:
    (graders / "test_odd.py").write_text("raise SystemExit(3)\n")
    heard = judge(graders, {"odd": doubles("odd"), "right": doubles("right")})
    assert heard.verdicts("odd") == [ERROR]
    assert heard.verdicts("right") == [PASSED] * 3


PRINTS = """
import os

def test_it(student):
    print("{}")
    os.write(1, b"{}")
"""


def test_what_a_grader_prints_does_not_disturb_the_events(graders) -> None:
    (graders / "test_prints.py").write_text(PRINTS)
    assert judge(graders, {"prints": doubles("prints")}).verdicts("prints") == [PASSED]


@pytest.mark.parametrize(
    "returns", ["[None] * 10**8", "1 << 4000", "deep", "lambda: 0", "'x' * 40_000_000"]
)
def test_what_cannot_be_sent_is_no_exception_of_the_students(graders, returns: str) -> None:
    text = 'def test_it(student):\n    assert "ValueError" in student.refusal("huge", 1)\n'
    (graders / "test_huge.py").write_text(text)
    source = "deep = []\nfor _ in range(100):\n    deep = [deep]\n\ndef huge(n):\n    return "
    heard = judge(graders, {"huge": source + returns}, memory_mb=3072, call_s=20.0)
    (check,) = heard.checks("huge")
    assert check.verdict is FAILED
    assert check.cause in (Cause.WRONG_TYPE, Cause.OBSERVED)  # a function can be sent


# variants, as `verify` judges them ---------------------------------------------------------------


def test_several_solutions_are_judged_one_after_the_other_in_one_sandbox(graders) -> None:
    sources = {
        "reference": doubles("f"),
        "TRIPLES": "def f(n):\n    return 3 * n",
        "starter": "def f(n):\n    raise NotImplementedError()",
        "broken": "def f(n:\n    return 2 * n",
        "again": doubles("f"),
    }
    variants = tuple(Variant(n, ("f",), {"f": source}, (1,)) for n, source in sources.items())
    heard = judge(graders, {"f": doubles("f")}, variants=variants)
    assert heard.verdicts("f", "reference") == [PASSED] * 3
    assert heard.checks("f", "TRIPLES")[0].code == "TRIPLES"
    assert {check.cause for check in heard.checks("f", "starter")} == {Cause.UNANSWERED}
    assert {check.cause for check in heard.checks("f", "broken")} == {Cause.NOT_DEFINED}
    assert heard.verdicts("f", "again") == [PASSED] * 3
    assert heard.end.starts <= 2  # the broken one closes the sandbox


def test_a_variant_judges_its_own_exercises_only(graders) -> None:
    answers = {"f": doubles("f"), "g": doubles("g")}
    wrong = "def {}(n):\n    return 3 * n"
    variants = (
        Variant("f is wrong", ("f",), answers | {"f": wrong.format("f")}, (1,)),
        Variant("g is wrong", ("g",), answers | {"g": wrong.format("g")}, (1,)),
        Variant("both are right", ("f", "g"), answers, (1,)),
    )
    heard = judge(graders, answers, variants=variants)
    assert [(judged.variant, judged.exercise) for judged in heard.judged] == [
        ("f is wrong", "f"), ("g is wrong", "g"), ("both are right", "f"), ("both are right", "g"),
    ]  # fmt: skip
    assert heard.checks("g", "g is wrong")[0].code == "TRIPLES"
    assert heard.verdicts("f", "both are right") == [PASSED] * 3
    assert heard.end.starts == 1


# the process --------------------------------------------------------------------------------------


def test_a_judge_that_is_still_running_at_its_limit_is_an_error_of_ours(graders) -> None:
    text = "import time\n\ndef test_it(student):\n    time.sleep(600)\n"
    (graders / "test_waits.py").write_text(text)
    heard = judge(graders, {"waits": doubles("waits")}, total_s=2.0, exercise_s=1.0, grace_s=1.0)
    assert heard.end == Problem("the judge process ended before it was done (its limit was 4 s)")


def test_a_judge_that_ends_by_itself_is_an_error_of_ours_and_the_next_one_is_none(graders) -> None:
    ends = "import os\n\ndef test_it(student):\n    os.kill({}, 9)\n"
    (graders / "test_ends.py").write_text(ends.format("os.getpid()"))
    (graders / "test_station.py").write_text(ends.format("os.getppid()"))
    answers = {name: doubles(name) for name in ("ends", "station", "right")}
    exercises = tuple(Exercise(name, 1, 5) for name in answers)
    (graders / "test_right.py").write_text(GRADER.format(name="right"))
    setting = setting_at(graders, Assignment("ch0", "0", exercises), Isolation.BUBBLEWRAP)
    with JudgeProcesses(setting) as judges:
        for name, source in answers.items():
            heard: list[Judged] = []
            cell = nbformat.v4.new_code_cell(source, id=name)
            notebook = nbformat.writes(nbformat.v4.new_notebook(cells=[cell]))
            job = Job(notebook, "", (Variant("submission", (name,), {}, (1,)),))
            end = run_judge(job, judges, heard.append)
            if name == "right":  # the station was killed, and there is a new one
                assert isinstance(end, Finished)
                assert [check.verdict for check in heard[0].checks] == [PASSED] * 3
            else:
                assert end == Problem("the judge process ended before it was done")


def test_graders_that_cannot_be_loaded_are_an_error_of_the_course(graders) -> None:
    (graders / "test_ends.py").write_text("import os\nprint('here')\nos._exit(7)\n")
    with pytest.raises(CourseError, match="status 7"):
        judge(graders, {"ends": doubles("ends")})


def test_graders_that_take_too_long_to_load_are_an_error_of_the_course(
    graders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shardwork.judging.LOAD_S", 3.0)
    (graders / "test_waits.py").write_text("import time\ntime.sleep(600)\n")
    with pytest.raises(CourseError, match="not loaded after 3 s"):
        judge(graders, {"waits": doubles("waits")})


def test_judges_that_are_stopped_end_with_their_sandboxes_and_say_nothing(graders) -> None:
    assignment = Assignment("ch0_doubles", "Doubles", (Exercise("slow", 1, 5),))
    processes = JudgeProcesses(setting_at(graders, assignment, Isolation.BUBBLEWRAP))
    (graders / "test_slow.py").write_text(GRADER.format(name="slow"))
    stopper = threading.Thread(target=_stop_when_a_sandbox_runs, args=(processes,))
    stopper.start()
    with pytest.raises(InterruptedError):
        judge(graders, {"slow": "import time\ntime.sleep(600)"}, cell_s=60.0, processes=processes)
    stopper.join()
    with pytest.raises(InterruptedError):  # and no new one is started
        judge(graders, {"slow": doubles("slow")}, processes=processes)


def _stop_when_a_sandbox_runs(processes: JudgeProcesses) -> None:
    _wait_for_a_sandbox()
    processes.stop()


def _wait_for_a_sandbox() -> None:
    deadline = time.monotonic() + 120.0
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.Error):  # one that has just ended
            commands = [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]
            # zygote, attendant, first process, kernel; bubblewrap's two name it, too
            if sum("shardwork.inside" in command for command in commands) >= 6:
                break
        time.sleep(0.05)


def test_a_sandbox_is_prepared_before_its_turn_and_nothing_runs_in_it(graders) -> None:
    assignment = Assignment("ch0_doubles", "Doubles", (Exercise("now", 1, 5),))
    (graders / "test_now.py").write_text(GRADER.format(name="now"))
    processes = JudgeProcesses(setting_at(graders, assignment, Isolation.BUBBLEWRAP))
    processes.turns.acquire()  # another submission is being judged
    released: list[float] = []

    def release() -> None:
        _wait_for_a_sandbox()
        released.append(time.monotonic())
        processes.turns.release()

    waiter = threading.Thread(target=release)
    waiter.start()
    answer = f"import time\nprint(time.monotonic())\n{doubles('now')}"
    found = judge(graders, {"now": answer}, processes=processes)
    waiter.join()
    assert isinstance(found.end, Finished)
    assert found.verdicts("now") == [PASSED] * 3
    assert float(found.end.cells[0].text) > released[0]


LOOKS_AROUND = """
import os

def test_it(student):
    assert "secret" not in str(os.environ)
"""


def test_a_judge_knows_no_secret_of_the_caller(graders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    (graders / "test_env.py").write_text(LOOKS_AROUND)
    assert judge(graders, {"env": doubles("env")}).verdicts("env") == [PASSED]
