"""3.8 `search`: trials as futures on a real cluster, some in flight at a time, best one wanted.

Everything that the student's function is given speaks with one instrument: the iterator of
candidates, f (which runs on the workers), `stop`, and the data when they arrive at a worker. So
draws, trials, their order and how many run at a time are known to the judge. A trial ends only when
the instrument lets it, which makes "this one is slow" an event and not a time. What the scheduler
tells of tasks in flight and left over is a claim; it narrows down what the instrument has seen.

A trial that may not end asks again, through the student's own process, every 20 ms. If nothing else
happens for as long as PATIENCE such questions, the search waits for what it should not wait for,
and from then on everything may end. On a machine that is slow, the questions are slow as well.
"""

from __future__ import annotations

import secrets
from collections import Counter

from shardwork.grading import Instrument, Refusal, blame

PATIENCE = 250
"""Questions without progress. The reference needed 2 at most, with a load of 20 on two cores."""
QUIET = 4
"""Questions without progress after which a search is taken to have all it wants in flight."""
QUIET_BEFORE_GOOD = 30
"""The same where a single draw too late is a mistake, and a right search must not be hurried."""
MOST_DRAWS = 200
"""No search here needs more than 40; an endless iterator must not fill the judge's memory."""
DATA_BYTES = 200_000


class Search(Instrument):
    """One search: hands out `candidates`, and lets its trials end as `may_end` says.

    `scores` gives the scores of a candidate's trials, in the order in which they begin.
    """

    def __init__(self, candidates: list[int], scores: dict[int, list[float]], good: float) -> None:
        self.candidates, self.good = candidates, good
        self.scores = {param: list(some) for param, some in scores.items()}
        self.token = secrets.token_hex(8)
        self.drawn = 0
        self.begun: list[int] = []  # the candidate of each trial
        self.given: list[float] = []  # the score of each trial
        self.ended: list[int] = []  # numbers of trials, in the order in which they were let go
        self.open: set[int] = set()
        self.most_open = 0
        self.most_ahead = 0  # drawn and not ended, at most
        self.stopped = False
        self.asked: list[float] = []  # what stop was asked
        self.returned = self.over = False
        self.begun_after = 0
        self.foreign_data = 0
        self.arrivals: Counter[int] = Counter()
        self.waited = 0
        self.stuck_at: int | None = None  # drawn, when patience was lost
        self.stuck_stopped = False  # and stop had said yes by then

    def call(self, what: str, *args: object) -> object:
        if what == "draw":
            return self.draw()
        if what == "begin":
            return self.begin(*args)
        if what == "wait" and args and args[0] in range(len(self.given)):
            return self.wait(args[0])
        if what == "stop":
            return self.stop(*args)
        if what == "arrive":
            self.arrivals[args[0]] += 1
            return None
        raise Refusal("this is not how it is called")

    def draw(self) -> list[int] | None:
        if self.drawn >= min(len(self.candidates), MOST_DRAWS):
            if len(self.candidates) > MOST_DRAWS:
                raise Refusal("far more candidates were drawn than trials have ended")
            return None
        self.waited = 0
        self.drawn += 1
        self.most_ahead = max(self.most_ahead, self.drawn - len(self.ended))
        return [self.candidates[self.drawn - 1]]

    def begin(self, param: object, token: object) -> int:
        if type(param) is not int or param not in self.candidates[: self.drawn]:
            raise Refusal("f was called with something that was not drawn from params")
        if not self.scores[param]:
            raise Refusal("f was called more often for a candidate than it was drawn")
        self.waited = 0
        self.foreign_data += token != self.token
        self.begun_after += self.over
        number = len(self.begun)
        self.begun.append(param)
        self.given.append(self.scores[param].pop(0))
        self.open.add(number)
        self.most_open = max(self.most_open, len(self.open))
        return number

    def wait(self, number: int) -> float | None:
        if number in self.open:
            self.waited += not self.returned
            if self.waited > PATIENCE and self.stuck_at is None:
                self.stuck_at, self.stuck_stopped = self.drawn, self.stopped
            free = self.over or self.stuck_at is not None
            if not free and (self.returned or not self.may_end(number)):
                return None
            self.waited = 0
            self.open.remove(number)
            self.ended.append(number)
            self.let_go(number)
        return self.given[number]

    def stop(self, score: object) -> bool:
        if not isinstance(score, (int, float)) or score not in self.given:
            raise Refusal("stop takes a score that f has returned")
        self.waited = 0
        self.asked.append(float(score))
        self.stopped |= score >= self.good
        return bool(score >= self.good)

    def may_end(self, number: int) -> bool:
        """Whether a trial may end now."""
        return True

    def let_go(self, number: int) -> None:
        """A trial has ended."""

    @property
    def all_drawn(self) -> bool:
        return self.drawn == len(self.candidates)


class FullWindow(Search):
    """No trial ends before as many are in flight as may be, and nothing more is drawn."""

    def __init__(self, *args: object, window: int) -> None:
        super().__init__(*args)
        self.window = window

    def may_end(self, number: int) -> bool:
        full = self.drawn - len(self.ended) >= self.window
        return (full and self.waited > QUIET) or self.all_drawn


class SlowSecond(Search):
    """The trial of the second candidate ends only when the last candidate has been drawn."""

    def may_end(self, number: int) -> bool:
        slow = self.begun[number] == self.candidates[1]
        return not slow or (self.all_drawn and len(self.begun) > 2)


class GoodOne(FullWindow):
    """Once a trial with a good score has begun, only that one ends before the search returns.

    It ends when the search has drawn all that it wants to have in flight: it is quiet for long.
    """

    good_ended = False
    drawn_at_good = ended_at_good = 0

    def may_end(self, number: int) -> bool:
        if any(self.given[one] >= self.good for one in self.open):
            long = self.waited > QUIET_BEFORE_GOOD
            return long and self.given[number] >= self.good and super().may_end(number)
        return not self.good_ended and super().may_end(number)

    def let_go(self, number: int) -> None:
        if self.given[number] >= self.good and not self.good_ended:
            self.good_ended = True
            self.drawn_at_good, self.ended_at_good = self.drawn, len(self.ended)


def draw(rng, n: int, *, repeated: bool = False) -> tuple[list[int], dict[int, list[float]]]:
    """Draw n candidates, and a different score for each of their trials."""
    candidates = [int(param) for param in rng.choice(10_000, size=n, replace=False)]
    if repeated:  # four in a row are in flight together
        candidates[3:7] = candidates[3:4] * 4
        candidates[n - 3 : n] = candidates[n - 1 :] * 3
    marks = rng.choice(100_000, size=n, replace=False) / 1000
    if repeated and n:  # the best one is neither the first nor the last of its three trials
        marks[-2] = 100.0 + marks[-2]
    scores: dict[int, list[float]] = {param: [] for param in candidates}
    for param, mark in zip(candidates, marks, strict=True):
        scores[param].append(float(mark))
    return candidates, scores


class Run:
    """One call of the student's function on a cluster."""

    def __init__(self, student, cluster, ask: Search, max_inflight: int) -> None:
        self.ask = ask
        f, params, data, stop = cluster.search_inputs(ask, ask.token, DATA_BYTES)
        try:
            self.best = student.value(
                "search", cluster.client, f, params, data, max_inflight, stop,
                as_=tuple[int, float] | None,
            )  # fmt: skip
            ask.returned = True
            cluster.hear()  # what was cancelled may not begin when the others end
        finally:
            ask.over = True
        self.seen = cluster.settle()


def run_alone(student, dask, ask: Search, max_inflight: int) -> Run:
    """Call the student's function on a cluster of its own."""
    with dask.cluster() as cluster:
        return Run(student, cluster, ask, max_inflight)


def test_values(student, dask, rng):
    """Every candidate that is drawn gets a trial of its own, and the best one is returned."""
    with dask.cluster() as cluster:
        for n, window in ((14, 4), (int(rng.integers(3, 6)), 8)):
            check_values(student, cluster, rng, n, window)


def check_values(student, cluster, rng, n: int, window: int) -> None:
    """One search of n candidates."""
    candidates, scores = draw(rng, n, repeated=n > 7)
    ask = FullWindow(candidates, scores, 1e9, window=min(n, window))
    run = Run(student, cluster, ask, window)
    missing = Counter(candidates) - Counter(ask.begun)
    found = {"trials": len(ask.begun), "n": n}
    assert ask.all_drawn, blame(because="Some candidates were never drawn.", **found)
    assert not missing, blame(
        "PURE_RANDOM" if all(param in ask.begun for param in missing) else None,
        because="" if all(param in ask.begun for param in missing)
        else "Some candidates were drawn and never tried.", **found,
    )  # fmt: skip
    assert not ask.foreign_data, blame(because="f was called with other data than was given.")
    best = max(range(n), key=lambda number: ask.given[number])
    assert run.best == (ask.begun[best], ask.given[best]), blame(
        because="What was returned is not the best candidate with its score.", **found
    )


def test_limit(student, dask, rng):
    """There are never more trials in flight than max_inflight, and nothing is drawn far ahead."""
    window = int(rng.integers(3, 6))
    candidates, scores = draw(rng, 24)
    ask = FullWindow(candidates, scores, 1e9, window=window)
    run = run_alone(student, dask, ask, window)
    found = {"drawn_ahead": ask.most_ahead, "max_inflight": window}
    assert len(ask.begun) > window, blame(because="Hardly any trial was made.", **found)
    # One more: a loop may draw the next candidate and then wait until there is room for it.
    assert ask.most_ahead <= window + 1, blame("ALL_AT_ONCE", **found)
    assert run.seen.most_in_flight <= window, blame(
        because="More trials were in flight than max_inflight allows.",
        in_flight=run.seen.most_in_flight, **found,
    )  # fmt: skip


def test_slow_trial(student, dask, rng):
    """A slow trial holds up no other: whichever ends first makes room for the next candidate."""
    window = 3
    candidates, scores = draw(rng, 12)
    ask = SlowSecond(candidates, scores, 1e9)
    run_alone(student, dask, ask, window)
    assert ask.begun, blame(because="No trial was made.")
    at, found = ask.stuck_at, {"most_at_once": ask.most_open}
    if at is None:
        assert ask.most_open > 1, blame("SERIAL_RESULT", **found)
        return
    # With the second one held, the reference draws all 12; one trial at a time draws 2, groups of
    # three draw 3, and waiting in the order of submission 4, or 5 if it draws before it waits.
    found |= {"drawn_when_stuck": at}
    code = "SERIAL_RESULT" if ask.most_open == 1 else "BATCHES" if at <= window else None
    assert ask.all_drawn and at == len(candidates), blame(
        code or ("SUBMISSION_ORDER" if at <= window + 2 else None), **found
    )


def test_stops(student, dask, rng):
    """After a good score nothing more is drawn, begun or waited for, and nothing stays behind."""
    window, n = 4, 40
    candidates, scores = draw(rng, n)
    good_at = int(rng.integers(6, 9))
    scores[candidates[good_at]] = [1000.0 + float(rng.uniform(0, 9))]
    ask = GoodOne(candidates, scores, 1000.0, window=window)
    run = run_alone(student, dask, ask, window)
    waited_for = len(ask.ended) - ask.ended_at_good
    found = {"drawn_after": ask.drawn - ask.drawn_at_good, "begun_after": ask.begun_after}
    assert ask.good_ended, blame(because="The search ended before a good score had come in.")
    assert ask.stuck_at is None, blame(
        "WAITS_FOR_REST" if ask.stuck_stopped else None, waited_for=waited_for,
        because="" if ask.stuck_stopped
        else "A good score had come in, and the search waited for other trials first.",
    )  # fmt: skip
    assert ask.drawn == ask.drawn_at_good, blame("LATE_STOP", **found)
    assert run.best == (candidates[good_at], scores[candidates[good_at]][0]), blame(
        because="What was returned is not the best candidate with its score.", **found
    )
    left = run.seen.tasks_left
    assert not ask.begun_after and not left, blame("LEAKED_FUTURES", tasks_left=left, **found)


def test_data_once(student, dask, rng):
    """The data reach each worker once, and not with each trial."""
    candidates, scores = draw(rng, 24)
    ask = Search(candidates, scores, 1e9)
    run_alone(student, dask, ask, 4)
    arrivals = ask.arrivals.total()
    found = {"arrivals": arrivals, "trials": len(ask.begun)}
    assert len(ask.begun) == 24 and not ask.foreign_data, blame(
        because="The trials were not made with the data.", **found
    )
    # Two workers: 1 or 2 with scatter, 24 with the data in each task. Dask may drop a copy that no
    # task waits for and fetch it again later, so the bound lies between.
    assert arrivals <= 12, blame("DATA_PER_TASK", **found)
    assert arrivals >= 1, blame(because="The data never reached a worker.", **found)


def test_edges(student, dask):
    """Without candidates the result is None; a max_inflight below one is a ValueError."""
    with dask.cluster() as cluster:
        run = Run(student, cluster, Search([], {}, 1e9), 2)
        assert run.best is None, blame(because="Without candidates the result should be None.")
        ask = Search([1], {1: [1.0]}, 1e9)
        f, params, data, stop = cluster.search_inputs(ask, ask.token, 1000)
        raised = student.refusal("search", cluster.client, f, params, data, 0, stop)
        ask.over = True
        cluster.settle()
    assert "ValueError" in raised, blame(because="A max_inflight below 1 should raise ValueError.")
    assert not ask.drawn, blame(because="A max_inflight below 1 should raise ValueError at once.")
