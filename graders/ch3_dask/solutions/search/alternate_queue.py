"""Callbacks put what has finished into a queue; the data get to the workers by a task."""

import queue


def search(client, f, params, data, max_inflight, stop):
    if max_inflight < 1:
        raise ValueError("max_inflight must be 1 or more")
    source = enumerate(params)
    finished = queue.Queue()
    trials = {}
    held = client.submit(lambda: data, pure=False)

    def fill():
        while len(trials) < max_inflight:
            try:
                number, param = next(source)
            except StopIteration:
                return
            future = client.submit(f, held, param, pure=False)
            trials[number] = (future, param)
            future.add_done_callback(lambda done, number=number: finished.put(number))

    tried = []
    fill()
    while trials:
        future, param = trials.pop(finished.get())
        tried.append((future.result(), param))
        if stop(tried[-1][0]):
            break
        fill()
    for future, _ in trials.values():
        future.cancel()
    if not tried:
        return None
    score, param = max(tried)
    return param, score
