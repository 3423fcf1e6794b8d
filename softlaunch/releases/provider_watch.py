"""Whether an app's provider answers, by the request log, while no driver of a release checks."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import and_, select
from sqlmodel import Session, col

from softlaunch.ledger.notices import Incident, open_incident, open_keys, resolve_incident
from softlaunch.ledger.outcomes import stable_since
from softlaunch.policy.release import State
from softlaunch.releases.conditions import ENOUGH_ANSWERS, Condition, examine_provider
from softlaunch.store.database import Database
from softlaunch.store.tables import ReleaseRow, RouteRow

_MINUTES = (1, 5)
"""The period that is read: the first of these with enough answers, so that busy apps are reported and resolved soon."""
_LOOKED_AT = (State.SHADOWING, State.CANARY, State.TESTING)


def watch_providers(database: Database, now: datetime) -> list[tuple[str, bool]]:
    """Open, bring up to date or resolve an incident for each app; returns what changed, and whether for the worse."""
    with database.read() as session:
        found = list(_examine(session, now))
        held = {key for app in {app for app, _ in found} for key in open_keys(session, app)}
    worth = [(app, condition) for app, condition in found if condition.present or condition.key in held]
    if not worth:
        return []
    with database.begin() as session:
        return [change for app, condition in worth for change in _note(session, app, condition, now)]


def _examine(session: Session, now: datetime) -> Iterator[tuple[str, Condition]]:
    driven = and_(col(ReleaseRow.state).in_(_LOOKED_AT), col(ReleaseRow.driver_expires_at) > now)
    watched = select(col(ReleaseRow.live_app)).where(col(ReleaseRow.live_app).is_not(None), driven)
    for (route,) in session.execute(select(RouteRow).where(col(RouteRow.app).not_in(watched)).order_by(RouteRow.app)):
        for minutes in _MINUTES:
            since = now.timestamp() - 60 * minutes
            lately = stable_since(session, route.app, route.release_id, route.stage, since)
            if sum(lately.values()) >= ENOUGH_ANSWERS:
                within = "minute" if minutes == 1 else f"{minutes} minutes"
                condition = examine_provider(route.app, lately, f"within the last {within}")
                if condition is not None:
                    yield route.app, condition
                break


def _note(session: Session, app: str, condition: Condition, now: datetime) -> Iterator[tuple[str, bool]]:
    """Write what a condition comes to; yields it where it is news."""
    if not condition.present:
        if resolve_incident(session, condition.key, "softlaunch", condition.summary, now):
            yield condition.summary, False
    elif open_incident(
        session, Incident(condition.kind, app, None, condition.key, condition.summary, condition.evidence), now
    ):
        yield condition.summary, True
