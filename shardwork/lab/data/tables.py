"""Make the tables: seeded, skewed, and bit by bit the same on every machine.

Only whole and uniform numbers are drawn, and only +, -, * and / are applied to them: a logarithm
may differ in its last bit between machines, and then so would the data.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from shardwork.lab.data.schema import SCHEMAS, describe
from shardwork.lab.data.table import Table
from shardwork.lab.data.words import (
    ANYWHERE,
    COUNTRIES,
    FAMILY_FIRST,
    FIRST_PAGES,
    PEOPLE,
    SECTIONS,
)

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

SEED = 2026
HEAVY_CUSTOMER = 7
"""Who has a fifth of all orders."""

_ORDERS, _CUSTOMERS, _CLICKS, _PAGES = 4_000, 400, 5_000, 200
_LINKS_EACH = 12
"""At most so many links on a page, and a page that has any has half as many on average."""


def orders(scale: float = 1, *, seed: int = SEED, dirty: bool = False) -> Table:
    """Make `4000 * scale` orders; `lab.describe("orders")` says what the columns mean.

    Customer 7 has a fifth of them, and the others are as uneven. With `dirty=True` amounts are text
    of several kinds, nulls occur, and 1 row in 50 comes twice (there are more rows then).
    """
    import numpy as np

    rng, n = _generator("orders", seed), _count(_ORDERS, scale)
    known = _count(_CUSTOMERS, scale)
    customer = 1 + _zipf(rng, known, n)
    heavy = min(HEAVY_CUSTOMER, known)
    customer[rng.random(n) < 0.20] = heavy
    customer = np.where(rng.random(n) < 0.01, known + rng.integers(1, 100, n), customer)
    customer[0] = heavy
    cents = rng.integers(100, 1_000, n) << _halving(rng, n, most=10)
    status = np.array(["paid", "open", "cancelled"], object)[
        np.searchsorted([0.85, 0.95], rng.random(n), side="right")
    ]
    columns: dict[str, Array] = {
        "order_id": 100_000 + np.arange(n),
        "customer_id": customer,
        "day": np.datetime64("2026-01-01") + rng.integers(0, 90, n),
        "amount": cents / 100,
        "status": status,
    }
    if dirty:
        columns["amount"] = _as_text(rng, columns["amount"])
        columns["status"] = _with(status, None, rng.random(n) < 0.03)
        columns = _repeat(rng, columns, 0.02)
    return Table(describe("orders", dirty=dirty), columns)


def customers(scale: float = 1, *, seed: int = SEED, dirty: bool = False) -> Table:
    """Make `400 * scale` customers, with names in many scripts.

    With `dirty=True` names have superfluous blanks, capitals, full-width letters or accents as
    characters of their own; countries are missing or unknown; 1 customer in 20 has a second row.
    """
    import numpy as np

    rng, n = _generator("customers", seed), _count(_CUSTOMERS, scale)
    country = _objects([COUNTRIES[i][0] for i in _zipf(rng, len(COUNTRIES), n)])
    names = []
    for code, a, b in zip(country, rng.random(n), rng.random(n), strict=True):
        given, family = PEOPLE.get(code, ANYWHERE)
        pair = [given[int(a * len(given))], family[int(b * len(family))]]
        names.append(" ".join(reversed(pair) if code in FAMILY_FIRST else pair))
    columns: dict[str, Array] = {
        "customer_id": 1 + np.arange(n),
        "name": _objects(names),
        "country": country,
        "joined": np.datetime64("2020-01-01") + rng.integers(0, 6 * 365, n),
    }
    if dirty:
        columns["name"] = _objects(
            [_messy(name, int(how)) for name, how in zip(names, rng.integers(0, 9, n), strict=True)]
        )
        drawn = rng.random(n)
        lower = _objects([code.lower() for code in country])
        country = np.where(drawn < 0.03, lower, country)
        country = _with(_with(country, "ZZ", drawn > 0.98), None, (drawn > 0.94) & (drawn <= 0.98))
        columns["country"] = country
        columns = _repeat(rng, columns, 0.05)
        second = np.zeros(len(columns["name"]), bool)
        second[n:] = True
        columns["country"] = _with(columns["country"], "NZ", second)
    return Table(describe("customers", dirty=dirty), columns)


def countries(*, dirty: bool = False) -> Table:
    """Return the 20 countries; with `dirty=True` three of them again, with another tax.

    The table does not grow with the others: it is the small side of a join.
    """
    import numpy as np

    rows = list(COUNTRIES)
    if dirty:
        rows += [(*row[:4], row[4] - 2) for row in COUNTRIES[:3]]
    names = SCHEMAS["countries"].names
    columns: dict[str, Array] = {
        name: _objects([row[i] for row in rows]) for i, name in enumerate(names[:4])
    }
    columns["tax"] = np.array([row[4] for row in rows])
    return Table(describe("countries", dirty=dirty), columns)


def clicks(scale: float = 1, *, seed: int = SEED, dirty: bool = False) -> Table:
    """Make `5000 * scale` clicks of one week, in visits of a few pages, in order of time.

    Pages are as popular as Zipf's law says: page k gets 1/k of the clicks of the first. With
    `dirty=True` some times are negative, and 1 row in 50 comes once more at the end, out of order.
    """
    import numpy as np

    rng, n = _generator("clicks", seed), _count(_CLICKS, scale)
    pages = _objects(_pages(_count(_PAGES, scale)))
    ends = rng.random(n) < 0.25  # of a visit, which has four pages on average
    ends[-1] = True
    visit = np.concatenate([[0], np.cumsum(ends)[:-1]])
    visits = int(visit[-1]) + 1
    milliseconds = rng.integers(500, 4_000, n) << _halving(rng, n, most=7)
    # Within a visit a page is left when the next one is opened.
    spent = np.concatenate([[0], np.cumsum(np.where(ends, 0, milliseconds))[:-1]])
    first = np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1])
    begins = rng.integers(0, 7 * 86_400_000, visits)[visit]
    time = np.datetime64("2026-01-01", "us") + 1_000 * (begins + spent - spent[first][visit])
    order = np.argsort(time, kind="stable")
    columns: dict[str, Array] = {
        "user_id": (1 + _zipf(rng, _count(_CUSTOMERS, scale), visits))[visit][order],
        "time": time[order],
        "page": pages[_zipf(rng, len(pages), n)][order],
        "seconds": np.where(ends, np.nan, milliseconds / 1_000)[order],
    }
    if dirty:
        set_back = rng.random(n) < 0.01
        columns["seconds"] = np.where(set_back, -columns["seconds"], columns["seconds"])
        columns = _repeat(rng, columns, 0.02)
    return Table(describe("clicks", dirty=dirty), columns)


def links(scale: float = 1, *, seed: int = SEED, dirty: bool = False) -> Table:
    """Make the links between `200 * scale` pages, four to five times as many, in any order.

    Popular pages get most links; about 1 page in 6, among them the second, links nowhere. Each link
    comes once, and no page links to itself; with `dirty=True` 1 link in 20 comes twice, and 1 page
    in 20 links to itself, too.
    """
    import numpy as np

    rng, n = _generator("links", seed), _count(_PAGES, scale)
    pages = _objects(_pages(n))
    dangling = rng.random(n) < 0.15
    dangling[1:2] = True
    number = np.where(dangling, 0, rng.integers(1, _LINKS_EACH, n))
    source = np.repeat(np.arange(n), number)
    target = _zipf(rng, n, len(source))
    kept = np.unique(np.stack([source, target])[:, source != target], axis=1)
    if dirty:
        itself = np.flatnonzero(rng.random(n) < 0.05)
        kept = np.concatenate([kept, np.stack([itself, itself])], axis=1)
    kept = kept[:, np.argsort(rng.random(kept.shape[1]), kind="stable")]
    columns: dict[str, Array] = {"source": pages[kept[0]], "target": pages[kept[1]]}
    if dirty:
        columns = _repeat(rng, columns, 0.05)
    return Table(describe("links", dirty=dirty), columns)


def _generator(table: str, seed: int) -> np.random.Generator:
    """Return the table's own generator, so that no table changes when another one does."""
    import numpy as np

    return np.random.Generator(np.random.PCG64([seed, list(SCHEMAS).index(table)]))


def _count(base: int, scale: float) -> int:
    if not scale > 0:
        raise ValueError(f"scale is {scale}; it must be above 0")
    return max(1, round(base * scale))


def _objects(values: list[Any]) -> Array:
    import numpy as np

    made = np.empty(len(values), object)
    made[:] = values
    return made


def _zipf(rng: np.random.Generator, kinds: int, n: int) -> Array:
    """Draw `n` numbers from 0 to `kinds - 1`; number k is drawn in proportion to 1 / (k + 1)."""
    import numpy as np

    ends = np.cumsum(1 / np.arange(1, kinds + 1))
    drawn: Array = np.searchsorted(ends, rng.random(n) * ends[-1], side="right")
    return np.minimum(drawn, kinds - 1, out=drawn)


def _halving(rng: np.random.Generator, n: int, most: int) -> Array:
    """Draw `n` numbers from 0 to `most`, each half as often as the one before."""
    import numpy as np

    ends = 1 - 1 / 2.0 ** np.arange(1, most + 1)
    return np.searchsorted(ends, rng.random(n), side="right")


def _with(values: Array, value: object, where: Array) -> Array:
    changed = values.copy()
    changed[where] = value
    return changed


def _repeat(rng: np.random.Generator, columns: dict[str, Array], share: float) -> dict[str, Array]:
    """Append a random share of the rows, at least one, once more."""
    import numpy as np

    n = len(next(iter(columns.values())))
    again = np.flatnonzero(rng.random(n) < share)
    if n and not len(again):
        again = np.array([0])
    return {name: np.concatenate([values, values[again]]) for name, values in columns.items()}


def _pages(n: int) -> list[str]:
    more = [f"/{SECTIONS[i % len(SECTIONS)]}/{i}" for i in range(len(FIRST_PAGES), n)]
    return [*FIRST_PAGES, *more][:n]


def _as_text(rng: np.random.Generator, amounts: Array) -> Array:
    return _objects(
        [
            _amount(x, int(how))
            for x, how in zip(amounts, rng.integers(0, 50, len(amounts)), strict=True)
        ]
    )


def _amount(amount: float, how: int) -> str | None:
    """Write an amount in one of 50 ways: 4 are no number, 6 have blanks, 20 commas."""
    plain, commas = f"{amount:.2f}", f"{amount:,.2f}"
    ways = [None, "n/a", "", "-", *[f"  {plain} "] * 6, *[commas] * 20, *[plain] * 20]
    return ways[how]


_WIDE = {ascii_code: ascii_code + 0xFEE0 for ascii_code in range(0x21, 0x7F)}
"""The full-width forms of ASCII, as Japanese keyboards write them."""


def _messy(name: str, how: int) -> str:
    """Write a name in one of 9 ways, 3 of them its own."""
    ways = [
        f"  {name} ",
        name.replace(" ", "\u3000"),  # the blank of Japanese text
        unicodedata.normalize("NFD", name),
        name.upper(),
        name.translate(_WIDE),
        name.replace(" ", "   "),
        *[name] * 3,
    ]
    return ways[how]
