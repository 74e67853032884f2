"""The judge's network in a real sandbox: ranks as threads, and as gloo processes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from shardwork.grading import GLOO_COMM, Comm, StudentFault
from shardwork.judge.dialogue import Dialogue
from shardwork.judge.student import Student
from shardwork.record import Cause
from shardwork.sandbox import isolation
from shardwork.wire import Tensor
from tests import sandboxes

WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.functional,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"bubblewrap: {WHY_NOT}"),
]

CELL = """
import torch

def pass_on(rank, world, comm, x):
    work = comm.isend(x + rank, (rank + 1) % comm.size)
    got = comm.recv((rank - 1) % comm.size)
    work.wait()
    begun = comm.all_reduce(x, async_op=True)
    begun.wait()
    same = torch.full((2,), float(comm.rank))
    comm.broadcast(same, 1)
    return [got, x, same, torch.cat(comm.all_gather(torch.tensor([rank])))]

def both_send(rank, world, comm, x):
    comm.send(x, 1 - rank)
    return comm.recv(1 - rank)
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


def inputs(comm: object) -> list[list[object]]:
    return [[comm, Tensor(np.array([rank, 10.0]))] for rank in range(3)]


@pytest.mark.parametrize("on", ["threads", "gloo"])
def test_the_judges_network_and_gloo_do_the_same(student: Student, on: str) -> None:
    comm = Comm() if on == "threads" else GLOO_COMM
    results = student.ranks("pass_on", inputs(comm), as_=list[np.ndarray], on=on)
    got, total, same, gathered = results[2]
    assert got.tolist() == [2.0, 11.0]
    assert total.tolist() == [3.0, 30.0]
    assert same.tolist() == [1.0, 1.0]
    assert gathered.tolist() == [0, 1, 2]


def test_a_deadlock_ends_at_once_and_is_the_students(student: Student) -> None:
    comm = Comm()
    with pytest.raises(StudentFault) as raised:
        student.ranks("both_send", inputs(comm)[:2], as_=np.ndarray)
    assert raised.value.cause is Cause.RAISED
    assert comm.deadlock
    buffered = Comm(rendezvous=False)
    assert len(student.ranks("both_send", inputs(buffered)[:2], as_=np.ndarray)) == 2


def test_a_name_that_is_not_there_is_said(student: Student) -> None:
    with pytest.raises(StudentFault) as raised:
        student.function("nowhere")
    assert raised.value.cause is Cause.NOT_DEFINED
    assert raised.value.evidence["name"] == "nowhere"
