"""`softlaunch init` and `softlaunch apply`: a new app from the example, and an app's files into the ledger."""

from dataclasses import asdict
from pathlib import Path

import typer
from pydantic import TypeAdapter, ValidationError

from softlaunch.catalog.app_folder import read_app
from softlaunch.catalog.apps import Applied, apply, models_to_replace
from softlaunch.catalog.example import EXAMPLE, make_app
from softlaunch.cli.actor import who
from softlaunch.cli.endpoints import NO_PROBE, ask_also, to_json
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_text
from softlaunch.core.content import Name
from softlaunch.core.errors import SoftlaunchError

_DIR = typer.Argument(Path(), help="The app's folder.", show_default="this folder")


class AppNameError(SoftlaunchError):
    """A name that no app can have."""


def register(app: typer.Typer) -> None:
    """Add `init` and `apply`."""
    app.command("init")(init)
    app.command("apply")(apply_folder)


def init(
    folder: Path = typer.Argument(None, metavar="[DIR]", help="Where to make the app.", show_default="./NAME"),
    name: str = typer.Option(EXAMPLE, "--app", metavar="NAME", help="The app's name, which clients use as the model."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Make a new app from the example.

    The app has a policy, prompts, models, variants and a golden set to edit.
    """
    folder = folder or Path(_app_name(name))
    files = make_app(folder, _app_name(name))
    if as_json:
        print_json({"app": name, "folder": str(folder), "files": [str(file) for file in files]})
        return
    print_text(f"Made {name} in {folder}: {', '.join(str(file.relative_to(folder)) for file in files)}")
    print_text("\nNext:")
    print_text(f"  softlaunch policy check {folder / 'softlaunch.yaml'}     what the policy says, defaults included")
    print_text(f"  softlaunch apply {folder}     record prompts, models, variants and the policy")
    print_text("  softlaunch rehearse provider     a stand-in for the model, in a terminal of its own")
    print_text("  softlaunch gateway     serve the app, in a terminal of its own")


def apply_folder(folder: Path = _DIR, no_probe: NO_PROBE = False, as_json: bool = JSON_OPTION) -> None:
    """Record an app's files in the ledger.

    It records prompts, models, variants and the policy; a second run changes nothing. Each model's endpoint is probed
    once, by a request for a single token. A failure is printed on the standard error, and everything is recorded
    nevertheless.
    """
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
    print_text(f"{applied.app} is {'new' if applied.created else 'up to date'} in the ledger.")
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


def _app_name(name: str) -> str:
    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise AppNameError(f"--app: {message}") from error
