"""Whether gateways follow a rollback; a release that is over has no driver, so that reconcile checks.

So does the control plane of Envoys as soon as one of them refuses what takes a candidate away.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.ledger.gateways import FORGOTTEN_SECONDS, Gateway, describe_behind, read_gateways
from softlaunch.ledger.notices import Incident, open_incident, resolve_incident
from softlaunch.ledger.releases import to_release
from softlaunch.policy.release import Release, State
from softlaunch.store.database import Database
from softlaunch.store.tables import IncidentRow, ReleaseRow, RouteRow

_TAKEN_BACK = (State.ROLLED_BACK, State.ABORTED)
_SPARE_SECONDS = 5.0
_KIND = IncidentKind.ROLLBACK_STUCK


def watch_rollbacks(database: Database, now: datetime) -> list[tuple[str, bool]]:
    """Open an incident for each app whose gateways don't follow a rollback, and resolve it when they do.

    They have the lease and five seconds, but an Envoy that refuses it is told of at once, however the release ended.
    One that a person has resolved isn't opened again for the same rollback. Returns what changed, and whether for the
    worse.
    """
    with database.read() as session:
        stuck = list(_stuck(session, now))
        settled = list(_settled(session))
    if not stuck and not settled:
        return []
    with database.begin() as session:
        follow = [(why, False) for key, why in settled if resolve_incident(session, key, "softlaunch", why, now)]
        return follow + [(incident.summary, True) for incident in stuck if open_incident(session, incident, now)]


def _stuck(session: Session, now: datetime) -> Iterator[Incident]:
    """Incidents of rollbacks that are due, or refused, and that somebody doesn't follow.

    Those that a person has resolved are left out.
    """
    for route in session.exec(select(RouteRow).where(col(RouteRow.candidate_digest).is_(None)).order_by(RouteRow.app)):
        due = route.changed_at + timedelta(seconds=route.lease_seconds + _SPARE_SECONDS)
        release = _newest(session, route.app)
        if release is None or release.state.live:
            continue
        known = read_gateways(session, route.app, route.changed_at.timestamp() - FORGOTTEN_SECONDS)
        behind = [one for one in known if not one.follows(route.revision)]
        if now < due or release.state not in _TAKEN_BACK:
            behind = [one for one in behind if one.refuses]
        incident = _incident(release, route.revision, known, behind, now)
        if behind and not _was_resolved(session, incident.dedup_key):
            yield incident


def _newest(session: Session, app: str) -> Release | None:
    """The app's newest release or test, but for those that were rejected before any user met them."""
    rows = select(ReleaseRow).where(ReleaseRow.app == app, ReleaseRow.state != State.REJECTED)
    newest = rows.order_by(col(ReleaseRow.opened_at).desc(), col(ReleaseRow.number).desc()).limit(1)
    row = session.exec(newest).one_or_none()
    return None if row is None else to_release(session, row)


def _incident(release: Release, revision: int, known: list[Gateway], behind: list[Gateway], now: datetime) -> Incident:
    doing = "don't" if len(behind) > 1 else "doesn't"
    became = "was rolled back" if release.state in _TAKEN_BACK else f"is {release.state}"
    return Incident(
        kind=_KIND,
        app=release.app,
        release_id=release.id,
        dedup_key=f"{release.id}:{_KIND}:{revision}",
        summary=(
            f"{release.app}: {release.id} {became}, but {len(behind)} of {len(known)} gateways {doing} follow: "
            f"{describe_behind(behind, now.timestamp())}."
        ),
        evidence={"revision": revision, "gateways": len(known), "behind": {one.id: one.address for one in behind}},
    )


def _settled(session: Session) -> Iterator[tuple[str, str]]:
    """Keys of open incidents whose gateways follow by now, have stopped, or were replaced."""
    held = select(IncidentRow).where(IncidentRow.kind == _KIND, col(IncidentRow.open_key).is_not(None))
    for row in session.exec(held):
        revision, behind = row.evidence.get("revision"), row.evidence.get("behind")
        if revision is None or behind is None:
            continue
        known = read_gateways(session, row.app, since=0.0)
        if not any(one.id in behind and not one.follows(revision) for one in known):
            yield row.dedup_key, f"every gateway of {row.app} follows, or has stopped"


def _was_resolved(session: Session, key: str) -> bool:
    resolved = select(IncidentRow.id).where(IncidentRow.dedup_key == key, col(IncidentRow.open_key).is_(None))
    return session.exec(resolved.limit(1)).first() is not None
