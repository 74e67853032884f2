"""`python -m tests.attacks.weak_judge DEFENCE`: the judge with one defence off."""

from __future__ import annotations

import sys

from tests.attacks.weak import switch_off

if __name__ == "__main__":
    switch_off(sys.argv.pop(1))
    from shardwork.judge.__main__ import main

    main()
