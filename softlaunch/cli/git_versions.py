"""Versions in Git, for the commands of prompts and of parameters: checked before a merge, recorded after it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from softlaunch.catalog.prompt_sync import Prompts, check_history, check_merge, check_staged, sync
from softlaunch.cli.actor import who
from softlaunch.cli.ledger import ledger as open_ledger
from softlaunch.cli.output import print_json, print_text
from softlaunch.core.clock import utc_now

REPO: Any = typer.Argument(Path(), metavar="REPO", help="A checkout or bare repository.", show_default="this folder")
AT: Any = typer.Option("HEAD", "--at", metavar="REV", help="The branch, tag or commit to read.")
SINCE: Any = typer.Option(None, "--since", metavar="REV", help="Check only changes after this commit.")
BASE: Any = typer.Option(
    None, "--base", metavar="REV", help="Check only what merging --at into this branch would add (for CI)."
)
STAGED: Any = typer.Option(False, "--staged", help="Check only what the next commit would add (pre-commit).")


def check_versions(versions: Prompts, since: str | None, base: str | None, *, staged: bool, as_json: bool) -> None:
    """Check, and say how many files that were. Raises PromptHistoryError."""
    if staged:
        count = check_staged(versions)
    elif base is not None:
        count = check_merge(versions, base)
    else:
        count = len(check_history(versions, versions.repository.resolve(versions.revision), since))
    what = "changed files" if staged or base is not None else "versions"
    if as_json:
        print_json({"sound": True, "files": count})
    else:
        print_text(f"{versions.folder} is sound: {count} {what}")


def sync_versions(versions: Prompts, since: str | None, *, as_json: bool) -> None:
    """Check and record, and say what is new. Raises PromptHistoryError."""
    with open_ledger() as database:
        synced = sync(database, versions, since, str(who()), utc_now())
    if as_json:
        print_json(asdict(synced))
        return
    new_ones = ", ".join(synced.recorded) or "nothing new"
    print_text(f"{synced.versions} versions at commit {synced.commit[:10]}; recorded: {new_ones}")
