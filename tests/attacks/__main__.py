"""`python -m tests.attacks`: run attacks and print the table."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.attacks.corpus import load
from tests.attacks.kit import Win
from tests.attacks.scene import open_scene
from tests.attacks.suite import Outcome, defences, prove, run_attacks, sample
from tests.attacks.weak import DEFENCES


def main() -> int:
    """Run what was asked for; the exit status is 1 if anything won, or a detector was dead."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks")
    parser.add_argument("selected", nargs="*", help="A05b, A05 or A; nothing means all")
    parser.add_argument("--sample", action="store_true", help="the sample that `make test` runs")
    parser.add_argument("--weak", action="store_true", help="also switch each defence off")
    parser.add_argument(
        "--only-weak", nargs="*", metavar="DEFENCE", help="only these, switched off"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep courses with findings")
    parser.add_argument(
        "--isolation", choices=("bubblewrap", "docker"), default="bubblewrap", help="what is tried"
    )
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    attacks = load(tuple(chosen.selected))
    attacks = sample(attacks) if chosen.sample else attacks
    with open_scene() as scene:
        scene.kept_in, scene.isolation = chosen.keep, chosen.isolation
        outcome = Outcome()
        if chosen.only_weak is None:
            outcome = run_attacks(scene, attacks, _say, light=chosen.sample)
        names = chosen.only_weak or (defences() if chosen.weak or chosen.only_weak == [] else [])
        for name in names:
            _say(f"without {name}")
            outcome.proven[name] = found = prove(scene, name, load())
            _say("  " + (", ".join(sorted({f.win.value for f in found})) or "nothing won"))
    if chosen.json:
        sys.stdout.write(json.dumps(_plain(outcome), indent=1) + "\n")
    else:
        _print(outcome)
    return 0 if outcome.clean else 1


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "attacks": [a.id for a in outcome.attacks],
        "skipped": outcome.skipped,
        "wins": [(f.attack, f.win.value, f.what) for f in outcome.found],
        "accepted": [(f.attack, f.win.value, f.what) for f in outcome.accepted],
        "leaks": len(outcome.of(Win.LEAK)),
        "leftovers": len(outcome.of(Win.LEFT)),
        "defences": {name: [(f.attack, f.win.value, f.what) for f in found]
                     for name, found in outcome.proven.items()},
    }  # fmt: skip


def _print(outcome: Outcome) -> None:
    console = Console(highlight=False, markup=False)
    groups = defaultdict(list)
    for attack in outcome.attacks:
        groups[attack.group].append(attack.id)
    table = Table("group", "attacks", "wins", "leaks", "leftovers", title="Attacks")
    by_group = {group: [f for f in outcome.found if f.attack.startswith(group)] for group in groups}
    by_group["?"] = [f for f in outcome.found if not f.attack]
    for group, found in by_group.items():
        wins = [f for f in found if f.win not in (Win.LEAK, Win.LEFT)]
        table.add_row(
            group, str(len(groups.get(group, []))), str(len(wins)),
            str(sum(f.win is Win.LEAK for f in found)), str(sum(f.win is Win.LEFT for f in found)),
        )  # fmt: skip
    table.add_section()
    table.add_row(
        "all", str(len(outcome.attacks)),
        str(len(outcome.found) - len(outcome.of(Win.LEAK, Win.LEFT))),
        str(len(outcome.of(Win.LEAK))), str(len(outcome.of(Win.LEFT))),
    )  # fmt: skip
    console.print(table)
    for finding in outcome.found:
        console.print(f"{finding.attack or '?'}  {finding.win.value}  {finding.what[:300]}")
    reasons = {attack.id: attack.accepted for attack in outcome.attacks}
    for finding in outcome.accepted:
        console.print(f"{finding.attack}  accepted: {finding.what}; {reasons[finding.attack]}")
    for name, why in outcome.skipped.items():
        console.print(f"{name}  not run: {why}")
    if outcome.proven:
        proven = Table("defence", "attack", "wins when it is off", title="Defences")
        for name, found in outcome.proven.items():
            won = ", ".join(sorted({f.win.value for f in found})) or "NOTHING: not proven"
            proven.add_row(name, DEFENCES[name].attack, won)
        console.print(proven)
        alive = sum(map(bool, outcome.proven.values()))
        console.print(f"{alive} of {len(outcome.proven)} defences proven")


if __name__ == "__main__":
    sys.exit(main())
