"""`softlaunch doctor`: whether everything is there that a release needs; and the same, quickly, before one starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger, show_ledger
from softlaunch.cli.output import JSON_OPTION, console, errors, print_json, print_text, working
from softlaunch.cli.prefect_api import prefect_address
from softlaunch.core.clock import utc_now
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from sqlmodel import Session

    from softlaunch.installation.doctor.finding import Finding
    from softlaunch.store.database import Database

_MARKS = {"ok": ("✔", "green"), "warning": ("!", "yellow"), "problem": ("✘", "red")}
_App = Annotated[str | None, typer.Argument(help="Only this app. Left out: all apps.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(app: _App = None, json: bool = JSON_OPTION) -> None:
    """Check everything that a release needs, and say how to fix what is missing.

    Each app's endpoint is asked for one token. Exit codes: 0 nothing blocks a release (warnings are printed), 1
    something does.
    """
    found: list[Finding] = []
    with ledger() as database:
        checks = _check(database, app)
        while True:
            with working("Checking"):
                one = next(checks, None)
            if one is None:
                break
            found.append(one)
            if not json:
                _show(one)
    problems = sum(one.level == "problem" for one in found)
    warnings = sum(one.level == "warning" for one in found)
    if json:
        print_json({"problems": problems, "warnings": warnings, "findings": [_to_json(one) for one in found]})
    else:
        print_text(f"\n{_conclusion(problems, warnings)}")
    if problems:
        raise typer.Exit(Exit.FAILED)


def warn_before_release(app: str, policy: Path | None) -> None:
    """Print on the standard error what stands in a release's way, as far as this machine can tell without asking."""
    from softlaunch.installation.doctor.finding import Level
    from softlaunch.installation.doctor.of_app import check_local

    try:
        with ledger() as database, database.read() as session:
            found = list(check_local(session, app, utc_now().timestamp(), policy))
    except SoftlaunchError:
        return  # the release itself says so in a moment
    for one in found:
        if one.level is not Level.OK:
            errors.print(f"! {one.sentence}.", style="yellow", markup=False, highlight=False, soft_wrap=True)


def _check(database: "Database", app: str | None) -> "Iterator[Finding]":
    from softlaunch.catalog.records import check_app
    from softlaunch.installation.doctor.finding import Finding, Level
    from softlaunch.installation.doctor.of_app import check_local, serving_models
    from softlaunch.installation.doctor.outside import (
        check_clock,
        check_endpoints,
        check_ledger,
        check_prefect,
        check_slack,
    )
    from softlaunch.policy.people import ChatKind

    yield check_ledger(database, show_ledger(Settings()))
    with database.read() as session:
        apps = _names(session) if app is None else [check_app(session, app).name]
        chats = [check_app(session, name).policy.get("chat") for name in apps]
        models = {name: serving_models(session, name) for name in apps}
    if not apps:
        yield Finding("apps", Level.PROBLEM, "no app is recorded", "create one: softlaunch init, then softlaunch apply")
    for name in apps:
        yield from check_endpoints(name, models[name])
        with database.read() as session:
            yield from check_local(session, name, utc_now().timestamp())
    prefect = prefect_address()
    yield check_prefect(prefect)
    yield check_slack(needed=ChatKind.SLACK in chats)
    asked = [*([prefect] if prefect else []), *(model.endpoint for some in models.values() for model in some)]
    yield check_clock(list(dict.fromkeys(asked)), utc_now())


def _names(session: "Session") -> list[str]:
    from sqlmodel import col, select

    from softlaunch.store.tables import AppRow

    return list(session.exec(select(AppRow.name).order_by(col(AppRow.name))))


def _show(one: "Finding") -> None:
    mark, style = _MARKS[one.level]
    console.print(f"{mark} {one.sentence}", style=style if one.advice else None, soft_wrap=True, highlight=False)


def _conclusion(problems: int, warnings: int) -> str:
    if not problems and not warnings:
        return "Everything that a release needs is in place."
    counted = [
        f"{count} {word}{'' if count == 1 else 's'}" for count, word in ((problems, "problem"), (warnings, "warning"))
    ]
    return f"{' and '.join(counted)}." if problems else f"Nothing blocks a release; {counted[1]}."


def _to_json(one: "Finding") -> dict[str, str]:
    return {
        "check": one.check,
        "app": one.app,
        "level": one.level,
        "text": one.text,
        "advice": one.advice,
    }
