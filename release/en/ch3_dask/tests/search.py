from otter.test_files import test_case

from shardwork import lab

OK_FORMAT = False
name = "search"
points = None

OFFSET = 100.0


def score(data, param):
    return data["offset"] - abs(param - 5)


class Trial:
    """Two runs of search on a cluster of two workers, the second one without candidates."""

    kept = None

    def __init__(self, search):
        self.search = search
        self.drawn = self.asked = self.drawn_before_asking = 0
        data = {"offset": OFFSET}
        client = lab.dask_client()
        try:
            self.best = search(client, score, self.draw(8), data, 3, self.stop)
            self.nothing = search(client, score, self.draw(0), data, 3, self.stop)
        finally:
            lab.stop()

    @classmethod
    def of(cls, search):
        """Return the trial of this very function, made once."""
        if cls.kept is None or cls.kept.search is not search:
            cls.kept = cls(search)
        return cls.kept

    def draw(self, n):
        for param in range(n):
            self.drawn += 1
            if not self.asked:
                self.drawn_before_asking = self.drawn
            yield param

    def stop(self, score):
        self.asked += 1
        return False


@test_case(
    name="value",
    success_message="The best of eight candidates is found.",
    failure_message="With the candidates 0 to 7, the best is 5, with a score of 100.0.",
)
def test_value(search):
    best = Trial.of(search).best
    assert best == (5, OFFSET), f"The result is {best}."


@test_case(
    name="back-pressure",
    success_message="Candidates are drawn as there is room.",
    failure_message="With max_inflight = 3, at most 4 candidates should be drawn before stop is "
    "asked about the first score.",
)
def test_back_pressure(search):
    drawn = Trial.of(search).drawn_before_asking
    assert drawn <= 4, f"{drawn} candidates were drawn before stop was asked about any score."


@test_case(
    name="no candidates",
    success_message="Without candidates, the result is None.",
    failure_message="Without candidates, the result should be None.",
)
def test_no_candidates(search):
    best = Trial.of(search).nothing
    assert best is None, f"Without candidates, the result is {best}."


@test_case(
    name="error",
    success_message="A max_inflight of 0 raises ValueError.",
    failure_message="A max_inflight of 0 should raise ValueError, before anything is done.",
)
def test_error(search):
    raised = False
    try:
        search(None, score, iter([1]), {"offset": OFFSET}, 0, lambda score: False)
    except ValueError:
        raised = True
    assert raised, "A max_inflight of 0 raised no ValueError."
