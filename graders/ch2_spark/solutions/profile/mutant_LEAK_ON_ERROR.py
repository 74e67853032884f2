from pyspark import StorageLevel


def profile(df, questions, level):
    mine = df.storageLevel == StorageLevel.NONE
    if mine:
        df.persist(level)
    answers = {name: question(df) for name, question in questions.items()}
    if mine:
        df.unpersist()
    return answers
