from decimal import Decimal, InvalidOperation

from pyspark.sql import functions as F


@F.udf("decimal(12,2)")
def to_number(text):
    if text is None:
        return None
    try:
        return Decimal(text.strip().replace(",", ""))
    except InvalidOperation:
        return None


def clean(df):
    amount = F.col("amount")
    name = F.lower(F.trim(F.regexp_replace("name", "[\\s\u3000]+", " ")))
    size = (
        F.when(amount.isNull(), "unknown")
        .when(amount < 100, "small")
        .when(amount < 1000, "medium")
        .otherwise("large")
    )
    kept = df.filter(F.col("status").isNull() | (F.col("status") != "cancelled"))
    typed = kept.select("id", name.alias("name"), to_number("amount").alias("amount"))
    return typed.withColumn("size", size)
