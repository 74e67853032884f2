"""A thread of the notebook for each place in flight; each submits a trial and waits for it."""

import threading

from distributed import CancelledError


def search(client, f, params, data, max_inflight, stop):
    if max_inflight < 1:
        raise ValueError("max_inflight must be 1 or more")
    shared = client.scatter(data)
    lock, over = threading.Lock(), threading.Event()
    tried, in_flight = [], {}

    def work(place):
        while not over.is_set():
            with lock:
                param = None if over.is_set() else next(params, None)
                if param is None:
                    return
                in_flight[place] = client.submit(f, shared, param, pure=False)
            try:
                score = in_flight[place].result()
            except CancelledError:
                return
            with lock:
                tried.append((score, param))
                if stop(score):
                    over.set()
                    client.cancel([one for one in in_flight.values() if not one.done()])

    threads = [threading.Thread(target=work, args=(place,)) for place in range(max_inflight)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not tried:
        return None
    score, param = max(tried)
    return param, score
