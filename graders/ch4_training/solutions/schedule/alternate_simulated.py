import heapq
from typing import NamedTuple


class Op(NamedTuple):
    kind: str
    micro: int


def simulate(S, M, kind):
    """Let every stage decide by itself what to do next; return lists and the makespan."""
    if S < 1 or M < 1 or kind not in ("gpipe", "1f1b"):
        raise ValueError((S, M, kind))
    room = [M if kind == "gpipe" else S - s for s in range(S)]
    ready_f = [list(range(M)) if s == 0 else [] for s in range(S)]
    ready_b = [[] for _ in range(S)]
    started = [0] * S
    live = [0] * S
    busy = [False] * S
    lists = [[] for _ in range(S)]
    events = []
    now = 0

    def start(s):
        if busy[s]:
            return
        flushed = kind == "1f1b" or started[s] == M
        if ready_b[s] and flushed:
            op = Op("B", ready_b[s].pop(0))
        elif ready_f[s] and live[s] < room[s]:
            op = Op("F", ready_f[s].pop(0))
            started[s] += 1
            live[s] += 1
        else:
            return
        busy[s] = True
        lists[s].append(op)
        heapq.heappush(events, (now + (1 if op.kind == "F" else 2), s, op))

    for s in range(S):
        start(s)
    while events:
        now = events[0][0]
        while events and events[0][0] == now:
            _, s, op = heapq.heappop(events)
            busy[s] = False
            if op.kind == "F":
                (ready_f[s + 1] if s + 1 < S else ready_b[s]).append(op.micro)
            else:
                live[s] -= 1
                if s > 0:
                    ready_b[s - 1].append(op.micro)
        for s in reversed(range(S)):
            start(s)
    return lists, now


def schedule(S, M, kind):
    return simulate(S, M, kind)[0]


def bubble(S, M, kind):
    _, makespan = simulate(S, M, kind)
    return 1 - 3 * M / makespan


def peak(S, M, kind):
    peaks = []
    for ops in simulate(S, M, kind)[0]:
        live = [0]
        for op in ops:
            live.append(live[-1] + (1 if op.kind == "F" else -1))
        peaks.append(max(live))
    return peaks
