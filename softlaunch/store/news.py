"""What people are told: notices in the outbox and incidents, written in the transaction of what they tell of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col, select

from softlaunch.store.tables import IncidentRow, NoticeRow


class Severity(StrEnum):
    """How soon a person must look: `page` now, at any hour; `ticket` on a working day."""

    PAGE = "page"
    TICKET = "ticket"


class IncidentKind(StrEnum):
    """What a person must know of: a closed list. Each kind has the runbook page `runbooks/<kind>.md`."""

    GATE_ERRORS = "gate_errors"
    GATE_LATENCY = "gate_latency"
    GATE_COST = "gate_cost"
    GATE_QUALITY = "gate_quality"
    GATE_HALLUCINATION = "gate_hallucination"
    GATE_SATISFACTION = "gate_satisfaction"
    BREAKER_TRIPPED = "breaker_tripped"
    NO_DATA = "no_data"
    SPLIT_OFF = "split_off"
    RELEASE_ORPHANED = "release_orphaned"
    ROLLBACK_STUCK = "rollback_stuck"
    PROMPT_DRIFT = "prompt_drift"
    FLOATING_MODEL_CHANGED = "floating_model_changed"
    AB_INCONCLUSIVE = "ab_inconclusive"
    EVAL_FLICKERING = "eval_flickering"
    GOLDEN_SET_STALE = "golden_set_stale"
    REGISTRY_CLEANUP_FAILED = "registry_cleanup_failed"
    APPROVAL_EXPIRED = "approval_expired"
    PROVIDER_DOWN = "provider_down"

    @property
    def runbook(self) -> str:
        """Path of the kind's page, from the project's root."""
        return f"runbooks/{self.value}.md"

    @property
    def words(self) -> str:
        """The kind in words, as messages and its page have it: `Latency gate failed`."""
        plain = self.value.replace("_", " ").replace("ab ", "A/B test ")
        named = f"{plain.removeprefix('gate ')} gate failed" if plain.startswith("gate ") else plain
        return named[0].upper() + named[1:]

    @property
    def severity(self) -> Severity:
        """Whether somebody must look now: users may be worse off, or nobody would notice if they were."""
        return Severity.TICKET if self in _CAN_WAIT else Severity.PAGE


_CAN_WAIT = frozenset(
    {
        IncidentKind.GATE_COST,
        IncidentKind.PROMPT_DRIFT,
        IncidentKind.FLOATING_MODEL_CHANGED,
        IncidentKind.AB_INCONCLUSIVE,
        IncidentKind.EVAL_FLICKERING,
        IncidentKind.GOLDEN_SET_STALE,
        IncidentKind.REGISTRY_CLEANUP_FAILED,
        IncidentKind.APPROVAL_EXPIRED,
    }
)


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
    """Open an incident and tell of it. One that is open already is brought up to date, quietly, and returns False."""
    held = _find_open(session, incident.dedup_key)
    if held is not None:
        held.summary, held.evidence, held.updated_at = incident.summary, dict(incident.evidence), now
        held.seen += 1
        return False
    session.add(
        IncidentRow(
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
    )
    tell(session, incident.app, incident.release_id, f"{incident.summary} Runbook: {incident.kind.runbook}", now)
    return True


def resolve_incident(session: Session, dedup_key: str, by: str, why: str, now: datetime) -> bool:
    """Close what is open under a key and tell of it; returns False when nothing is."""
    held = _find_open(session, dedup_key)
    if held is None:
        return False
    held.open_key, held.resolved_at, held.resolved_by, held.resolution = None, now, by, why
    tell(session, held.app, held.release_id, f"Resolved by {by}: {why}. It was: {held.summary}", now)
    return True


def _find_open(session: Session, dedup_key: str) -> IncidentRow | None:
    found = select(IncidentRow).where(IncidentRow.open_key == dedup_key).with_for_update()
    return session.exec(found).one_or_none()


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
