from collections import deque

from dask import delayed


def tree(parts, op, fan_in):
    if len(parts) == 0:
        raise ValueError("empty list of parts")
    if fan_in < 2:
        raise ValueError("fan_in has to be 2 or more")
    queue = deque(parts)
    while len(queue) > 1:
        # one level: as few groups as possible, their sizes differing by at most one
        n_groups = (len(queue) + fan_in - 1) // fan_in
        small, larger = divmod(len(queue), n_groups)
        following = deque()
        for g in range(n_groups):
            size = small + 1 if g < larger else small
            group = [queue.popleft() for _ in range(size)]
            following.append(group[0] if size == 1 else delayed(op)(group))
        queue = following
    return queue.pop()
