"""The judge's network: what arrives, what is recorded, and how ranks that wait in vain are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from shardwork.grading import Comm, Refusal
from shardwork.wire import Tensor

pytestmark = pytest.mark.unit


class Ranks:
    """Play the ranks of one run against a Comm, in any order."""

    def __init__(self, world: int, **options: Any) -> None:
        self.comm = Comm(**options)
        self.comm.ranks_begin(world)
        self.answers: dict[int, list[Any]] = {rank: [] for rank in range(world)}

    def call(self, rank: int, op: str, *args: object) -> Any:
        """Make one call; return the answer if there is one already."""
        before = len(self.answers[rank])
        self.comm.invoked([op, *args], rank, self.answers[rank].append)
        return self.answers[rank][before] if len(self.answers[rank]) > before else ...

    def last(self, rank: int) -> Any:
        answer = self.answers[rank][-1]
        return answer.array.tolist() if isinstance(answer, Tensor) else answer


def numbers(*values: float) -> Tensor:
    return Tensor(np.array(values, np.float64))


# messages -----------------------------------------------------------------------------------------


def test_a_rendezvous_send_returns_when_the_message_has_been_taken() -> None:
    ranks = Ranks(2)
    assert ranks.call(0, "send", numbers(1, 2), 1) is ...
    assert ranks.call(1, "recv", 0).array.tolist() == [1.0, 2.0]
    assert ranks.answers[0] == [None]


def test_a_buffered_send_returns_at_once() -> None:
    ranks = Ranks(2, rendezvous=False)
    assert ranks.call(0, "send", numbers(1), 1) is None
    assert ranks.comm.unreceived == 1
    assert ranks.call(1, "recv", 0).array.tolist() == [1.0]
    assert ranks.comm.unreceived == 0


def test_messages_of_one_pair_arrive_in_the_order_they_were_sent() -> None:
    ranks = Ranks(3, rendezvous=False)
    ranks.call(0, "send", numbers(1), 2)
    ranks.call(1, "send", numbers(9), 2)
    ranks.call(0, "send", numbers(2), 2)
    arrived = [ranks.call(2, "recv", source).array.tolist() for source in (0, 1, 0)]
    assert arrived == [[1.0], [9.0], [2.0]]


def test_an_isend_is_done_when_it_has_been_taken() -> None:
    ranks = Ranks(2)
    handle = ranks.call(0, "isend", numbers(5), 1)
    assert ranks.call(0, "wait", handle) is ...
    ranks.call(1, "recv", 0)
    assert ranks.last(0) is None
    with pytest.raises(Refusal, match="twice"):
        ranks.call(0, "wait", handle)


def test_a_round_counts_the_messages_that_depend_on_each_other() -> None:
    # Three ranks pass a message around a ring: all three of a step go at the same time.
    ranks = Ranks(3)
    for _ in range(2):
        handles = [ranks.call(r, "isend", numbers(r), (r + 1) % 3) for r in range(3)]
        for r in range(3):
            ranks.call(r, "recv", (r - 1) % 3)
            ranks.call(r, "wait", handles[r])
    assert [event.round for event in ranks.comm.messages(1)] == [1, 2]
    assert [event.peer for event in ranks.comm.messages(1)] == [2, 2]
    # A chain: rank 1 can send only what it has received.
    chain = Ranks(3, rendezvous=False)
    chain.call(0, "send", numbers(1), 1)
    chain.call(1, "recv", 0)
    chain.call(1, "send", numbers(1), 2)
    assert [event.round for event in chain.comm.messages()] == [1, 2]


def test_ranks_that_all_send_first_are_a_deadlock_with_rendezvous_only() -> None:
    ranks = Ranks(2)
    ranks.call(0, "send", numbers(1), 1)
    ranks.call(1, "send", numbers(1), 0)
    assert ranks.comm.deadlock
    assert str(ranks.last(0)) == (
        "nobody can go on: rank 0 waits in send to rank 1, rank 1 waits in send to rank 0"
    )
    assert isinstance(ranks.last(1), Refusal)
    buffered = Ranks(2, rendezvous=False)
    buffered.call(0, "send", numbers(1), 1)
    buffered.call(1, "send", numbers(1), 0)
    assert not buffered.comm.deadlock


def test_a_rank_that_waits_for_one_that_has_returned_is_told_so() -> None:
    ranks = Ranks(2)
    ranks.call(0, "recv", 1)
    ranks.comm.rank_ended(1)
    assert "rank 1 has returned" in str(ranks.last(0))
    assert ranks.comm.out_of_step == (1,)


@pytest.mark.parametrize("peer", [0, 2, -1, True, "1", None])
def test_a_partner_that_is_none_is_refused(peer: object) -> None:
    with pytest.raises(Refusal, match="as its partner"):
        Ranks(2).call(0, "send", numbers(1), peer)


# collectives --------------------------------------------------------------------------------------


def test_a_broadcast_gives_every_rank_what_the_source_has() -> None:
    ranks = Ranks(3)
    for rank in range(3):
        ranks.call(rank, "broadcast", numbers(rank), 2)
    assert [ranks.last(rank) for rank in range(3)] == [[2.0]] * 3


def test_an_all_gather_gives_all_tensors_in_the_order_of_ranks() -> None:
    ranks = Ranks(2)
    ranks.call(1, "all_gather", numbers(7), None)
    ranks.call(0, "all_gather", numbers(5), None)
    assert [tensor.array.tolist() for tensor in ranks.last(1)] == [[5.0], [7.0]]


def test_an_asynchronous_all_reduce_returns_at_once_and_is_complete_at_wait() -> None:
    ranks = Ranks(2)
    first, second = (ranks.call(0, "all_reduce", numbers(n), True) for n in (1, 10))
    assert ranks.call(0, "wait", first) is ...
    ranks.call(1, "all_reduce", numbers(2), False)
    assert ranks.last(0) == [3.0]
    ranks.call(1, "all_reduce", numbers(20), False)
    assert ranks.call(0, "wait", second).array.tolist() == [30.0]
    assert [event.op for event in ranks.comm.events if event.rank == 0] == [
        "all_reduce", "all_reduce", "wait", "wait",
    ]  # fmt: skip
    assert [event.number for event in ranks.comm.calls("wait", 0)] == [0, 1]


def test_different_collectives_end_every_rank() -> None:
    ranks = Ranks(2)
    ranks.call(0, "broadcast", numbers(1), 0)
    ranks.call(1, "all_reduce", numbers(1), False)
    assert (
        ranks.comm.mismatch == "collective number 1 is broadcast on rank 0 and all-reduce on rank 1"
    )
    with pytest.raises(Refusal, match="collective number 1"):
        ranks.call(1, "all_reduce", numbers(1), False)


def test_different_types_end_every_rank() -> None:
    ranks = Ranks(2)
    ranks.call(0, "all_reduce", numbers(1), False)
    ranks.call(1, "all_reduce", Tensor(np.ones(1, np.float32)), False)
    assert "different types: rank 0 float64, rank 1 float32" in str(ranks.comm.mismatch)


def test_an_all_reduce_that_a_rank_began_and_another_never_called_is_noticed_at_the_end() -> None:
    ranks = Ranks(2)
    ranks.call(0, "all_reduce", numbers(1), True)
    ranks.comm.rank_ended(0)
    assert ranks.comm.mismatch is None
    ranks.comm.rank_ended(1)
    assert ranks.comm.mismatch == "rank 0 waits in all-reduce number 1, which rank 1 never called"


def test_the_sum_keeps_the_type() -> None:
    ranks = Ranks(2)
    for rank in range(2):
        ranks.call(rank, "all_reduce", Tensor(np.full(2, 40_000, np.float16)), False)
    assert ranks.answers[0][0].array.dtype == np.float16
    assert np.isinf(ranks.answers[0][0].array).all()


# bounds -------------------------------------------------------------------------------------------


def test_an_operation_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(Refusal, match="no all_reduce here"):
        Ranks(2, allowed={"send", "recv"}).call(0, "all_reduce", numbers(1), False)


@pytest.mark.parametrize("name", ["", "close", None, 3, ["send"]])
def test_an_unknown_operation_is_refused(name: Any) -> None:
    with pytest.raises(Refusal, match="comm has no"):
        Ranks(2).call(0, name, numbers(1), 1)


def test_the_number_of_calls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Comm, "MAX_EVENTS", 2)
    ranks = Ranks(2, rendezvous=False)
    ranks.call(0, "send", numbers(1), 1)
    ranks.call(0, "send", numbers(1), 1)
    with pytest.raises(Refusal, match="more than 2 calls"):
        ranks.call(0, "send", numbers(1), 1)


def test_another_list_of_events_is_filled_and_begins_empty_with_each_run() -> None:
    events: list[Any] = ["from before"]
    ranks = Ranks(1, events=events)
    assert events == []
    ranks.call(0, "all_reduce", numbers(1), False)
    assert [event.op for event in events] == ["all_reduce"]
    assert ranks.call(0, "size") == 1
