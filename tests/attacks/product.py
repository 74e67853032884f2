"""`python -m tests.attacks.product DEFENCE ARGUMENT...`: the real command with one defence off.

Also how the gradebook gets its token: `--plant COURSE TOKEN`.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    first, *arguments = sys.argv[1:]
    if first == "--plant":
        _plant(Path(arguments[0]), arguments[1])
        return
    from tests.attacks.weak import switch_off

    sys.argv = ["shardwork", *arguments]
    switch_off(first)
    from shardwork.command import main as command

    command()


def _plant(root: Path, token: str) -> None:
    from nbgrader.api import Gradebook

    from shardwork.course import load_course
    from shardwork.gradebook import ensure_registered
    from shardwork.nbgrader_bridge import options
    from tests.attacks.course import POINTS

    course = load_course(root)
    for assignment in POINTS:
        ensure_registered(course, assignment)
    paths = options(course).CourseDirectory
    with Gradebook(paths.db_url, paths.course_id) as gradebook:
        gradebook.update_or_create_student("a-planted", first_name=token)


if __name__ == "__main__":
    main()
