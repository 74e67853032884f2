import pandas as pd
from pyspark.sql import functions as F


@F.pandas_udf("string")
def tidy(names: pd.Series) -> pd.Series:
    return names.str.replace(r"\s+", " ", regex=True).str.strip().str.lower()


def clean(df):
    kept = df.filter(F.col("status").isNull() | (F.col("status") != "cancelled"))
    number = F.expr("try_cast(replace(trim(amount), ',', '') as decimal(12, 2))")
    typed = kept.select("id", tidy("name").alias("name"), number.alias("amount"))
    return typed.selectExpr(
        "*",
        "case when amount is null then 'unknown' when amount < 100 then 'small' "
        "when amount < 1000 then 'medium' else 'large' end as size",
    )
