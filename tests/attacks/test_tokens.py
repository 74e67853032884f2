"""The search finds a token in every form that threats.md names, and nothing where there is none."""

from __future__ import annotations

import secrets

import pytest

from tests.attacks.tokens import Tokens, new_token, quoted_forms, search

TOKEN = new_token("C_TEST")


@pytest.mark.parametrize("form", sorted(quoted_forms(TOKEN)))
def test_a_token_is_found_in_every_form(form: str) -> None:
    page = f"<p>before {quoted_forms(TOKEN)[form]} after</p>"
    assert [token for token, _ in search(page.encode(), [TOKEN])] == [TOKEN]


def test_a_token_is_found_between_tags_and_entities() -> None:
    page = "".join(f"<b>&#{ord(c)};</b>\n" for c in TOKEN.text)
    assert search(page.encode(), [TOKEN])


@pytest.mark.parametrize("shift", range(3))
def test_base64_is_found_at_every_alignment(shift: int) -> None:
    import base64

    coded = base64.b64encode(b"x" * shift + TOKEN.text.encode() + b"yz")
    assert search(b"-" + coded, [TOKEN])


def test_an_expected_number_is_found_as_text_and_as_hex() -> None:
    expected = Tokens().expected
    assert search(f"it was {expected.text}".encode(), [expected])
    assert search(f"{int(expected.text):#x}".encode(), [expected])
    assert search(" ".join(expected.text).encode(), [expected])


def test_nothing_is_found_where_there_is_nothing() -> None:
    tokens = [new_token("C_TEST"), Tokens().expected]
    noise = secrets.token_bytes(200_000) + secrets.token_hex(50_000).encode()
    assert search(noise, tokens) == []
    assert search(TOKEN.text.encode(), tokens) == []


def test_a_student_may_know_its_own_token_and_no_other() -> None:
    tokens = Tokens()
    mine, other = tokens.other_of("a"), tokens.other_of("b")
    assert mine not in tokens.secret_from("a")
    assert other in tokens.secret_from("a")
    assert tokens.input not in tokens.secret_from("a")
