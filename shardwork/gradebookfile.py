"""The file of nbgrader's gradebook: one writer at a time, and one way to make and to open it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shardwork.course import Course
from shardwork.errors import ShardworkError
from shardwork.plaintext import plain_line

if TYPE_CHECKING:
    from nbgrader.api import Gradebook

LOCK_TIMEOUT_S = 600.0


@contextlib.contextmanager
def lock(course: Course, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the gradebook for writing; ShardworkError if another process holds it for `timeout_s`.

    The lock goes with the process, so a killed batch never leaves it behind.
    """
    path = course.gradebook.with_name(course.gradebook.name + ".lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise ShardworkError(
                        f"Another process has been writing {course.gradebook} for {timeout_s:g} s. "
                        "Wait until it has finished and run the same command again."
                    ) from None
                time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def one_engine() -> Iterator[None]:
    """Let nbgrader open the gradebook with one database engine as long as the block lasts.

    nbgrader 0.9.6 opens it about ten times for a submission, each time with a new engine, and an
    engine forgets the statements that it has compiled: a third of the CPU time of writing one.
    """
    from nbgrader import api

    make = api.create_engine
    engines: dict[str, Any] = {}

    def engine(url: str, **options: Any) -> Any:
        if url not in engines:
            engines[url] = make(url, **options)
        return engines[url]

    api.create_engine = engine
    try:
        yield
    finally:
        api.create_engine = make
        for made in engines.values():
            made.dispose()


def make_empty(course: Course) -> None:
    """Make a gradebook with nothing in it, whole or not at all.

    nbgrader enters its version last; one that was killed before that could never be upgraded.
    """
    from nbgrader.api import Gradebook
    from sqlalchemy import URL

    from shardwork.nbgrader_bridge import see_alembic

    path = course.gradebook.with_name(f".{course.gradebook.name}.new")
    path.unlink(missing_ok=True)
    url = URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
    see_alembic()
    with Gradebook(url, course.config.id):
        pass
    path.replace(course.gradebook)


@contextlib.contextmanager
def opened(course: Course) -> Iterator[Gradebook]:
    """Open nbgrader's gradebook; ShardworkError if it is damaged or in use."""
    import sqlalchemy.exc
    from nbgrader.api import Gradebook

    from shardwork.nbgrader_bridge import options

    paths = options(course).CourseDirectory
    try:
        with Gradebook(paths.db_url, paths.course_id) as gradebook:
            yield gradebook
    except sqlalchemy.exc.DatabaseError as error:
        raise ShardworkError(
            f"{course.gradebook}: {plain_line(str(error.orig or error))}. If it is in use, wait "
            "and try again; if it is damaged, move it away and run `shardwork grade`: records are "
            "kept, and points are written from them."
        ) from error
