"""A loop that draws a candidate and then waits for room; futures are dropped, not cancelled."""

from distributed import wait


def search(client, f, params, data, max_inflight, stop):
    if max_inflight < 1:
        raise ValueError("max_inflight")
    future_data = client.scatter(data)
    running = {}
    best = None

    def take_finished():
        nonlocal best
        finished, _ = wait(list(running), return_when="FIRST_COMPLETED")
        good = False
        for future in finished:
            param = running.pop(future)
            score = future.result()
            if best is None or best[1] < score:
                best = (param, score)
            good = stop(score) or good
        return good

    for number, param in enumerate(params):
        if len(running) == max_inflight and take_finished():
            return best
        running[client.submit(f, future_data, param, key=f"trial-{number}")] = param
    while running:
        if take_finished():
            return best
    return best
