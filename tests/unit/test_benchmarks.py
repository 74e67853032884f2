"""The arithmetic of the benchmarks. No test asserts a time."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.speed.commands import Process, find_cpuacct
from benchmarks.speed.figures import (
    Part,
    Report,
    Run,
    Timing,
    Tool,
    file_name,
    ratios,
    where_time_goes,
)
from benchmarks.speed.memory import Role, role_of, series
from benchmarks.speed.picture import GROUPS, draw
from benchmarks.speed.regrade import Regraded
from benchmarks.speed.starts import calls_in
from benchmarks.speed.tables import tools_table, where_table
from benchmarks.speed.tools import is_right

pytestmark = pytest.mark.unit

PHASES = {"ingest": 1.0, "start": 3.0, "judging": 24.0, "records": 2.0, "gradebook": 5.0,
          "feedback": 0.5, "report": 0.5}  # fmt: skip
TIMINGS = [Timing(1.0, 9.0, 4.0, 15.0), Timing(1.0, 11.0, 6.0, 19.0), Timing(1.0, 4.0, 1.0, 6.0)]


def a_run(tool: Tool, wall_s: float, assignment: str = "ch2_spark") -> Run:
    return Run(assignment, tool, 8, 8, 1, wall_s, 16.0, "samples", 300_000_000)


def a_report() -> Report:
    runs = (a_run(Tool.SHARDWORK, 40.0), a_run(Tool.NBGRADER, 160.0), a_run(Tool.OTTER, 120.0))
    where = where_time_goes("ch2_spark", 40.0, PHASES, TIMINGS, 2, 3.0)
    return Report("2026-11-24T01:00:00+00:00", {"cores": 2}, {}, runs, (where,))


def test_a_rate_is_submissions_by_minutes():
    assert a_run(Tool.SHARDWORK, 40.0).per_minute == 12.0  # 8 in two thirds of a minute
    assert a_run(Tool.SHARDWORK, 40.0).cpu_each_s == 2.0


def test_a_ratio_says_how_many_times_as_many_in_the_same_time():
    runs = [*a_report().runs, a_run(Tool.OTTER, 10.0, "ch3_dask")]
    # 8 in 40 s against 8 in 160 s and 8 in 120 s; nobody to compare with in ch3_dask
    assert ratios(runs) == {
        ("ch2_spark", Tool.NBGRADER): pytest.approx(4.0),
        ("ch2_spark", Tool.OTTER): pytest.approx(3.0),
    }


def test_the_parts_of_a_command_add_up_to_its_wall_time():
    where = where_time_goes("ch3_dask", 40.0, PHASES, TIMINGS, 2, 3.0)
    # By hand, in two slots: clusters 3*3/2; notebooks 24/2 less that; judges 11/2; records 2/2;
    # 24 of judging less all these. Sandboxes are made meanwhile.
    assert where.seconds == {
        "command": 6.0, "ingest": 1.0, "zygote and station": 3.0, "cluster start": 4.5,
        "notebook": 7.5, "judging": 5.5, "records": 1.0, "idle": 5.5, "gradebook": 5.0,
        "feedback": 0.5, "report": 0.5,
    }  # fmt: skip
    assert sum(where.seconds.values()) == pytest.approx(40.0)
    assert where.ahead == {"sandbox": 3.0}


def test_a_cluster_that_starts_with_its_sandbox_takes_nothing_of_the_notebook():
    where = where_time_goes("ch2_spark", 40.0, PHASES, TIMINGS, 2, 0.75, cluster_ahead=True)
    assert (where.seconds["cluster start"], where.seconds["notebook"]) == (0.0, 12.0)
    assert where.ahead == {"sandbox": 0.75, "cluster start": 2.25}  # three of 1.0, 0.75 each


def test_times_that_a_record_does_not_have_are_nothing_and_no_part_is_negative():
    where = where_time_goes("ch2_spark", 4.0, {}, [Timing(total_s=2.0)], 1, 9.0)
    assert min(where.seconds.values()) == 0.0
    assert (where.seconds["idle"], where.seconds["command"]) == (0.0, 4.0)


def test_a_cluster_is_not_started_for_longer_than_a_notebook_runs():
    where = where_time_goes("ch3_dask", 4.0, {}, [Timing(notebook_s=1.0, total_s=1.0)], 1, 9.0)
    assert (where.seconds["cluster start"], where.seconds["notebook"]) == (1.0, 0.0)


def test_the_folder_of_cpuacct_is_found_where_it_is_mounted():
    mounts = [
        "30 24 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
        "31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct",
    ]
    groups = ["9:memory:/other", "2:cpu,cpuacct:/user/one", "0::/"]
    assert find_cpuacct(mounts, groups) == Path("/sys/fs/cgroup/cpu,cpuacct/user/one")
    # A container sees its own part of the hierarchy as the root of the mount.
    inside = [mounts[1].replace("0:27 / ", "0:27 /user/one ")]
    assert find_cpuacct(inside, groups) == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert find_cpuacct(mounts[:1], groups) is None
    assert find_cpuacct(["1 2 0:3 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"], ["0::/a"]) is None


def test_otter_says_that_all_is_right_with_full_scores_only():
    public = {"name": "Public Tests", "output": "tree results: All test cases passed!"}
    full, half = {"score": 1.0, "max_score": 1.0}, {"score": 0.5, "max_score": 1.0}
    assert is_right({"tests": [public, full, full]})
    assert not is_right({"tests": [public, full, half]})
    assert not is_right({"tests": [public]})
    assert not is_right({"tests": [{"name": "Autograder Error", "output": "..."}]})


def test_a_notebook_says_which_clusters_it_starts():
    assert calls_in("from shardwork import lab\nspark = lab.spark()\n") == ["lab.spark("]
    assert calls_in("sums = run_ranks(f, 2)\nlab.dask_client()") == ["lab.dask_client(",
                                                                     "run_ranks("]  # fmt: skip
    assert calls_in("import dask\n") == []


def test_memory_is_added_up_by_what_a_process_is_for():
    batch, judge = "python -m shardwork --course x grade y", "python -m shardwork.judge 6 3"
    inside = "python -P -m shardwork.inside 4"
    assert [role_of(c) for c in (batch, judge, inside)] == [Role.BATCH, Role.JUDGES, Role.INSIDE]
    samples = [
        (Process(1, batch, 10), Process(2, judge, 20 + extra), Process(3, judge, 5))
        for extra in (0, 1, 9, 2, 3, 4, 0, 6)
    ]
    found = {one.role: one for one in series(samples)}
    assert (found[Role.BATCH].early_bytes, found[Role.BATCH].late_bytes) == (10, 10)
    # Of eight samples the first two and the last two; the largest is the third.
    judges = found[Role.JUDGES]
    assert (judges.early_bytes, judges.late_bytes, judges.peak_bytes) == (26, 31, 34)
    assert found[Role.INSIDE].peak_bytes == 0
    assert all(one.peak_bytes == 0 for one in series([]))


def test_one_more_submission_is_told_without_what_a_command_costs_anyway():
    found = Regraded(submissions=301, wall_s=5.0, cpu_s=6.0, command_cpu_s=3.0, phases={})
    assert found.more_cpu_ms == pytest.approx(10.0)
    assert found.each_ms == pytest.approx(5000 / 301)


def test_the_tables_say_what_was_graded_and_how_much_faster():
    report = a_report()
    shown = io.StringIO()
    tables = (tools_table(report.runs), where_table(report.where, {"ch2_spark": 8}))
    Console(width=140, file=shown).print(*tables)
    text = shown.getvalue()
    assert "4.0 times as many" in text
    assert "8 of 8" in text
    assert all(part.value in text for part in Part)


def test_a_picture_has_every_part_once_and_is_the_same_again():
    parts = [part for group in GROUPS.values() for part in group]
    assert sorted(parts, key=str) == sorted(Part, key=str)
    assert draw(a_report()) == draw(a_report())


def test_a_result_is_named_by_day_and_kind():
    assert file_name(dt.date(2026, 11, 24), "speed") == "2026-11-24-speed.json"
