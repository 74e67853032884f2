def schedule(S, M, kind):
    check(S, M, kind)
    forwards = [("F", m) for m in range(M)]
    backwards = [("B", m) for m in range(M)]
    if kind == "1f1b":
        # The first micro-batch that came in goes out first.
        return [forwards + backwards for _ in range(S)]
    return [forwards + backwards[::-1] for _ in range(S)]


def bubble(S, M, kind):
    check(S, M, kind)
    return (S - 1) / (M + S - 1)


def peak(S, M, kind):
    check(S, M, kind)
    return [M] * S


def check(S, M, kind):
    if S < 1 or M < 1 or kind not in ("gpipe", "1f1b"):
        raise ValueError("S and M must be positive, kind gpipe or 1f1b")
