def profile(df, questions, level):
    df.persist(level)
    answers = {}
    for name, question in questions.items():
        answers[name] = question(df)
    return answers
