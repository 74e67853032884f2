"""`python -m tests.attacks.honest [N | WORD...]`: grade the first N, or those named with a WORD."""

from __future__ import annotations

import sys
import time

from tests.attacks.honest.variants import Variant, run, variants
from tests.attacks.scene import open_scene


def main(arguments: list[str]) -> int:
    """Print what differs; the exit status is 1 if anything does."""
    chosen = _chosen(variants(), arguments)
    began = time.monotonic()
    found: dict[str, list[str]] = {}
    with open_scene() as scene:
        for variant, what in run(scene, chosen):
            name = variant.name if variant else "(batch)"
            found.setdefault(name, []).append(what)
            sys.stdout.write(f"{name}: {what}\n")
            sys.stdout.flush()
    seconds = time.monotonic() - began
    sys.stdout.write(f"{len(chosen)} variants in {seconds:.0f} s; {len(found)} with an alarm\n")
    return 1 if found else 0


def _chosen(everything: list[Variant], arguments: list[str]) -> list[Variant]:
    if len(arguments) == 1 and arguments[0].isdigit():
        return everything[: int(arguments[0])]
    return [v for v in everything if not arguments or any(a in v.name for a in arguments)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
