"""The softlaunch command: lists its sub-commands, and turns errors into exit codes."""

import errno
import sys

import typer

from softlaunch import __version__
from softlaunch.cli.exits import Exit
from softlaunch.cli.lazy_group import LazyGroup
from softlaunch.core.errors import ConflictError, SoftlaunchError
from softlaunch.core.logs import keep_texts_out

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_HELP = """Release changes to LLM applications safely: eval, shadow, canary, gates, rollback.

Exit codes: 0 done or promoted, 1 failed, 2 bad input, 3 rejected, 4 rolled back, 5 inconclusive or waiting,
6 aborted, 7 another release holds the app's lock, 8 nothing left to roll back, 9 diff found changes.
"""


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        cls=LazyGroup, help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None
    )

    @app.callback(invoke_without_command=True)
    def root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
        if version:
            typer.echo(__version__)
            raise typer.Exit

    return app


def main() -> None:
    """Run the command; an error that a person can mend is one message and an exit code, never a traceback."""
    keep_texts_out()
    try:
        build()()
    except SoftlaunchError as error:
        from softlaunch.cli.output import errors

        errors.print(f"softlaunch: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(Exit.CONFLICT if isinstance(error, ConflictError) else Exit.USAGE)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        print(f"softlaunch: can't write {error.filename or 'the output'}: {error.strerror}", file=sys.stderr)  # noqa: T201
        sys.exit(Exit.FAILED)
