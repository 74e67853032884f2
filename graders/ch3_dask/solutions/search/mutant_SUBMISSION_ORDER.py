from collections import deque
from itertools import islice


def search(client, f, params, data, max_inflight, stop):
    if max_inflight < 1:
        raise ValueError("max_inflight must be 1 or more")
    shared = client.scatter(data, broadcast=True)
    candidates = iter(params)
    running = deque()
    best = None

    def start(count):
        for param in islice(candidates, count):
            running.append((client.submit(f, shared, param, pure=False), param))

    start(max_inflight)
    while running:
        future, param = running.popleft()
        score = future.result()
        if best is None or score > best[1]:
            best = (param, score)
        if stop(score):
            break
        start(1)
    client.cancel([future for future, _ in running])
    return best
