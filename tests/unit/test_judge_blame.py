"""What a grader says with a failing assertion, and the bank of wrong values."""

from __future__ import annotations

import math

import pytest

from shardwork.grading import GraderFault, OracleBank, blame

pytestmark = pytest.mark.unit


def equal(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9)


def test_blame_holds_the_code_the_sentence_and_the_evidence() -> None:
    said = blame("COLLECTS", because="{jobs} jobs ran.", jobs=3)
    assert (said.code, said.because, said.evidence) == ("COLLECTS", "{jobs} jobs ran.", {"jobs": 3})


def test_blame_without_a_code_names_no_misconception() -> None:
    assert blame(because="No.").code is None


def test_a_code_is_given_by_position_so_that_evidence_may_be_called_code() -> None:
    assert blame("SUM", code=7).evidence == {"code": 7}


def test_the_right_value_is_accepted_and_a_wrong_one_is_named() -> None:
    # shards [1, 2, 6] and [3]: mean 3; mean of means (3 + 3) / 2 = 3 too, so take [1, 2, 9]:
    # mean 15/4, mean of the shards' means (4 + 3) / 2, sum 15
    bank = OracleBank(3.75, {"MEAN_OF_MEANS": 3.5, "SUM_NOT_MEAN": 15.0}, equal)
    assert bank.accepts(3.75)
    assert not bank.accepts(3.5)
    assert bank.explain(3.5).code == "MEAN_OF_MEANS"
    assert bank.explain(15.0 * (1 + 1e-12)).code == "SUM_NOT_MEAN"


def test_a_value_that_no_known_algorithm_gives_is_named_by_nothing() -> None:
    bank = OracleBank(3.75, {"MEAN_OF_MEANS": 3.5}, equal)
    said = bank.explain(99.0, rank=1)
    assert (said.code, said.evidence) == (None, {"rank": 1})


def test_an_input_on_which_a_wrong_algorithm_gives_the_right_value_judges_nobody() -> None:
    with pytest.raises(GraderFault, match="the right value and MEAN_OF_MEANS agree"):
        OracleBank(3.0, {"MEAN_OF_MEANS": 3.0, "SUM_NOT_MEAN": 12.0}, equal)


def test_an_input_on_which_two_wrong_algorithms_give_the_same_value_judges_nobody() -> None:
    with pytest.raises(GraderFault, match="SUM_NOT_MEAN and LOCAL_ONLY agree"):
        OracleBank(3.0, {"SUM_NOT_MEAN": 6.0, "LOCAL_ONLY": 6.0}, equal)


def test_a_bank_does_not_change_with_the_table_it_was_made_from() -> None:
    wrong = {"SUM_NOT_MEAN": 6.0}
    bank = OracleBank(3.0, wrong, equal)
    wrong["SUM_NOT_MEAN"] = 3.0
    assert bank.explain(6.0).code == "SUM_NOT_MEAN"
