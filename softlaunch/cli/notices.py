"""`softlaunch notices`: lists notifications that wait, and sends them."""

import threading
from typing import Annotated

import typer

from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, console, errors, print_json, print_table
from softlaunch.core.ending import set_at_the_end
from softlaunch.ledger.outbox import Waiting, read_waiting
from softlaunch.notify.senders import deliver, delivering
from softlaunch.store.database import Database


def register(app: typer.Typer) -> None:
    """Add the group `notices`."""
    group = typer.Typer(help="Show and send pending notifications.", no_args_is_help=True)
    group.command("list")(list_waiting)
    group.command("deliver")(send)
    app.add_typer(group, name="notices")


def list_waiting(json: bool = JSON_OPTION) -> None:
    """List pending notifications by release or app, and why they are pending."""
    with ledger() as database, database.read() as session:
        waiting = read_waiting(session)
    if json:
        print_json([_waiting_json(one) for one in waiting])
    elif waiting:
        columns = ("stream", "waiting", "since (UTC)", "next try (UTC)", "problem")
        print_table("Messages that wait", columns, [_row(one) for one in waiting])
    else:
        console.print("No message waits.")


def send(
    watch: Annotated[bool, typer.Option("--watch", help="Keep running, and send new notifications.")] = False,
    json: bool = JSON_OPTION,
) -> None:
    """Send pending notifications, oldest first. Any that can't be sent now stay pending, and the exit code is 5."""
    with ledger() as database:
        if watch:
            _stay(database)
            return
        done = deliver(database, (lambda _: None) if json else _print)
    if json:
        print_json({"sent": done.sent, "problems": done.problems})
    for problem in done.problems:
        errors.print(f"softlaunch: {problem}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if done.problems:
        raise typer.Exit(Exit.INCONCLUSIVE)


def _stay(database: Database) -> None:
    over = threading.Event()
    set_at_the_end(over)
    with delivering(database, _print):
        over.wait()


def _waiting_json(one: Waiting) -> dict[str, object]:
    """One stream as JSON; its key is `lane`, as in the ledger's tables."""
    return {
        "lane": one.stream,
        "count": one.count,
        "since": one.since,
        "retry_at": one.retry_at,
        "problem": one.problem,
    }


def _row(one: Waiting) -> tuple[object, ...]:
    retry = None if one.retry_at is None else f"{one.retry_at:%H:%M:%S}"
    return one.stream, one.count, f"{one.since:%Y-%m-%d %H:%M:%S}", retry, one.problem or None


def _print(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)
