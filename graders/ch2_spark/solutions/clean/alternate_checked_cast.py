from pyspark.sql import functions as F
from pyspark.sql.types import DecimalType


def clean(df):
    digits = F.regexp_replace("amount", r"[,\s]", "")
    number = F.when(digits.rlike(r"^-?\d+\.\d\d$"), digits).cast(DecimalType(12, 2))
    words = F.split(F.translate("name", "\t\u3000", "  "), " ")
    name = F.array_join(F.filter(words, lambda word: word != ""), " ")
    size = (
        F.when(number >= 1000, "large")
        .when(number >= 100, "medium")
        .when(number.isNotNull(), "small")
        .otherwise("unknown")
    )
    kept = df.filter(~F.col("status").eqNullSafe("cancelled"))
    name = F.lower(name).alias("name")
    return kept.select("id", name, number.alias("amount"), size.alias("size"))
