def search(client, f, params, data, max_inflight, stop):
    if max_inflight < 1:
        raise ValueError("max_inflight must be 1 or more")
    shared = client.scatter(data, broadcast=True)
    best = None
    for param in params:
        score = client.submit(f, shared, param, pure=False).result()
        if best is None or score > best[1]:
            best = (param, score)
        if stop(score):
            break
    return best
