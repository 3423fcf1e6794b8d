"""`softlaunch prompts`: versions in Git and in the ledger, what changed between them, and what served when."""

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import typer

from softlaunch.catalog import records
from softlaunch.catalog.prompt_changes import diff_prompts, read_log
from softlaunch.catalog.prompt_files import write_next
from softlaunch.catalog.prompt_sync import Prompts
from softlaunch.catalog.served import Served, served_between
from softlaunch.catalog.versions import Bump
from softlaunch.cli.actor import who
from softlaunch.cli.diffs import show_parts
from softlaunch.cli.git_versions import AT, BASE, REPO, SINCE, STAGED, check_versions, sync_versions
from softlaunch.cli.ledger import ledger as open_ledger
from softlaunch.cli.output import JSON_OPTION, console, print_json, print_table, print_text
from softlaunch.core.clock import utc_now
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.system_messages import SystemRule
from softlaunch.core.variant import PromptVersion

_FOLDER = typer.Option("prompts", "--folder", metavar="DIR", help="The folder of prompts, below REPO.")
_VERSION = typer.Argument(metavar="NAME@VERSION", help="A prompt version.")


class PromptCommandError(SoftlaunchError):
    """An argument that a command about prompts can't use."""


def register(app: typer.Typer) -> None:
    """Add the group `prompts`."""
    prompts = typer.Typer(help="Manage prompt versions, in Git and in the ledger.", no_args_is_help=True)
    prompts.command("list")(list_prompts)
    prompts.command("show")(show_prompt)
    prompts.command("diff")(diff)
    prompts.command("log")(log)
    prompts.command("at")(at)
    prompts.command("new")(new)
    prompts.command("check")(check)
    prompts.command("sync")(sync_prompts)
    app.add_typer(prompts, name="prompts")


def list_prompts(as_json: bool = JSON_OPTION) -> None:
    """List recorded prompt versions."""
    with open_ledger() as database, database.read() as session:
        rows = [
            {
                "prompt": f"{row.name}@{row.version}",
                "author": row.content["author"],
                "created": row.content["created"],
                "purpose": row.content["purpose"],
                "recorded": f"{row.recorded_at:%Y-%m-%d %H:%M}",
            }
            for row in records.list_prompts(session)
        ]
    _print_rows(rows, "Prompts: none yet; run 'softlaunch init' and 'softlaunch apply'", as_json=as_json)


def show_prompt(reference: str = _VERSION, as_json: bool = JSON_OPTION) -> None:
    """Show one prompt version with its messages."""
    prompt = _read(reference)
    if as_json:
        print_json({**prompt.model_dump(mode="json"), "digest": prompt.digest})
        return
    print_text(f"{prompt.label} by {prompt.author or 'unknown'}: {prompt.purpose or 'no purpose given'}")
    for name in sorted(prompt.variables):
        default = f"default {prompt.defaults[name]!r}" if name in prompt.defaults else "needed in every request"
        print_text(f"variable {name}: {default}")
    if prompt.system is not SystemRule.MERGE:
        print_text(f"system: {prompt.system}")
    for message in prompt.messages:
        print_text(f"\n## {message.role}\n{message.content}")


def diff(
    before: str = typer.Argument(metavar="A", help="A prompt version, NAME@VERSION."),
    after: str = typer.Argument(metavar="B", help="Another one; a version alone refers to the same prompt."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show what changed between two prompt versions, word by word."""
    old = _read(before)
    new_one = _read(after if "@" in after else f"{old.name}@{after}")
    parts = diff_prompts(old, new_one)
    if as_json:
        print_json({"from": old.label, "to": new_one.label, "parts": [asdict(part) for part in parts]})
        return
    print_text(f"{old.label} -> {new_one.label}" + ("" if parts else ": the same text and metadata"))
    show_parts(parts)


def log(
    name: str = typer.Argument(metavar="NAME", help="The prompt's name."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show a prompt's history, newest first: its versions, and when each one entered and left production."""
    with open_ledger() as database, database.read() as session:
        rows = [asdict(event) for event in read_log(session, name)]
    _print_rows(rows, "", as_json=as_json)


def at(
    moment: str = typer.Argument(
        metavar="WHEN", help="A day, such as 2026-09-01, or a time, such as 2026-09-01T14:30 (UTC)."
    ),
    app: str | None = typer.Option(None, "--app", metavar="NAME", help="Only this app."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show what served at a given time: production, and the candidates of canaries."""
    begin, end = _span(moment)
    with open_ledger() as database, database.read() as session:
        if app is not None:
            records.check_app(session, app)
        served = served_between(session, begin, end, app)
    _print_rows([_served(one) for one in served], f"nothing served on {moment}", as_json=as_json)


def new(
    name: str = typer.Argument(metavar="NAME", help="The prompt's name."),
    major: bool = typer.Option(False, "--major", help="Bump the first number."),
    minor: bool = typer.Option(False, "--minor", help="Bump the second number (the default)."),
    patch: bool = typer.Option(False, "--patch", help="Bump the third number."),
    folder: Path = typer.Option(Path("prompts"), "--folder", metavar="DIR", help="The folder of prompts."),
    edit: bool = typer.Option(True, "--edit/--no-edit", help="Open the file in $VISUAL or $EDITOR."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Create a prompt's next version, as a copy of the newest file to edit."""
    bumps = {Bump.MAJOR: major, Bump.MINOR: minor, Bump.PATCH: patch}
    chosen = [bump for bump, wanted in bumps.items() if wanted]
    if len(chosen) > 1:
        raise PromptCommandError(f"bump one number, not {' and '.join(chosen)}")
    path = write_next(folder, name, chosen[0] if chosen else Bump.MINOR, who().name, utc_now().date())
    if as_json:
        print_json({"file": str(path)})
        return
    print_text(f"Created {path}; write its purpose, and commit it.")
    if edit and console.is_terminal:
        click.edit(filename=str(path))


def check(
    repo: Path = REPO,
    folder: str = _FOLDER,
    revision: str = AT,
    since: str | None = SINCE,
    base: str | None = BASE,
    staged: bool = STAGED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Check prompts in Git: their versions, their metadata, and that no published one was changed.

    Needs no ledger. Without --base and --staged the whole history is checked, as a sync does.
    """
    check_versions(Prompts.at(repo, folder, revision), since, base, staged=staged, as_json=as_json)


def sync_prompts(
    repo: Path = REPO,
    folder: str = _FOLDER,
    revision: str = AT,
    since: str | None = SINCE,
    as_json: bool = JSON_OPTION,
) -> None:
    """Check prompts in Git and record them in the ledger; a second run changes nothing.

    Only changes since the last sync are checked.
    """
    sync_versions(Prompts.at(repo, folder, revision), since, as_json=as_json)


def _read(reference: str) -> PromptVersion:
    with open_ledger() as database, database.read() as session:
        return records.get_prompt(session, reference)


def _span(text: str) -> tuple[datetime, datetime]:
    """The day that is meant, or the moment."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise PromptCommandError(
            f"{text!r} is neither a day such as 2026-09-01 nor a moment, 2026-09-01T14:30"
        ) from error
    begin = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    is_day = re.fullmatch(r"[\d-]+", text) is not None
    return begin, begin + (timedelta(days=1) if is_day else timedelta(microseconds=1))


def _served(one: Served) -> dict[str, Any]:
    return {
        "app": one.app,
        "share": f"{one.share_percent:g} %",
        "prompt": one.prompt,
        "model": one.model,
        "variant": one.variant_digest[:12],
        "from": f"{one.since:%Y-%m-%d %H:%M:%S}",
        "until": None if one.until is None else f"{one.until:%Y-%m-%d %H:%M:%S}",
        "by": one.release_id or one.who,
    }


def _print_rows(rows: list[dict[str, Any]], nothing: str, *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
    elif rows:
        print_table("", tuple(rows[0]), [list(row.values()) for row in rows])
    else:
        print_text(nothing)
