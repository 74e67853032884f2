from pyspark.sql import functions as F


def clean(df):
    number = F.expr("try_cast(replace(btrim(amount), ',') as double)").cast("decimal(12,2)")
    name = F.lower(F.trim(F.regexp_replace("name", r"(?U)\s+", " ")))
    size = F.expr("coalesce(if(amount < 100, 'small', if(amount < 1000, 'medium', null)), 'large')")
    out = df.filter("not (status <=> 'cancelled')").withColumns({"amount": number, "name": name})
    size = F.when(F.isnull("amount"), "unknown").otherwise(size)
    return out.select("id", "name", "amount", size.alias("size"))
