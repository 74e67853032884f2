"""What graders prepare: computed once for a seed, before any submission is judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shardwork.course import Limits
from shardwork.judge.graders import Graders
from shardwork.judge.prepared import generator, once_per_seed

pytestmark = pytest.mark.unit

GRADER = """
from shardwork.grading import once_per_seed

calls = []


@once_per_seed
def case(rng):
    calls.append(float(rng.normal()))
    return calls[-1]


@once_per_seed
def broken(rng):
    raise RuntimeError("no oracle")


def test_values(student, seed):
    assert case(seed)
"""


def test_it_is_computed_once_for_each_seed_from_numbers_of_its_own() -> None:
    made: list[float] = []

    @once_per_seed
    def case(rng: np.random.Generator) -> float:
        made.append(float(rng.normal()))
        return made[-1]

    assert [case(1), case(2), case(1)] == [made[0], made[1], made[0]]
    assert len(set(made)) == len(made) == 2
    again = generator(1, Path(__file__).name, "case").normal()
    assert case(1) == again
    assert generator(1, Path(__file__).name, "other").normal() != again


def test_it_is_there_before_the_first_submission_and_what_raises_waits_for_its_check(
    tmp_path: Path,
) -> None:
    (tmp_path / "test_tree.py").write_text(GRADER)
    graders = Graders(Limits(), {})
    found: list[int] = []

    def work() -> None:
        graders.prepare([7, 8])
        module = graders._checks[0].module
        found.append(len(module.calls))
        module.case(7)
        found.append(len(module.calls))
        with pytest.raises(RuntimeError, match="no oracle"):
            module.broken(7)

    graders.load(tmp_path, ["tree"], work)
    assert not graders.broken
    assert found == [2, 2]
