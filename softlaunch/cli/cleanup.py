"""`softlaunch registry`: cleaning up, restoring, and tags that protect."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import typer

from softlaunch.approvals.deciding import Decision, apply_decision, raise_if_refused
from softlaunch.approvals.rules import Person
from softlaunch.cli.actor import who
from softlaunch.cli.exits import Exit
from softlaunch.cli.ledger import ledger
from softlaunch.cli.output import JSON_OPTION, errors, print_json, print_table, print_text
from softlaunch.core.approvals import ApprovalChoice
from softlaunch.core.clock import utc_now
from softlaunch.core.settings import Settings
from softlaunch.integrations.archives.interface import ThawingError
from softlaunch.integrations.archives.opening import open_archive
from softlaunch.retention.approval import ApprovalNeededError
from softlaunch.retention.cleanup import Cleaned
from softlaunch.retention.cleanup_run import Done, Plan, RegistryCleanup
from softlaunch.retention.kinds import tag, untag
from softlaunch.retention.restore import list_archived, restore
from softlaunch.retention.rules import Kind

_KIND = typer.Argument(metavar="KIND", help="prompts, parameters, models, variants, evals or requests.")
_KEY = typer.Argument(metavar="KEY", help="Such as support@1.4.0, a model's name, or a variant's digest.")
_TAG = typer.Argument(metavar="TAG", help="Such as protected.")


def register(app: typer.Typer) -> None:
    """Add the group `registry`."""
    registry = typer.Typer(help="Archive unused versions, and restore them.", no_args_is_help=True)
    registry.command("cleanup")(clean_up)
    registry.command("archived")(archived)
    registry.command("restore")(put_back)
    registry.command("tag")(add_tag)
    registry.command("untag")(remove_tag)
    app.add_typer(registry, name="registry")


def clean_up(
    dry_run: bool = typer.Option(False, "--dry-run", help="Only show what would be deleted, and why."),
    approve: bool = typer.Option(
        False, "--approve", help="Approve a plan above retention.ask_above_mb, if the policy lets you."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Archive and delete old, unused versions, as set by the retention of the apps' policies.

    Nothing is deleted before its archived copy has been read back and compared. Exit code 5 if the size requires a
    person's approval: it is requested as for a release, and the next cleanup does what was approved.
    """
    with _open_cleanup() as cleanup:
        plan = cleanup.plan()
        if not as_json:
            _show(plan, cleanup.archive.address)
        if approve and not dry_run:
            plan = _approved(cleanup, plan)
        try:
            done = None if dry_run else cleanup.clean(plan)
        except ApprovalNeededError as error:
            errors.print(f"softlaunch: {error}", style="yellow", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(Exit.INCONCLUSIVE) from error
    if as_json:
        print_json(
            {"dry_run": dry_run, "archive": cleanup.archive.address, **_plan_json(plan), "done": _done_json(done)}
        )
    elif done is None:
        print_text("\nNothing was deleted; without --dry-run it will be.")
    else:
        print_text(f"\nDone: {done.sentence}")


def _approved(cleanup: RegistryCleanup, plan: Plan) -> Plan:
    """The plan with the vote of whoever runs the command, where one is needed. Raises NotAllowedError."""
    asked = cleanup.ask(plan)
    if asked is None:
        return plan
    actor = who()
    decision = Decision(asked.app, ApprovalChoice.APPROVE, Person(actor.name, actor.origin), approval_id=asked.id)
    with cleanup.database.begin() as session:
        results = apply_decision(session, decision, utc_now())
    raise_if_refused(results)
    return cleanup.plan()


@contextmanager
def _open_cleanup() -> Iterator[RegistryCleanup]:
    settings = Settings()
    with ledger() as database:
        archive = open_archive(settings.archive_address)
        on_step = errors.print if errors.is_terminal else lambda _: None
        yield RegistryCleanup(database, archive, settings.ledger_usd_per_gb_month, who(), utc_now, on_step)


def archived(
    kind: Kind | None = typer.Option(None, "--kind", help="Only this kind."),
    limit: int = typer.Option(50, "--limit", min=1, help="At most this many, newest first."),
    as_json: bool = JSON_OPTION,
) -> None:
    """List archived versions, newest first."""
    with ledger() as database, database.read() as session:
        rows: list[dict[str, Any]] = [
            {
                "kind": row.kind,
                "key": row.key,
                "why": row.reason,
                "bytes": row.bytes,
                "archived": f"{row.archived_at:%Y-%m-%d %H:%M}",
                "restored": None if row.restored_at is None else f"{row.restored_at:%Y-%m-%d %H:%M}",
            }
            for row in list_archived(session, kind, limit)
        ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table("Archived", tuple(rows[0]), [list(row.values()) for row in rows])
    else:
        print_text("nothing was archived yet")


def put_back(kind: Kind = _KIND, key: str = _KEY, as_json: bool = JSON_OPTION) -> None:
    """Restore what a cleanup deleted, exactly as it was.

    Exit code 5 if the archive's cold storage needs hours to retrieve it: the copy was requested, so try again later.
    """
    with ledger() as database:
        try:
            row = restore(database, open_archive, kind, key, utc_now())
        except ThawingError as error:
            errors.print(f"softlaunch: {error}", style="yellow", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(Exit.INCONCLUSIVE) from error
    if as_json:
        print_json({"kind": row.kind, "key": row.key, "digest": row.content_digest, "bytes": row.bytes})
    else:
        print_text(f"{row.key} is back in the ledger; it counts as new for the next cleanup.")


def add_tag(kind: Kind = _KIND, key: str = _KEY, name: str = _TAG) -> None:
    """Tag a recorded version; a version with the tag `protected` is never deleted."""
    with ledger() as database, database.begin() as session:
        tagged = tag(session, kind, key, name, str(who()), utc_now())
    print_text(f"{key} is tagged {name}" + ("" if tagged else ", as it was before"))


def remove_tag(kind: Kind = _KIND, key: str = _KEY, name: str = _TAG) -> None:
    """Remove a tag."""
    with ledger() as database, database.begin() as session:
        untag(session, kind, key, name)
    print_text(f"{key} is no longer tagged {name}")


def _show(plan: Plan, archive: str) -> None:
    rows = [
        (
            part.kind,
            part.totals.kept,
            part.totals.deleted,
            _mb(part.totals.deleted_bytes),
            _reasons(part.totals.reasons),
        )
        for part in plan.parts
    ]
    print_table("Registry cleanup", ("what", "kept", "to delete", "size", "why"), rows)
    for part in plan.parts:
        for choice in part.first[:20]:
            print_text(f"  {part.kind} {choice.item.key}: {choice.reason}, {choice.item.bytes} bytes")
        if part.totals.deleted > 20:
            print_text(f"  ... and {part.totals.deleted - 20} more {part.kind}")
    if plan.approval is not None:
        state = f"approved by {plan.approval.by}" if plan.approval.granted else "not answered yet"
        print_text(f"As of {plan.as_of:%Y-%m-%d %H:%M} UTC, when question {plan.approval.asked.id} was asked: {state}.")
    print_text(
        f"{_mb(plan.deleted_bytes)} cost {_usd(plan.usd_now)} a month in the ledger, {_usd(plan.usd_archived)} in"
    )
    print_text(f"{archive} (list prices, before compression)")


def _plan_json(plan: Plan) -> dict[str, Any]:
    return {
        "usd_per_month_now": plan.usd_now,
        "usd_per_month_archived": plan.usd_archived,
        "as_of": plan.as_of,
        "question": plan.approval and {"id": plan.approval.asked.id, "answer": plan.approval.answer},
        "plan": {
            part.kind.value: {
                "kept": part.totals.kept,
                "deleted": part.totals.deleted,
                "bytes": part.totals.deleted_bytes,
                "reasons": part.totals.reasons,
                "first": [
                    {"key": choice.item.key, "reason": choice.reason, "bytes": choice.item.bytes}
                    for choice in part.first
                ],
            }
            for part in plan.parts
        },
    }


def _done_json(done: Done | None) -> dict[str, Any] | None:
    if done is None:
        return None
    return {**{kind.value: _cleaned_json(one) for kind, one in done.kinds.items()}, "texts": done.texts}


def _cleaned_json(cleaned: Cleaned) -> dict[str, int]:
    """Its fields, with the key that programs know for what was kept."""
    fields = asdict(cleaned)
    return {**fields, "spared": fields.pop("kept")}


def _reasons(reasons: dict[str, int]) -> str:
    return ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _usd(amount: float) -> str:
    return f"{amount:.2f} USD" if amount >= 0.01 or amount == 0 else "less than 0.01 USD"
