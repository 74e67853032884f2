from pyspark import StorageLevel


def profile(df, questions, level):
    """Keep the rows as an RDD, and ask a DataFrame made of it."""
    if df.storageLevel != StorageLevel.NONE:
        return {name: question(df) for name, question in questions.items()}
    rows = df.rdd.persist(level)
    try:
        frame = df.sparkSession.createDataFrame(rows, df.schema, verifySchema=False)
        return {name: question(frame) for name, question in questions.items()}
    finally:
        rows.unpersist()
