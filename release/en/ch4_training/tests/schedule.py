"""Public check of `schedule`, `bubble` and `peak`: the lists are worked off, for small numbers."""

from otter.test_files import test_case

OK_FORMAT = False

name = "schedule"
points = None

DURATION = {"F": 1, "B": 2}
SMALL = [(1, 3), (2, 2), (3, 5), (4, 3)]


def checked_lists(schedule, stages, micro_batches, kind):
    """The lists of a schedule, once they are known to hold the right operations."""
    lists = schedule(stages, micro_batches, kind)
    call = f'schedule({stages}, {micro_batches}, "{kind}")'
    found = type(lists).__name__
    assert isinstance(lists, list), f"{call} should return a list, but it returned: {found}"
    found = len(lists)
    assert found == stages, f"{call} has {found} lists; there are {stages} stages."
    for s, ops in enumerate(lists):
        for op in ops:
            good = isinstance(op, tuple) and len(op) == 2 and op[0] in ("F", "B")
            assert good, f'{call}: on stage {s}, {op!r} is no pair like ("F", 0).'
        for letter in "FB":
            numbers = sorted(m for found, m in ops if found == letter)
            complete = numbers == list(range(micro_batches))
            assert complete, f"{call}: stage {s} has {letter} for the micro-batches {numbers}."
    return lists


def makespan(lists):
    """The time at which the last operation ends, and the stages that did not get to their end."""
    finished, place, free_at = {}, [0] * len(lists), [0] * len(lists)
    progress = True
    while progress:
        progress = False
        for s, ops in enumerate(lists):
            if place[s] == len(ops):
                continue
            letter, m = ops[place[s]]
            if letter == "F":
                needs = [(s - 1, "F", m)] if s else []
            else:
                needs = [(s, "F", m)] + ([(s + 1, "B", m)] if s + 1 < len(lists) else [])
            if all(need in finished for need in needs):
                start = max([free_at[s], *(finished[need] for need in needs)])
                finished[s, letter, m] = free_at[s] = start + DURATION[letter]
                place[s] += 1
                progress = True
    return max(free_at), [s for s, ops in enumerate(lists) if place[s] < len(ops)]


@test_case(
    name="all the work",
    success_message="Every stage has each forward and each backward pass once.",
    failure_message="Each list should hold the pairs of all micro-batches, each pair once.",
)
def test_all_the_work(schedule):
    for stages, micro_batches in SMALL:
        for kind in ("gpipe", "1f1b"):
            checked_lists(schedule, stages, micro_batches, kind)


@test_case(
    name="no deadlock",
    success_message="All stages come to the end of their lists.",
    failure_message="Some stage waits for ever. Read again: Lists that wait for each other.",
)
def test_no_deadlock(schedule):
    for stages, micro_batches in SMALL:
        for kind in ("gpipe", "1f1b"):
            _, waiting = makespan(checked_lists(schedule, stages, micro_batches, kind))
            call = f'schedule({stages}, {micro_batches}, "{kind}")'
            assert not waiting, f"{call}: these stages wait for ever: {waiting}"


@test_case(
    name="bubble of gpipe",
    success_message='The bubble of "gpipe" is that of your lists.',
    failure_message="The bubble is the idle time of all stages, divided by S times the makespan.",
)
def test_bubble_of_gpipe(schedule, bubble):
    for stages, micro_batches in SMALL:
        end, _ = makespan(checked_lists(schedule, stages, micro_batches, "gpipe"))
        lists_say = 1 - 3 * micro_batches / end
        yours = bubble(stages, micro_batches, "gpipe")
        agree = abs(yours - lists_say) < 1e-9
        call = f'bubble({stages}, {micro_batches}, "gpipe")'
        assert agree, f"{call} is {yours}; your lists have a bubble of {lists_say:.6f}."


@test_case(
    name="peak of gpipe",
    success_message='The peaks of "gpipe" are those of your lists.',
    failure_message="The peak of a stage is the largest number of micro-batches that are live.",
)
def test_peak_of_gpipe(schedule, peak):
    for stages, micro_batches in SMALL:
        lists_say = []
        for ops in checked_lists(schedule, stages, micro_batches, "gpipe"):
            live = most = 0
            for letter, _ in ops:
                live += 1 if letter == "F" else -1
                most = max(most, live)
            lists_say.append(most)
        yours = peak(stages, micro_batches, "gpipe")
        call = f'peak({stages}, {micro_batches}, "gpipe")'
        assert yours == lists_say, f"{call} is {yours}; your lists have peaks of {lists_say}."


@test_case(
    name="errors",
    success_message="Numbers below 1 and unknown kinds raise ValueError.",
    failure_message="S or M below 1, or another kind, should raise ValueError in each function.",
)
def test_errors(schedule, bubble, peak):
    for function in (schedule, bubble, peak):
        for arguments in [(0, 3, "gpipe"), (3, 0, "1f1b"), (3, 3, "2f2b")]:
            raised = False
            try:
                function(*arguments)
            except ValueError:
                raised = True
            title = function.__name__
            assert raised, f"{title}{arguments} raised no ValueError."
