"""A/B tests in a list: the newest look at each of them, and people's questions about one."""

from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import Session, col, select

from softlaunch.ab.analysis import Analysis
from softlaunch.ab.document import from_json
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.store.tables import AbLookRow, IncidentRow


def newest_analyses(session: Session, trial_ids: Sequence[str]) -> dict[str, Analysis]:
    """What the newest look at each of these tests found, by test; those that nobody has looked at are left out."""
    newest = (
        select(AbLookRow.release_id, func.max(AbLookRow.number).label("number"))
        .where(col(AbLookRow.release_id).in_(trial_ids))
        .group_by(AbLookRow.release_id)
        .subquery()
    )
    looks = select(AbLookRow).join(
        newest, (col(AbLookRow.release_id) == newest.c.release_id) & (col(AbLookRow.number) == newest.c.number)
    )
    return {look.release_id: from_json(look.analysis) for look in session.exec(looks)}


def incidents_of(session: Session, trial_id: str) -> list[tuple[int, IncidentKind]]:
    """The test's newest incidents, by number, with what they are about."""
    found = select(IncidentRow.id, IncidentRow.kind).where(IncidentRow.release_id == trial_id)
    rows = session.exec(found.order_by(col(IncidentRow.id).desc()).limit(10))
    return [(number or 0, IncidentKind(kind)) for number, kind in rows]
