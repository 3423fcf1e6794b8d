"""`softlaunch apply`: an app's files into the ledger."""

from dataclasses import asdict
from pathlib import Path

import typer

from softlaunch.catalog.app_folder import read_app
from softlaunch.catalog.apps import Applied, apply, models_to_replace
from softlaunch.cli.actor import who
from softlaunch.cli.endpoints import NO_PROBE, ask_also, to_json
from softlaunch.cli.ledger import check_one_ledger, ledger, show_ledger
from softlaunch.cli.output import JSON_OPTION, print_commands, print_json, print_text
from softlaunch.core.settings import Settings

_DIR = typer.Argument(Path(), help="The app's folder.", show_default="this folder")


def register(app: typer.Typer) -> None:
    """Add `apply`."""
    app.command("apply")(apply_folder)


def apply_folder(folder: Path = _DIR, no_probe: NO_PROBE = False, as_json: bool = JSON_OPTION) -> None:
    """Record an app's files in the ledger.

    It records prompts, models, variants and the policy; a second run changes nothing. Each model's endpoint is probed
    once, by a request for a single token. A failure is printed on the standard error, and everything is recorded
    nevertheless.
    """
    check_one_ledger(folder)
    with ledger() as database:
        models = () if no_probe else read_app(folder).models
        replaced = () if no_probe else models_to_replace(folder, database)
        found, before = ask_also(models, replaced)
        silent = [model.digest for model, one in zip(replaced, before, strict=True) if one.problem]
        applied = apply(folder, database, str(who()), silent=silent)
    if as_json:
        print_json({**asdict(applied), "changed": applied.changed, "endpoints": to_json(found)})
    else:
        _print_applied(applied)


def _print_applied(applied: Applied) -> None:
    where = show_ledger(Settings())
    print_text(f"{applied.app} is {'new' if applied.created else 'up to date'} in the ledger ({where}).")
    for kind in ("prompts", "models", "parameters", "variants"):
        recorded: tuple[str, ...] = getattr(applied, kind)
        if recorded:
            print_text(f"  recorded {kind}: {', '.join(recorded)}")
    if applied.policy_changed:
        print_text("  the policy has changed; it holds for the next release")
    if not applied.changed:
        print_text("  nothing has changed since the last time")
    for note in applied.notes:
        print_text(f"  note: {note}")
    print_text(f"  production: {applied.production[:12]} (see 'softlaunch variants list --app {applied.app}')")
    following = _next(applied)
    if following:
        print_commands("Next", following)


def _next(applied: Applied) -> list[tuple[str, str]]:
    """What to do with what is new: check and serve an app, release a prompt."""
    app = applied.app
    if applied.created:
        return [
            (f"softlaunch doctor {app}", "check everything that a release needs"),
            ("softlaunch up", "gateway, Prefect and its UI, in a terminal of its own"),
        ]
    if not applied.prompts:
        return []
    return [
        (f"softlaunch plan {app}", "how long a release takes"),
        (f"softlaunch release start {app} --prompt {applied.prompts[-1]}", "release it"),
    ]
