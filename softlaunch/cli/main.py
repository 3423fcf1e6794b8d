"""The softlaunch command: puts the groups of sub-commands together and turns errors into exit codes."""

import sys
from importlib import import_module

import typer

from softlaunch import __version__
from softlaunch.cli.exits import Exit
from softlaunch.cli.output import errors
from softlaunch.core.errors import ConflictError, SoftlaunchError
from softlaunch.core.logs import keep_texts_out

_MODULES = {
    "apps": ("init", "apply"),
    "policy": ("policy",),
    "prompts": ("prompts",),
    "registry": ("models", "variants"),
    "cleanup": ("registry",),
    "plan": ("plan",),
    "release": ("release",),
    "up": ("up",),
    "history": ("history",),
    "reconcile": ("reconcile",),
    "decisions": ("rollback", "approve", "reject"),
    "ab": ("ab",),
    "drift": ("drift",),
    "incidents": ("incidents",),
    "notices": ("notices",),
    "slack": ("slack",),
    "gateway": ("gateway",),
    "deploy": ("deploy",),
    "eval": ("eval",),
    "review": ("review",),
    "suite": ("suite",),
    "judge": ("judge",),
    "benchmark": ("benchmark",),
    "gates": ("gates",),
    "rehearse": ("rehearse",),
    "demo.command": ("demo",),
}
"""Modules of softlaunch.cli, each with a `register(app)`, and the commands that they add."""

_HELP = """Release changes to LLM applications safely: eval, shadow, canary, gates, rollback.

Exit codes: 0 done or promoted, 1 broke, 2 bad input, 3 rejected, 4 rolled back, 5 inconclusive or waiting,
6 aborted, 7 another release holds the app, 8 nothing left to roll back.
"""


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

    @app.callback(invoke_without_command=True)
    def root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
        if version:
            typer.echo(__version__)
            raise typer.Exit

    for name in _wanted(sys.argv[1:]):
        import_module(f"softlaunch.cli.{name}").register(app)
    return app


def _wanted(arguments: list[str]) -> list[str]:
    """The modules that a command line needs: a rollback must not wait for the imports of an eval."""
    named = [module for module, commands in _MODULES.items() if arguments and arguments[0] in commands]
    return named or list(_MODULES)


def main() -> None:
    """Run the command; an error that a person can mend is one message and an exit code, never a traceback."""
    keep_texts_out()
    try:
        build()()
    except ConflictError as error:
        errors.print(f"softlaunch: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(Exit.CONFLICT)
    except SoftlaunchError as error:
        errors.print(f"softlaunch: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(Exit.USAGE)
