"""The command line: `shardwork COMMAND`, one module of this package for each command.

A command is loaded when it is called, so `shardwork --help` imports no framework. A command's
module binds a click command to the name `command`; it prints its result on stdout, returns an
`ExitCode` (or nothing, for done) and lets every `ShardworkError` pass: `main` reports it, once.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from shardwork import __version__
from shardwork.errors import ExitCode, ShardworkError

if TYPE_CHECKING:
    from shardwork.course import Course

COMMANDS = {
    "release": "Compile the student notebooks, in every language.",
    "translate": "Bring the translation catalogues up to date.",
    "verify": "Prove the graders: the mutation matrix.",
    "collect": "Put an LMS's download into submitted/.",
    "grade": "Grade what was handed in.",
    "feedback": "Write a feedback page for each student.",
    "report": "Write the class report.",
    "demo": "Release, make a class, grade it and hand it back.",
    "doctor": "Say what this machine has, and what it lacks.",
}
"""Each command with the line that `shardwork --help` shows, in the order of a term."""

MACHINE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE}
TRACEBACK_VARIABLE = "SHARDWORK_TRACEBACK"


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"shardwork.command.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--course",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The course folder. Default: the nearest one at or above the current folder.",
)
@click.version_option(__version__, prog_name="shardwork")
@click.pass_context
def group(ctx: click.Context, folder: Path | None) -> None:
    """A course on large-scale data processing, and the engine that grades it.

    Exit status: 0 done, 1 findings, 2 usage or an error in the course, 3 internal error,
    4 something is missing on this machine, 5 nothing matched, 130 interrupted.
    """
    ctx.obj = folder


def current_course() -> Course:
    """Load the course that `--course` names, or the nearest one; CourseError if there is none.

    To be called inside a command, so that `--help` works outside a course folder.
    """
    from shardwork.course import load_course

    return load_course(click.get_current_context().find_root().obj)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with an `ExitCode`."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        result: Any = group.main(arguments, prog_name="shardwork", standalone_mode=False)
    except ShardworkError as error:
        return _report(str(error), error.exit_code)
    except click.exceptions.Abort:  # click's form of KeyboardInterrupt
        return _report("interrupted.", ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except Exception as error:
        refused = isinstance(error, OSError) and error.errno in MACHINE_ERRORS
        return _report_refusal(error) if refused else _report_internal(error)
    return int(result) if isinstance(result, int) else ExitCode.DONE


def _report(message: str, code: ExitCode) -> ExitCode:
    from shardwork.plaintext import plain  # it may hold a name that a student chose

    click.echo(f"Error: {plain(message, 4_000, 40)}", err=True)
    return code


def _report_refusal(error: Exception) -> ExitCode:
    return _report(
        f"the machine refused: {error}. Make room or give access, and run the command again; what "
        "was finished before is kept.",
        ExitCode.ENVIRONMENT,
    )


def _report_internal(error: Exception) -> ExitCode:
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return _report(
        f"internal: {type(error).__name__}: {error} (at {Path(where.filename).name}, line "
        f"{where.lineno}). This is a defect of Shardwork, not of your course; "
        f"{TRACEBACK_VARIABLE}=1 shows the traceback.",
        ExitCode.INTERNAL,
    )
