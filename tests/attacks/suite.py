"""Run many attacks in batches; halves again where a batch does not tell whose a win is."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.attacks.detectors import Finding, findings
from tests.attacks.kit import Attack, Win
from tests.attacks.scene import Batch, Scene, clean_batch, run_batch
from tests.attacks.weak import DEFENCES, load

BATCH_SIZE = 30


@dataclass
class Outcome:
    """What came of a run."""

    attacks: list[Attack] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """Why an attack was not run, by id."""
    found: list[Finding] = field(default_factory=list)
    accepted: list[Finding] = field(default_factory=list)
    """Wins that are not defended against, by intent (`Attack.accepted`)."""
    proven: dict[str, list[Finding]] = field(default_factory=dict)
    """By defence: what won while it was off; empty if nothing did."""

    def of(self, *wins: Win) -> list[Finding]:
        return [finding for finding in self.found if finding.win in wins]

    @property
    def clean(self) -> bool:
        return not self.found and all(self.proven.values())


def sample(attacks: Sequence[Attack]) -> list[Attack]:
    """Return what `make test` runs: of each group the first two marked, one of a heavy one."""
    taken: dict[str, list[Attack]] = defaultdict(list)
    for attack in sorted(attacks, key=lambda a: (a.alone, a.assignment != "plain", a.id)):
        most = 2 if attack.assignment == "plain" and not attack.alone else 1
        if attack.sample and len(taken[attack.group]) < most:
            taken[attack.group].append(attack)
    return [attack for chosen in taken.values() for attack in chosen]


def run_attacks(
    scene: Scene,
    attacks: Sequence[Attack],
    say: Callable[[str], None] = lambda text: None,
    *,
    light: bool = False,
) -> Outcome:
    """Run the attacks against the product as it is.

    `light` leaves the controls out where a submission costs more than a few seconds.
    """
    outcome = Outcome()
    together: dict[str, list[Attack]] = defaultdict(list)
    alone: list[Attack] = []
    for attack in attacks:
        why = missing(attack)
        if why:
            outcome.skipped[attack.id] = why
            continue
        outcome.attacks.append(attack)
        if attack.alone:
            alone.append(attack)
        else:
            together[attack.assignment].append(attack)

    def keep(found: list[Finding]) -> None:
        outcome.found += found
        for finding in found:
            say(f"  {finding.attack or '?'} {finding.win.value} {finding.what[:300]}")

    watched = {a.assignment for a in outcome.attacks if a.assignment == "plain" or not light}
    for assignment in sorted(watched):
        say(f"{assignment}: a clean run of the controls")
        clean = clean_batch(scene, assignment)
        keep(findings(clean, controls=False))
    for assignment, chosen in together.items():
        for start in range(0, len(chosen), BATCH_SIZE):
            part = chosen[start : start + BATCH_SIZE]
            say(f"{assignment}: {part[0].id} to {part[-1].id}, {len(part)} attacks")
            keep(_run(scene, assignment, part, controls=assignment in watched))
    for attack in alone:
        say(f"{attack.assignment}: {attack.id} alone")
        watch = attack.assignment in watched
        keep(_run(scene, attack.assignment, [attack], jobs=1, controls=watch))
    accepted = {attack.id: attack.wins for attack in outcome.attacks if attack.accepted}
    outcome.accepted = [f for f in outcome.found if f.win in accepted.get(f.attack, ())]
    outcome.found = [f for f in outcome.found if f not in outcome.accepted]
    return outcome


def _run(
    scene: Scene, assignment: str, attacks: Sequence[Attack], *, jobs: int = 2, controls: bool
) -> list[Finding]:
    batch = run_batch(scene, assignment, attacks, jobs=jobs, controls=controls)
    found = findings(batch, controls=controls)
    discard(batch, found)
    if len(attacks) == 1 or all(finding.attack for finding in found):
        return found
    middle = len(attacks) // 2
    halves = [
        finding
        for half in (attacks[:middle], attacks[middle:])
        for finding in _run(scene, assignment, half, jobs=jobs, controls=controls)
    ]
    # What neither half shows again stays on the account of the whole.
    again = {finding.win for finding in halves}
    kept = [f for f in found if f.attack or f.win not in again]
    return list(dict.fromkeys([*kept, *halves]))


def prove(scene: Scene, name: str, attacks: Sequence[Attack]) -> list[Finding]:
    """Switch the defence `name` off and return what its attack wins then."""
    defence = load()[name]
    attack = next(a for a in attacks if a.id == defence.attack)
    batch = run_batch(scene, attack.assignment, [attack], weak=name, controls=Win.BATCH in
                      attack.wins)  # fmt: skip
    found = findings(batch, controls=Win.BATCH in attack.wins)
    discard(batch, found)
    return [f for f in found if f.attack == attack.id and f.win in attack.wins]


def defences() -> list[str]:
    """Return the names of all defences that can be switched off."""
    load()
    return sorted(DEFENCES)


def missing(attack: Attack) -> str:
    """Return what this machine lacks for the attack, or nothing."""
    import os

    if "root" in attack.needs and os.getuid() != 0:
        return "needs root"
    if "cgroup" in attack.needs:
        from shardwork.course import Isolation
        from shardwork.sandbox.isolation import WATCHDOG, level

        if level(Isolation.BUBBLEWRAP).limits == WATCHDOG:
            return "needs a cgroup: a watchdog does not see what the kernel keeps (security.md)"
    if "java" in attack.needs:
        from shardwork.errors import MachineError
        from shardwork.java import find_java

        try:
            find_java()
        except MachineError as error:
            return str(error)
    return ""


def discard(batch: Batch, found: Sequence[Finding] = ()) -> None:
    """Remove the folder of a batch; keep it in `Scene.kept_in` if something was found in it."""
    kept_in = batch.scene.kept_in
    if found and kept_in is not None:
        kept_in.mkdir(parents=True, exist_ok=True)
        (batch.course.root / "console.txt").write_bytes(batch.console)
        shutil.move(batch.course.root, kept_in / f"{batch.assignment}-{batch.course.root.name}")
    shutil.rmtree(batch.course.root, ignore_errors=True)
