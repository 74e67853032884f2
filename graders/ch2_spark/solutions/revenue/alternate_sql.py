def revenue(spark, path, day, min_amount):
    return spark.sql(
        f"""
        SELECT country, SUM(amount) AS revenue
        FROM parquet.`{path}`
        WHERE day = DATE '{day}' AND amount > {min_amount!r}
        GROUP BY country
        """
    )
