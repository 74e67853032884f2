"""How the Java of a session is started: Spark's home in a folder of links, and what it runs.

PySpark starts `bin/spark-submit` in the folder `SPARK_HOME`. There is always such a folder of our
own, because Spark writes into its home and because of what it would find in it; with a class
archive it has its own `bin/spark-submit`, which starts Java at once, as Spark's launcher would.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from shardwork.spark_archive import JVM_OPTIONS, Archive, spark_home

DRIVER_MEMORY = "1g"
_MAIN_CLASS = "org.apache.spark.deploy.SparkSubmit"


def java_options(scratch: Path, archive: Archive | None, more: Sequence[str] = ()) -> list[str]:
    """Return our options for the Java of the driver, and of executors, which are alike."""
    chosen = archive.options if archive else ()
    return [*JVM_OPTIONS, *chosen, *more, f"-Djava.io.tmpdir={scratch}"]


def make_home(home: Path, scratch: Path, archive: Archive | None) -> None:
    """Make the folder `home`: links to Spark's own, and what must differ (Spark 4.3).

    - `work` is a folder: `local-cluster` writes into it, whatever else is set.
    - no `conf`: `SPARK_CONF_DIR` is set.
    - no `python`: Python workers would import PySpark from the archive `pyspark.zip` in it, which
      holds no byte code, instead of the package that the notebook uses (0.6 s for each session).
    - with an archive, `bin/spark-submit` starts Java without the launcher, a Java of its own.
    """
    ours = {"work", "conf", "python", *(("bin",) if archive else ())}
    home.mkdir()
    for entry in spark_home().iterdir():
        if entry.name not in ours:
            (home / entry.name).symlink_to(entry)
    (home / "work").mkdir()
    if archive:
        (home / "bin").mkdir()
        script = home / "bin" / "spark-submit"
        script.write_text(_script(archive, scratch))
        script.chmod(0o755)


def _script(archive: Archive, scratch: Path) -> str:
    launch = archive.launch
    # The configuration stands last: an archive is only used if all before it is as it was then, and
    # a folder that is not empty cannot be. No jar of Spark's has a configuration to hide ours.
    class_path = os.pathsep.join([*launch.class_path, f"{scratch / 'conf'}/"])
    command = [str(Path(launch.java_home) / "bin" / "java"), "-cp", class_path,
               f"-Xmx{DRIVER_MEMORY}", *java_options(scratch, archive), *launch.options,
               _MAIN_CLASS]  # fmt: skip
    exports = [f"export {name}={shlex.quote(value)}" for name, value in launch.environment.items()]
    return "\n".join(["#!/bin/sh", *exports, f'exec {shlex.join(command)} "$@"', ""])
