"""`softlaunch metrics`: values of an app's own metrics."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_text

if TYPE_CHECKING:
    from softlaunch.ledger.reported_files import Imported

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the group `metrics`."""
    group = typer.Typer(help="Import values of an app's own metrics.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command("import")(import_values)
    app.add_typer(group, name="metrics")


def import_values(
    path: Path = typer.Argument(metavar="FILE", help="A CSV file with a header, in UTF-8."),
    app: str = typer.Option(..., help="The app, as clients call it."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Import values of metrics that the app's policy declares under `metrics`.

    A row has a `request_id`, or a `unit` as requests name it, and a column for each metric; an empty cell is no value.
    The first value of a request counts, so you can import a file again. Exit code 5 if rows were refused.
    """
    from softlaunch.catalog.records import check_app
    from softlaunch.core.clock import utc_now
    from softlaunch.ledger.reported_files import Reporter
    from softlaunch.policy.model import Policy

    with ledger() as database:
        with database.read() as session:
            row = check_app(session, app)
            policy, salt = Policy.model_validate(row.policy), row.salt
        reporter = Reporter(database, app, salt, policy.unit, {metric.name: metric for metric in policy.reported})
        done = reporter.import_file(path, lambda: utc_now().timestamp())
    if as_json:
        print_json(asdict(done))
    else:
        _show(done)
    if done.refused:
        raise typer.Exit(Exit.INCONCLUSIVE)


def _show(done: "Imported") -> None:
    print_text(f"values taken: {done.accepted}, known before: {done.known}, rows refused: {len(done.refused)}")
    for one in done.refused[:_SHOWN]:
        print_text(f"  row {one.row}: {one.reason}")
    if len(done.refused) > _SHOWN:
        print_text(f"  and {len(done.refused) - _SHOWN} more; --json lists all")
    if done.ignored:
        print_text(f"columns that mean nothing here: {', '.join(done.ignored)}")
