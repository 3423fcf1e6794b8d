"""`softlaunch parameters`: what variants send besides prompt, model and sampling, as versions in the ledger."""

from dataclasses import asdict
from pathlib import Path

import typer

from softlaunch.catalog import records
from softlaunch.catalog.prompt_sync import Prompts
from softlaunch.catalog.variant_changes import diff_parameters, shown_parameters, written
from softlaunch.catalog.version_files import PARAMETERS
from softlaunch.cli.diffs import show_parts
from softlaunch.cli.git_versions import AT, BASE, REPO, SINCE, STAGED, check_versions, sync_versions
from softlaunch.cli.ledger import ledger as open_ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_table, print_text
from softlaunch.core.parameters import Parameters

_VERSION = typer.Argument(metavar="NAME@VERSION", help="A version of parameters.")
_FOLDER = typer.Option("parameters", "--folder", metavar="DIR", help="The folder of parameters, below REPO.")
_NOTHING = "Parameters: none yet; write them as parameters/<name>/v1.0.0.yaml and run 'softlaunch apply'"


def register(app: typer.Typer) -> None:
    """Add the group `parameters`."""
    group = typer.Typer(help="Manage parameters: tools, formats, reasoning and settings.", no_args_is_help=True)
    group.command("list")(list_parameters)
    group.command("show")(show)
    group.command("diff")(diff)
    group.command("check")(check)
    group.command("sync")(sync_parameters)
    app.add_typer(group, name="parameters")


def list_parameters(as_json: bool = JSON_OPTION) -> None:
    """List recorded versions of parameters."""
    with open_ledger() as database, database.read() as session:
        rows = [
            {
                "parameters": f"{row.name}@{row.version}",
                "author": row.content.get("author", ""),
                "created": row.content.get("created"),
                "purpose": row.content.get("purpose", ""),
                "recorded": f"{row.recorded_at:%Y-%m-%d %H:%M}",
            }
            for row in records.list_parameters(session)
        ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table("", tuple(rows[0]), [list(row.values()) for row in rows])
    else:
        print_text(_NOTHING)


def show(reference: str = _VERSION, as_json: bool = JSON_OPTION) -> None:
    """Show one version of parameters."""
    found = _read(reference)
    if as_json:
        print_json({**found.model_dump(mode="json"), "digest": found.digest})
        return
    rows = [
        ("digest", found.digest),
        *((key, written(value, on_lines=False)) for key, value in shown_parameters(found).items()),
    ]
    print_table(f"Parameters {found.label}", ("key", "value"), rows)


def diff(
    before: str = typer.Argument(metavar="A", help="A version of parameters, NAME@VERSION."),
    after: str = typer.Argument(metavar="B", help="Another one; a version alone refers to the same parameters."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Show what changed between two versions of parameters."""
    old = _read(before)
    new = _read(after if "@" in after else f"{old.name}@{after}")
    parts = diff_parameters(old, new)
    if as_json:
        print_json({"from": old.label, "to": new.label, "parts": [asdict(part) for part in parts]})
        return
    print_text(f"{old.label} -> {new.label}" + ("" if parts else ": the same"))
    show_parts(parts)


def check(
    repo: Path = REPO,
    folder: str = _FOLDER,
    revision: str = AT,
    since: str | None = SINCE,
    base: str | None = BASE,
    staged: bool = STAGED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Check parameters in Git: their versions, their metadata, and that no published one was changed.

    Needs no ledger. Without --base and --staged the whole history is checked, as a sync does.
    """
    check_versions(Prompts.at(repo, folder, revision, PARAMETERS), since, base, staged=staged, as_json=as_json)


def sync_parameters(
    repo: Path = REPO,
    folder: str = _FOLDER,
    revision: str = AT,
    since: str | None = SINCE,
    as_json: bool = JSON_OPTION,
) -> None:
    """Check parameters in Git and record them in the ledger; a second run changes nothing.

    Only changes since the last sync are checked.
    """
    sync_versions(Prompts.at(repo, folder, revision, PARAMETERS), since, as_json=as_json)


def _read(reference: str) -> Parameters:
    with open_ledger() as database, database.read() as session:
        return records.get_parameters(session, reference)
