"""Functions that a student's function returns, in a real sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from shardwork.grading import Array, Function, StudentFault
from shardwork.judge.dask.inputs import Dask
from shardwork.judge.dialogue import Dialogue
from shardwork.judge.student import Student
from shardwork.sandbox import isolation
from tests import sandboxes

WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}"),
]

CELL = """
import functools

def counter(start):
    seen = [start]
    def more(by):
        seen[0] += by
        return seen[0]
    return more, functools.partial(sum, seen)

def as_list():
    return [len, str.upper]

class Later:
    def __call__(self):
        raise KeyError("k")

def later():
    return Later()

def one():
    return (len,)

def number():
    return 3

def a_class():
    return Later

def doubler():
    def doubled(x):
        return 2 * x
    def as_values(x):
        return doubled(x).compute()
    return doubled, as_values
"""


@pytest.fixture(scope="module")
def dialogue() -> Iterator[Dialogue]:
    session = sandboxes.session(sandboxes.zygote(), {"code": CELL}, cell_s=60.0, call_s=30.0)
    try:
        session.open()
        assert session.outcomes["code"].status == "ran", session.outcomes["code"]
        yield Dialogue(session, 30.0)
    finally:
        session.close()
        sandboxes.end_zygotes()


@pytest.fixture
def student(dialogue: Dialogue) -> Student:
    return Student(dialogue)


def test_a_tuple_of_functions_comes_back_as_handles_that_share_their_state(
    student: Student,
) -> None:
    more, total = student.call("counter", 5, returns=(Function, Function))
    assert more.value(2, as_=int) == 7
    assert total.value(as_=int) == 7
    first, second = student.call("as_list", returns=(Function, Function))
    assert first.value([1, 2], as_=int) == 2
    assert second.value("a", as_=str) == "A"


def test_a_function_may_return_a_handle(dialogue: Dialogue, student: Student) -> None:
    x = Dask(dialogue).array(np.arange(5.0), [[2, 3]])
    doubled, as_values = student.call("doubler", returns=(Function, Function))
    found = doubled.call(x, returns=Array, name="doubled")
    assert found.layout().chunks == ((2, 3),)
    assert found.compute().tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
    with pytest.raises(StudentFault) as raised:
        as_values.call(x, returns=Array, name="doubled")
    assert raised.value.evidence == {
        "name": "doubled", "wanted": "a Dask array", "found": "a `ndarray`"
    }  # fmt: skip


def test_what_a_called_object_raises_is_the_students_fault(student: Student) -> None:
    with pytest.raises(StudentFault) as raised:
        student.call("later", returns=Function).value(as_=int)
    assert raised.value.types[0] == "KeyError"
    assert raised.value.evidence["line"] == 15


def test_another_form_is_said_so(student: Student) -> None:
    def told(name: str) -> dict[str, object]:
        with pytest.raises(StudentFault) as raised:
            student.call(name, returns=(Function, Function))
        return dict(raised.value.evidence)

    assert told("one") == {"problem": "Expected `tuple` of length 2, got 1"}
    assert told("number")["found"] == "a `int`"
    with pytest.raises(StudentFault) as raised:
        student.call("a_class", returns=Function)
    assert raised.value.evidence["wanted"] == "a function"
