"""What follows a promotion: the promoted variant is compared with copies to the one before it, round after round.

It is a release of its own kind in the ledger, so that drivers, leases, fences and `reconcile` look after it as after
any other. If its driver dies, copies stop and the promoted variant goes on serving: the route has it as stable.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.ledger.stages import StageRecord
from softlaunch.policy.release import Release, State
from softlaunch.policy.topline import OnHarm
from softlaunch.releases.decision import Action, End, Enter, Hold, Observation, Snapshot
from softlaunch.releases.observe import ReleaseStrategy


@dataclass(frozen=True, slots=True)
class ToplineStrategy:
    """Observed like a stage that compares copies, and decided by harm and time alone: nothing waits for a pass."""

    traffic: ReleaseStrategy

    def observe(self, release: Release, record: StageRecord, now: datetime) -> Observation:
        """See Strategy."""
        return self.traffic.observe_traffic(release, record, now)

    def decide(self, snapshot: Snapshot, observation: Observation) -> Action:  # noqa: ARG002  (the snapshot holds it)
        """See Strategy."""
        return decide_topline(snapshot)

    def record(self, session: Session, release: Release, observation: Observation) -> None:
        """See Strategy; the evidence is all there is."""

    def forget(self, release_id: str) -> None:
        """See Strategy."""
        self.traffic.forget(release_id)


def decide_topline(snapshot: Snapshot) -> Action:
    """Harm first, at once; otherwise round after round until the time is over. Pure."""
    release = snapshot.release
    if release.state is State.PENDING:
        return Enter(release.stages[0], f"{release.candidate.label} was promoted")
    harmed = _harmed(snapshot)
    if harmed is not None:
        topline = release.policy.topline
        rolls_back = topline is not None and topline.action is OnHarm.ROLL_BACK
        state = State.ROLLED_BACK if rolls_back else State.CONCLUDED
        return End(state, Outcome.FAIL, f"{harmed.name}: {harmed.reason}", harmed.gate, harmed)
    left = release.stage.minimum_time - snapshot.watched_seconds
    if left > 0:
        return Hold(f"{left:.0f} s of {release.stage.name} are left ({snapshot.progress})")
    seen = f"{release.stage.name} showed no harm ({snapshot.progress})"
    if release.next_stage is not None:
        return Enter(release.next_stage, seen)
    compared = snapshot.requests.candidate
    return End(State.CONCLUDED, Outcome.PASS if compared else Outcome.INCONCLUSIVE, f"the time is over; {seen}")


def _harmed(snapshot: Snapshot) -> Verdict | None:
    counted = (verdict for verdict in snapshot.verdicts or () if verdict.role is not Role.MUTED)
    return next((verdict for verdict in counted if verdict.outcome is Outcome.FAIL), None)
