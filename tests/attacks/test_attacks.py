"""No attack wins, and every detector has seen one win: a fixed sample, or everything.

`SHARDWORK_ATTACKS=all` runs all attacks and switches every defence off in turn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from shardwork.sandbox import isolation
from tests.attacks.corpus import load
from tests.attacks.kit import Attack
from tests.attacks.scene import Scene, open_scene
from tests.attacks.suite import defences, missing, prove, run_attacks, sample
from tests.attacks.weak import DEFENCES

ALL = os.environ.get("SHARDWORK_ATTACKS") == "all"
CHOSEN = load() if ALL else sample(load())
SAMPLED_DEFENCES = ("strict_types", "own_view", "scrubbed_environment", "details_kept")
WHY_NOT = isolation.problem()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(4 * 3600 if ALL else 900),
    pytest.mark.skipif(WHY_NOT is not None, reason=f"no sandbox: {WHY_NOT}"),
]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with open_scene() as made:
        yield made


def _names(attacks: list[Attack]) -> str:
    return ", ".join(a.id for a in attacks)


def test_no_attack_wins(scene: Scene) -> None:
    outcome = run_attacks(scene, CHOSEN, light=not ALL)
    assert outcome.attacks, "nothing was run"
    won = "\n".join(f"{f.attack or '?'} {f.win.value} {f.what}" for f in outcome.found)
    assert not won, f"of {_names(outcome.attacks)}:\n{won}"


@pytest.mark.parametrize("name", defences() if ALL else SAMPLED_DEFENCES)
def test_without_a_defence_its_attack_wins(scene: Scene, name: str) -> None:
    defences()  # registers them
    attacks = {attack.id: attack for attack in load()}
    why = missing(attacks[DEFENCES[name].attack])
    if why:
        pytest.skip(why)
    assert prove(scene, name, list(attacks.values())), f"{DEFENCES[name].attack} wins nothing"


def test_every_group_has_five_attacks_and_some_in_the_sample() -> None:
    attacks = load()
    for group in "ABCDEFGHSKTP":
        of_group = [a for a in attacks if a.group == group]
        assert len(of_group) >= 5, group
        assert sample(of_group), group


def test_every_defence_names_an_attack_that_exists() -> None:
    ids = {attack.id for attack in load()}
    defences()
    assert {d.attack for d in DEFENCES.values()} <= ids
    assert len(DEFENCES) >= 15
