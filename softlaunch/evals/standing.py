"""Where an eval stands, worked out from what the ledger has: which calls and judgements are missing, or the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session

from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.evals.calls.answers import EvalAnswer
from softlaunch.evals.calls.call import Call
from softlaunch.evals.calls.recorded_answers import read_answers
from softlaunch.evals.calls.run_budget import out_of_budget
from softlaunch.evals.calls.runner import plan
from softlaunch.evals.judges.gating import metric_plans
from softlaunch.evals.judges.judgements import Judgements, Judging, wanted_judgements, with_scores
from softlaunch.evals.judges.recorded_judgements import read_judgements
from softlaunch.evals.live_suspicions import of_answers
from softlaunch.evals.orders import EvalOrder
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.multiplicity import Levels, level_of_a_look
from softlaunch.evals.statistics.report import EvalReport, MetricPlan
from softlaunch.evals.suites.suite import Suite
from softlaunch.evals.upkeep import with_upkeep
from softlaunch.metrics import AnyMetric
from softlaunch.policy.evals import EvalPolicy

SpentOut = Callable[[], str | None]
"""Why the budget allows no more calls; None where it does, or while calls are under way."""


@dataclass(frozen=True, slots=True)
class State:
    """What the ledger has: how much is planned, which calls and judgements are missing, the report once none is."""

    planned: int
    missing: Sequence[Call]
    unjudged: Sequence[Judging] = ()
    report: EvalReport | None = None
    halted: str | None = None

    @property
    def left(self) -> int:
        """Calls and judgements that are still to come."""
        return len(self.missing) + len(self.unjudged)


@dataclass(frozen=True, slots=True)
class Material:
    """A run as it is judged: the golden set, the policy with all critical segments, and what is compared."""

    order: EvalOrder
    suite: Suite
    policy: EvalPolicy
    plans: Sequence[MetricPlan]
    now: datetime

    @classmethod
    def of(cls, session: Session, order: EvalOrder, suite: Suite, now: datetime) -> "Material":
        """Raises JudgeError where nothing can be compared."""
        plans = metric_plans(session, order.policy, suite.cases)
        return cls(order, suite, with_critical(order.policy, suite), plans, now)

    @property
    def metrics(self) -> list[AnyMetric]:
        """The policy's metrics."""
        return [metric.parsed for metric in self.policy.metrics]

    def scored(self, answers: Sequence[EvalAnswer], judgements: Judgements) -> list[EvalAnswer]:
        """The answers with their scores."""
        return with_scores(self.suite.cases, answers, self.metrics, judgements)

    def unjudged(self, answers: Sequence[EvalAnswer], judgements: Judgements) -> tuple[int, list[Judging]]:
        """How many judgements these answers need, and which of them are missing."""
        wanted = list(wanted_judgements(self.suite.cases, answers, self.metrics))
        return len(wanted), [one for one in wanted if one.key not in judgements]

    def compared(self, scored: Sequence[EvalAnswer], level: float | Levels) -> EvalReport:
        """The report on answers."""
        return self.finished(compare(self.suite.cases, scored, self.policy, level=level, metrics=self.plans), scored)

    def finished(self, report: EvalReport, answers: Sequence[EvalAnswer]) -> EvalReport:
        """The report with what looks wrong about the answers, the upkeep of the golden set, and what was reused."""
        for suspicion in of_answers(answers):
            reason = f"a person has to decide: {suspicion.sentence}"
            report = report.with_verdict(Verdict(suspicion.subject, Outcome.REVIEW, reason))
        reused = sum(answer.reused for answer in answers)
        if reused:
            reason = f"{reused:,} of {len(answers):,} answers were taken from earlier evals, which have paid for them"
            report = report.with_verdict(Verdict("reuse", Outcome.PASS, reason, role=Role.MUTED))
        return with_upkeep(report, self.suite, self.now)


def with_critical(policy: EvalPolicy, suite: Suite) -> EvalPolicy:
    """The policy with the critical segments that the golden set's header names."""
    return policy.model_copy(update={"segments": tuple(dict.fromkeys((*policy.segments, *suite.header.segments)))})


def whole_state(
    session: Session, material: Material, finished: frozenset[object], repeats: int, spent_out: SpentOut
) -> State:
    """Where a run stands that makes all of its calls, at so many repeats."""
    order = material.order
    calls = list(plan(material.suite, order.stable, order.candidate, range(repeats)))
    missing = [call for call in calls if call.key not in finished]
    halted = spent_out() if missing else None
    if missing and halted is None:
        return State(len(calls), missing)
    answers = [answer for answer in read_answers(session, order.run_id) if answer.key.repeat < repeats]
    state = judged_state(session, material, answers, _level(order.policy), spent_out)
    if halted is None:
        return state
    if state.halted is not None:  # what is paid for isn't judged to the end either, and the report says so
        return replace(state, planned=state.planned + len(missing), missing=missing)
    report = state.report and state.report.with_verdict(out_of_budget(halted, len(answers), len(calls)))
    return replace(state, planned=state.planned + len(missing), missing=missing, report=report, halted=halted)


def judged_state(
    session: Session, material: Material, answers: Sequence[EvalAnswer], level: float | Levels, spent_out: SpentOut
) -> State:
    """Where a run stands whose calls are all made."""
    judgements = read_judgements(session, material.order.run_id)
    wanted, unjudged = material.unjudged(answers, judgements)
    planned = len(answers) + wanted
    halted = spent_out() if unjudged else None
    if unjudged and halted is None:
        return State(planned, (), unjudged)
    report = material.compared(material.scored(answers, judgements), level)
    if halted is not None:
        report = report.with_verdict(out_of_budget(halted, planned - len(unjudged), planned))
    return State(planned, (), unjudged, report, halted)


def _level(policy: EvalPolicy) -> float:
    """The error rate of each comparison: two of them, where an inconclusive first one asks for more repeats."""
    return level_of_a_look(1 - policy.confidence, policy.repeats / policy.maximum_repeats)
