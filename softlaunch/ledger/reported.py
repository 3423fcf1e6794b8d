"""Which request a value that an app reports belongs to, and what was reported of it already."""

from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlmodel import Session, col

from softlaunch.ledger.logged import NEWEST_FIRST
from softlaunch.policy.route import Arm
from softlaunch.store.tables import RequestRow, ScoreRow, StageRow

REPORTED = "reported"
"""The source of values that apps report; the first of one request and metric counts, however it came."""
LIVE_JUDGES = "live judges"
"""The source of scores that evaluators write."""
_SHOWN = (Arm.STABLE, Arm.CANDIDATE)
_NEWEST = 20_000
_OF_A_UNIT = 200


@dataclass(frozen=True, slots=True)
class Spoken:
    """A unit's last request, and the metrics that have values for it or for one of its earlier requests."""

    request_id: str
    heard: frozenset[str]


def last_request(session: Session, app: str, unit: int, release_id: str | None, since: float) -> Spoken | None:
    """The last request of a unit (its pseudonym) that began after a moment (epoch seconds); None without any.

    With a live release it is looked for among all requests of that; otherwise, because requests have no index by unit
    alone, among the app's newest 20,000.
    """
    own = session.execute(_of_release(release_id, unit, since)).all() if release_id is not None else []
    found = own or session.execute(_among_newest(app, unit, since)).all()
    if not found:
        return None
    ids = [row.request_id for row in found]
    heard = select(col(ScoreRow.metric)).where(col(ScoreRow.request_id).in_(ids)).distinct()
    return Spoken(ids[0], frozenset(session.scalars(heard)))


def _of_release(release_id: str, unit: int, since: float) -> Select[tuple[str]]:
    stages = select(col(StageRow.position)).where(col(StageRow.release_id) == release_id)  # the index is by stage
    return (
        select(col(RequestRow.request_id))
        .where(col(RequestRow.release_id) == release_id, col(RequestRow.stage).in_(stages))
        .where(col(RequestRow.unit) == unit)
        .where(col(RequestRow.arm).in_(_SHOWN), col(RequestRow.started_at) >= since)
        .order_by(col(RequestRow.started_at).desc())
        .limit(_OF_A_UNIT)
    )


def _among_newest(app: str, unit: int, since: float) -> Select[tuple[str]]:
    newest = (
        select(col(RequestRow.request_id), col(RequestRow.unit), col(RequestRow.started_at))
        .where(col(RequestRow.app) == app, col(RequestRow.arm).in_(_SHOWN), col(RequestRow.started_at) >= since)
        .order_by(*NEWEST_FIRST)
        .limit(_NEWEST)
        .subquery()
    )
    return (
        select(newest.c.request_id).where(newest.c.unit == unit).order_by(newest.c.started_at.desc()).limit(_OF_A_UNIT)
    )
