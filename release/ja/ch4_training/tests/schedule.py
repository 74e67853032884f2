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
    assert isinstance(lists, list), f'{call}はリストを返すはずですが、返されたのは{found}でした。'
    found = len(lists)
    assert found == stages, f'{call}には{found}個のリストがありますが、ステージは{stages}個です。'
    for s, ops in enumerate(lists):
        for op in ops:
            good = isinstance(op, tuple) and len(op) == 2 and op[0] in ("F", "B")
            assert good, f'{call}：ステージ{s}の{op!r}は、("F", 0)のような組ではありません。'
        for letter in "FB":
            numbers = sorted(m for found, m in ops if found == letter)
            complete = numbers == list(range(micro_batches))
            assert complete, f'{call}：ステージ{s}の{letter}は、マイクロバッチ{numbers}についてのものです。'
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
    success_message="どのステージにも、それぞれの順伝播と逆伝播が1回ずつあります。",
    failure_message="それぞれのリストには、全マイクロバッチの組が1回ずつ入っているはずです。",
)
def test_all_the_work(schedule):
    for stages, micro_batches in SMALL:
        for kind in ("gpipe", "1f1b"):
            checked_lists(schedule, stages, micro_batches, kind)


@test_case(
    name="no deadlock",
    success_message="すべてのステージがリストの終わりに到達します。",
    failure_message="いつまでも待ち続けるステージがあります。「互いに待ち合うリスト」をもう一度読んでください。",
)
def test_no_deadlock(schedule):
    for stages, micro_batches in SMALL:
        for kind in ("gpipe", "1f1b"):
            _, waiting = makespan(checked_lists(schedule, stages, micro_batches, kind))
            call = f'schedule({stages}, {micro_batches}, "{kind}")'
            assert not waiting, f'{call}：次のステージがいつまでも待ち続けます：{waiting}'


@test_case(
    name="bubble of gpipe",
    success_message="\"gpipe\"のバブルは、リストのバブルと一致します。",
    failure_message="バブルは、全ステージが遊んでいる時間を、メイクスパンのS倍で割ったものです。",
)
def test_bubble_of_gpipe(schedule, bubble):
    for stages, micro_batches in SMALL:
        end, _ = makespan(checked_lists(schedule, stages, micro_batches, "gpipe"))
        lists_say = 1 - 3 * micro_batches / end
        yours = bubble(stages, micro_batches, "gpipe")
        agree = abs(yours - lists_say) < 1e-9
        call = f'bubble({stages}, {micro_batches}, "gpipe")'
        assert agree, f'{call}は{yours}ですが、リストのバブルは{lists_say:.6f}です。'


@test_case(
    name="peak of gpipe",
    success_message="\"gpipe\"のピークは、リストのピークと一致します。",
    failure_message="ステージのピークは、同時に生存しているマイクロバッチの最大数です。",
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
        assert yours == lists_say, f'{call}は{yours}ですが、リストのピークは{lists_say}です。'


@test_case(
    name="errors",
    success_message="1より小さい数と未知の種類は、ValueErrorになります。",
    failure_message="SまたはMが1より小さいとき、またはkindがほかの値のときは、どの関数でもValueErrorになるはずです。",
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
            assert raised, f'{title}{arguments}はValueErrorになりませんでした。'
