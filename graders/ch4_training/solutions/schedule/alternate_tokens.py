import numpy as np


def schedule(S, M, kind):
    require(S, M, kind)
    lists = []
    for stage in range(S):
        credit = {"gpipe": M, "1f1b": S - stage}[kind]
        forward = backward = 0
        ops = []
        while backward < M:
            if forward < M and forward - backward < credit:
                # numbered from the last micro-batch on: any order will do
                ops.append(("F", M - 1 - forward))
                forward += 1
            else:
                ops.append(("B", M - 1 - backward))
                backward += 1
        lists.append(ops)
    return lists


def bubble(S, M, kind):
    require(S, M, kind)
    return float(np.float64(S - 1) / (M + S - 1))


def peak(S, M, kind):
    require(S, M, kind)
    room = np.arange(S, 0, -1) if kind == "1f1b" else np.full(S, M)
    return np.minimum(room, M).tolist()


def require(S, M, kind):
    if kind not in ("1f1b", "gpipe"):
        raise ValueError(kind)
    if S <= 0 or M <= 0:
        raise ValueError(f"{S} stages, {M} micro-batches")
