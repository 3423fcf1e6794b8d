"""The trail of an app: who started, approved, changed and rolled back what, and from where. Read from the ledger."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlmodel import Session, and_, col, not_, or_, select

from softlaunch.approvals.rollback import PUT_IN_FORCE
from softlaunch.approvals.rules import VoteResult
from softlaunch.core.approvals import ApprovalState
from softlaunch.ledger.losses import Cause
from softlaunch.ledger.releases import Actor
from softlaunch.releases.freezing import UNFREEZE
from softlaunch.store.tables import (
    AliasMoveRow,
    ApprovalRow,
    DriveRow,
    DropRow,
    GatewayRow,
    IncidentRow,
    ReleaseRow,
    TransitionRow,
    VoteRow,
)


class Event(StrEnum):
    """What an entry of the trail is about."""

    OPENED = "opened"
    DRIVEN = "driven"
    MOVED = "moved"
    ENDED = "ended"
    ASKED = "asked"
    ANSWERED = "answered"
    INCIDENT = "incident"
    RESOLVED = "resolved"
    ALIAS = "alias"
    NOTED = "noted"
    REPEATED = "repeated"
    LATE = "late"
    REFUSED = "refused"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; `by` says who did it and from where."""

    happened_at: datetime
    release_id: str | None
    event: Event
    what: str
    by: str


def read_history(session: Session, app: str, limit: int) -> list[Entry]:
    """The newest entries of an app's trail, oldest first."""
    entries = [
        *_transitions(session, app),
        *_drives(session, app),
        *_questions(session, app),
        *_votes(session, app),
        *_incidents(session, app),
        *_aliases(session, app),
        *_losses(session, app),
    ]
    return sorted(entries, key=lambda entry: entry.happened_at)[-limit:]


def _transitions(session: Session, app: str) -> Iterator[Entry]:
    rows = session.exec(
        select(TransitionRow, ReleaseRow)
        .join(ReleaseRow, col(ReleaseRow.id) == col(TransitionRow.release_id))
        .where(ReleaseRow.app == app)
        .order_by(col(TransitionRow.id))
    )
    for step, release in rows:
        event = Event.OPENED if step.revision == 0 else Event.MOVED
        if step.to_state in {"promoted", "rejected", "rolled_back", "aborted", "concluded"}:
            event = Event.ENDED
        what = f"{step.to_state}: {step.reason}" if step.revision else f"candidate {release.candidate_digest[:12]}"
        what += f", as an emergency: {release.emergency}" if release.emergency and not step.revision else ""
        yield Entry(step.happened_at, release.id, event, what, step.actor)


def _drives(session: Session, app: str) -> Iterator[Entry]:
    rows = session.exec(
        select(DriveRow)
        .join(ReleaseRow, col(ReleaseRow.id) == col(DriveRow.release_id))
        .where(ReleaseRow.app == app)
        .order_by(col(DriveRow.id))
    )
    for row in rows:
        yield Entry(row.began_at, row.release_id, Event.DRIVEN, "takes over as the driver", row.holder)


def _questions(session: Session, app: str) -> Iterator[Entry]:
    rows = session.exec(
        select(ApprovalRow)
        .outerjoin(ReleaseRow, col(ReleaseRow.id) == col(ApprovalRow.release_id))
        .where(or_(ReleaseRow.app == app, ApprovalRow.app == app))
        .order_by(col(ApprovalRow.id))
    )
    for row in rows:
        yield Entry(row.asked_at, row.release_id, Event.ASKED, row.text, row.asked_by or "driver")
        if row.decided_at is not None and row.state != ApprovalState.PENDING:
            why = f" ({row.reason})" if row.reason else ""
            by = f"{row.decided_by} ({row.decided_from})"
            yield Entry(row.decided_at, row.release_id, Event.ANSWERED, f"{row.state}{why}: {row.text}", by)


def _votes(session: Session, app: str) -> Iterator[Entry]:
    """Votes that no other entry shows: those that decided nothing, lifted freezes, and steps after drift."""
    about_release = and_(col(VoteRow.release_id).is_not(None), VoteRow.said != UNFREEZE)
    elsewhere = or_(col(VoteRow.approval_id).is_not(None), about_release)
    decisions = and_(VoteRow.ruling == VoteResult.DECIDED, elsewhere)
    for row in session.exec(select(VoteRow).where(VoteRow.app == app, not_(decisions)).order_by(col(VoteRow.id))):
        why = f" ({row.reason})" if row.reason else ""
        origin = row.origin if row.person == row.name else f"{row.origin}, {row.person}"
        by = str(Actor(row.name, origin))
        event = Event.ANSWERED if row.ruling == VoteResult.DECIDED else Event(row.ruling)
        event = Event.MOVED if row.said == PUT_IN_FORCE else event
        yield Entry(row.said_at, row.release_id, event, f"{row.said}{why}: {row.told}", by)


def _incidents(session: Session, app: str) -> Iterator[Entry]:
    rows = session.exec(select(IncidentRow).where(IncidentRow.app == app).order_by(col(IncidentRow.id)))
    for row in rows:
        yield Entry(row.opened_at, row.release_id, Event.INCIDENT, f"{row.kind}: {row.summary}", "softlaunch")
        if row.resolved_at is not None:
            what = f"{row.kind}: {row.resolution}"
            yield Entry(row.resolved_at, row.release_id, Event.RESOLVED, what, row.resolved_by)


def _aliases(session: Session, app: str) -> Iterator[Entry]:
    rows = session.exec(select(AliasMoveRow).where(AliasMoveRow.app == app).order_by(col(AliasMoveRow.id)))
    for row in rows:
        what = f"{row.alias} points to {row.variant_digest[:12]}"
        yield Entry(row.moved_at, row.release_id, Event.ALIAS, what, row.moved_by)


def _losses(session: Session, app: str) -> Iterator[Entry]:
    """What died with gateways, and what came back."""
    rows = session.exec(
        select(DropRow, GatewayRow)
        .join(GatewayRow, col(GatewayRow.id) == col(DropRow.gateway_id))
        .where(DropRow.app == app, col(DropRow.cause).in_([Cause.DIED, Cause.CAME_BACK]), DropRow.count != 0)
        .order_by(col(DropRow.id))
    )
    for row, gateway in rows:
        about = "about " if row.estimated else ""
        what = f"{gateway.address} died: {about}{row.count:,} requests are lost from the log"
        if row.cause == Cause.CAME_BACK:
            what = f"{gateway.address} was only silent: {-row.count:,} requests aren't lost after all"
        elif row.count < 0:
            what = f"{gateway.address} left its counts: {-row.count:,} fewer requests are lost than was thought"
        yield Entry(datetime.fromtimestamp(row.noted_at, UTC), None, Event.LOST, what, "softlaunch")
