def profile(df, questions, level):
    df.persist(level)
    try:
        return {name: question(df) for name, question in questions.items()}
    finally:
        df.unpersist()
