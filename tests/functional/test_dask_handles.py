"""The fixture `dask` of a grader, and its handles, with functions in a real sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from shardwork.grading import Array, Delayed, Frame, Instrument, Refusal, StudentFault
from shardwork.judge.dask import Dask
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
import dask
import dask.array as da
import dask.dataframe as dd

def same(collection):
    return collection

def rows_in_one_chunk(x):
    return x.rechunk({1: -1})

def eager(x):
    return da.from_array(x.compute())

def totals(df):
    return df.groupby("key").value.sum()

def sorted_by(df, column):
    return df.set_index(column)

def read(path):
    return dd.read_parquet(path, filters=[("value", ">=", 2.0)])[["key"]]

def both(parts):
    return dask.delayed(list)(parts)
"""


class Block(Instrument):
    def __init__(self, refuses: bool = False) -> None:
        self.refuses = refuses
        self.calls: list[tuple[int, ...]] = []

    def call(self, *index: int) -> object:
        self.calls.append(index)
        if self.refuses:
            raise Refusal("this is too large")
        return np.full((2, 3), float(index[0]))


class Totals(msgspec.Struct):
    value: list[float]


@pytest.fixture(scope="module")
def dialogue() -> Iterator[Dialogue]:
    session = sandboxes.session(
        sandboxes.zygote(), {"code": CELL}, cell_s=60.0, call_s=30.0, memory_mb=2048
    )
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


@pytest.fixture
def dask(dialogue: Dialogue) -> Dask:
    return Dask(dialogue)


def test_an_array_of_an_instrument_is_built_without_a_call_and_computed_with_it(
    student, dask
) -> None:
    block = Block()
    x = dask.blocks(block, ((2, 2), (3, 3)))
    with dask.watch() as seen:
        result = student.call("rows_in_one_chunk", x, returns=Array)
    assert (seen.computes, block.calls) == (0, [])
    assert result.layout().chunks == ((2, 2), (6,))
    assert result.graph().tasks == 4 + 2
    assert [layer.name for layer in result.layers()] == ["input", "rechunk-merge"]
    assert result.compute().tolist() == [[0.0] * 6] * 2 + [[1.0] * 6] * 2
    assert sorted(block.calls) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert result.payload().total_bytes < 20_000  # the connection to the judge is left out


def test_what_was_computed_before_the_code_failed_is_seen(student, dask) -> None:
    block = Block(refuses=True)
    x = dask.blocks(block, ((10_000,) * 10, (50_000,)))
    with dask.watch() as seen, pytest.raises(StudentFault):
        student.call("eager", x, returns=Array)
    assert seen.computes == 1
    assert len(block.calls) == 1


def test_given_and_random_values_arrive(student, dask) -> None:
    values = np.arange(12, dtype=np.int32).reshape(3, 4)
    given = student.call("same", dask.array(values, ((1, 2), (4,))), returns=Array)
    assert (given.compute() == values).all()
    assert given.layout().dtype == "int32"
    chunks = ((5, 5), (2,))
    drawn = student.call("same", dask.random(3, chunks, offset=7.0), returns=Array)
    assert (drawn.compute() == dask.random_values(3, chunks, offset=7.0)).all()


def test_a_frame_is_described_and_computed(student, dask) -> None:
    load = Block()
    columns = {"key": ["a", "b", "a"], "value": [1.0, 2.0, None]}
    df = dask.frame(columns, [1, 2], load=load)
    totals = student.call("totals", df, returns=Frame)
    assert totals.layout().kind == "series"
    assert totals.expr().shuffles == []
    assert load.calls == []
    found = totals.rows()
    assert dict(zip(found.index, found.columns["value"], strict=True)) == {"a": 1.0, "b": 2.0}
    assert sorted(totals.compute(as_=Totals).value) == [1.0, 2.0]
    assert sorted(load.calls) == [(0,), (0,), (1,), (1,)]
    by_value = student.call("sorted_by", df, "key", returns=Frame)
    assert by_value.layout().would_compute
    assert [len(part.index) for part in df.partitions()] == [1, 2]


def test_a_dataset_in_the_sandbox_is_read_there(student, dask) -> None:
    path = dask.parquet({"key": ["a", "b", "c"], "value": [1.0, 2.0, 3.0]}, [2, 1])
    frame = student.call("read", path, returns=Frame)
    (read,) = frame.expr().reads
    assert read.columns == ["key"]
    assert read.filters == [[["value", ">=", 2.0]]]
    assert frame.compute(as_=dict[str, list[str]]) == {"key": ["b", "c"]}


def test_delayed_parts_still_arrive(student, dask) -> None:
    class Load(Instrument):
        def call(self, argument: int) -> int:
            return 10 * argument

    both = student.call("both", dask.delayed(Load(), [1, 2]), returns=Delayed)
    assert both.graph().fan_in == 2
    assert both.compute(as_=list[int]) == [10, 20]
