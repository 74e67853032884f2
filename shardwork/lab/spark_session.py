"""The one Spark session of a notebook: local, quiet, with the settings that exercises rely on.

Plans and partition counts are graded, so whatever changes them is pinned here; see `_settings`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shardwork.java import find_java

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DEFAULT_MASTER = "local[2]"
_JVM_EXIT_LIMIT_S = 20.0

# The first two halve the CPU time of a short session; the third keeps /tmp/hsperfdata_* away.
_JVM_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
# Java 17 dies of a NullPointerException in a cgroup namespace of its own (version 1 cgroups), which
# is where the sandbox puts it; memory and cores are set explicitly anyway. Linux has this option.
if sys.platform == "linux":
    _JVM_OPTIONS += " -XX:-UseContainerSupport"

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

    The master is `SHARDWORK_SPARK_MASTER` (`local[n]` or `local-cluster[workers,cores,mb]`),
    default `local[2]`. Starts a Java process and, for `local-cluster`, one for each executor;
    writes only below `SPARK_LOCAL_DIRS` or the temporary directory. A session that was stopped
    is replaced by a new one. Raises MachineError where there is no usable Java.
    """
    if _current.session is not None and _is_alive(_current.session):
        return _current.session
    stop_spark()
    _current.session = _start(os.environ.get("SHARDWORK_SPARK_MASTER") or _DEFAULT_MASTER)
    return _current.session


def stop_spark() -> None:
    """Stop the session, end its Java process, remove its files; calling it twice is allowed."""
    session, _current.session = _current.session, None
    scratch, _current.scratch = _current.scratch, None
    try:
        if session is not None:
            _end(session)
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


atexit.register(stop_spark)


def _start(master: str) -> SparkSession:
    from pyspark.sql import SparkSession

    java = find_java()
    _current.scratch = scratch = _make_scratch()
    environment = {
        "JAVA_HOME": str(java.path),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LAUNCHER_OPTS": "-XX:-UsePerfData",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(scratch / "local"),
        "SPARK_CONF_DIR": str(scratch / "conf"),
    }
    if master.startswith("local-cluster"):
        environment["SPARK_HOME"] = str(_linked_home(scratch / "home"))
    builder = SparkSession.builder.master(master).appName("shardwork")
    for name, value in _settings(master, scratch).items():
        builder = builder.config(name, value)
    with _environment(environment):
        return builder.getOrCreate()


def _settings(master: str, scratch: Path) -> dict[str, str]:
    jvm_options = f"{_JVM_OPTIONS} -Djava.io.tmpdir={scratch}"
    settings = {
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": jvm_options,
        "spark.executor.extraJavaOptions": jvm_options,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
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
    return settings


def _make_scratch() -> Path:
    parent = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0] or tempfile.gettempdir()
    Path(parent).mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="shardwork-spark-", dir=parent))
    for name in ("local", "conf", "warehouse"):
        (scratch / name).mkdir()
    (scratch / "conf" / "log4j2.properties").write_text(_LOGGING)
    return scratch


def _linked_home(home: Path) -> Path:
    """Make a SPARK_HOME of links: `local-cluster` writes into its `work`, whatever else is set."""
    from pyspark.find_spark_home import _find_spark_home

    home.mkdir()
    for entry in Path(_find_spark_home()).iterdir():
        if entry.name not in ("work", "conf"):
            (home / entry.name).symlink_to(entry)
    (home / "work").mkdir()
    return home


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
        _forget(SparkContext)
        if process is not None:
            gateway.shutdown()
            if process.stdin is not None:
                process.stdin.close()  # the Java side exits when its standard input ends
            try:
                process.wait(_JVM_EXIT_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _forget(context_class: Any) -> None:
    """Make PySpark start a new Java next time; it otherwise keeps the gateway for ever."""
    from pyspark.sql import SparkSession

    session_class: Any = SparkSession
    context_class._active_spark_context = None
    context_class._gateway = None
    context_class._jvm = None
    session_class._instantiatedSession = None
