"""How an A/B test is observed and decided: gates on its traffic, as for a release, and looks at the test as a whole."""

from dataclasses import dataclass, fields
from datetime import datetime

from sqlmodel import Session

from softlaunch.ab.decision import decide_trial
from softlaunch.ab.document import KeptLook
from softlaunch.ab.recorded_looks import keep_look
from softlaunch.ab.watch import Trials
from softlaunch.gates.telemetry import TelemetryError
from softlaunch.ledger.stages import StageRecord
from softlaunch.policy.release import Release
from softlaunch.releases.decision import Action, Snapshot
from softlaunch.releases.observe import ReleaseStrategy
from softlaunch.releases.strategy import Observation, no_data


@dataclass(frozen=True, slots=True)
class TrialObservation(Observation):
    """What was observed of a test; `trial` is a look at the test as a whole, when one was due."""

    trial: KeptLook | None = None


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
        """Keep the look, so that none is kept twice."""
        trial = _trial(observation)
        if trial is not None:
            keep_look(session, release.id, trial)

    def forget(self, release_id: str) -> None:
        """See Strategy."""
        self.traffic.forget(release_id)


def _trial(observation: Observation) -> KeptLook | None:
    return observation.trial if isinstance(observation, TrialObservation) else None
