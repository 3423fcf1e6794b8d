"""How an A/B test is observed and decided: gates on its traffic, as for a release, and looks at the test as a whole."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlmodel import Session

from softlaunch.ab.conclusion import Choice
from softlaunch.ab.document import RecordedLook, record_look
from softlaunch.ab.looks import extension
from softlaunch.ab.watch import Trials
from softlaunch.core.incident_kinds import BREAKER
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.gates.telemetry import TelemetryError
from softlaunch.ledger.stages import StageRecord
from softlaunch.policy.release import Release, State
from softlaunch.policy.stage_limits import Deadlines
from softlaunch.releases.decision import Action, End, Enter, Extend, Hold, Observation, Snapshot, no_data
from softlaunch.releases.observe import ReleaseStrategy


@dataclass(frozen=True, slots=True)
class TrialObservation(Observation):
    """What was observed of a test; `trial` is a look at the test as a whole, when one was due."""

    trial: RecordedLook | None = None


@dataclass(frozen=True, slots=True)
class TrialStrategy:
    """A/B tests: `traffic` is judged by the gates, and `trials` by the test's own analysis."""

    traffic: ReleaseStrategy
    trials: Trials

    def observe(self, release: Release, record: StageRecord, now: datetime) -> Observation:
        """Besides what the gates see, the test as a whole, up to where the log is complete."""
        seen = self.traffic.observe_traffic(release, record, now)
        if not seen.has_data:
            return seen
        try:
            trial = self.trials.look(release, record, float(seen.evidence["until"]))
        except TelemetryError as error:
            return no_data(record.evidence, str(error))
        return TrialObservation(**{field.name: getattr(seen, field.name) for field in fields(seen)}, trial=trial)

    def decide(self, snapshot: Snapshot, observation: Observation) -> Action:
        """See Strategy."""
        return decide_trial(snapshot, _trial(observation))

    def record(self, session: Session, release: Release, observation: Observation) -> None:
        """Record the look, so that none is recorded twice."""
        trial = _trial(observation)
        if trial is not None:
            record_look(session, release.id, trial)

    def forget(self, release_id: str) -> None:
        """See Strategy."""
        self.traffic.forget(release_id)


def _trial(observation: Observation) -> RecordedLook | None:
    return observation.trial if isinstance(observation, TrialObservation) else None


def decide_trial(snapshot: Snapshot, look: RecordedLook | None) -> Action:
    """The next action of a live test: harm first, at once; everything else at a planned end."""
    release = snapshot.release
    if release.state is State.PENDING:
        return Enter(release.stages[0], "the test was opened")
    if snapshot.trip is not None:
        return End(State.ROLLED_BACK, Outcome.FAIL, f"a gateway's breaker tripped: {snapshot.trip}", BREAKER)
    harmed = _first(snapshot, Outcome.FAIL)
    if harmed is not None:
        return End(State.ROLLED_BACK, Outcome.FAIL, f"{harmed.name}: {harmed.reason}", harmed.gate, harmed)
    if look is None or not look.planned_end:
        return Hold(_waiting(snapshot))
    return _at_planned_end(snapshot, look, Choice(look.choice))


def _at_planned_end(snapshot: Snapshot, look: RecordedLook, choice: Choice) -> Action:
    error = _first(snapshot, Outcome.ERROR)
    if error is not None:
        return _end(Choice.VOID, f"the traffic can't be trusted: {error.reason}")
    if choice is not Choice.EXTEND or snapshot.deadline_at is None:
        return _end(choice, look.reason)
    later = snapshot.deadline_at + extension(snapshot.release.policy.ab, look.planned_end)
    return Extend(Deadlines(later), f"{look.reason}; extended to {later:%Y-%m-%d %H:%M} UTC")


def _end(choice: Choice, reason: str) -> End:
    return End(State.CONCLUDED, choice.outcome, reason, needs_people=choice in {Choice.PEOPLE, Choice.VOID})


def _first(snapshot: Snapshot, outcome: Outcome) -> Verdict | None:
    counted = (verdict for verdict in snapshot.verdicts or () if verdict.role is not Role.MUTED)
    return next((verdict for verdict in counted if verdict.outcome is outcome), None)


def _waiting(snapshot: Snapshot) -> str:
    if snapshot.deadline_at is None or snapshot.now < snapshot.deadline_at:
        until = "" if snapshot.deadline_at is None else f" until {snapshot.deadline_at:%Y-%m-%d %H:%M} UTC"
        return f"under way{until} ({snapshot.progress})"
    return f"the planned end has come; waits for the log to be complete ({snapshot.progress})"
