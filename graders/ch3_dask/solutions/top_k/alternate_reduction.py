def top_k(ddf, key, col, k):
    if k < 1:
        raise ValueError("k must be at least 1")

    def best(frame):
        frame = frame[frame[key].notna() & frame[col].notna()]
        rank = frame.groupby(key)[col].rank(method="first", ascending=False)
        return frame[rank <= k]

    wanted = ddf[[key, col]]
    return wanted.reduction(best, aggregate=best, meta=wanted._meta, split_every=2)
