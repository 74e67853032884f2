"""Instruments: what the all-reduce of the judge sums, refuses, and says when ranks fall apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardwork.grading import AllReduce, Instrument, Refusal
from shardwork.wire import Tensor

pytestmark = pytest.mark.unit


class Ranks:
    """Play the ranks of one run against an AllReduce, in any order."""

    def __init__(self, world: int) -> None:
        self.reduce = AllReduce()
        self.reduce.ranks_begin(world)
        self.answers: dict[int, list[Any]] = {rank: [] for rank in range(world)}

    def gives(self, rank: int, *numbers: float, shape: tuple[int, ...] | None = None) -> None:
        array = np.array(numbers, dtype=np.float64).reshape(shape or (len(numbers),))
        self.gives_tensor(rank, array)

    def gives_tensor(self, rank: int, array: np.ndarray[Any, Any]) -> None:
        self.reduce.invoked([Tensor(array)], rank, self.answers[rank].append)

    def sums(self, rank: int) -> list[Any]:
        return [answer.array.tolist() for answer in self.answers[rank]]


def test_every_rank_gets_the_sum_once_the_last_one_has_called() -> None:
    ranks = Ranks(3)
    ranks.gives(2, 1.0, 10.0)
    ranks.gives(0, 2.0, 20.0)
    assert ranks.answers == {0: [], 1: [], 2: []}
    ranks.gives(1, 4.0, 40.0)
    assert [ranks.sums(rank) for rank in range(3)] == [[[7.0, 70.0]]] * 3


def test_a_round_keeps_what_each_rank_gave_in_the_order_of_ranks() -> None:
    ranks = Ranks(2)
    ranks.gives(1, 5.0)
    ranks.gives(0, 3.0)
    (done,) = ranks.reduce.rounds
    assert [given.tolist() for given in done.given] == [[3.0], [5.0]]
    assert done.total.tolist() == [8.0]


def test_rounds_follow_each_other() -> None:
    ranks = Ranks(2)
    for value in (1.0, 2.0):
        ranks.gives(0, value)
        ranks.gives(1, value)
    assert ranks.sums(0) == [[2.0], [4.0]]
    assert len(ranks.reduce.rounds) == 2
    assert ranks.reduce.mismatch is None


@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_a_tensor_of_any_shape_is_summed(shape: tuple[int, ...]) -> None:
    ranks = Ranks(2)
    ranks.gives_tensor(0, np.full(shape, 2.0))
    ranks.gives_tensor(1, np.full(shape, 3.0))
    assert ranks.sums(1) == [np.full(shape, 5.0).tolist()]


def test_one_rank_alone_gets_its_own_values() -> None:
    ranks = Ranks(1)
    ranks.gives(0, 2.0)
    assert ranks.sums(0) == [[2.0]]


# out of step ------------------------------------------------------------------------------------


def test_ranks_that_wait_for_one_that_has_returned_are_told_so_and_not_left_hanging() -> None:
    ranks = Ranks(3)
    ranks.gives(0, 1.0)
    ranks.reduce.rank_ended(2)
    assert ranks.answers[0] == []  # rank 1 may still call, and then it is known
    ranks.gives(1, 1.0)
    said = "rank 0 waits in all-reduce number 1, which rank 2 never called"
    assert [str(ranks.answers[rank][0]) for rank in (0, 1)] == [said, said]
    assert all(isinstance(ranks.answers[rank][0], Refusal) for rank in (0, 1))
    assert ranks.reduce.mismatch == said
    assert ranks.reduce.out_of_step == (2,)


def test_it_does_not_matter_whether_the_rank_ends_before_or_after_the_others_wait() -> None:
    ranks = Ranks(2)
    ranks.reduce.rank_ended(1)
    ranks.gives(0, 1.0)
    assert ranks.reduce.out_of_step == (1,)


def test_the_number_of_the_collective_that_was_left_out_is_named() -> None:
    ranks = Ranks(2)
    ranks.gives(0, 1.0)
    ranks.gives(1, 1.0)
    ranks.gives(1, 2.0)
    ranks.reduce.rank_ended(0)
    assert ranks.reduce.mismatch == "rank 1 waits in all-reduce number 2, which rank 0 never called"


def test_different_shapes_end_every_rank_and_are_listed() -> None:
    ranks = Ranks(2)
    ranks.gives(0, 1.0, 2.0, shape=(1, 2))
    ranks.gives(1, 1.0, 2.0, shape=(2,))
    assert ranks.reduce.mismatch == (
        "all-reduce number 1 was called with different shapes: rank 0 [1, 2], rank 1 [2]"
    )
    assert ranks.reduce.out_of_step == ()
    assert ranks.reduce.rounds == []


def test_after_a_mismatch_every_further_call_is_refused_with_the_first_reason() -> None:
    ranks = Ranks(2)
    ranks.reduce.rank_ended(1)
    ranks.gives(0, 1.0)
    with pytest.raises(Refusal, match="rank 0 waits in all-reduce number 1"):
        ranks.gives(0, 1.0)


def test_a_new_run_begins_with_a_clean_slate() -> None:
    ranks = Ranks(2)
    ranks.reduce.rank_ended(1)
    ranks.gives(0, 1.0)
    ranks.reduce.ranks_begin(2)
    ranks.gives(0, 1.0)
    ranks.gives(1, 2.0)
    assert ranks.reduce.mismatch is None
    assert ranks.reduce.out_of_step == ()
    assert [done.total.tolist() for done in ranks.reduce.rounds] == [[3.0]]


def test_ranks_that_all_return_leave_nothing_behind() -> None:
    ranks = Ranks(2)
    ranks.reduce.rank_ended(0)
    ranks.reduce.rank_ended(1)
    assert ranks.reduce.mismatch is None


# what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [None, -1, 2])
def test_a_call_outside_the_ranks_is_refused(rank: int | None) -> None:
    ranks = Ranks(2)
    with pytest.raises(Refusal, match="outside a rank"):
        ranks.reduce.invoked([Tensor(np.zeros(1))], rank, print)


def test_a_call_before_any_run_is_refused() -> None:
    with pytest.raises(Refusal, match="outside a rank"):
        AllReduce().invoked([Tensor(np.zeros(1))], 0, print)


def test_a_second_call_of_a_rank_that_still_waits_is_refused() -> None:
    ranks = Ranks(2)
    ranks.gives(0, 1.0)
    with pytest.raises(Refusal, match="twice at once"):
        ranks.gives(0, 1.0)


@pytest.mark.parametrize(
    "args",
    [
        [],
        [1.0],
        [np.zeros(2)],
        [Tensor(np.zeros(2, np.float32))],
        [Tensor(np.zeros(2)), 1],
        [Tensor(np.zeros(2, np.int64))],
    ],
)
def test_anything_but_one_float64_tensor_is_refused(args: list[Any]) -> None:
    with pytest.raises(Refusal, match="one float64 tensor"):
        Ranks(2).reduce.invoked(args, 0, print)


def test_a_tensor_of_too_many_elements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AllReduce, "MAX_ELEMENTS", 3)
    ranks = Ranks(1)
    ranks.gives(0, 1, 2, 3)
    with pytest.raises(Refusal, match="at most 3 numbers"):
        ranks.gives(0, 1, 2, 3, 4)


def test_what_all_ranks_give_in_one_run_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AllReduce, "MAX_KEPT", 6)
    ranks = Ranks(2)
    ranks.gives(0, 1, 2, 3)
    ranks.gives(1, 1, 2, 3)
    with pytest.raises(Refusal, match="more than 6 numbers"):
        ranks.gives(0, 1)
    ranks.reduce.ranks_begin(2)
    ranks.gives(0, 1, 2, 3)


@given(st.integers(1, 4), st.data())
def test_in_any_order_no_rank_is_left_waiting_when_all_have_called_or_ended(world, data) -> None:
    """Each rank calls so many times, then ends; the ranks take turns at random."""
    calls = [data.draw(st.integers(0, 3), label=f"calls of rank {r}") for r in range(world)]
    ranks = Ranks(world)
    told = [0] * world
    ended: set[int] = set()
    while len(ended) < world:
        able = [
            r for r in range(world) if r not in ended and len(ranks.answers[r]) == told[r]
        ]  # not waiting in a collective
        rank = data.draw(st.sampled_from(able), label="next")
        if told[rank] < calls[rank] and ranks.reduce.mismatch is None:
            told[rank] += 1
            ranks.gives(rank, 1.0)
        else:
            ended.add(rank)
            ranks.reduce.rank_ended(rank)
    in_step = len(set(calls)) == 1
    assert (ranks.reduce.mismatch is None) == in_step
    assert len(ranks.reduce.rounds) == min(calls)  # by hand: all ranks meet until the first leaves


# a plain instrument -----------------------------------------------------------------------------


class Doubles(Instrument):
    def call(self, value: int) -> int:
        if value < 0:
            raise Refusal("no negative numbers")
        return 2 * value


def test_a_plain_instrument_answers_at_once() -> None:
    answers: list[Any] = []
    Doubles().invoked([21], None, answers.append)
    assert answers == [42]


def test_a_plain_instrument_may_refuse() -> None:
    with pytest.raises(Refusal, match="no negative numbers"):
        Doubles().invoked([-1], None, print)


class Keeps(Instrument):
    """Takes what its annotations say."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def call(
        self, name: str, rows: list[tuple[int, float]], *more: int, note: object = None
    ) -> None:
        self.got = [name, rows, *more]


class Anything(Instrument):
    def call(self, value, other: Any = None):
        return repr(value)


def given_to(instrument: Instrument, *args: object) -> list[Any]:
    answers: list[Any] = []
    instrument.invoked(list(args), None, answers.append)
    return answers


def test_the_arguments_of_an_instrument_are_of_the_types_it_declares() -> None:
    keeps = Keeps()
    given_to(keeps, "a", [[1, 2.0], (3, 4)], np.int64(5), 6)
    assert keeps.got == ["a", [(1, 2.0), (3, 4.0)], 5, 6]
    assert [type(item) for item in keeps.got[2:]] == [int, int]


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("a",),
        (1, []),
        ("a", [[1]]),
        ("a", [[True, 1.0]]),
        ("a", [], "5"),
        ("a", [], 5, True),
        ("a", {1: 2}),
        ("a", None),
        ("a", np.zeros((1, 2))),
        ([], []),
    ],
    ids=str,
)
def test_other_arguments_are_refused_before_the_instrument_sees_them(args) -> None:
    keeps = Keeps()
    with pytest.raises(Refusal):
        given_to(keeps, *args)
    assert keeps.got == []


def test_an_argument_without_a_type_may_be_anything() -> None:
    for value in ([1], {"a": 1}, frozenset({1}), np.int64(1), Tensor(np.zeros(1)), None):
        assert given_to(Anything(), value) == [repr(value)]


def test_an_instrument_hears_of_ranks_and_need_not_care() -> None:
    instrument = Doubles()
    instrument.ranks_begin(2)
    instrument.rank_ended(0)
