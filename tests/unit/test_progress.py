"""What a batch says of itself: the estimate of the time left, and where the time went."""

from __future__ import annotations

import pytest

from shardwork.batch import _Due, longest_first
from shardwork.phases import Phases
from shardwork.progress import about, left_s

pytestmark = pytest.mark.unit


def test_the_rest_takes_as_long_as_what_is_done_took() -> None:
    assert left_s(30.0, judged=10, remaining=20) == 60.0
    assert left_s(30.0, judged=10, remaining=0) == 0.0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, ""), (4.9, ""), (31.0, ", about 40 s left"), (90.0, ", about 2 min left"),
     (3601.0, ", about 61 min left")],
)  # fmt: skip
def test_an_estimate_is_said_no_more_exactly_than_it_is(seconds: float, said: str) -> None:
    assert about(seconds) == said


def test_phases_add_up_whatever_is_raised_in_them() -> None:
    phases = Phases()
    for _ in range(2):
        with pytest.raises(ValueError), phases("records"):
            raise ValueError
    with phases("ingest"), phases("records"):
        pass
    assert set(phases.seconds()) == {"records", "ingest"}
    assert all(seconds >= 0 for seconds in phases.seconds().values())


def test_the_longest_are_judged_first_and_new_ones_in_the_middle() -> None:
    names = {"short": 1.0, "new": None, "long": 9.0, "newer": None}
    ordered = [one.student for one in longest_first([_Due(*item) for item in names.items()])]
    assert ordered == ["long", "new", "newer", "short"]
    new = [_Due("b", None), _Due("a", None)]
    assert longest_first(new) == new
