"""`softlaunch models registered` and `models mirror`: the model registry, the ledger's own or another one."""

import typer

from softlaunch.catalog.floating_models import watch_resolved_models
from softlaunch.cli.actor import who
from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, console, print_json, print_table
from softlaunch.core.clock import utc_now
from softlaunch.core.settings import Settings
from softlaunch.integrations.models.interface import VERSION_TAG, RegistryError
from softlaunch.retention.model_registry import mirror, open_registry


def registered(
    app: str = typer.Argument(metavar="APP", help="The app, which is also the registered model's name."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List an app's versions in the model registry, newest first, with their aliases."""
    with ledger() as database:
        registry = open_registry(Settings(), database, str(who()))
        rows = [
            {
                "version": one.version[:12],
                "semantic": one.tags.get(VERSION_TAG),
                "aliases": ", ".join(sorted(one.aliases)),
                "prompt": one.tags.get("softlaunch.prompt"),
                "model": one.tags.get("softlaunch.model"),
            }
            for one in registry.versions(app)
        ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(f"{app} in {registry.address}", tuple(rows[0]), [list(row.values()) for row in rows])
    else:
        console.print(f"{app} has no version in {registry.address}", markup=False, highlight=False)


def mirror_aliases(as_json: bool = JSON_OPTION) -> None:
    """Copy the aliases production, previous and baseline to the registry that SOFTLAUNCH_MODEL_REGISTRY names.

    The reconcile flow and `softlaunch reconcile --watch` do this every minute. Exit code 5 if some could not be copied;
    releases don't wait for them.
    """
    settings = Settings()
    if not settings.model_registry:
        raise RegistryError("there is no other registry to mirror to; set SOFTLAUNCH_MODEL_REGISTRY")
    with ledger() as database:
        found = mirror(database, open_registry(settings, database, str(who())))
    if as_json:
        print_json(
            [{"app": one.app, "alias": one.alias, "version": one.version, "problem": one.problem} for one in found]
        )
    else:
        for one in found:
            console.print(one.sentence, markup=False, highlight=False, soft_wrap=True)
        if not found:
            console.print("every alias is up to date")
    if any(one.problem for one in found):
        raise typer.Exit(Exit.INCONCLUSIVE)


def watch_models(as_json: bool = JSON_OPTION) -> None:
    """Check once whether providers still answer with the same models as before; a change opens an incident.

    The reconcile flow and `softlaunch reconcile --watch` do this every minute.
    """
    with ledger() as database:
        changes = watch_resolved_models(database, utc_now())
    if as_json:
        print_json(changes)
        return
    for sentence in changes or ["every model answers as before"]:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
