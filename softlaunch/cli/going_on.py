"""Commands by which people let a live release go on: early, or in spite of a freeze."""

from typing import Annotated

import typer

from softlaunch.cli.actor import who
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, print_json, print_text
from softlaunch.core.clock import utc_now
from softlaunch.ledger.releases import find_latest, read_release
from softlaunch.policy.release import Release

App = Annotated[str, typer.Argument(help="The app, as clients call it.")]


def advance(
    app: App,
    reason: Annotated[str, typer.Option("--reason", help="Why it can't wait; kept in the ledger.")],
    stage: Annotated[
        str | None,
        typer.Option(help="The stage that you want to end, such as 'canary 5 %'; no other one is ended."),
    ] = None,
    json: bool = JSON_OPTION,
) -> None:
    """Start the next stage of an app's live release before the current one has passed.

    The policy must allow it for that stage (may_advance_early), and you must be allowed to approve. Minimum times and
    undecided gates are skipped, but never harm or missing evidence. It is recorded as your decision, not as a pass.
    """
    from softlaunch.approvals.advancing import Advance, apply_advance
    from softlaunch.approvals.deciding import raise_if_refused
    from softlaunch.approvals.rules import Person, VoteResult

    if not reason.strip():
        raise typer.BadParameter("say why it can't wait", param_hint="--reason")
    with ledger() as database:
        now, person = utc_now(), Person(who().name, who().origin)
        with database.begin() as session:
            release = read_release(session, find_latest(session, app).id)
            result = apply_advance(session, Advance(release.id, _position(release, stage), person, reason), now)
    raise_if_refused([result])
    if json:
        decided = result.result is VoteResult.DECIDED
        print_json({"release_id": release.id, "stage": release.stage.name, "decided": decided, "told": result.message})
    else:
        print_text(result.message)


def _position(release: Release, stage: str | None) -> int | None:
    """The position of a stage by its name; None where none is named."""
    if stage is None:
        return None
    found = [one.position for one in release.stages if one.name == stage]
    if not found:
        known = ", ".join(f"'{one.name}'" for one in release.stages)
        raise typer.BadParameter(f"{release.id} has no stage {stage!r}; it has {known}", param_hint="--stage")
    return found[0]


def unfreeze(
    app: App,
    reason: Annotated[str, typer.Option("--reason", help="Why it can't wait; kept in the ledger.")],
    json: bool = JSON_OPTION,
) -> None:
    """Let an app's live release move on despite a freeze window.

    This applies to this release and the current freeze only; the next freeze holds it again. The person who started the
    release may do this, and so may every approver; if an emergency release needs two people, it must be someone other
    than the person who started it.
    """
    from softlaunch.approvals.deciding import raise_if_refused
    from softlaunch.approvals.rules import Person
    from softlaunch.approvals.unfreezing import apply_unfreeze

    if not reason.strip():
        raise typer.BadParameter("say why it can't wait", param_hint="--reason")
    with ledger() as database:
        now, person = utc_now(), Person(who().name, who().origin)
        with database.begin() as session:
            release_id = find_latest(session, app).id
            result = apply_unfreeze(session, release_id, person, reason, now)
    raise_if_refused([result])
    if json:
        print_json({"release_id": release_id, "unfrozen": True, "told": result.message})
    else:
        print_text(result.message)
