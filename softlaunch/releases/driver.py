"""Driving a release: `advance` reads the ledger, does at most one idempotent thing, and writes by compare-and-set.

Any process may drive. Whoever holds the newest fencing token can write, everybody else's writes are refused; a driver
may die at any instant, and the next one goes on from the ledger.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlmodel import Session, col, select

from softlaunch.ab.decision import decide_trial
from softlaunch.ab.recorded_looks import keep_look
from softlaunch.core.clock import utc_now
from softlaunch.core.verdict import Outcome, Verdict
from softlaunch.ledger.approvals import OpenQuestion, ask, close_questions, read_answers
from softlaunch.ledger.guard import Guard
from softlaunch.ledger.lease import Transition, apply_transition, claim, release_claim, renew
from softlaunch.ledger.notices import Event, Incident, open_incident, open_keys, resolve_incident, tell
from softlaunch.ledger.releases import Actor, read_release
from softlaunch.ledger.splits import Split, beat, set_split
from softlaunch.ledger.stages import (
    StageRecord,
    begin_stage,
    end_stage,
    extend_stage,
    keep_evidence,
    note_look,
    read_stages,
    record_verdicts,
    units_in,
)
from softlaunch.policy.release import Kind, Release, StageKind, State
from softlaunch.releases.conditions import examine
from softlaunch.releases.decision import Action, Ask, End, Enter, Extend, Hold, Snapshot, decide
from softlaunch.releases.ending import end_release
from softlaunch.releases.observe import Eyes, Look
from softlaunch.store.database import Database
from softlaunch.store.tables import BreakerTripRow

DRIVER_TTL = timedelta(seconds=15)
"""How long a driver may be silent before another one may take over, unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did. `changed` is true when it was worth telling: a transition, a question, a changed verdict."""

    release_id: str
    state: State
    position: int
    stage: str
    told: str
    verdicts: tuple[Verdict, ...]
    requests: tuple[int, int]
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
    eyes: Eyes
    holder: str
    clock: Callable[[], datetime] = field(default=utc_now)
    ttl: timedelta = DRIVER_TTL
    guard: Guard | None = None

    def take_over(self, release_id: str) -> int:
        """The right to drive; raises FencedError when it is somebody else's or the release is over."""
        with self.database.begin() as session:
            return claim(session, release_id, self.holder, self.ttl, self.clock())

    def let_go(self, release_id: str, token: int) -> None:
        """Let the next driver begin at once."""
        self.eyes.live.forget(release_id)
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
        look = self._look(release, record, now)
        with self.database.begin() as session:
            now = self.clock()
            renew(session, release_id, token, self.ttl, now)
            if release.state is not State.PENDING:
                record = note_look(session, release_id, release.position, self.ttl.total_seconds(), now)
            snapshot = _snapshot(session, release, record, look, now)
            is_trial = release.kind is Kind.AB_TEST
            action = decide_trial(snapshot, look.trial) if is_trial else decide(snapshot)
            return self._write(session, snapshot, look, action, token)

    def _look(self, release: Release, record: StageRecord, now: datetime) -> Look:
        if release.state is State.PENDING:
            return Look(None, {}, "opened")
        return self.eyes.look(release, record, now)

    def _write(self, session: Session, snapshot: Snapshot, look: Look, action: Action, token: int) -> Progress:
        """Write a step in one transaction: evidence, verdicts, the action, and the beat that gateways wait for."""
        release, now = snapshot.release, snapshot.now
        actor = Actor(self.holder, "driver")
        if release.state is not State.PENDING and look.watched:
            keep_evidence(session, release.id, release.position, look.evidence)
            if look.trial is not None:
                keep_look(session, release.id, look.trial)
        leaves = isinstance(action, Enter | End)
        changed = record_verdicts(session, release.id, release.position, look.verdicts or (), now, final=leaves)
        _make_aware(session, snapshot, look)
        told, news = _act(session, snapshot, action, actor, token)
        if look.watched and not isinstance(action, End):
            beat(session, release.id, token)
        after = read_release(session, release.id)
        return Progress(
            release_id=release.id,
            state=after.state,
            position=release.position,
            stage="opened" if release.state is State.PENDING else release.stage.name,
            told=told,
            verdicts=look.verdicts or (),
            requests=look.requests,
            exposed=look.exposed,
            changed=bool(changed) or news,
            next_position=after.position,
            outcome=after.outcome,
        )


def _finished(release: Release) -> Progress:
    return Progress(
        release_id=release.id,
        state=release.state,
        position=release.position,
        stage=release.stage.name,
        told=release.reason,
        verdicts=(),
        requests=(0, 0),
        exposed=0,
        changed=True,
        next_position=release.position,
        outcome=release.outcome,
    )


def _snapshot(session: Session, release: Release, record: StageRecord, look: Look, now: datetime) -> Snapshot:
    return Snapshot(
        release=release,
        now=now,
        entered_at=record.entered_at,
        deadline_at=record.deadline_at,
        deadline_requests=record.deadline_requests,
        deadline_units=record.deadline_units,
        skipped_seconds=record.skipped_seconds,
        verdicts=look.verdicts,
        progress=look.progress,
        requests=look.requests,
        units=units_in(look.evidence),
        trip=_trip(session, release),
        answers=read_answers(session, release.id, release.position, now),
    )


def _make_aware(session: Session, snapshot: Snapshot, look: Look) -> None:
    """Open incidents for what is wrong in this step, and resolve those whose reason is gone."""
    release = snapshot.release
    if release.state is State.PENDING:
        return
    held = open_keys(session, release.app)
    for symptom in examine(snapshot, look):
        if symptom.present:
            incident = Incident(symptom.kind, release.app, release.id, symptom.key, symptom.summary, symptom.evidence)
            open_incident(session, incident, snapshot.now)
        elif symptom.key in held:
            resolve_incident(session, symptom.key, "softlaunch", symptom.summary, snapshot.now)


def _trip(session: Session, release: Release) -> str | None:
    found = select(BreakerTripRow.reason).where(BreakerTripRow.release_id == release.id)
    return session.exec(found.order_by(col(BreakerTripRow.id)).limit(1)).one_or_none()


def _act(session: Session, snapshot: Snapshot, action: Action, actor: Actor, token: int) -> tuple[str, bool]:
    """Carry an action out; returns what to tell, and whether it is news."""
    release, now = snapshot.release, snapshot.now
    match action:
        case Hold(reason):
            return reason, False
        case Ask(question, text):
            expires = now + timedelta(seconds=release.policy.approval.timeout)
            asked = ask(session, OpenQuestion(release.id, release.position, question, text, expires), now)
            if asked is not None:
                told = f"{release.title}: {text}"
                tell(session, release.app, release.id, told, now, Event.ASKED, {"approval": asked})
            return text, True
        case Extend(deadlines, reason):
            extend_stage(session, release.id, release.position, deadlines)
            tell(session, release.app, release.id, f"{release.title}: {reason}", now)
            return reason, True
        case Enter():
            _enter(session, snapshot, action, actor, token)
            return action.reason, True
        case End():
            culprit = next((verdict for verdict in snapshot.verdicts or () if verdict.gate == action.gate), None)
            end_release(session, release, action, actor, now, token=token, culprit=culprit)
            return action.reason, True


def _enter(session: Session, snapshot: Snapshot, action: Enter, actor: Actor, token: int) -> None:
    release, now, stage = snapshot.release, snapshot.now, action.stage
    step = Transition(release, stage.state, stage.position, f"{stage.name} begins: {action.reason}")
    apply_transition(session, step, actor, now, token)
    if release.state is not State.PENDING:
        end_stage(session, release.id, release.position, "passed", action.reason, now)
    close_questions(session, release.app, release.id, f"{stage.name} begins", now)
    begin_stage(session, release.id, stage, now)
    split = Split(
        candidate_digest=None if stage.kind in {StageKind.EVAL, StageKind.PROBE} else release.candidate.digest,
        weight_percent=stage.weight_percent,
        shadow_percent=stage.shadow_percent,
        control_percent=stage.control_percent,
        release_id=release.id,
        stage=stage.position,
        lease_seconds=release.policy.gateway.lease,
    )
    set_split(session, release.app, release.stable.digest, split, token, now)
    tell(session, release.app, release.id, f"{release.title}: {stage.name} begins ({action.reason}).", now)
