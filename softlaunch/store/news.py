"""What people are told: notices in the outbox and incidents, written in the transaction of what they tell of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from softlaunch.store.tables import IncidentRow, NoticeRow


class IncidentKind(StrEnum):
    """What a person must know of; each kind has the runbook page `runbooks/<kind>.md`."""

    GATE_ERRORS = "gate_errors"
    GATE_LATENCY = "gate_latency"
    GATE_COST = "gate_cost"
    GATE_QUALITY = "gate_quality"
    GATE_HALLUCINATION = "gate_hallucination"
    GATE_SATISFACTION = "gate_satisfaction"
    BREAKER_TRIPPED = "breaker_tripped"

    @property
    def runbook(self) -> str:
        """Path of the kind's page, from the project's root."""
        return f"runbooks/{self.value}.md"


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident to open; the same `dedup_key` opens once."""

    kind: IncidentKind
    app: str
    release_id: str | None
    dedup_key: str
    summary: str
    evidence: Mapping[str, Any]


def open_incident(session: Session, incident: Incident, now: datetime) -> bool:
    """Open an incident and tell of it; returns False when it was open already."""
    if session.exec(select(IncidentRow.id).where(IncidentRow.dedup_key == incident.dedup_key)).first() is not None:
        return False
    session.add(
        IncidentRow(
            kind=incident.kind,
            app=incident.app,
            release_id=incident.release_id,
            dedup_key=incident.dedup_key,
            severity="page",
            summary=incident.summary,
            evidence=dict(incident.evidence),
            opened_at=now,
        )
    )
    tell(session, incident.app, incident.release_id, f"{incident.summary} Runbook: {incident.kind.runbook}", now)
    return True


def tell(session: Session, app: str, release_id: str | None, text: str, now: datetime) -> None:
    """Put a message into the outbox."""
    session.add(NoticeRow(app=app, release_id=release_id, text=text, written_at=now))


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that waits to be sent."""

    id: int
    app: str
    text: str
    written_at: datetime


def take_unsent(session: Session, now: datetime, limit: int = 50) -> list[Notice]:
    """Mark the oldest unsent messages as sent and return them; two senders never get the same one."""
    waiting = select(NoticeRow.id).where(col(NoticeRow.sent_at).is_(None)).order_by(col(NoticeRow.id)).limit(limit)
    rows = session.execute(
        update(NoticeRow)
        .where(col(NoticeRow.id).in_(waiting), col(NoticeRow.sent_at).is_(None))
        .values(sent_at=now)
        .returning(col(NoticeRow.id), col(NoticeRow.app), col(NoticeRow.text), col(NoticeRow.written_at))
    ).all()
    return [Notice(*row) for row in sorted(rows)]
