"""Canary tokens, and the search for them in whatever form they come back."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import itertools
import re
import secrets
import urllib.parse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_SEARCHED_BYTES = 64 << 20
_TAG = re.compile(rb"<[^<>]{0,2000}>")
_NOT_ALNUM = re.compile(rb"[^0-9A-Za-z]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2}){16,}")
_ZLIB_STARTS = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


@dataclass(frozen=True)
class Token:
    """A secret of 128 bits. `kind` is one of the names in threats.md (`C_TEST`)."""

    kind: str
    text: str

    @property
    def core(self) -> str:
        """The random part of the text."""
        return self.text[6:] if self.text.startswith("cnry") else self.text


def new_token(kind: str) -> Token:
    """Return a token such as `cnryte` followed by 32 hexadecimal digits."""
    short = kind.removeprefix("C_")[:2].lower()
    return Token(kind, f"cnry{short}{secrets.token_hex(16)}")


@dataclass
class Tokens:
    """The tokens of one run. `factors` are two numbers whose product is C_EXP."""

    test: Token = field(default_factory=lambda: new_token("C_TEST"))
    gradebook: Token = field(default_factory=lambda: new_token("C_GB"))
    environment: Token = field(default_factory=lambda: new_token("C_ENV"))
    file: Token = field(default_factory=lambda: new_token("C_FILE"))
    input: Token = field(default_factory=lambda: new_token("C_IN"))
    factors: tuple[int, int] = field(
        default_factory=lambda: (secrets.randbits(63) | 1 << 63, secrets.randbits(63) | 1 << 63)
    )
    others: dict[str, Token] = field(default_factory=dict)
    """C_OTHER, by student."""

    @property
    def expected(self) -> Token:
        return Token("C_EXP", str(self.factors[0] * self.factors[1]))

    def other_of(self, student: str) -> Token:
        """Return the token that stands in this student's submission."""
        return self.others.setdefault(student, new_token("C_OTHER"))

    def secret_from(self, student: str) -> list[Token]:
        """Return what `student` must not know; C_IN is not among it, for it enters the sandbox."""
        fixed = [self.test, self.gradebook, self.environment, self.file, self.expected]
        return fixed + [token for name, token in self.others.items() if name != student]


def search(data: bytes, tokens: list[Token]) -> list[tuple[Token, str]]:
    """Return each token that `data` holds, with the form in which it does.

    Forms: as it is, reversed, hexadecimal, base64 (at each alignment), rot13, percent-encoded,
    inside zlib streams (bare, base64 or hexadecimal), and split: with anything but letters and
    digits between its characters, or in two halves anywhere.
    """
    data = data[:MAX_SEARCHED_BYTES]
    found: dict[tuple[str, str], tuple[Token, str]] = {}
    for layer, content in _layers(data):
        lowered = content.lower()
        squeezed = _NOT_ALNUM.sub(b"", _TAG.sub(b"", html.unescape(
            lowered.decode("latin-1")).encode("utf-8", "replace")))  # fmt: skip
        for token in tokens:
            form = _form(token.core.lower(), content, lowered, squeezed)
            if form:
                found.setdefault((token.kind, token.text), (token, layer + form))
    return list(found.values())


def _form(core: str, content: bytes, lowered: bytes, squeezed: bytes) -> str:
    plain = core.encode()
    half = len(core) // 2
    forms: list[tuple[str, bytes, bytes]] = [
        ("plain", plain, lowered),
        ("reversed", plain[::-1], lowered),
        ("hex", plain.hex().encode(), lowered),
        ("rot13", codecs.encode(core, "rot13").encode(), lowered),
        ("url", "".join(f"%{b:02x}" for b in plain).encode(), lowered),
        ("split", plain, squeezed),
        ("split, reversed", plain[::-1], squeezed),
        *(("base64", form, content) for form in _base64_forms(plain)),
    ]
    if core.isdigit():
        forms.append(("hex number", f"{int(core):x}".encode(), lowered))
    else:  # the 128 bits themselves
        bits = bytes.fromhex(core)
        forms.append(("bytes", bits, content))
        forms += [("base64 bytes", form, content) for form in _base64_forms(bits)]
        forms.append(("number", str(int(core, 16)).encode(), lowered))
    for name, pattern, place in forms:
        if pattern in place:
            return name
    if plain[:half] in lowered and plain[half:] in lowered:
        return "halves"
    return ""


def _base64_forms(plain: bytes) -> Iterator[bytes]:
    """Yield what base64 of a text with `plain` inside must hold, at each of three alignments."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + plain)
        first = -(-shift * 8 // 6)
        whole = (shift + len(plain)) * 8 // 6
        yield coded[first:whole]
        yield coded[first:whole].replace(b"+", b"-").replace(b"/", b"_")


def _layers(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "", data
    packed = itertools.chain(
        [("", data)],
        (("base64 ", raw) for raw in map(_from_base64, _BASE64.findall(data)) if raw),
        (("hex ", binascii.unhexlify(m)) for m in _HEX.findall(data)),
        [("url ", urllib.parse.unquote_to_bytes(data))] if b"%" in data else [],
    )
    for name, raw in packed:
        for start in _ZLIB_STARTS:
            at = raw.find(start)
            while at != -1:
                try:
                    content = zlib.decompressobj().decompress(raw[at:], 1 << 20)
                except zlib.error:
                    content = b""
                if content:
                    yield f"{name}zlib ", content
                at = raw.find(start, at + 1)


def _from_base64(text: bytes) -> bytes:
    text = text.replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return b""


def quoted_forms(token: Token) -> dict[str, str]:
    """Return `token` in the forms that `search` knows, for its own test."""
    text = token.text
    return {
        "plain": text,
        "upper": text.upper(),
        "reversed": text[::-1],
        "hex": text.encode().hex(),
        "base64": base64.b64encode(b"x" + text.encode()).decode(),
        "rot13": codecs.encode(text, "rot13"),
        "url": "".join(f"%{b:02X}" for b in text.encode()),
        "zlib": base64.b64encode(zlib.compress(text.encode())).decode(),
        "split": " ".join(text),
        "halves": f"{text[:22]} and then {text[22:]}",
    }
