from itertools import islice

from distributed import as_completed


def search(client, f, params, data, max_inflight, stop):
    if max_inflight < 1:
        raise ValueError("max_inflight must be 1 or more")
    shared = client.scatter(data, broadcast=True)
    candidates = iter(params)
    running, best = {}, None
    completed = as_completed()

    def start(count):
        for param in islice(candidates, count):
            future = client.submit(f, shared, param)
            running[future] = param
            completed.add(future)

    start(max_inflight)
    for future in completed:
        param, score = running.pop(future), future.result()
        if best is None or score > best[1]:
            best = (param, score)
        if stop(score):
            break
        start(1)
    client.cancel(list(running))
    return best
