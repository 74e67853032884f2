"""Defences of the judge's side of the conversation, and of what becomes of what was said."""

from __future__ import annotations

import itertools

from tests.attacks.weak import defence, module

_LONG_S = 600.0


@defence("P01")
def replies_belong_to_questions() -> None:
    """A reply counts for the question that it was sent for: no two have the same number."""
    module("shardwork.judge.dialogue")._number = lambda: 7


@defence("P01b")
def numbers_are_not_guessed() -> None:
    """The numbers of questions cannot be known before they are asked."""
    numbers = itertools.count(1)
    module("shardwork.judge.dialogue")._number = lambda: next(numbers)


@defence("P02f")
def messages_are_weighed() -> None:
    """What a message would take in memory is known before anything is made of it."""
    module("shardwork.wire.frames").MAX_DECODED_BYTES = 1 << 40


@defence("P03")
def writing_ends() -> None:
    """A sandbox that does not read is waited for no longer than one that does not answer."""
    deadline = module("shardwork.wire.frames").Deadline
    wait = deadline.wait

    def patient(self: object, sock: object, *, writing: bool) -> None:
        wait(deadline(_LONG_S) if writing else self, sock, writing=writing)

    deadline.wait = patient


@defence("F07")
def links_are_refused() -> None:
    """What is handed in is a plain file in a plain folder, and nobody else's."""
    module("shardwork.ingest").read_file = lambda submitted, student, assignment: (
        submitted / student / assignment / f"{assignment}.ipynb"
    ).read_bytes()


@defence("F10b")
def pages_are_escaped() -> None:
    """Every value on a page is escaped, whatever it is."""
    module("shardwork.pages")._environment().autoescape = False


@defence("F14")
def controls_are_replaced() -> None:
    """Codes for a terminal become visible characters before anything is recorded."""
    for name in ("shardwork.sandbox.session", "shardwork.judge.dialogue"):
        module(name).plain = lambda text, *limits: text
