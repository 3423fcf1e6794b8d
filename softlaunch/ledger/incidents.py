"""Incidents as people read them: listed, shown with their evidence, and resolved by hand."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from softlaunch.core.errors import NotFoundError
from softlaunch.core.incident_kinds import IncidentKind, Severity
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.ledger.notices import resolve_incident
from softlaunch.ledger.stages import verdict_of
from softlaunch.store.tables import IncidentRow


@dataclass(frozen=True, slots=True)
class Recorded:
    """An incident with its evidence. `seen` counts how often the same was reported while open."""

    id: int
    kind: IncidentKind
    severity: Severity
    app: str
    release_id: str | None
    dedup_key: str
    summary: str
    evidence: Mapping[str, Any]
    seen: int
    opened_at: datetime
    updated_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str
    resolution: str

    @property
    def open(self) -> bool:
        """Whether nobody has resolved it."""
        return self.resolved_at is None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the gate that took a candidate back; None where something else opened the incident."""
        held = self.evidence
        if "gate" not in held or "candidate_value" not in held:
            return None
        return verdict_of(held, held["gate"], Outcome.FAIL, held.get("reason", ""))


def list_incidents(
    session: Session, app: str | None, limit: int, *, resolved: bool, kinds: Collection[IncidentKind] = ()
) -> list[Recorded]:
    """Incidents, newest first, of these kinds or of all; those that are resolved only where they are asked for."""
    found = select(IncidentRow).order_by(col(IncidentRow.id).desc()).limit(limit)
    if app is not None:
        found = found.where(IncidentRow.app == app)
    if kinds:
        found = found.where(col(IncidentRow.kind).in_(kinds))
    if not resolved:
        found = found.where(col(IncidentRow.resolved_at).is_(None))
    return [_recorded(row) for row in session.exec(found)]


def read_incident(session: Session, incident_id: int) -> Recorded:
    """One incident; raises NotFoundError."""
    row = session.get(IncidentRow, incident_id)
    if row is None:
        raise NotFoundError(f"no incident {incident_id} is recorded; see 'softlaunch incidents list --all'")
    return _recorded(row)


def close_incident(session: Session, incident_id: int, by: str, why: str, now: datetime) -> bool:
    """Resolve an incident because a person says so; returns False when it was resolved before."""
    return resolve_incident(session, read_incident(session, incident_id).dedup_key, by, why, now)


def _recorded(row: IncidentRow) -> Recorded:
    return Recorded(
        id=row.id or 0,
        kind=IncidentKind(row.kind),
        severity=Severity(row.severity),
        app=row.app,
        release_id=row.release_id,
        dedup_key=row.dedup_key,
        summary=row.summary,
        evidence=dict(row.evidence),
        seen=row.seen,
        opened_at=row.opened_at,
        updated_at=row.updated_at,
        resolved_at=row.resolved_at,
        resolved_by=row.resolved_by,
        resolution=row.resolution,
    )
