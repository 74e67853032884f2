"""Cgroups: where this process may make them, in both versions, as proc(5) and cgroups(7) say.

The texts are those of real machines, shortened; folders of a version 2 hierarchy are made here.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shardwork.sandbox import cgroup

pytestmark = pytest.mark.unit


def mounted(point: Path | str, kind: str, options: str, root: str = "/") -> str:
    return f"30 23 0:26 {root} {point} rw,nosuid shared:9 - {kind} {kind} {options}"


def test_version_1_has_a_folder_for_each_controller_at_the_process_s_own_path(
    tmp_path: Path,
) -> None:
    for name in ("memory/user/me", "pids", "cpu,cpuacct"):
        (tmp_path / name).mkdir(parents=True)
    mounts = [
        mounted(tmp_path / "memory", "cgroup", "rw,memory"),
        mounted(tmp_path / "pids", "cgroup", "rw,pids"),
        mounted(tmp_path / "cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
        mounted(tmp_path / "unified", "cgroup2", "rw"),
    ]
    groups = ["9:pids:/", "4:memory:/user/me", "2:cpu,cpuacct:/", "0::/"]
    version, folders = cgroup.find_folders(mounts, groups) or (0, {})
    assert version == 1
    assert folders == {
        "memory": tmp_path / "memory/user/me",
        "pids": tmp_path / "pids",
        "cpu": tmp_path / "cpu,cpuacct",
        "cpuacct": tmp_path / "cpu,cpuacct",
    }


def test_a_container_s_root_of_the_hierarchy_is_taken_off_the_path(tmp_path: Path) -> None:
    for name in ("memory", "pids"):
        (tmp_path / name).mkdir()
    mounts = [
        mounted(tmp_path / "memory", "cgroup", "rw,memory", root="/docker/abc"),
        mounted(tmp_path / "pids", "cgroup", "rw,pids", root="/docker/abc"),
    ]
    groups = ["9:pids:/docker/abc", "4:memory:/docker/abc"]
    found = cgroup.find_folders(mounts, groups)
    assert found == (1, {"memory": tmp_path / "memory", "pids": tmp_path / "pids"})


def test_version_2_is_used_where_its_children_can_have_controllers(tmp_path: Path) -> None:
    own = tmp_path / "user.slice/run"
    own.mkdir(parents=True)
    (own / "cgroup.subtree_control").write_text("cpu memory pids\n")
    mounts = [mounted(tmp_path, "cgroup2", "rw,nsdelegate")]
    found = cgroup.find_folders(mounts, ["0::/user.slice/run"])
    assert found == (2, dict.fromkeys(("memory", "pids", "cpu", "cpuacct"), own))


def test_without_a_controller_or_the_right_to_write_there_is_no_cgroup(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    only_memory = [mounted(tmp_path / "memory", "cgroup", "rw,memory")]
    assert cgroup.find_folders(only_memory, ["4:memory:/"]) is None
    no_control_file = [mounted(tmp_path, "cgroup2", "rw")]
    assert cgroup.find_folders(no_control_file, ["0::/"]) is None
    assert cgroup.find_folders([], []) is None


def test_the_bounds_of_version_2_are_written_and_its_kills_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = dict.fromkeys(("memory", "pids", "cpu"), tmp_path)
    monkeypatch.setattr(cgroup, "own_folders", lambda: (2, folders))
    made = cgroup.make(1 << 30, 100)
    assert made is not None
    (folder,) = tmp_path.iterdir()
    assert (folder / "memory.max").read_text() == str(1 << 30)
    assert (folder / "memory.swap.max").read_text() == "0"
    assert (folder / "pids.max").read_text() == "100"
    (folder / "memory.events").write_text("low 0\nmax 7\noom 1\noom_kill 0\n")
    assert not made.killed_for_memory
    (folder / "memory.events").write_text("low 0\nmax 7\noom 1\noom_kill 2\n")
    assert made.killed_for_memory


def test_cgroups_of_processes_that_have_ended_are_swept_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "own_folders", lambda: (1, {"memory": tmp_path}))
    dead = 1 << 22  # above pid_max, so no process has it
    for name in (f"shardwork-{dead}-a", f"shardwork-{os.getpid()}-b", "system.slice"):
        (tmp_path / name).mkdir()
    cgroup.sweep()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [f"shardwork-{os.getpid()}-b", "system.slice"]


def test_what_a_version_2_cgroup_takes_is_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "memory.current").write_text("4096\n")
    (tmp_path / "pids.current").write_text("3\n")
    (tmp_path / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 2000000\n")
    folders = dict.fromkeys(("memory", "pids", "cpu"), tmp_path)
    assert cgroup.Cgroup(folders, 2).usage() == cgroup.Usage(4096, 3, 2.5)


def test_what_a_version_1_cgroup_takes_is_unknown_without_its_accounting(tmp_path: Path) -> None:
    (tmp_path / "memory.usage_in_bytes").write_text("8192\n")
    (tmp_path / "pids.current").write_text("2\n")
    (tmp_path / "cpuacct.usage").write_text("1500000000\n")
    folders = dict.fromkeys(("memory", "pids", "cpu"), tmp_path)
    assert cgroup.Cgroup(folders, 1).usage() is None
    known = cgroup.Cgroup({**folders, "cpuacct": tmp_path}, 1)
    assert known.usage() == cgroup.Usage(8192, 2, 1.5)
