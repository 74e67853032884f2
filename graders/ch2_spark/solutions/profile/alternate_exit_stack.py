from contextlib import ExitStack

from pyspark import StorageLevel


def profile(df, questions, level):
    answers = {}
    with ExitStack() as stack:
        if df.storageLevel == StorageLevel.NONE:
            kept = df.persist(level)
            stack.callback(kept.unpersist, blocking=True)
        for name, ask in questions.items():
            answers[name] = ask(df)
    return answers
