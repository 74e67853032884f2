def top_k(ddf, key, col, k):
    if k < 1:
        raise ValueError("k must be 1 or more")

    def largest(part):
        part = part.dropna().drop_duplicates()
        return part.sort_values(col, ascending=False).groupby(key).head(k)

    pairs = ddf[[key, col]]
    return pairs.reduction(largest, aggregate=largest, meta=pairs._meta)
