"""`softlaunch evaluator`: have judges judge live answers."""

from typing import Annotated

import typer

from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import console, errors
from softlaunch.core.clock import utc_now
from softlaunch.core.ending import set_at_the_end
from softlaunch.store.database import Database


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluator")(evaluator)


def evaluator(
    every: Annotated[
        float, typer.Option(min=0.1, max=60, help="Seconds between two checks while nothing is waiting to be judged.")
    ] = 1.0,
    check: Annotated[
        bool, typer.Option("--check", help="Only report whether evaluators are running; exit code 1 if none is.")
    ] = False,
) -> None:
    """Have judges score live answers, as set under `live` in each app's policy.

    It samples answers of both arms, asks the judges within their budgets, and writes scores that gates read. Any number
    of these processes can share the work. If one dies, the others take over what it had claimed; nothing is asked
    twice. Ctrl-C or SIGTERM stops it after the judges' calls in progress.
    """
    from softlaunch.live.evaluator import Evaluator

    with ledger() as database:
        if check:
            _check(database)
            return
        working = Evaluator(database, _warn, every)
        set_at_the_end(working.stopping)
        console.print(f"[{utc_now():%H:%M:%S}] Judging live answers.", markup=False, highlight=False)
        working.run()


def _check(database: Database) -> None:
    """Say for which apps nobody was heard lately, for health checks."""
    from softlaunch.live.reading import unattended_apps

    with database.read() as session:
        silent = unattended_apps(session, utc_now().timestamp())
    for app, why in silent.items():
        _warn(f"{app}: {why}")
    if silent:
        raise typer.Exit(Exit.FAILED)
    console.print("Every app whose live answers are judged has an evaluator.", markup=False, highlight=False)


def _warn(text: str) -> None:
    errors.print(f"softlaunch: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)
