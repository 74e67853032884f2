"""The attacks, one module for each group or two; each module binds `ATTACKS`."""

from __future__ import annotations

import importlib
import pkgutil

from tests.attacks.kit import Attack


def load(selected: tuple[str, ...] = ()) -> list[Attack]:
    """Return the attacks whose id or group is in `selected` (all, if nothing is), by id.

    Raises ValueError if an id stands twice or something selected does not exist.
    """
    found: dict[str, Attack] = {}
    for module in pkgutil.iter_modules(__path__):
        for attack in importlib.import_module(f"{__name__}.{module.name}").ATTACKS:
            if attack.id in found:
                raise ValueError(f"two attacks have the id {attack.id}")
            found[attack.id] = attack
    unknown = [s for s in selected if not any(s in (a.id, a.group, a.row) for a in found.values())]
    if unknown:
        raise ValueError(f"no attack or group {', '.join(unknown)}")
    chosen = [a for a in found.values() if not selected or {a.id, a.group, a.row} & set(selected)]
    return sorted(chosen, key=lambda attack: attack.id)
