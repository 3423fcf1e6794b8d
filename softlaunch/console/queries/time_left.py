"""How long a release will still take: the forecast for its app's traffic, corrected by what was seen so far."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf, isfinite

from softlaunch.core.formatting import show_duration
from softlaunch.forecast.measuring import TrafficSource
from softlaunch.forecast.outlook import Planner
from softlaunch.forecast.plans import ReleasePlan
from softlaunch.forecast.stated import Stated
from softlaunch.policy.model import Policy
from softlaunch.policy.release import StageKind
from softlaunch.releases.views import ReleaseView, StageView
from softlaunch.store.database import Database
from softlaunch.telemetry.request_log import RequestLogTelemetry


@dataclass(frozen=True, slots=True)
class Left:
    """Seconds that a stage will probably still take, and that it takes in four of five cases; infinite if undecided."""

    median: float
    likely: float

    @property
    def words(self) -> str:
        """`about 12 min left (4 in 5: 20 min)`; nothing where it is over."""
        if not isfinite(self.median):
            return "may stay undecided until its deadline"
        if self.median <= 0:
            return "longer than foreseen"
        within = f", 4 in 5 within {_rounded(self.likely)}" if isfinite(self.likely) else ""
        return f"about {_rounded(self.median)}{within}"


def foresee(
    database: Database, app: str, policy: Policy, stable_digest: str, now: datetime, look: float
) -> ReleasePlan:
    """The plan of a release on the app's recent traffic. Raises SoftlaunchError, such as NoTrafficError."""
    source = TrafficSource(database, RequestLogTelemetry(database), app, stable_digest, now.timestamp())
    return Planner(policy, source.measure(Stated(), policy.gates, policy.metrics), look).plan()


def left_by_stage(view: ReleaseView, plan: ReleasePlan, now: datetime) -> Mapping[int, Left]:
    """What is left of each stage that isn't over, by its position.

    A stage under way that has taken longer than half of all would is on its way to the longer time; one that has taken
    longer than that is past what was foreseen.
    """
    planned = {stage.name: stage for stage in plan.stages}
    found = {}
    for stage in view.stages:
        foreseen = planned.get(stage.stage.name)
        if foreseen is None or stage.record.ended_at is not None:
            continue
        spent = _spent(stage, now)
        likely = foreseen.seconds_80 - spent if isfinite(foreseen.seconds_80) else inf
        median = foreseen.seconds_median - spent
        if spent and median <= 0:
            median = likely if isfinite(likely) else inf
        found[stage.stage.position] = Left(max(median, 0.0), max(likely, 0.0))
    return found


def left_of_eval(stage: StageView, now: datetime) -> Left | None:
    """What is left of an eval by the pace of its calls so far; None before there are any."""
    entered, calls = stage.record.entered_at, stage.calls
    if stage.stage.kind is not StageKind.EVAL or entered is None or stage.record.ended_at or not calls.done:
        return None
    seconds = (now - entered).total_seconds() * (calls.planned - calls.done) / calls.done
    return Left(max(seconds, 1.0), inf)


def left_in_all(lefts: Mapping[int, Left]) -> Left | None:
    """The sum over the stages; None where nothing is foreseen."""
    if not lefts:
        return None
    return Left(sum(one.median for one in lefts.values()), sum(one.likely for one in lefts.values()))


def _spent(stage: StageView, now: datetime) -> float:
    entered = stage.record.entered_at
    return 0.0 if entered is None else max((now - entered).total_seconds() - stage.record.skipped_seconds, 0.0)


def _rounded(seconds: float) -> str:
    """To ten seconds below two minutes, so that it doesn't change with every look."""
    return show_duration(max(10.0, 10 * round(seconds / 10)) if seconds < 120 else seconds)
