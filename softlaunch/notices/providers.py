"""Whether an app's provider answers, told from the request log while no driver of a release looks."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import and_, case, func, or_, select
from sqlmodel import Session, col

from softlaunch.notices.symptoms import ENOUGH_ANSWERS, Symptom, examine_provider
from softlaunch.release import State
from softlaunch.request_outcome import ARM_FAILURES, GIVEN
from softlaunch.route import Arm
from softlaunch.store.database import Database
from softlaunch.store.news import Incident, open_incident, open_keys, resolve_incident
from softlaunch.store.tables import ReleaseRow, RequestRow, RouteRow

_MINUTES = (1, 5)
"""How far back is looked: the first of these with enough answers, so that busy apps are told of, and resolved, soon."""
_LOOKED_AT = (State.SHADOWING, State.CANARY, State.TESTING)


def watch_providers(database: Database, now: datetime) -> list[tuple[str, bool]]:
    """Open, bring up to date or resolve an incident for each app; returns what changed, and whether for the worse."""
    with database.read() as session:
        found = list(_examine(session, now))
        held = {key for app in {app for app, _ in found} for key in open_keys(session, app)}
    worth = [(app, symptom) for app, symptom in found if symptom.present or symptom.key in held]
    if not worth:
        return []
    with database.begin() as session:
        return [told for app, symptom in worth for told in _note(session, app, symptom, now)]


def _examine(session: Session, now: datetime) -> Iterator[tuple[str, Symptom]]:
    driven = and_(col(ReleaseRow.state).in_(_LOOKED_AT), col(ReleaseRow.driver_expires_at) > now)
    watched = select(col(ReleaseRow.live_app)).where(col(ReleaseRow.live_app).is_not(None), driven)
    for (route,) in session.execute(select(RouteRow).where(col(RouteRow.app).not_in(watched)).order_by(RouteRow.app)):
        for minutes in _MINUTES:
            lately = _stable_lately(session, route, now.timestamp() - 60 * minutes)
            if lately[0] >= ENOUGH_ANSWERS:
                within = "minute" if minutes == 1 else f"{minutes} minutes"
                symptom = examine_provider(route.app, lately, f"within the last {within}")
                if symptom is not None:
                    yield route.app, symptom
                break


def _stable_lately(session: Session, route: RouteRow, since: float) -> tuple[int, int]:
    """How many answers stable gave since then under the split in force, and how many of them failed.

    What a client brought upon itself is no answer of a provider's.
    """
    failed = col(RequestRow.outcome).in_(ARM_FAILURES)
    lately = select(func.count(), func.coalesce(func.sum(case((failed, 1), else_=0)), 0)).where(
        col(RequestRow.app) == route.app,
        col(RequestRow.release_id) == route.release_id,
        col(RequestRow.stage) == route.stage,
        col(RequestRow.started_at) >= since,
        col(RequestRow.arm) == Arm.STABLE,
        or_(failed, col(RequestRow.outcome).in_(GIVEN)),
    )
    answers, failures = session.execute(lately).one()
    return int(answers), int(failures)


def _note(session: Session, app: str, symptom: Symptom, now: datetime) -> Iterator[tuple[str, bool]]:
    """Write what a symptom comes to; yields it where it is news."""
    if not symptom.present:
        if resolve_incident(session, symptom.key, "softlaunch", symptom.summary, now):
            yield symptom.summary, False
    elif open_incident(session, Incident(symptom.kind, app, None, symptom.key, symptom.summary, symptom.evidence), now):
        yield symptom.summary, True
