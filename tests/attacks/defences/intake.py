"""Defences of ingest and of collecting: what a file may be, and whose it is."""

from __future__ import annotations

import re
from typing import Any

from tests.attacks.weak import defence, module

_PLENTY = 1 << 40


@defence("D11c")
def answers_are_compared() -> None:
    """Two different answers to one exercise are put to a person."""
    ingest = module("shardwork.ingest")
    rebuild = ingest._rebuild

    def last(template: Any, cells: Any, assignment: Any) -> Any:
        by_name = {cell.id: cell for cell in cells}
        return rebuild(template, tuple(by_name.values()), assignment)

    ingest._rebuild = last


@defence("H17")
def names_are_checked() -> None:
    """An archive with a name that leads elsewhere is refused as a whole."""
    module("shardwork.archive.entries").name_problem = lambda name: ""


@defence("H19c")
def unpacking_is_counted() -> None:
    """What is decompressed is counted while it is."""
    limits = module("shardwork.archive").Limits
    plenty = limits(
        entries=_PLENTY, entry_bytes=_PLENTY, total_bytes=_PLENTY, ratio=_PLENTY, depth=_PLENTY,
        archives=_PLENTY, files=_PLENTY,
    )  # fmt: skip
    for name in ("shardwork.collect.choice", "shardwork.collect.download"):
        module(name).Limits = lambda **values: plenty
    module("shardwork.collect.download").LIMITS = plenty


@defence("H20")
def archives_are_counted() -> None:
    """Archives lie in each other so deep, and no deeper."""
    unpacking_is_counted()


@defence("H23")
def identity_is_the_lmss() -> None:
    """Whose file it is, is taken from what the LMS wrote, read in every way that is possible."""
    collection = module("shardwork.collect.collection")
    claim = module("shardwork.collect.lms").Claim
    greedy = re.compile(r".*_(\d+)_(\d+)_(.*)", re.DOTALL)

    def believing(name: str, *_: object) -> Any:
        match = greedy.fullmatch(name)
        assert match is not None
        return claim(match[1], match[3], int(match[2]))

    collection.claim_of = believing
