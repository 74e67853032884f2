from pyspark import StorageLevel


def profile(df, questions, level):
    mine = df.storageLevel == StorageLevel.NONE
    if mine:
        df.cache()
    try:
        return {name: question(df) for name, question in questions.items()}
    finally:
        if mine:
            df.unpersist()
