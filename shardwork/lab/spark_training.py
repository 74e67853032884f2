"""Make the class archive of this machine's Spark: `python -m shardwork.lab.spark_training`.

A session is started in the ordinary way and does the course's kinds of jobs, so that Java writes
down what it loads; then Java makes the archive: about a minute of one core and 200 MB, once for
each Java and installation. No code of a student's is anywhere near.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from shardwork import spark_archive
from shardwork.errors import MachineError
from shardwork.java import JavaHome, find_java
from shardwork.lab import spark_session, spark_work
from shardwork.spark_archive import JVM_OPTIONS, LAUNCH, VARIABLE, Archive, Launch

_CLASS_LIST = "classes.list"
_LIMIT_S = 900.0
_UNUSED_S = 30 * 86_400.0
# What `bin/spark-submit` and the scripts that it reads export (Spark 4.3).
_EXPORTED = ("PYTHONHASHSEED", "SPARK_SCALA_VERSION")
_RECORD = "--record"


def provide_archive(java: JavaHome) -> Archive:
    """Return the archive of this Java; if there is none, remove stale ones and make it.

    Whoever comes while another makes one waits. It appears whole or not at all. Raises
    MachineError if it cannot be made; what is there already is kept then.
    """
    if (found := spark_archive.find_archive(java)) is not None:
        return found
    try:
        folder = spark_archive.archive_folder(java)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _only_maker(folder.parent):
            found = spark_archive.find_archive(java)  # another may have made it meanwhile
            if found is None:
                _make(java, folder)
                sweep(folder)
                found = spark_archive.find_archive(java)
    except (OSError, RuntimeError) as error:
        raise MachineError(f"The class archive for Spark could not be made: {error}") from error
    if found is None:
        raise MachineError(
            f"The class archive {folder} is not used: others than you may write to it. Remove it, "
            "and make it again with a umask such as 022."
        )
    return found


def sweep(fresh: Path) -> None:
    """Remove what killed makers have left beside the archive `fresh`, and stale archives.

    Stale is one whose Java or jars are gone or those of `fresh`, and one that was not used for 30
    days. The caller holds the lock. A session that uses one goes on; the next goes without.
    """
    ours = _installation(fresh)
    for folder in fresh.parent.iterdir():
        if folder == fresh or not folder.is_dir():
            continue
        theirs = _installation(folder)
        gone = theirs is None or not all(path.exists() for path in theirs)
        if gone or theirs == ours or _unused_s(folder) > _UNUSED_S:
            shutil.rmtree(folder, ignore_errors=True)


def _installation(folder: Path) -> tuple[Path, Path] | None:
    """Return the Java and the first of the jars that an archive belongs to; None for rubbish."""
    try:
        launch = msgspec.json.decode((folder / LAUNCH).read_bytes(), type=Launch)
        return Path(launch.java_home), Path(launch.class_path[0])
    except (OSError, msgspec.MsgspecError, IndexError):
        return None


def _unused_s(folder: Path) -> float:
    try:
        return time.time() - (folder / LAUNCH).stat().st_mtime
    except OSError:
        return 0.0


@contextlib.contextmanager
def _only_maker(root: Path) -> Iterator[None]:
    """Hold the lock of all makers of this user; it ends with the process, however that ends."""
    import fcntl

    with (root / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(java: JavaHome, folder: Path) -> None:
    # A name of its own even under the lock: on some network file systems there is none.
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix="partial-"))
    try:
        environment = {k: v for k, v in os.environ.items() if k != VARIABLE}
        environment["JAVA_HOME"] = str(java.path)
        _run([sys.executable, "-m", __spec__.name, _RECORD, str(partial)], environment, partial)
        launch = msgspec.json.decode((partial / LAUNCH).read_bytes(), type=Launch)
        command = [str(java.path / "bin" / "java"), *JVM_OPTIONS, *launch.options,
                   "-cp", os.pathsep.join(launch.class_path)]  # fmt: skip
        archive = Archive(partial, launch)
        _run([*command, f"-XX:SharedClassListFile={partial / _CLASS_LIST}", "-Xlog:cds=error",
              f"-XX:SharedArchiveFile={archive.classes}", "-Xshare:dump"],
             environment, partial)  # fmt: skip
        # What this Java cannot map or does not know would be of no use.
        _run([*command, *archive.options, "-Xshare:on", "-version"], environment, partial)
        size = archive.classes.stat().st_size
        launch = msgspec.structs.replace(launch, size_bytes=size)
        (partial / LAUNCH).write_bytes(msgspec.json.encode(launch))
        (partial / _CLASS_LIST).unlink()
        for path in partial.iterdir():
            path.chmod(0o444)
        partial.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)  # one that was broken
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _run(command: list[str], environment: dict[str, str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=_LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise MachineError(f"{command[0]} was not done after {_LIMIT_S:.0f} s") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-500:]
        raise MachineError(f"{command[0]} ended with status {done.returncode}; it said: {said}")


def _record(folder: Path) -> None:
    """Do the work in a session that records its classes, and write down how it was started."""
    spark = spark_session.start_recording(folder / _CLASS_LIST)
    try:
        (folder / LAUNCH).write_bytes(msgspec.json.encode(_launch_of(spark)))
        spark_work.do_all(spark, folder / "work")
    finally:
        spark_session.stop_spark()
        shutil.rmtree(folder / "work", ignore_errors=True)


def _launch_of(spark: spark_work.Spark) -> Launch:
    """Ask a Java that Spark's launcher has started how that was done."""
    java = spark.sparkContext._jvm.java.lang
    told = java.management.ManagementFactory.getRuntimeMXBean().getInputArguments()
    ours = set(spark_session.options_of(spark))
    options = [str(o) for o in told if o not in ours and not o.startswith("-Xmx")]
    found = str(java.System.getProperty("java.class.path")).split(os.pathsep)
    # This session found them through links of its own. Once each: slf4j is named twice.
    names = dict.fromkeys(Path(path).name for path in found if path.endswith(".jar"))
    jars = spark_archive.spark_home() / "jars"
    exported = {name: java.System.getenv(name) for name in _EXPORTED}
    return Launch(
        java_home=os.environ["JAVA_HOME"],
        options=tuple(options),
        class_path=tuple(str(jars / name) for name in names),
        environment={name: str(value) for name, value in exported.items() if value is not None},
    )


def main(arguments: list[str]) -> None:
    """Make the archive and say where it is; if it is there, do and say nothing."""
    if arguments[:1] == [_RECORD]:
        _record(Path(arguments[1]))
        return
    java = find_java()
    if spark_archive.find_archive(java) is None:
        print("making the class archive of Spark (a minute or two, once for each Java)", flush=True)
        print(f"made {provide_archive(java).folder}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MachineError as problem:
        print(problem, file=sys.stderr)
        sys.exit(problem.exit_code)
