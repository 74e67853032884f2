def clean(df):
    return df.where("status IS NULL OR status <> 'cancelled'").selectExpr(
        "id",
        r"lower(trim(regexp_replace(name, '[ \\t\\u3000]+', ' '))) AS name",
        "try_cast(replace(trim(amount), ',', '') AS DECIMAL(12, 2)) AS amount",
        """CASE
             WHEN try_cast(replace(trim(amount), ',', '') AS DECIMAL(12, 2)) IS NULL THEN 'unknown'
             WHEN try_cast(replace(trim(amount), ',', '') AS DECIMAL(12, 2)) < 100 THEN 'small'
             WHEN try_cast(replace(trim(amount), ',', '') AS DECIMAL(12, 2)) < 1000 THEN 'medium'
             ELSE 'large'
           END AS size""",
    )
