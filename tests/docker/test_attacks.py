"""A few attacks of the suite against containers; the whole: all of them by `--isolation docker`.

They are those that try what a container does otherwise than bubblewrap: its file system, its
network, its first process, its bounds.
"""

from __future__ import annotations

import pytest

from tests.attacks.corpus import load
from tests.attacks.scene import open_scene
from tests.attacks.suite import run_attacks

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("images")]

CHOSEN = ("A01", "D01", "E02", "F01", "F03", "P01", "P05")


def test_no_attack_wins_against_a_container() -> None:
    attacks = [attack for attack in load(CHOSEN) if attack.id in CHOSEN]
    assert len(attacks) == len(CHOSEN)
    with open_scene() as scene:
        scene.isolation = "docker"
        outcome = run_attacks(scene, attacks, light=True)
    won = "\n".join(f"{f.attack or '?'} {f.win.value} {f.what}" for f in outcome.found)
    assert not outcome.skipped
    assert not won, won
