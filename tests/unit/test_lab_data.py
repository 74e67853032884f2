"""The made-up data of `shardwork.lab`: the same everywhere, skewed as it says, and as described."""

from __future__ import annotations

import collections
import datetime
import hashlib
import unicodedata
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from shardwork import lab

pytestmark = pytest.mark.unit

MADE: dict[str, Callable[..., lab.Table]] = {
    "orders": lab.orders,
    "customers": lab.customers,
    "clicks": lab.clicks,
    "links": lab.links,
}
PYTHON = {"bigint": int, "int": int, "double": float, "string": str, "date": datetime.date,
          "timestamp": datetime.datetime}  # fmt: skip


def tables(dirty: bool, **more: Any) -> dict[str, lab.Table]:
    made = {name: make(dirty=dirty, **more) for name, make in MADE.items()}
    return made | {"countries": lab.countries(dirty=dirty)}


def digest(found: dict[str, lab.Table]) -> str:
    return hashlib.sha256(repr([table.rows() for table in found.values()]).encode()).hexdigest()


def test_the_rows_are_those_that_this_version_has_always_made() -> None:
    """Recorded once: a change of the data changes what lessons say about it."""
    assert digest(tables(dirty=False))[:16] == "0741adb573eb55d6"
    assert digest(tables(dirty=True))[:16] == "0800b88b887c4467"


@pytest.mark.parametrize("name", MADE)
def test_a_seed_gives_the_same_rows_again_and_another_one_gives_others(name: str) -> None:
    assert MADE[name](seed=5).rows() == MADE[name](seed=5).rows() != MADE[name](seed=6).rows()


@pytest.mark.parametrize("name", MADE)
def test_one_number_scales_a_table(name: str) -> None:
    one, ten = len(MADE[name]()), len(MADE[name](10))
    assert 9 <= ten / one <= 11
    assert 300 <= one <= 6_000


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("scale", [0.001, 0.01, 0.02])
@pytest.mark.parametrize("dirty", [False, True])
def test_the_smallest_tables_can_be_made(name: str, scale: float, dirty: bool) -> None:
    assert len(MADE[name](scale, dirty=dirty).rows()) >= (1 if name != "links" else 0)


@pytest.mark.parametrize("scale", [0, -1, float("nan")])
def test_a_scale_that_is_not_above_0_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale is"):
        lab.orders(scale)


@pytest.mark.parametrize("dirty", [False, True])
def test_values_are_of_the_types_that_the_schema_says(dirty: bool) -> None:
    for name, table in tables(dirty).items():
        assert table.schema is lab.describe(name, dirty=dirty)
        for column, values in zip(
            table.schema.columns, zip(*table.rows(), strict=True), strict=True
        ):
            kinds = {type(value) for value in values}
            assert kinds - {type(None)} == {PYTHON[column.type]}, (name, column.name)
            assert (type(None) in kinds) == column.nullable, (name, column.name)


def test_pandas_gets_the_same_columns() -> None:
    for table in tables(dirty=True).values():
        frame = table.pandas()
        assert tuple(frame.columns) == table.schema.names
        assert len(frame) == len(table)


def test_the_description_names_every_column_and_an_unknown_table_is_refused() -> None:
    text = str(lab.describe("orders", dirty=True))
    for name in lab.orders().columns:
        assert f"\n{name} " in text
    assert "euros" in text
    with pytest.raises(ValueError, match="there is no table 'order'; there are orders, customers"):
        lab.describe("order")


def test_one_customer_has_a_fifth_of_the_orders() -> None:
    counts = collections.Counter(lab.orders(5).columns["customer_id"].tolist()).most_common(2)
    assert counts[0][0] == 7
    assert 0.18 <= counts[0][1] / 20_000 <= 0.26
    assert counts[1][1] < counts[0][1] / 1.3


def test_some_orders_are_of_nobody_in_customers() -> None:
    known = set(lab.customers().columns["customer_id"].tolist())
    unknown = sum(id not in known for id in lab.orders().columns["customer_id"].tolist())
    assert 0.005 <= unknown / 4_000 <= 0.02


def test_clean_keys_are_unique_and_countries_known() -> None:
    customers, countries = lab.customers().columns, lab.countries().columns
    assert len(set(lab.orders().columns["order_id"].tolist())) == 4_000
    assert len(set(customers["customer_id"].tolist())) == 400
    assert set(customers["country"]) <= set(countries["country"])
    assert len(set(countries["country"])) == len(countries["country"])


def test_dirty_amounts_are_of_every_kind_that_is_promised() -> None:
    amounts = lab.orders(dirty=True).columns["amount"].tolist()
    assert {None, "n/a", "", "-"} <= set(amounts)
    texts = [amount for amount in amounts if amount]
    assert any("," in text for text in texts)
    assert any(text != text.strip() for text in texts)
    # A dirty amount is the clean one, written in another way.
    for clean, text in zip(lab.orders().columns["amount"], amounts, strict=False):
        if text and text not in ("n/a", "-"):
            assert float(text.replace(",", "")) == clean


def test_dirty_tables_have_rows_that_come_twice() -> None:
    for name in ("orders", "clicks", "links"):
        rows = MADE[name](dirty=True).rows()
        assert 0.01 <= 1 - len(set(rows)) / len(rows) <= 0.08, name
    ids = lab.customers(dirty=True).columns["customer_id"].tolist()
    assert len(set(ids)) == 400 < len(ids)
    assert (
        len(set(lab.countries(dirty=True).columns["country"]))
        == 20
        < len(lab.countries(dirty=True))
    )


def test_names_come_in_many_scripts_and_dirty_ones_are_the_same_names() -> None:
    clean, dirty = lab.customers().columns["name"], lab.customers(dirty=True).columns["name"]
    scripts = {unicodedata.name(name[0]).split()[0] for name in clean}
    assert {"LATIN", "CJK", "HANGUL", "GREEK", "CYRILLIC", "ARABIC", "DEVANAGARI"} <= scripts

    def folded(name: str) -> str:
        return " ".join(unicodedata.normalize("NFKC", name).split()).casefold()

    same = [folded(a) == folded(b) for a, b in zip(clean, dirty, strict=False)]
    # Upper case cannot always be undone: ı and i become the same letter.
    assert sum(same) >= 0.95 * len(same)
    assert any(a != b for a, b in zip(clean, dirty, strict=False))


def test_clicks_follow_zipfs_law_and_come_in_visits() -> None:
    clicks = lab.clicks(20).columns
    counts = [n for _, n in collections.Counter(clicks["page"]).most_common()]
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.2)
    assert counts[0] / counts[99] == pytest.approx(100, rel=0.25)
    assert np.all(np.diff(clicks["time"]) >= np.timedelta64(0))
    assert np.isnan(clicks["seconds"]).mean() == pytest.approx(1 / 4, abs=0.01)


def test_within_a_visit_a_page_is_left_when_the_next_is_opened() -> None:
    clicks = lab.clicks(0.01).pandas()
    for _, visits in clicks.groupby("user_id"):
        opened = visits.time.tolist()
        for i, seconds in enumerate(visits.seconds.tolist()[:-1]):
            if not np.isnan(seconds) and len(visits) <= 3:
                assert (opened[i + 1] - opened[i]).total_seconds() == pytest.approx(seconds)


def test_links_are_distinct_and_some_pages_link_nowhere() -> None:
    rows = lab.links(5).rows()
    assert len(set(rows)) == len(rows)
    assert all(source != target for source, target in rows)
    sources, targets = {source for source, _ in rows}, {target for _, target in rows}
    assert "/search" in targets - sources
    assert 0.1 <= len(targets - sources) / len(sources | targets) <= 0.25
    incoming = collections.Counter(target for _, target in rows).most_common(1)[0]
    assert incoming[0] == "/"
    assert incoming[1] > 10 * len(rows) / len(targets)


def test_dirty_links_lead_to_themselves_too() -> None:
    rows = lab.links(dirty=True).rows()
    assert any(source == target for source, target in rows)
