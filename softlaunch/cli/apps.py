"""`softlaunch apply`: an app's files into the ledger; `softlaunch diff`: what that would change."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from softlaunch.catalog.app_folder import read_app
from softlaunch.catalog.apps import Applied, apply, models_to_replace
from softlaunch.cli.actor import who
from softlaunch.cli.endpoints import NO_PROBE, ask_also, to_json
from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import check_one_ledger, ledger, show_ledger
from softlaunch.cli.output import JSON_OPTION, print_commands, print_json, print_text
from softlaunch.core.settings import Settings

if TYPE_CHECKING:
    from softlaunch.catalog.app_changes import AppChange, Preview

_DIR = typer.Argument(Path(), help="The app's folder.", show_default="this folder")


def register(app: typer.Typer) -> None:
    """Add `apply` and `diff`."""
    app.command("apply")(apply_folder)
    app.command("diff")(diff_folder)


def apply_folder(folder: Path = _DIR, no_probe: NO_PROBE = False, as_json: bool = JSON_OPTION) -> None:
    """Record an app's files in the ledger.

    It records prompts, parameters, models, variants and the policy; a second run changes nothing. Each model's endpoint
    is probed once, with a request for a single token. If a probe fails, this is printed on standard error and
    everything is recorded anyway.
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


def diff_folder(folder: Path = _DIR, no_probe: NO_PROBE = False, as_json: bool = JSON_OPTION) -> None:
    """Show what `apply` would change, and change nothing.

    Exit codes: 0 no changes, 9 changes. Prompts, parameters and models are compared with their previous version, the
    policy key by key. Recorded models that would be replaced if they never answered are probed once, as with `apply`.
    """
    from softlaunch.catalog.app_changes import preview

    check_one_ledger(folder)
    with ledger() as database:
        replaced = () if no_probe else models_to_replace(folder, database)
        _, before = ask_also((), replaced)
        silent = [model.digest for model, one in zip(replaced, before, strict=True) if one.problem]
        found = preview(folder, database, silent)
    if as_json:
        applied = found.applied
        changes = [asdict(change) for change in found.changes]
        print_json({"app": applied.app, "changed": applied.changed, "changes": changes, "notes": applied.notes})
    else:
        _print_preview(found, folder)
    if found.applied.changed:
        raise typer.Exit(Exit.CHANGES)


def _print_preview(found: "Preview", folder: Path) -> None:
    from softlaunch.cli.diffs import show_parts

    app, where = found.applied.app, show_ledger(Settings())
    if not found.changes:
        print_text(f"Nothing to do: {app} is up to date in the ledger ({where}).")
    for change in found.changes:
        print_text(f"{change.kind} {change.name}: {_change_words(change)}")
        if change.parts:
            show_parts(change.parts)
            print_text("")
    for note in found.applied.notes:
        print_text(f"note: {note}")
    if found.changes:
        print_commands(f"Nothing was written to the ledger ({where}). Next", [(f"softlaunch apply {folder}", "do it")])


def _change_words(change: "AppChange") -> str:
    """`new`, `new, after support@1.0.0`, or `0.01 -> 0.02`."""
    if change.before is None:
        return "new" if change.after == change.name else f"new: {change.after}"
    if change.after == change.name:
        return "replaced" if change.before == change.name else f"new, after {change.before}"
    return f"{change.before} -> {'left out' if change.after is None else change.after}"


def _print_applied(applied: Applied) -> None:
    where = show_ledger(Settings())
    print_text(f"{applied.app} is {'new' if applied.created else 'up to date'} in the ledger ({where}).")
    for kind in ("prompts", "models", "parameters", "variants"):
        recorded: tuple[str, ...] = getattr(applied, kind)
        if recorded:
            print_text(f"  recorded {kind}: {', '.join(recorded)}")
    if applied.policy_changed:
        print_text("  the policy has changed; it holds for the next release")
    if applied.gateways_changed:
        print_text("  gateways now follow its new settings for units, texts and gateways")
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
            ("softlaunch up", "gateway, Prefect and its UI, in its own terminal"),
        ]
    if not applied.prompts:
        return []
    return [
        (f"softlaunch plan {app}", "how long a release takes"),
        (f"softlaunch release start {app} --prompt {applied.prompts[-1]}", "release it"),
    ]
