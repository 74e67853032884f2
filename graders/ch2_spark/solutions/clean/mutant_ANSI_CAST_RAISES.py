from pyspark.sql import functions as F


def clean(df):
    name = F.lower(F.trim(F.regexp_replace("name", "[\\s\u3000]+", " ")))
    text = F.replace(F.trim("amount"), F.lit(","), F.lit(""))
    typed = df.filter(F.col("status").isNull() | (F.col("status") != "cancelled")).select(
        "id", name.alias("name"), text.cast("decimal(12,2)").alias("amount")
    )
    amount = F.col("amount")
    size = F.when(amount < 100, "small").when(amount < 1000, "medium")
    size = size.when(amount >= 1000, "large").otherwise("unknown")
    return typed.withColumn("size", size)
