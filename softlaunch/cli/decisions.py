"""What a person on call decides: roll back, approve, reject. Imports little, so that it begins at once."""

from typing import Annotated

import typer

from softlaunch.approvals.deciding import Decision, apply_decision, raise_if_refused
from softlaunch.approvals.rollback import RollbackOrder, carry_out
from softlaunch.approvals.rules import Person, VoteResult
from softlaunch.cli.actor import who
from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, console, print_json
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.clock import utc_now
from softlaunch.ledger.gateways import wait_for_gateways
from softlaunch.releases.ending import Ended
from softlaunch.store.database import Database
from softlaunch.store.ledger_file import find_damage

_CHECK_SECONDS = 2.0
App = Annotated[str, typer.Argument(help="The app, as clients call it.")]
Reason = Annotated[str, typer.Option("--reason", help="The reason; kept in the ledger.")]
Number = Annotated[
    int | None, typer.Option("--approval", "--question", help="The number of an approval that isn't a release's.")
]


def register(app: typer.Typer) -> None:
    """Add `rollback`, `approve` and `reject`."""
    app.command("rollback")(roll_back)
    app.command("approve")(approve)
    app.command("reject")(reject)


def roll_back(
    app: App,
    reason: Reason = "rolled back by hand",
    to: Annotated[
        str | None,
        typer.Option("--to", help="A version that has served: support@1.0.0, or a variant's name, alias or digest."),
    ] = None,
    untried: Annotated[
        bool, typer.Option("--untried", help="With --to: allow a version that has never served.")
    ] = False,
    json: bool = JSON_OPTION,
) -> None:
    """Roll back an app's live release, or the newest promoted one. Needs neither Prefect nor the gateway.

    It is a single step: a second one changes nothing, shows what serves and how to go further back, and exits with 8.
    --to puts a named version in force, and ends a live release first; if that version serves already, it exits with 0.

    Gateways follow within a second; a gateway that can't reach the ledger returns to stable when its lease runs out.
    """
    if untried and to is None:
        raise typer.BadParameter("name the version: --to support@1.0.0", param_hint="--untried")
    with ledger() as database:
        with database.begin() as session:
            ended = carry_out(session, RollbackOrder(app, reason, who(), to, untried), utc_now())
        show_ended(database, app, ended, json)
    if not ended.changed and to is None:
        raise typer.Exit(Exit.UNCHANGED)


def approve(app: App, reason: Reason = "", approval: Number = None, json: bool = JSON_OPTION) -> None:
    """Approve what a release or cleanup is waiting for."""
    _decide(app, ApprovalChoice.APPROVE, reason, approval, json)


def reject(app: App, reason: Reason = "", approval: Number = None, json: bool = JSON_OPTION) -> None:
    """Reject what a release or cleanup is waiting for.

    The candidate is rejected, or rolled back if users have been exposed to it.
    """
    _decide(app, ApprovalChoice.REJECT, reason, approval, json)


def _decide(app: str, choice: ApprovalChoice, reason: str, approval: int | None, json: bool) -> None:
    actor = who()
    decision = Decision(app, choice, Person(actor.name, actor.origin), reason, approval)
    with ledger() as database, database.begin() as session:
        results = apply_decision(session, decision, utc_now())
    counted = raise_if_refused(results)
    if json:
        print_json(
            [
                {
                    "release_id": one.approval.release_id,
                    "question": one.approval.kind,
                    "answer": choice.state,
                    "decided": one.result is VoteResult.DECIDED,
                }
                for one in counted
                if one.approval is not None
            ]
        )
        return
    for one in counted:
        console.print(one.message, markup=False)


def show_ended(database: Database, app: str, ended: Ended, json: bool) -> None:
    """Print what a command ended, and whether the gateways follow; exits with 5 where some don't, or it isn't known."""
    followed = wait_for_gateways(database, app, ended.route_revision)
    damage = find_damage(database.path, _CHECK_SECONDS)
    if json:
        print_json(
            {
                "release_id": ended.release_id or None,
                "state": ended.state,
                "serving": ended.serving_digest,
                "changed": ended.changed,
                "told": ended.message or None,
                "gateways": followed.running,
                "gateways_following": followed.following,
                "gateways_behind": [one.name for one in followed.behind],
                "gateways_unknown": [one.name for one in followed.silent],
                "damage": damage,
                "seconds": round(followed.seconds, 3),
            }
        )
    else:
        message = (
            ended.message or f"{ended.release_id} is {ended.state}; {app} is served by {ended.serving_digest[:12]}."
        )
        console.print(message, markup=False, highlight=False, soft_wrap=True)
        console.print(followed.sentence, markup=False)
        if damage is not None:
            console.print(f"What is written may not hold: {damage}.", markup=False)
    if followed.behind or damage is not None:
        raise typer.Exit(Exit.INCONCLUSIVE)
