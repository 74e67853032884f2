def check(S, M, kind):
    if S < 1 or M < 1 or kind not in ("gpipe", "1f1b"):
        raise ValueError("S and M must be positive, kind gpipe or 1f1b")


def schedule(S, M, kind):
    check(S, M, kind)
    lists = []
    for s in range(S):
        if kind == "gpipe":
            lists.append([("F", m) for m in range(M)] + [("B", m) for m in range(M)])
            continue
        warmup = min(M, s)
        ops = [("F", m) for m in range(warmup)]
        for i in range(M - warmup):
            ops.append(("F", warmup + i))
            ops.append(("B", i))
        ops += [("B", m) for m in range(M - warmup, M)]
        lists.append(ops)
    return lists


def bubble(S, M, kind):
    check(S, M, kind)
    return (S - 1) / (M + S - 1)


def peak(S, M, kind):
    check(S, M, kind)
    return [M if kind == "gpipe" else min(M, S - s) for s in range(S)]
