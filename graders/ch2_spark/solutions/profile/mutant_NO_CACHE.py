def profile(df, questions, level):
    return {name: question(df) for name, question in questions.items()}
