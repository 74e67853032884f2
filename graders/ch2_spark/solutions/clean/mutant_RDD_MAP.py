from decimal import Decimal, InvalidOperation


def cleaned(row):
    try:
        amount = Decimal(row.amount.strip().replace(",", ""))
    except (AttributeError, InvalidOperation):
        amount = None
    name = None if row.name is None else " ".join(row.name.split()).lower()
    if amount is None:
        size = "unknown"
    else:
        size = "small" if amount < 100 else "medium" if amount < 1000 else "large"
    return row.id, name, amount, size


def clean(df):
    rows = df.rdd.filter(lambda row: row.status != "cancelled").map(cleaned)
    return rows.toDF("id bigint, name string, amount decimal(12,2), size string")
