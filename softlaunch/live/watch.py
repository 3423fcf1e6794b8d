"""What a release's gates may make of live judges: which of them can't pass now, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.gates.telemetry import Scope, TelemetryError
from softlaunch.live.progress import EVIDENCE, Progress
from softlaunch.live.reading import read_progress
from softlaunch.live.standing import Period, decides, metric_named, objection_of
from softlaunch.policy.live import LiveMetricPolicy, LivePolicy, WithoutJudges
from softlaunch.policy.model import Policy
from softlaunch.store.database import Database


@dataclass(frozen=True, slots=True)
class LiveObservation:
    """How live judging stands, and what follows for the gates that depend on it.

    `blockers` say why a metric can't be judged now, `lacking` why no more evidence comes, and `guards` are the metrics
    whose required gates only guard now. `trouble` is what people have to see to, since a moment (epoch seconds).
    """

    blockers: Mapping[Metric, str] = field(default_factory=dict)
    lacking: Mapping[Metric, str] = field(default_factory=dict)
    guards: frozenset[Metric] = frozenset()
    progress: Progress | None = None
    trouble: str = ""
    since: float | None = None

    def applied(self, verdicts: Sequence[Verdict] | None) -> tuple[Verdict, ...] | None:
        """The verdicts as they count now."""
        return None if verdicts is None else tuple(map(self._applied, verdicts))

    def _applied(self, verdict: Verdict) -> Verdict:
        metric = next((one for one in (*self.guards, *self.lacking) if one == verdict.gate), None)
        if metric is None or verdict.role is not Role.REQUIRED:
            return verdict
        role = Role.GUARD if metric in self.guards else verdict.role
        told = verdict.outcome is Outcome.INCONCLUSIVE and metric in self.lacking
        reason = f"{verdict.reason}; judges are no longer asked: {self.lacking[metric]}" if told else verdict.reason
        return replace(verdict, role=role, reason=reason)

    def dump(self) -> dict[str, Any]:
        """What a stage's evidence keeps of it."""
        if self.progress is None:
            return {}
        return {EVIDENCE: {**self.progress.dump(), "trouble": self.trouble, "since": self.since}}


@dataclass(frozen=True, slots=True)
class LiveWatch:
    """Reads how live judging stands; the judges are asked by evaluators, never by a driver."""

    database: Database

    def look(self, scope: Scope, policy: Policy, held: Mapping[str, Any], now: float) -> LiveObservation:
        """How a stage's answers are judged, and what follows. `held` is the stage's evidence.

        Raises TelemetryError where the ledger can't be read.
        """
        live = policy.live
        if live is None or not scope.stage.is_split:
            return LiveObservation()
        judge = policy.live_judge
        judges = len(judge.models) if judge else 1
        try:
            with self.database.read() as session:
                period = Period(scope.release_id, scope.stage.position)
                progress = read_progress(session, scope.app, period, live.budget, judges, now)
                objections = {one.metric: _objection(session, policy, one) for one in live.metrics}
        except SQLAlchemyError as error:
            raise TelemetryError(f"live judges' replies can't be read: {error.__class__.__name__}") from error
        return _concluded(policy, live, progress, objections, _since(held, now))


def _objection(session: Session, policy: Policy, one: LiveMetricPolicy) -> str:
    try:
        return objection_of(session, policy, one)
    except SoftlaunchError as error:
        return f"judges can't be asked: {error}"


def _since(held: Mapping[str, Any], now: float) -> float:
    return held.get(EVIDENCE, {}).get("since") or now


def _concluded(
    policy: Policy, live: LivePolicy, progress: Progress, objections: Mapping[str, str], since: float
) -> LiveObservation:
    """What follows from how judging stands, metric by metric."""
    found: dict[str, dict[Metric, str]] = {"blocked": {}, "lacking": {}}
    guards: set[Metric] = set()
    for name in sorted(live.judged):
        metric = metric_named(policy, name)
        if not decides(policy, name):
            continue
        if objections[name]:
            found["blocked"][metric] = objections[name]
            continue
        required = any(gate.metric == name and gate.role is Role.REQUIRED for gate in policy.gates)
        kind, why, choice = _trouble(policy, live, progress)
        if not required or not why:
            continue
        if choice is WithoutJudges.GO_ON:
            guards.add(metric)
        else:
            found[kind][metric] = why
    trouble = next((why for held in found.values() for why in held.values()), "")
    return LiveObservation(
        found["blocked"], found["lacking"], frozenset(guards), progress, trouble, since if trouble else None
    )


def _trouble(policy: Policy, live: LivePolicy, progress: Progress) -> tuple[str, str, WithoutJudges]:
    """What is wrong with judging: whether it blocks a gate or leaves it lacking, why, and what the policy says to it.

    A gate whose evidence is there before the budget is used up passes by it.
    """
    without = live.without_judges
    unreadable = _too_few_readable(policy, progress)
    if progress.away:
        return "blocked", f"{progress.away} ({progress.waiting:,} answers wait)", without.away
    if unreadable:
        return "blocked", unreadable, without.unreadable
    return "lacking", progress.spent, without.budget_spent


def _too_few_readable(policy: Policy, progress: Progress) -> str:
    """Why what judges said may not be typical; empty where few of their judgements lack a value."""
    tally = progress.tally
    lacking = tally.unreadable + tally.unanswered
    if lacking <= policy.eval.maximum_unscored.value * tally.over:
        return ""
    return (
        f"judges gave no value to {lacking:,} of {tally.over:,} answers; {policy.eval.maximum_unscored} are allowed: "
        "what is left may not be typical, so check the judges"
    )
