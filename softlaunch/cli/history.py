"""`softlaunch history`: who did what to an app, and from where."""

from typing import Annotated

import typer

from softlaunch.catalog.records import check_app
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_table
from softlaunch.reports.history import read_history


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("history")(history)


def history(
    app: Annotated[str, typer.Argument(help="The app, as clients call it.")],
    limit: Annotated[int, typer.Option(min=1, help="At most this many entries, the newest.")] = 50,
    json: bool = JSON_OPTION,
) -> None:
    """Show the audit trail of an app.

    It shows who started, approved and rolled back what, when, and from where.
    """
    with ledger() as database, database.read() as session:
        check_app(session, app)
        entries = read_history(session, app, limit)
    if json:
        print_json(
            [
                {
                    "at": entry.happened_at,
                    "release_id": entry.release_id,
                    "event": entry.event,
                    "what": entry.what,
                    "by": entry.by,
                }
                for entry in entries
            ]
        )
        return
    rows = [
        (f"{entry.happened_at:%Y-%m-%d %H:%M:%S}", entry.release_id, entry.event, entry.what, entry.by)
        for entry in entries
    ]
    print_table(f"History of {app}", ("when (UTC)", "release", "event", "what", "by"), rows)
