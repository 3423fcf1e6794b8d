"""What of an app's live answers is to be judged now: by which policy, in which stage, and which metrics."""

from dataclasses import dataclass

from sqlmodel import Session, col, select

from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Role
from softlaunch.evals.judges.gating import objection_to
from softlaunch.ledger.releases import find_live, read_release
from softlaunch.policy.live import LiveMetricPolicy, LivePolicy
from softlaunch.policy.model import Policy
from softlaunch.policy.release import Release
from softlaunch.policy.route import Arm
from softlaunch.store.tables import AppRow


@dataclass(frozen=True, slots=True)
class Period:
    """Requests that belong together: those of a stage, or those of before and after any release."""

    release_id: str | None = None
    stage: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """An app whose live answers are judged. `release` is the live one, whose policy is in force then."""

    app: str
    policy: Policy
    live: LivePolicy
    release: Release | None = None

    @property
    def periods(self) -> tuple[Period, ...]:
        """Whose answers are judged now; what waits of others is let go."""
        if self.release is None:
            return (Period(),)
        return Period(self.release.id, self.release.position), Period()

    def sample_percent(self, arm: Arm) -> float:
        """The share of units of which answers are judged."""
        shares = self.live.sample_percent
        if self.release is None:
            return shares.afterwards
        return shares.candidate if arm is Arm.CANDIDATE else shares.stable

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Whose answers are judged: the candidate's only where stable's stand beside them."""
        is_split = self.release is not None and self.release.stage.is_split
        return (Arm.STABLE, Arm.CANDIDATE) if is_split else (Arm.STABLE,)


def read_standing(session: Session, app: str) -> Standing | None:
    """How an app stands; None where nobody judges its live answers."""
    row = find_live(session, app)
    if row is not None:
        release = read_release(session, row.id)
        policy = release.policy
        return None if policy.live is None else Standing(app, policy, policy.live, release)
    known = session.get(AppRow, app)
    in_force = None if known is None else Policy.model_validate(known.policy)
    return None if in_force is None or in_force.live is None else Standing(app, in_force, in_force.live)


def judged_apps(session: Session) -> list[str]:
    """The apps whose live answers are judged."""
    apps = session.exec(select(AppRow.name).order_by(col(AppRow.name))).all()
    return [app for app in apps if read_standing(session, app) is not None]


def objection_of(session: Session, policy: Policy, one: LiveMetricPolicy) -> str:
    """Why judges' values of a live metric may decide nothing; empty where they may, or where no gate decides by them.

    Raises NotFoundError for a judge that isn't recorded.
    """
    if not decides(policy, one.metric):
        return ""
    judging = policy.eval.model_copy(update={"judge": policy.live_judge})
    return objection_to(session, judging, one.parsed)


def decides(policy: Policy, metric: str) -> bool:
    """Whether a gate decides by this metric, rather than only show it."""
    return any(gate.metric == metric and gate.role is not Role.MUTED for gate in policy.gates)


def value_of(metric: Metric, score: float) -> float:
    """A score, 1 being best, as a value of a live metric; of what either happens or doesn't, one or the other."""
    value = score if metric.higher_is_better else 1 - score
    return float(value >= 0.5) if metric.is_event else value


def metric_named(policy: Policy, name: str) -> Metric:
    """The live metric of a name, which the policy may declare."""
    declared = {one.name: one.metric for one in policy.metrics}
    return declared.get(name) or Metric(name)
