"""Messages in the outbox, and incidents, written in the transaction of what they are about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import Session, col, select

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.store.tables import IncidentRow, NoticeRow


class Event(StrEnum):
    """What a message is about, which decides how a chat shows it."""

    SAID = "said"
    ASKED = "asked"
    NOTED = "noted"
    CLOSED = "closed"
    OPENED = "opened"
    RESOLVED = "resolved"


WEBHOOK_STREAM = "webhook"


def stream_of(app: str, release_id: str | None) -> str:
    """The stream of messages that people read in order: those about a release, or about an app."""
    return f"release:{release_id}" if release_id else f"app:{app}"


@dataclass(frozen=True, slots=True)
class Message:
    """A message to people. `details` names the approval (`approval`) or the `incident` that it is about."""

    app: str
    release_id: str | None
    text: str
    event: Event = Event.SAID
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident to open. `dedup_key` names what is wrong: while one is open under it, no second one opens.

    `app` is empty where the whole installation is meant; `evidence` holds JSON values.
    """

    kind: IncidentKind
    app: str
    release_id: str | None
    dedup_key: str
    summary: str
    evidence: Mapping[str, Any]


def open_incident(session: Session, incident: Incident, now: datetime) -> bool:
    """Open an incident and notify people. One that is open already is updated without a message, and returns False."""
    held = _find_open(session, incident.dedup_key)
    if held is not None:
        held.summary, held.evidence, held.updated_at = incident.summary, dict(incident.evidence), now
        held.seen += 1
        return False
    row = IncidentRow(
        kind=incident.kind,
        app=incident.app,
        release_id=incident.release_id,
        dedup_key=incident.dedup_key,
        open_key=incident.dedup_key,
        severity=incident.kind.severity,
        summary=incident.summary,
        evidence=dict(incident.evidence),
        opened_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    _announce(session, row, Event.OPENED, f"{incident.summary} Runbook: {incident.kind.runbook}", now)
    return True


def resolve_incident(session: Session, dedup_key: str, by: str, why: str, now: datetime) -> bool:
    """Close the incident that is open under a key and notify people; returns False when none is."""
    held = _find_open(session, dedup_key)
    if held is None:
        return False
    held.open_key, held.resolved_at, held.resolved_by, held.resolution = None, now, by, why
    _announce(session, held, Event.RESOLVED, f"Resolved by {by}: {why}. It was: {held.summary}", now)
    return True


def open_keys(session: Session, app: str) -> dict[str, IncidentKind]:
    """The keys of an app's open incidents, with their kinds."""
    found = select(IncidentRow.open_key, IncidentRow.kind).where(
        IncidentRow.app == app, col(IncidentRow.open_key).is_not(None)
    )
    return {key: IncidentKind(kind) for key, kind in session.exec(found) if key is not None}


def _announce(session: Session, row: IncidentRow, event: Event, text: str, now: datetime) -> None:
    """Notify people, and whatever listens at the webhook."""
    details = {"incident": row.id}
    notify(session, Message(row.app, row.release_id, text, event, details), now)
    session.add(
        NoticeRow(
            app=row.app,
            release_id=row.release_id,
            lane=WEBHOOK_STREAM,
            event=event,
            details=details,
            text=text,
            written_at=now,
        )
    )


def _find_open(session: Session, dedup_key: str) -> IncidentRow | None:
    found = select(IncidentRow).where(IncidentRow.open_key == dedup_key).with_for_update()
    return session.exec(found).one_or_none()


def notify(session: Session, message: Message, now: datetime) -> None:
    """Put a message into the outbox."""
    session.add(
        NoticeRow(
            app=message.app,
            release_id=message.release_id,
            lane=stream_of(message.app, message.release_id),
            event=message.event,
            details=dict(message.details),
            text=message.text,
            written_at=now,
        )
    )
