"""The daemon that forks a session's Python workers: PySpark's own (4.3), made ready beforehand.

PySpark's daemon forks a worker and lets it import what it needs. Here the daemon has imported
that, and workers share it. And a worker collects garbage after every task, which walks every object
of the imported modules: 20 ms of CPU time, more than a short task takes. Frozen objects are not
walked; what a task makes is collected as ever.
"""

from __future__ import annotations

import gc
import threading


def main() -> None:
    """Fork workers as Spark asks for them, until its Java hangs up."""
    import pyspark.daemon
    import pyspark.worker

    if threading.active_count() > 1:  # a fork would lose it: PySpark itself would import later
        raise RuntimeError("importing pyspark.worker has started a thread")
    gc.collect()
    gc.freeze()
    assert pyspark.worker.main
    pyspark.daemon.manager()


if __name__ == "__main__":
    main()
