"""No false alarm: right answers with honest habits get full points, and nobody is killed.

`SHARDWORK_ATTACKS=all` runs all 200 instead of a sample.
"""

from __future__ import annotations

import os

import pytest

from shardwork.sandbox import isolation
from tests.attacks.honest.variants import SAMPLE, Variant, run, variants
from tests.attacks.kit import Submission
from tests.attacks.scene import open_scene

ALL = os.environ.get("SHARDWORK_ATTACKS") == "all"
WHY_NOT = isolation.problem()
WRONG = Variant("a wrong answer", "plain", Submission())
HANGS = Variant("a cell that hangs", "plain", Submission(before=("while True: pass",)))


@pytest.mark.integration
@pytest.mark.timeout(2 * 3600 if ALL else 600)
@pytest.mark.skipif(WHY_NOT is not None, reason=f"no sandbox: {WHY_NOT}")
def test_right_answers_with_honest_habits_get_full_points_and_raise_no_alarm() -> None:
    chosen = [variant for variant in variants() if variant.sample or ALL]
    # Two that must raise an alarm: they show that one would be heard.
    with open_scene() as scene:
        found = list(run(scene, [*chosen, WRONG, HANGS]))
    false = [f"{v.name if v else '(batch)'}: {w}" for v, w in found if v not in (WRONG, HANGS)]
    assert not false, "\n".join(false)
    assert any("0.0 of 15 points" in what for variant, what in found if variant is WRONG)
    assert any("never_returned" in what for variant, what in found if variant is HANGS)


@pytest.mark.unit
def test_there_are_two_hundred_variants_with_names_of_their_own() -> None:
    everything = variants()
    kinds = [variant.assignment for variant in everything]
    count = {kind: kinds.count(kind) for kind in ("plain", "dask", "torch", "spark")}
    assert count == {"plain": 170, "dask": 15, "torch": 10, "spark": 5}
    assert len({v.name for v in everything}) == 200
    assert sum(v.sample for v in everything) == len(SAMPLE)
