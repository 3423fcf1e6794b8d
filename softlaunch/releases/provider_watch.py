"""Whether an app's provider answers, told from the request log while no driver of a release looks."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import and_, select
from sqlmodel import Session, col

from softlaunch.ledger.notices import Incident, open_incident, open_keys, resolve_incident
from softlaunch.ledger.outcomes import stable_since
from softlaunch.policy.release import State
from softlaunch.releases.conditions import ENOUGH_ANSWERS, Symptom, examine_provider
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow, RouteRow

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
            since = now.timestamp() - 60 * minutes
            lately = stable_since(session, route.app, route.release_id, route.stage, since)
            if sum(lately.values()) >= ENOUGH_ANSWERS:
                within = "minute" if minutes == 1 else f"{minutes} minutes"
                symptom = examine_provider(route.app, lately, f"within the last {within}")
                if symptom is not None:
                    yield route.app, symptom
                break


def _note(session: Session, app: str, symptom: Symptom, now: datetime) -> Iterator[tuple[str, bool]]:
    """Write what a symptom comes to; yields it where it is news."""
    if not symptom.present:
        if resolve_incident(session, symptom.key, "softlaunch", symptom.summary, now):
            yield symptom.summary, False
    elif open_incident(session, Incident(symptom.kind, app, None, symptom.key, symptom.summary, symptom.evidence), now):
        yield symptom.summary, True
