"""What the columns of the made-up tables are: type, meaning and unit, for readers and for Spark."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

Type = Literal["bigint", "int", "double", "string", "date", "timestamp"]
"""Names of Spark SQL. In NumPy: int64, int32, float64, object (str or None), datetime64[D] and
datetime64[us], which is UTC."""


@dataclass(frozen=True)
class Column:
    """One column; `unit` is empty where there is none."""

    name: str
    type: Type
    meaning: str
    unit: str = ""
    nullable: bool = False


@dataclass(frozen=True)
class Schema:
    """The columns of one table, in order; printing it shows what they mean."""

    table: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def ddl(self) -> str:
        """Return the schema as Spark SQL writes it: `"page string NOT NULL, seconds double"`."""
        return ", ".join(
            f"{c.name} {c.type}{'' if c.nullable else ' NOT NULL'}" for c in self.columns
        )

    def spark(self) -> StructType:
        """Return the schema as a Spark type."""
        from pyspark.sql.types import StructType

        return StructType.fromDDL(self.ddl())

    def __str__(self) -> str:
        table = [("column", "type", "unit", "meaning")]
        for c in self.columns:
            table.append((c.name, c.type + ("?" if c.nullable else ""), c.unit, c.meaning))
        widths = [max(len(row[i]) for row in table) for i in range(3)]
        lines = [
            "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]])
            for row in table
        ]
        if any(c.nullable for c in self.columns):
            lines.append("(? after a type: the column may hold nulls)")
        return "\n".join([f"{self.table}: {self.meaning}", "", *lines])

    __repr__ = __str__


_CUSTOMER = Column("customer_id", "bigint", "who ordered; 1 in 100 is no longer in `customers`")
_COUNTRY = Column("country", "string", "code of the country, as in `countries`")

_CLEAN = (
    Schema(
        "orders",
        "one row for each order; one customer has a fifth of them",
        (
            Column("order_id", "bigint", "number of the order"),
            _CUSTOMER,
            Column("day", "date", "day of the order, January to March 2026"),
            Column("amount", "double", "what was paid", "euros, whole cents"),
            Column("status", "string", "`paid`, `open` or `cancelled`"),
        ),
    ),
    Schema(
        "customers",
        "one row for each customer",
        (
            Column("customer_id", "bigint", "number of the customer, from 1"),
            Column("name", "string", "name as the customer writes it, in any script"),
            _COUNTRY,
            Column("joined", "date", "day of the first visit, 2020 to 2025"),
        ),
    ),
    Schema(
        "countries",
        "one row for each country",
        (
            Column("country", "string", "code of the country, two capitals (ISO 3166)"),
            Column("name", "string", "name in English"),
            Column("local_name", "string", "name in the country's own language"),
            Column("region", "string", "part of the world"),
            Column("tax", "double", "made-up tax on what is sold there", "percent"),
        ),
    ),
    Schema(
        "clicks",
        "one row for each page that was looked at, in order of time",
        (
            Column("user_id", "bigint", "who looked, as `customer_id`"),
            Column("time", "timestamp", "when, in the first week of 2026", "UTC"),
            Column("page", "string", "path of the page; a few pages get most of the clicks"),
            Column("seconds", "double", "how long; null for the last page of a visit", "seconds",
                   nullable=True),
        ),
    ),
    Schema(
        "links",
        "one row for each link from a page to another; some pages link nowhere",
        (
            Column("source", "string", "path of the page that has the link"),
            Column("target", "string", "path of the page that it leads to"),
        ),
    ),
)  # fmt: skip


def _dirty(clean: Schema) -> Schema:
    """Return the schema of the dirty version: other meanings, more nulls, the same columns."""
    meaning, changes = _CHANGES[clean.table]
    columns = tuple(changes.get(c.name, c) for c in clean.columns)
    return replace(clean, meaning=f"{clean.meaning}; {meaning}", columns=columns)


_CHANGES: dict[str, tuple[str, dict[str, Column]]] = {
    "orders": (
        "1 row in 50 comes twice",
        {
            "amount": Column(
                "amount", "string",
                "what was paid, as text: \"1,234.50\", \"  12.00 \", \"n/a\", \"-\", \"\" or null",
                "euros", nullable=True,
            ),
            "status": Column("status", "string", "`paid`, `open`, `cancelled` or null",
                             nullable=True),
        },
    ),
    "customers": (
        "1 in 20 has a second row, with another country",
        {
            "name": Column(
                "name", "string",
                "name with blanks too many, in capitals, full-width or with separate accents",
            ),
            "country": Column("country", "string",
                              "code, also in small letters, of no country, or null",
                              nullable=True),
        },
    ),
    "countries": ("some have a second row, with another tax", {}),
    "clicks": (
        "1 row in 50 comes once more at the end, out of order",
        {
            "seconds": Column("seconds", "double",
                              "how long; null for the last page of a visit, negative where a clock "
                              "was set back", "seconds", nullable=True),
        },
    ),
    "links": ("1 row in 20 comes twice, and some pages link to themselves", {}),
}  # fmt: skip

SCHEMAS = {schema.table: schema for schema in _CLEAN}
DIRTY_SCHEMAS = {name: _dirty(schema) for name, schema in SCHEMAS.items()}


def describe(table: str, *, dirty: bool = False) -> Schema:
    """Return what the columns of a made-up table mean: `lab.describe("orders")`.

    table: "orders", "customers", "countries", "clicks" or "links"; anything else is a ValueError.
    """
    schemas = DIRTY_SCHEMAS if dirty else SCHEMAS
    if table not in schemas:
        raise ValueError(f"there is no table {table!r}; there are {', '.join(schemas)}")
    return schemas[table]
