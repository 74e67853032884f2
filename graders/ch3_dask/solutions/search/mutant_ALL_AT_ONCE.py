from distributed import as_completed


def search(client, f, params, data, max_inflight, stop):
    if max_inflight < 1:
        raise ValueError("max_inflight must be 1 or more")
    shared = client.scatter(data, broadcast=True)
    running = {client.submit(f, shared, param, pure=False): param for param in params}
    best = None
    for future in as_completed(list(running)):
        param, score = running.pop(future), future.result()
        if best is None or score > best[1]:
            best = (param, score)
        if stop(score):
            break
    client.cancel(list(running))
    return best
