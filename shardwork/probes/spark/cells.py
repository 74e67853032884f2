"""Cells of a DataFrame as closed values of the wire, and back, as the column's Spark type says.

| Spark | travels as |
| --- | --- |
| null | None |
| boolean, integers, float and double, string, binary | bool, int, float, str, bytes |
| decimal | str with all digits of its scale, never an exponent: `"12.30"` |
| date | str: `"2026-11-28"` |
| timestamp | str, in UTC: `"2026-11-28 09:30:00"`, with six more digits if it has a fraction |
| timestamp_ntz | str of the same form, as it stands |
| array, map, struct | list, dict, tuple of the same |
| vector of MLlib | list of float |

A cell of any other type stays behind as an opaque value.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

Convert = Callable[[Any], Any]


def outward(kind: Any) -> Convert:
    """Return what turns a cell of this Spark type into a value that travels."""
    return _null_safe(_converter(kind, _OUT, outward))


def inward(kind: Any) -> Convert:
    """Return what turns a value that travelled into a cell of this Spark type."""
    return _null_safe(_converter(kind, _IN, inward))


def _converter(kind: Any, leaves: dict[str, Convert], nested: Callable[[Any], Convert]) -> Convert:
    name = type(kind).__name__
    if name == "ArrayType":
        item = nested(kind.elementType)
        return lambda cell: [item(one) for one in cell]
    if name == "MapType":
        key, value = nested(kind.keyType), nested(kind.valueType)
        return lambda cell: {key(k): value(v) for k, v in cell.items()}
    if name == "StructType":
        fields = [nested(field.dataType) for field in kind.fields]
        return lambda cell: tuple(f(one) for f, one in zip(fields, cell, strict=True))
    return leaves.get(name, lambda cell: cell)


def _null_safe(convert: Convert) -> Convert:
    return lambda cell: None if cell is None else convert(cell)


def _timestamp(cell: datetime) -> str:
    # pyspark hands out naive datetimes in the time zone of the Python process.
    return cell.astimezone(UTC).replace(tzinfo=None).isoformat(" ")


_OUT: dict[str, Convert] = {
    "BinaryType": bytes,
    "DecimalType": lambda cell: format(cell, "f"),
    "DateType": date.isoformat,
    "TimestampType": _timestamp,
    "TimestampNTZType": lambda cell: cell.isoformat(" "),
    "VectorUDT": lambda cell: [float(number) for number in cell.toArray()],
}
_IN: dict[str, Convert] = {
    "DecimalType": Decimal,
    "DateType": date.fromisoformat,
    "TimestampType": lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC),
    "TimestampNTZType": datetime.fromisoformat,
}
