"""The driver for a function that knows its rank from `comm` alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shardwork.grading import GLOO_COMM, Comm
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
def where(comm, word):
    return f"{word} {comm.rank} of {comm.size}"
"""


@pytest.fixture(scope="module")
def student() -> Iterator[Student]:
    session = sandboxes.session(sandboxes.zygote(), {"code": CELL}, cell_s=60.0, call_s=30.0)
    try:
        session.open()
        assert session.outcomes["code"].status == "ran", session.outcomes["code"]
        yield Student(Dialogue(session, 30.0))
    finally:
        session.close()
        sandboxes.end_zygotes()


@pytest.mark.parametrize("on", ["threads", "gloo"])
def test_the_function_gets_its_network_and_no_rank(student: Student, on: str) -> None:
    comm = Comm() if on == "threads" else GLOO_COMM
    said = student.ranks("where", [[comm, "rank"]] * 3, as_=str, on=on, driver="torch.ring.call")
    assert said == ["rank 0 of 3", "rank 1 of 3", "rank 2 of 3"]
