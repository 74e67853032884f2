from pyspark.sql import functions as F


def clean(df):
    kept = df.filter(F.coalesce(F.col("status"), F.lit("")) != "cancelled")
    text = F.replace(F.trim("amount"), F.lit(","), F.lit(""))
    typed = kept.withColumns(
        {
            "amount": text.try_cast("decimal(12,2)"),
            "name": F.btrim(F.lower(F.regexp_replace("name", "[\\s\u3000]+", " "))),
        }
    )
    limit = F.array(F.lit(100), F.lit(1000))
    passed = F.size(F.filter(limit, lambda least: F.col("amount") >= least))
    size = F.element_at(F.array(*map(F.lit, ["small", "medium", "large"])), passed + 1)
    return typed.withColumn(
        "size", F.when(F.col("amount").isNull(), "unknown").otherwise(size)
    ).drop("status")
