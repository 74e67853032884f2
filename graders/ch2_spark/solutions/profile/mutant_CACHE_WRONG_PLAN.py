from pyspark import StorageLevel


def profile(df, questions, level):
    if df.storageLevel != StorageLevel.NONE:
        return {name: question(df) for name, question in questions.items()}
    rows = df.rdd.persist(level)
    try:
        return {name: question(df) for name, question in questions.items()}
    finally:
        rows.unpersist()
