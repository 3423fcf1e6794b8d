"""The driver of a release: a step reads the ledger, does at most one idempotent thing, and writes by compare-and-set.

Any process may drive. Whoever holds the newest fencing token can write, everybody else's writes are refused; a driver
may die at any instant, and the next one resumes from the ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol, assert_never

from sqlmodel import Session, col, select

from softlaunch.core.approvals import ApprovalKind
from softlaunch.core.arms import NONE_COUNTED, ByArm
from softlaunch.core.clock import utc_now
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.ledger.approvals import Approval, read_approvals, request_approval, withdraw_approvals
from softlaunch.ledger.guard import Guard
from softlaunch.ledger.lease import Transition, apply_transition, claim, release_claim, renew
from softlaunch.ledger.looks import record_look
from softlaunch.ledger.notices import Event, Incident, Message, notify, open_incident, open_keys, resolve_incident
from softlaunch.ledger.releases import Actor, read_release
from softlaunch.ledger.splits import Split, beat, set_split
from softlaunch.ledger.stages import (
    StageRecord,
    StageState,
    begin_stage,
    end_stage,
    extend_stage,
    keep_evidence,
    note_hold,
    note_look,
    read_stages,
    record_verdicts,
    units_in,
)
from softlaunch.policy.freeze_windows import Frozen, after_unfrozen
from softlaunch.policy.release import Kind, Release, StageKind, State
from softlaunch.releases.conditions import examine
from softlaunch.releases.decision import Action, Ask, End, Enter, Extend, Hold, Observation, Snapshot
from softlaunch.releases.early import decided_early
from softlaunch.releases.ending import end_release
from softlaunch.releases.freezing import put_off_by_freeze, read_frozen, unless_frozen
from softlaunch.releases.router_watch import watch_router
from softlaunch.store.database import Database
from softlaunch.store.tables import BreakerTripRow

DRIVER_TTL = timedelta(seconds=15)
"""How long a driver may be silent before another one may take over, unless the settings say otherwise."""


class Strategy(Protocol):
    """How one kind of release is observed and decided."""

    def observe(self, release: Release, record: StageRecord, now: datetime) -> Observation:
        """Observe the stage in force."""
        ...

    def decide(self, snapshot: Snapshot, observation: Observation) -> Action:
        """The next action of a live release."""
        ...

    def record(self, session: Session, release: Release, observation: Observation) -> None:
        """Write what the observation holds besides its evidence, in the transaction of the step."""
        ...

    def forget(self, release_id: str) -> None:
        """Hold nothing of a release in memory any more."""
        ...


@dataclass(frozen=True, slots=True)
class Strategies:
    """The strategy of each kind of release; a driver without one leaves releases of that kind to others."""

    release: Strategy
    ab_test: Strategy | None = None
    emergency: Strategy | None = None
    topline: Strategy | None = None

    def of(self, release: Release) -> Strategy:
        """The strategy of a release; raises ValueError where there is none."""
        found = self.emergency if release.emergency else self._of_kind(release.kind)
        if found is None:
            what = "an emergency release" if release.emergency else f"of kind {release.kind}"
            raise ValueError(f"{release.id} is {what}, which this driver has no strategy for")
        return found

    def _of_kind(self, kind: Kind) -> Strategy | None:
        match kind:
            case Kind.RELEASE:
                return self.release
            case Kind.AB_TEST:
                return self.ab_test
            case Kind.TOPLINE:
                return self.topline
            case _:
                assert_never(kind)

    def forget(self, release_id: str) -> None:
        """Hold nothing of a release in memory any more."""
        for strategy in (self.release, self.ab_test, self.emergency, self.topline):
            if strategy is not None:
                strategy.forget(release_id)


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did. `changed` is true when it was worth telling: a transition, an approval, a changed verdict."""

    release_id: str
    state: State
    position: int
    stage: str
    message: str
    verdicts: tuple[Verdict, ...]
    requests: ByArm[int]
    exposed: int
    changed: bool
    next_position: int
    outcome: Outcome | None = None

    @property
    def over(self) -> bool:
        """Whether the release has ended."""
        return not self.state.live


@dataclass(frozen=True, slots=True)
class Driver:
    """Advances releases. `holder` names the driver to people."""

    database: Database
    strategies: Strategies
    holder: str
    clock: Callable[[], datetime] = field(default=utc_now)
    ttl: timedelta = DRIVER_TTL
    guard: Guard | None = None

    def acquire_lease(self, release_id: str) -> int:
        """Acquire the right to drive: returns the fencing token. Raises FencedError when somebody else drives, or the
        release is over.
        """
        with self.database.begin() as session:
            return claim(session, release_id, self.holder, self.ttl, self.clock())

    def release_lease(self, release_id: str, token: int) -> None:
        """Let the next driver begin at once."""
        self.strategies.forget(release_id)
        with self.database.begin() as session:
            release_claim(session, release_id, token, self.clock())

    def advance(self, release_id: str, token: int) -> Progress:
        """One step of a release; raises FencedError when this driver was replaced."""
        now = self.clock()
        if self.guard is not None:
            self.guard.look(now.timestamp())
        with self.database.begin() as session:
            release = read_release(session, release_id)
            if not release.state.live:
                return _finished(release)
            renew(session, release_id, token, self.ttl, now)
            records = read_stages(session, release_id)
            record = records[release.position]
            lacking = watch_router(session, release, record, now)
        strategy = self.strategies.of(release)
        observation = lacking or _observe(strategy, release, record, now)
        with self.database.begin() as session:
            now = self.clock()
            renew(session, release_id, token, self.ttl, now)
            frozen = read_frozen(session, release, now)
            record = self._note_look(session, release, record, frozen, now)
            snapshot = replace(_snapshot(session, release, record, observation, now), frozen=frozen)
            if release.state is not State.PENDING and observation.has_data:
                put_off_by_freeze(session, snapshot, record, observation)
                keep_evidence(session, release.id, release.position, observation.evidence)
                strategy.record(session, release, observation)
            action = unless_frozen(strategy.decide(snapshot, observation), frozen)
            return self._write(session, snapshot, observation, action, token)

    def _note_look(
        self, session: Session, release: Release, record: StageRecord, frozen: Frozen | None, now: datetime
    ) -> StageRecord:
        """Note that the stage in force is looked at. An A/B test has a planned end, which no freeze puts off."""
        if release.state is State.PENDING:
            return record
        put_off = frozen is not None and release.kind is Kind.RELEASE
        return note_look(session, release.id, release.position, self.ttl.total_seconds(), now, frozen=put_off)

    def _write(
        self, session: Session, snapshot: Snapshot, observation: Observation, action: Action, token: int
    ) -> Progress:
        """Write what a step came to: verdicts, alerts, the action, and the beat that gateways wait for."""
        release, now = snapshot.release, snapshot.now
        actor = Actor(self.holder, "driver")
        leaves = isinstance(action, Enter | End)
        changed = record_verdicts(session, release.id, release.position, observation.verdicts or (), now, final=leaves)
        _keep_look(session, snapshot, observation, must=leaves or bool(changed))
        _raise_alerts(session, snapshot, observation)
        message, is_change = _act(session, snapshot, action, actor, token)
        if observation.has_data and not isinstance(action, End):
            beat(session, release.id, token)
        after = read_release(session, release.id)
        return Progress(
            release_id=release.id,
            state=after.state,
            position=release.position,
            stage="opened" if release.state is State.PENDING else release.stage.name,
            message=message,
            verdicts=observation.verdicts or (),
            requests=observation.requests,
            exposed=observation.exposed,
            changed=bool(changed) or is_change,
            next_position=after.position,
            outcome=after.outcome,
        )


def _keep_look(session: Session, snapshot: Snapshot, observation: Observation, *, must: bool) -> None:
    """Keep how the gates of live traffic went over time, for people to see."""
    stage, entered = snapshot.release.stage, snapshot.entered_at
    if entered is not None and observation.verdicts and stage.kind in {StageKind.SHADOW, StageKind.CANARY}:
        place = (snapshot.release.id, stage.position)
        record_look(session, place, entered, observation.verdicts, snapshot.now, must=must)


def _observe(strategy: Strategy, release: Release, record: StageRecord, now: datetime) -> Observation:
    if release.state is State.PENDING:
        return Observation(None, {}, "opened")
    return strategy.observe(release, record, now)


def _finished(release: Release) -> Progress:
    return Progress(
        release_id=release.id,
        state=release.state,
        position=release.position,
        stage=release.stage.name,
        message=release.reason,
        verdicts=(),
        requests=NONE_COUNTED,
        exposed=0,
        changed=True,
        next_position=release.position,
        outcome=release.outcome,
    )


def _snapshot(
    session: Session, release: Release, record: StageRecord, observation: Observation, now: datetime
) -> Snapshot:
    approvals = read_approvals(session, release.id, release.position, now)
    return Snapshot(
        release=release,
        now=now,
        entered_at=record.entered_at,
        deadline_at=record.deadline_at,
        deadline_requests=record.deadline_requests,
        deadline_units=record.deadline_units,
        skipped_seconds=record.skipped_seconds,
        verdicts=observation.verdicts,
        progress=observation.progress,
        requests=observation.requests,
        by_fallback=observation.by_fallback,
        units=units_in(observation.evidence),
        trip=_trip(session, release),
        approvals={kind: approval.state for kind, approval in approvals.items()},
        early=decided_early(approvals.get(ApprovalKind.ADVANCE)),
    )


def _raise_alerts(session: Session, snapshot: Snapshot, observation: Observation) -> None:
    """Open incidents for what is wrong in this step, and resolve those whose reason is gone."""
    release = snapshot.release
    if release.state is State.PENDING:
        return
    held = open_keys(session, release.app)
    for found in examine(snapshot, observation):
        if found.present:
            incident = Incident(found.kind, release.app, release.id, found.key, found.summary, found.evidence)
            open_incident(session, incident, snapshot.now)
        elif found.key in held:
            resolve_incident(session, found.key, "softlaunch", found.summary, snapshot.now)


def _trip(session: Session, release: Release) -> str | None:
    found = select(BreakerTripRow.reason).where(BreakerTripRow.release_id == release.id)
    return session.exec(found.order_by(col(BreakerTripRow.id)).limit(1)).one_or_none()


def _act(session: Session, snapshot: Snapshot, action: Action, actor: Actor, token: int) -> tuple[str, bool]:
    """Carry an action out; returns a message, and whether anything changed."""
    release, now = snapshot.release, snapshot.now
    match action:
        case Hold(reason, frozen):
            return reason, _hold(session, snapshot, reason if frozen else "")
        case Ask(kind, text):
            expires = after_unfrozen(release.policy.freeze, now, release.policy.approval.timeout)
            asked = request_approval(session, Approval(release.id, release.position, kind, text, expires), now)
            if asked is not None:
                message = f"{release.title}: {text}"
                notify(session, Message(release.app, release.id, message, Event.ASKED, {"approval": asked}), now)
            return text, True
        case Extend(deadlines, reason):
            extend_stage(session, release.id, release.position, deadlines)
            notify(session, Message(release.app, release.id, f"{release.title}: {reason}"), now)
            return reason, True
        case Enter():
            _enter(session, snapshot, action, actor, token)
            return action.reason, True
        case End():
            end_release(session, release, action, actor, now, token=token)
            return action.reason, True
        case _:
            assert_never(action)


def _hold(session: Session, snapshot: Snapshot, reason: str) -> bool:
    """Say once that only a freeze holds a release, and no more when that is over; returns whether that is new."""
    release = snapshot.release
    if not note_hold(session, release.id, release.position, reason):
        return False
    if reason:
        notify(session, Message(release.app, release.id, f"{release.title}: {reason}."), snapshot.now)
    return True


def _enter(session: Session, snapshot: Snapshot, action: Enter, actor: Actor, token: int) -> None:
    release, now, stage = snapshot.release, snapshot.now, action.stage
    step = Transition(release, stage.state, stage.position, f"{stage.name} starts: {action.reason}")
    apply_transition(session, step, actor, now, token)
    if release.state is not State.PENDING:
        state = StageState.ENDED_EARLY if action.is_early else StageState.PASSED
        end_stage(session, release.id, release.position, state, action.reason, now)
    withdraw_approvals(session, release.app, release.id, f"{stage.name} starts", now)
    begin_stage(session, release.id, stage, now)
    split = Split(
        candidate_digest=None if stage.kind in {StageKind.EVAL, StageKind.PROBE} else release.copied_to.digest,
        weight_percent=stage.weight_percent,
        shadow_percent=stage.shadow_percent,
        control_percent=stage.control_percent,
        release_id=release.id,
        stage=stage.position,
        lease_seconds=release.policy.gateway.lease,
        only=stage.only,
    )
    set_split(session, release.app, release.fallback.digest, split, token, now)
    notify(session, Message(release.app, release.id, f"{release.title}: {stage.name} starts ({action.reason})."), now)
