from fractions import Fraction


def checked(S, M, kind):
    if kind not in {"gpipe", "1f1b"}:
        raise ValueError(f"unknown kind {kind!r}")
    if min(S, M) < 1:
        raise ValueError("at least one stage and one micro-batch")


def schedule(S, M, kind):
    checked(S, M, kind)
    result = []
    for s in range(S):
        if kind == "gpipe":
            # The newest activations first, as autograd would do it.
            result.append([("F", m) for m in range(M)] + [("B", m) for m in reversed(range(M))])
            continue
        warmup = min(M, S - s - 1)
        ops = [("F", m) for m in range(warmup)]
        for i in range(M - warmup):
            ops += [("F", warmup + i), ("B", i)]
        ops += [("B", m) for m in range(M - warmup, M)]
        result.append(ops)
    return result


def bubble(S, M, kind):
    checked(S, M, kind)
    work = 3 * M
    makespan = 3 * (M + S - 1)
    return float(1 - Fraction(work, makespan))


def peak(S, M, kind):
    checked(S, M, kind)
    if kind == "gpipe":
        return S * [M]
    return [min(S - s, M) for s in range(S)]
