"""The account of a failed `run_ranks`: which rank is named, and in which words."""

from __future__ import annotations

import pickle

import pytest

from shardwork.lab.rank_frames import FrameBuffer, Output, RankState, Report, encode
from shardwork.lab.ranks import RankError, _rank_error

pytestmark = pytest.mark.unit


def raised(rank: int, at_s: float, error: str, *, lost_peer: bool = False) -> Report:
    return Report(rank, RankState.RAISED, at_s, error=error, lost_peer=lost_peer)


def root_of(*reports: Report) -> int | None:
    root = _rank_error(reports, 60.0).root
    return None if root is None else root.rank


def test_the_earliest_failure_is_the_root_cause() -> None:
    assert root_of(raised(0, 2.0, "KeyError: 'b'"), raised(1, 1.0, "KeyError: 'a'")) == 1


def test_a_rank_that_lost_its_peer_is_not_the_cause_though_it_was_noticed_first() -> None:
    died = Report(1, RankState.DIED, 2.0, error="its process was ended by signal 9 (SIGKILL)")
    complaint = raised(0, 1.0, "RuntimeError: Connection closed by peer", lost_peer=True)
    assert root_of(complaint, died) == 1


def test_a_lost_peer_is_the_cause_where_nothing_else_failed() -> None:
    complaint = raised(0, 1.0, "RuntimeError: Connection closed by peer", lost_peer=True)
    error = _rank_error([complaint, Report(1, RankState.RETURNED, 0.5)], 60.0)
    assert error.root is error.ranks[0]
    assert "Rank 1 had already returned while rank 0 waited in a collective" in str(error)


def test_where_no_rank_failed_those_that_had_not_finished_are_named() -> None:
    reports = [Report(rank, RankState.UNFINISHED, 5.0) for rank in range(3)]
    error = _rank_error([*reports, Report(3, RankState.RETURNED, 1.0)], 5.0)
    assert error.root is None
    assert str(error) == (
        "After 5 s, ranks 0, 1 and 2 of 4 had not finished; all were ended. (rank 3 had returned)"
    )


def test_a_mismatch_of_collectives_is_said_in_plain_words() -> None:
    # The text of torch 2.13 at debug level DETAIL, shortened.
    text = (
        "RuntimeError: Detected mismatch between collectives on ranks. Rank 1 is running "
        "collective: CollectiveFingerPrint(SequenceNumber=0, OpType=BROADCAST, TensorShape=[4], "
        "TensorDtypes=Float), but Rank 0 is running collective: CollectiveFingerPrint("
        "SequenceNumber=0, OpType=ALLREDUCE, TensorShape=[2, 3], TensorDtypes=Float)."
    )
    error = _rank_error([Report(0, RankState.ENDED, 1.0), raised(1, 1.0, text)], 60.0)
    assert str(error).endswith(
        "rank 1 called BROADCAST (shape [4]) and rank 0 called ALLREDUCE (shape [2, 3])."
    )


def test_an_error_survives_pickling() -> None:
    error = _rank_error([raised(0, 1.0, "KeyError: 'a'")], 60.0)
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, RankError)
    assert (str(copy), copy.ranks, copy.root) == (str(error), error.ranks, error.root)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_frames_come_out_whole_however_the_bytes_arrive(step: int) -> None:
    messages = [Output(0, "stdout", "a"), Output(1, "stderr", "b" * 50)]
    data = b"".join(encode(message) for message in messages)
    buffer = FrameBuffer()
    found = [m for i in range(0, len(data), step) for m in buffer.feed(data[i : i + step])]
    assert found == messages
