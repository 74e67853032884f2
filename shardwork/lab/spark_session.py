"""The one Spark session of a notebook: local, quiet, with the settings that exercises rely on.

Plans and partition counts are graded, so whatever changes them is pinned here; see `_settings`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shardwork.java import find_java
from shardwork.lab.spark_launch import DRIVER_MEMORY, java_options, make_home
from shardwork.spark_archive import Archive, find_archive, given_archive

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DEFAULT_MASTER = "local[2]"
_JVM_EXIT_LIMIT_S = 20.0
_EXECUTOR_MEMORY, _CORES = "900m", "2"
"""On a standalone cluster, whose workers offer 1 GB each."""

# Spark's start-up messages would otherwise stand, in red, in the first output of every notebook.
_LOGGING = """\
rootLogger.level = error
rootLogger.appenderRef.stderr.ref = console
# Of the same level as the root, or Spark announces that it sets the level, and sets it to WARN.
logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer
logger.gateway.level = error
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""


@dataclass
class _Current:
    """What this notebook has started, if anything."""

    session: SparkSession | None = None
    scratch: Path | None = None


_current = _Current()


def spark() -> SparkSession:
    """Return this notebook's Spark session; start it on the first call.

    The master is `SHARDWORK_SPARK_MASTER` (`local[n]`, `local-cluster[workers,cores,mb]` or the
    address of a standalone cluster such as `spark://spark-master:7077`), default `local[2]`. Starts
    a Java process and, for `local-cluster`, one for each executor; writes only below
    `SPARK_LOCAL_DIRS` or the temporary directory. A session that was stopped is replaced by a new
    one. Raises MachineError where there is no usable Java.

    On a standalone cluster the temporary directory must be one that the workers share, and
    `SHARDWORK_HOST` is the name by which they reach this machine (default: its host name).
    `SHARDWORK_SPARK_UI=1` opens the application's page on port 4040.
    """
    if _current.session is not None and _is_alive(_current.session):
        return _current.session
    stop_spark()
    _current.session = _start(os.environ.get("SHARDWORK_SPARK_MASTER") or _DEFAULT_MASTER)
    return _current.session


def scratch_folder() -> Path:
    """Return the folder of the session's own files, starting the session if need be.

    It is removed when the session is stopped.
    """
    spark()
    assert _current.scratch is not None
    return _current.scratch


def stop_spark() -> None:
    """Stop the session, end its Java process, remove its files; calling it twice is allowed."""
    session, _current.session = _current.session, None
    try:
        if session is not None:
            _end(session)
    finally:
        _discard_files()


atexit.register(stop_spark)


def start_recording(class_list: Path) -> SparkSession:
    """Start the session by Spark's own launcher; Java writes the classes it loads to a file.

    For making a class archive; raises MachineError where there is no usable Java.
    """
    stop_spark()
    more = [f"-XX:DumpLoadedClassList={class_list}"]
    _current.session = _start_java(_DEFAULT_MASTER, str(find_java().path), None, more)
    return _current.session


def options_of(session: SparkSession) -> list[str]:
    """Return the options that we gave the session's Java, beside those of Spark's launcher."""
    return shlex.split(session.conf.get("spark.driver.extraJavaOptions") or "")


def _start(master: str) -> SparkSession:
    archive = given_archive()
    if archive is None:
        java = find_java()
        archive = find_archive(java)
        if archive is None:
            return _start_java(master, str(java.path), None)
    try:
        return _start_java(master, archive.launch.java_home, archive)
    except Exception:
        process = _java_process()
        if process is not None and process.poll() is None:
            raise  # Java runs: it is not the archive
    _forget()
    _discard_files()
    return _start_java(master, str(find_java().path), None)


def _start_java(
    master: str, java_home: str, archive: Archive | None, more_options: Sequence[str] = ()
) -> SparkSession:
    from pyspark.sql import SparkSession

    _current.scratch = scratch = _make_scratch()
    environment = {
        "JAVA_HOME": java_home,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LAUNCHER_OPTS": "-XX:-UsePerfData",
        **({} if _is_standalone(master) else {"SPARK_LOCAL_IP": "127.0.0.1"}),
        "SPARK_LOCAL_DIRS": str(scratch / "local"),
        "SPARK_CONF_DIR": str(scratch / "conf"),
    }
    if os.name == "posix":  # elsewhere an ordinary user can make no links
        make_home(scratch / "home", scratch, archive)
        environment["SPARK_HOME"] = str(scratch / "home")
    builder = SparkSession.builder.master(master).appName("shardwork")
    for name, value in _settings(master, scratch, archive, more_options).items():
        builder = builder.config(name, value)
    with _environment(environment):
        return builder.getOrCreate()


def _settings(
    master: str, scratch: Path, archive: Archive | None, more_options: Sequence[str]
) -> dict[str, str]:
    options = java_options(scratch, archive)
    settings = {
        "spark.driver.memory": DRIVER_MEMORY,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": shlex.join([*options, *more_options]),
        "spark.executor.extraJavaOptions": shlex.join(options),
        "spark.python.daemon.module": "shardwork.lab.spark_daemon",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # A whole chapter is judged in one session, and a loop skips many stages in each job; what
        # is counted must not be forgotten before it is looked at. A few kB each.
        "spark.ui.retainedStages": "20000",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "4",
        # The plan and the number of jobs are then what the code says, not what the data led to.
        "spark.sql.adaptive.enabled": "false",
        # Pinned to its default: turned on, simple Python UDFs vanish from the plan.
        "spark.sql.experimental.optimizer.transpilePyUDFs": "false",
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
    }
    cluster = re.fullmatch(r"local-cluster\[\s*\d+\s*,\s*\d+\s*,\s*(\d+)\s*\]", master)
    if cluster:
        settings["spark.executor.memory"] = f"{cluster[1]}m"
        if archive:
            # Before the folder of the configuration, or the archive would not be used.
            settings["spark.executor.extraClassPath"] = os.pathsep.join(archive.launch.class_path)
    if _is_standalone(master):
        settings |= {
            "spark.driver.host": os.environ.get("SHARDWORK_HOST") or socket.gethostname(),
            "spark.driver.bindAddress": "0.0.0.0",
            "spark.executor.memory": _EXECUTOR_MEMORY,
            # As many as `local[2]` has, spread over the workers.
            "spark.cores.max": _CORES,
            # The first job otherwise finds one executor of two, and its partitions lie there.
            "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        }
    if os.environ.get("SHARDWORK_SPARK_UI") == "1":
        settings |= {"spark.ui.enabled": "true", "spark.ui.port": "4040"}
    return settings


def _is_standalone(master: str) -> bool:
    return master.startswith("spark://")


def _discard_files() -> None:
    scratch, _current.scratch = _current.scratch, None
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)


def _make_scratch() -> Path:
    parent = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or tempfile.gettempdir()
    Path(parent).mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="shardwork-spark-", dir=parent))
    for name in ("local", "conf", "warehouse"):
        (scratch / name).mkdir()
    (scratch / "conf" / "log4j2.properties").write_text(_LOGGING)
    return scratch


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that start meanwhile, then restore them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _is_alive(session: SparkSession) -> bool:
    """Whether the session can still run a job; a student may have stopped it, or Java died."""
    if getattr(session.sparkContext, "_jsc", None) is None:
        return False
    process = _java_process()
    if process is not None and process.poll() is not None:
        return False
    try:
        return not session.sparkContext._jsc.sc().isStopped()
    except Exception:  # py4j has several errors for a Java that does not answer
        return False


def _java_process() -> subprocess.Popen[bytes] | None:
    from pyspark import SparkContext

    # None also where the gateway was started by another process.
    return getattr(SparkContext._gateway, "proc", None)


def _end(session: SparkSession) -> None:
    from pyspark import SparkContext

    process = _java_process()
    gateway: Any = SparkContext._gateway
    alive = process is None or process.poll() is None
    try:
        if alive and getattr(session.sparkContext, "_jsc", None) is not None:
            session.stop()
    finally:
        _forget()
        if process is not None:
            gateway.shutdown()
            if process.stdin is not None:
                process.stdin.close()  # the Java side exits when its standard input ends
            try:
                process.wait(_JVM_EXIT_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _forget() -> None:
    """Make PySpark start a new Java next time; it otherwise keeps the gateway for ever."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    context_class: Any = SparkContext
    session_class: Any = SparkSession
    context_class._active_spark_context = None
    context_class._gateway = None
    context_class._jvm = None
    session_class._instantiatedSession = None
