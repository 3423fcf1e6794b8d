"""Ending a release, by its driver or by a person: one transaction that gateways pick up within a second."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlmodel import Session

from softlaunch.catalog.aliases import BASELINE, PREVIOUS, PRODUCTION, MovedBy, move_alias, read_alias
from softlaunch.catalog.records import check_app
from softlaunch.core.errors import ConflictError, NotFoundError
from softlaunch.core.incident_kinds import IncidentKind
from softlaunch.core.verdict import Outcome
from softlaunch.ledger.approvals import withdraw_approvals
from softlaunch.ledger.lease import Transition, apply_transition
from softlaunch.ledger.notices import Incident, Message, notify, open_incident, open_keys, resolve_incident
from softlaunch.ledger.releases import Actor, Opening, find_latest, find_live, find_newest, open_release, to_release
from softlaunch.ledger.splits import Split, set_split
from softlaunch.ledger.stages import StageState, end_stage, figures
from softlaunch.policy.release import Kind, Release, State
from softlaunch.releases.decision import End
from softlaunch.store.tables import ReleaseRow, RouteRow


@dataclass(frozen=True, slots=True)
class Ended:
    """What a person's command did: the release, its state now, and the route's revision that gateways must reach.

    Without any release `release_id` is empty and `state` None. `changed` is false where everything was so already;
    `message` says what the state alone doesn't.
    """

    release_id: str
    state: State | None
    route_revision: int
    serving_digest: str
    changed: bool = field(default=True, compare=False)
    message: str = field(default="", compare=False)

    def with_message(self, message: str) -> "Ended":
        """The same with a message."""
        return replace(self, message=message)


@dataclass(frozen=True, slots=True)
class AliasTargets:
    """Digests of the variant that serves from now on, and of the one that served before."""

    production: str
    previous: str


def end_release(
    session: Session, release: Release, end: End, actor: Actor, now: datetime, *, token: int | None = None
) -> Ended:
    """Write the end of a release: its state, the route, the aliases, and the messages to people.

    Raises FencedError when the release or its route has changed since it was read.
    """
    apply_transition(
        session, Transition(release, end.state, release.position, end.reason, end.outcome), actor, now, token
    )
    fence = session.get_one(ReleaseRow, release.id).driver_token
    promoted = end.state is State.PROMOTED
    serving = _serving(release, end.state)
    if release.kind is Kind.TOPLINE and end.state is State.ROLLED_BACK:
        ended = _undo_newest(session, release.app, actor, f"{release.id}: {end.reason}", now)
    else:
        revision = set_split(session, release.app, serving, Split(), fence, now)
        ended = Ended(release.id, end.state, revision, serving)
    state = StageState.PASSED if promoted else StageState(end.state)
    end_stage(session, release.id, release.position, state, end.reason, now)
    if promoted:
        point_aliases(session, release.app, AliasTargets(serving, release.stable.digest), actor, now, release.id)
        _open_topline(session, release, actor, now)
    withdraw_approvals(session, release.app, release.id, f"the release is {end.state}", now)
    _settle_incidents(session, release, end.state, now)
    if end.gate is not None and (release.state.exposes_users or release.kind is Kind.TOPLINE):
        open_incident(session, _incident(release, end, end.gate), now)
    if end.needs_people:
        open_incident(session, _undecided(release, end), now)
    notify(session, Message(release.app, release.id, f"{release.title}: {end.state}. {end.reason}."), now)
    return ended


def _serving(release: Release, state: State) -> str:
    """The digest of what serves everybody after an end."""
    if state is State.PROMOTED:
        return release.candidate.digest
    return (release.stable if state is State.ROLLED_BACK else release.fallback).digest


def point_aliases(
    session: Session, app: str, targets: AliasTargets, actor: Actor, now: datetime, release_id: str | None
) -> None:
    """Move the aliases that only releases and rollbacks move."""
    for alias, digest in (
        (PREVIOUS, targets.previous),
        (PRODUCTION, targets.production),
        (BASELINE, targets.production),
    ):
        move_alias(session, app, alias, digest, MovedBy(str(actor), release_id), now)


_OF_A_STAGE = frozenset(
    {IncidentKind.NO_DATA, IncidentKind.SPLIT_OFF, IncidentKind.JUDGES_AWAY, IncidentKind.ENVOY_NOT_FOLLOWING}
)


def _settle_incidents(session: Session, release: Release, state: State, now: datetime) -> None:
    """Resolve what was wrong with the stages of a release that is over; a promotion settles what stopped others."""
    for key, kind in open_keys(session, release.app).items():
        stopped_another = kind.is_gate or kind is IncidentKind.BREAKER_TRIPPED
        if key.startswith(f"{release.id}:") and kind in _OF_A_STAGE:
            resolve_incident(session, key, "softlaunch", f"{release.id} is {state}", now)
        elif state is State.PROMOTED and stopped_another:
            resolve_incident(session, key, "softlaunch", f"{release.id} is promoted", now)


def _incident(release: Release, end: End, gate: str) -> Incident:
    kind, failing = IncidentKind.of_gate(gate), end.verdict
    stays = end.state is State.CONCLUDED
    became = f"is worse than {release.stable.label}, but keeps serving" if stays else "was rolled back"
    return Incident(
        kind=kind,
        app=release.app,
        release_id=release.id,
        dedup_key=f"{release.id}:{kind}",
        summary=f"{release.app}: {release.candidate.label} {became} at {release.stage.name}. {end.reason}.",
        evidence={} if failing is None else {"gate": failing.gate, "reason": failing.reason, **figures(failing)},
    )


def _undecided(release: Release, end: End) -> Incident:
    return Incident(
        kind=IncidentKind.AB_INCONCLUSIVE,
        app=release.app,
        release_id=release.id,
        dedup_key=f"{release.app}:{IncidentKind.AB_INCONCLUSIVE}",
        summary=f"{release.app}: the A/B test of {release.candidate.label} needs people. {end.reason}.",
        evidence={"test": release.id, "outcome": end.outcome.value},
    )


def roll_back(session: Session, app: str, actor: Actor, reason: str, now: datetime) -> Ended:
    """Roll back an app's live release, or the newest promoted one.

    A live release ends: rolled back when users may have been exposed to the candidate, aborted when not. Without one,
    or while what was promoted is still watched, the newest promoted release is undone, so that `previous` serves again;
    when a release was ended or rolled back since, nothing changes, so that the command may be repeated. Rejected
    releases, which exposed no user, are passed over. Raises NotFoundError when there is nothing to go back to.
    """
    live = find_live(session, app, lock=True)
    if live is not None and live.kind == Kind.TOPLINE:
        return end_release(session, to_release(session, live), End(State.ROLLED_BACK, Outcome.FAIL, reason), actor, now)
    if live is not None:
        return end_live(session, live, actor, reason, now)
    check_app(session, app)
    route = session.get_one(RouteRow, app, with_for_update=True)  # nothing can be opened from here on
    latest = find_newest(session, app, set(State) - {State.REJECTED}) or find_latest(session, app)
    if latest.live_app is not None:
        raise ConflictError(f"{latest.id} was opened at this moment; roll back again to end it")
    if latest.state != State.PROMOTED or read_alias(session, app, PRODUCTION) != latest.candidate_digest:
        return Ended(latest.id, State(latest.state), route.revision, route.stable_digest, changed=False)
    return _undo_promotion(session, to_release(session, latest), actor, reason, now)


def end_live(session: Session, live: ReleaseRow, actor: Actor, reason: str, now: datetime) -> Ended:
    """End a live release that is locked, by a person: rolled back when users may have been exposed to the candidate."""
    release = to_release(session, live)
    state = State.ROLLED_BACK if release.state.exposes_users else State.ABORTED
    return end_release(session, release, End(state, Outcome.FAIL, reason), actor, now)


def _undo_newest(session: Session, app: str, actor: Actor, reason: str, now: datetime) -> Ended:
    """Undo the promotion that a topline follows."""
    newest = find_newest(session, app, {State.PROMOTED})
    if newest is None:
        raise NotFoundError(f"{app} has no promotion to undo; name a version: 'softlaunch rollback {app} --to ...'")
    return _undo_promotion(session, to_release(session, newest), actor, reason, now)


def _open_topline(session: Session, promoted: Release, actor: Actor, now: datetime) -> None:
    """Let what was promoted be watched on, where its policy says so.

    An emergency has nothing worth going back to, and a rehearsal nothing to compare with.
    """
    same = promoted.stable.digest == promoted.candidate.digest
    if promoted.policy.topline is None or promoted.emergency or promoted.kind is not Kind.RELEASE or same:
        return
    digests = promoted.stable.digest, promoted.candidate.digest
    opening = Opening(promoted.app, *digests, promoted.policy, promoted.policy_path, Kind.TOPLINE)
    open_release(session, opening, actor, now)


def end_topline(session: Session, app: str, actor: Actor, reason: str, now: datetime) -> None:
    """End what follows an app's promotion, where anything does: what was promoted goes on serving."""
    live = find_live(session, app, lock=True)
    if live is not None and live.kind == Kind.TOPLINE:
        topline = to_release(session, live)
        end_release(session, topline, End(State.ABORTED, Outcome.INCONCLUSIVE, reason), actor, now)


def _undo_promotion(session: Session, release: Release, actor: Actor, reason: str, now: datetime) -> Ended:
    step = Transition(release, State.ROLLED_BACK, release.position, reason, Outcome.FAIL)
    apply_transition(session, step, actor, now)
    fence = session.get_one(RouteRow, release.app).fence + 1
    revision = set_split(session, release.app, release.stable.digest, Split(), fence, now)
    point_aliases(
        session, release.app, AliasTargets(release.stable.digest, release.candidate.digest), actor, now, release.id
    )
    notify(
        session, Message(release.app, release.id, f"{release.title}: rolled back after its promotion. {reason}."), now
    )
    return Ended(release.id, State.ROLLED_BACK, revision, release.stable.digest)


def abort(session: Session, app: str, actor: Actor, reason: str, now: datetime) -> Ended:
    """End an app's live release because a person wants it; stable serves alone. Raises NotFoundError without one."""
    live = find_live(session, app, lock=True)
    if live is None:
        latest = find_latest(session, app)
        raise NotFoundError(f"{app} has no live release; the newest, {latest.id}, is {latest.state}")
    return end_release(session, to_release(session, live), End(State.ABORTED, Outcome.FAIL, reason), actor, now)
