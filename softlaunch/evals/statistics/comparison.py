"""Judging the answers of an eval: the candidate against stable on the same cases, within a tolerance.

A pass and a fail are both claims, held to the same standard. Pass: harm is shown to be at most the tolerance (its
upper bound is). Fail: harm is shown to be beyond the tolerance (its lower bound is). A loss of one point that may be
noise is neither, and a loss that is real but may be within the tolerance is neither: both are inconclusive, which
asks for more repeats and never passes. Failing on "not zero, and looks larger than the tolerance" would catch harm
somewhat earlier, but would reject half of the candidates whose loss is exactly the tolerated one.

Several metrics: a release needs all of them to pass, so passing needs no correction (an intersection-union test);
any of them can fail it, so the p-values for failing are adjusted by Holm's method. Where one score is shown to fall and
another to rise, the metrics contradict each other, and that is for a person to look at instead of a rejection.

Calls without a score are a third state. Their share is a gate of its own, once for the calls and once for each metric
that lacks more than the calls do; cases that lack a score in an arm are left out of the pairs, counted, and bounded by
the worst that they could be (`missing`). Segments are judged beside the whole (`segments`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from softlaunch.core.arms import ByArm
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.verdict import Outcome, Role, Verdict
from softlaunch.evals.calls.answers import EvalAnswer, EvalArm
from softlaunch.evals.statistics.amounts import AmountEstimate
from softlaunch.evals.statistics.metric_verdicts import (
    contradicted,
    doubts_of,
    finding_of,
    judge_metric,
    no_pairs,
    outcome_of,
)
from softlaunch.evals.statistics.missing import judge_missing
from softlaunch.evals.statistics.multiplicity import Levels, holm
from softlaunch.evals.statistics.pairs import PairedMetric, one_sided, pair
from softlaunch.evals.statistics.report import EvalReport, MetricComparison, MetricPlan, concluded
from softlaunch.evals.statistics.rows import ByCase, ComparedCase, arm_totals, by_case, case_row, value_of
from softlaunch.evals.statistics.segments import judge_segments
from softlaunch.evals.statistics.unscored import judge_unscored, judge_unscored_metric
from softlaunch.metrics import ACCURACY
from softlaunch.policy.evals import EvalPolicy

DEFAULT_METRICS = (MetricPlan(ACCURACY),)
Estimator = Callable[[PairedMetric, Levels], AmountEstimate | None]
"""How a metric's harm is estimated; None where nothing is a share of nothing."""


def compare(
    cases: Sequence[ComparedCase],
    answers: Sequence[EvalAnswer],
    policy: EvalPolicy,
    *,
    level: float | Levels | None = None,
    metrics: Sequence[MetricPlan] = DEFAULT_METRICS,
    estimator: Estimator = PairedMetric.between,
) -> EvalReport:
    """Judge answers of both arms on the same cases; answers to other cases are ignored.

    `level` is the error rate of each claim; left out, it is one minus the policy's confidence. Who looks more than
    once passes smaller ones. Raises nothing for missing answers: they become an error verdict.
    """
    level = 1 - policy.confidence if level is None else level
    levels = level if isinstance(level, Levels) else Levels(level, level)
    known = {case.id for case in cases}
    answers = [answer for answer in answers if answer.key.case_id in known]
    grouped = by_case(answers)
    paired = [pair(cases, grouped, plan, policy.tolerance) for plan in metrics]
    compared = _compare_metrics(paired, grouped, levels, estimator)
    verdicts = _verdicts(cases, grouped, policy, levels.failing, metrics, compared)
    rows = tuple(case_row(case, grouped, metrics[0].metric) for case in cases)
    paired_cases = sum(row.change is not None for row in rows)
    outcome, reason = concluded(verdicts)
    return EvalReport(
        outcome=outcome,
        reason=reason,
        verdicts=verdicts,
        metrics=tuple(compared.values()),
        cases=rows,
        stable=arm_totals(answers, EvalArm.STABLE),
        candidate=arm_totals(answers, EvalArm.CANDIDATE),
        paired_cases=paired_cases,
        left_out_cases=len(rows) - paired_cases,
        repeats=1 + max((answer.key.repeat for answer in answers), default=-1),
        confidence=policy.confidence,
        unjudged=_unjudged(answers, [plan.metric for plan in metrics if plan.metric not in compared]),
    )


def _unjudged(answers: Sequence[EvalAnswer], metrics: Sequence[str]) -> dict[str, int]:
    """How many calls lack a value of metrics that nothing could be compared by."""
    return {name: sum(value_of(answer, name) is None for answer in answers) for name in metrics}


def _verdicts(
    cases: Sequence[ComparedCase],
    grouped: ByCase,
    policy: EvalPolicy,
    level: float,
    metrics: Sequence[MetricPlan],
    compared: Mapping[str, MetricComparison],
) -> tuple[Verdict, ...]:
    every = [answer for own in grouped.values() for answer in own]
    totals = ByArm(arm_totals(every, EvalArm.CANDIDATE), arm_totals(every, EvalArm.STABLE))
    judged = [
        judge_metric(compared[plan.metric], policy.confidence, totals)
        if plan.metric in compared
        else no_pairs(plan.metric, totals, _counts_of(every, plan.metric), is_nothing=_is_nothing(every, plan))
        for plan in metrics
    ]
    lacking = [(plan, judge_unscored_metric(grouped, plan.metric, policy)) for plan in metrics]
    missing = [(plan, _missing(cases, grouped, plan, policy.tolerance)) for plan in metrics]
    counted = [plan for plan in metrics if plan.role is not Role.MUTED and not plan.withheld]
    weighed = {plan.metric: compared[plan.metric] for plan in counted if plan.metric in compared}
    p_better = holm({name: one.estimate.p_better for name, one in weighed.items()})
    settled = zip(metrics, contradicted(judged, weighed, p_better, level), strict=True)
    return (
        *(_as_planned(plan, verdict) for plan, verdict in settled),
        *(replace(verdict, role=plan.role) for plan, verdict in missing if verdict is not None),
        judge_unscored(cases, grouped, policy),
        *(replace(verdict, role=plan.role) for plan, verdict in lacking if verdict is not None),
        *judge_segments(cases, grouped, counted, policy.tolerance, level, policy.segments),
    )


def _missing(cases: Sequence[ComparedCase], grouped: ByCase, plan: MetricPlan, tolerance: Margin) -> Verdict | None:
    paired = pair(cases, grouped, plan, tolerance)
    return None if paired is None else judge_missing(paired, one_sided(cases, grouped, plan))


def _counts_of(answers: Sequence[EvalAnswer], metric: str) -> ByArm[int]:
    """How many calls of each arm have a value of a metric."""
    found = [answer.key.arm for answer in answers if value_of(answer, metric) is not None]
    return ByArm(found.count(EvalArm.CANDIDATE), found.count(EvalArm.STABLE))


def _is_nothing(answers: Sequence[EvalAnswer], plan: MetricPlan) -> bool:
    """Whether stable has values of an amount, and all of them are 0."""
    found = [value_of(answer, plan.metric) for answer in answers if answer.key.arm is EvalArm.STABLE]
    known = [value for value in found if value is not None]
    is_amount = plan.margin is not None and plan.margin.kind is MarginKind.RELATIVE
    return is_amount and bool(known) and not any(known)


def _as_planned(plan: MetricPlan, verdict: Verdict) -> Verdict:
    """The verdict in its role; what may decide nothing is an error, whatever was measured."""
    if not plan.withheld:
        return replace(verdict, role=plan.role)
    return replace(verdict, role=plan.role, outcome=Outcome.ERROR, reason=f"{plan.withheld} ({verdict.reason})")


def _compare_metrics(
    paired: Sequence[PairedMetric | None], grouped: ByCase, levels: Levels, estimator: Estimator
) -> dict[str, MetricComparison]:
    """The metrics that have something to compare; the outcome of each takes into account how many there are."""
    found = [(one, compared) for one in paired if one is not None and (compared := estimator(one, levels)) is not None]
    p_beyond = holm({one.plan.metric: compared.estimate.p_beyond for one, compared in found})
    return {
        one.plan.metric: MetricComparison(
            metric=one.plan.metric,
            stable=compared.stable,
            candidate=compared.candidate,
            margin=one.margin.value,
            relative=one.relative,
            higher_is_better=one.plan.higher_is_better,
            estimate=compared.estimate,
            outcome=outcome_of(compared, p_beyond[one.plan.metric], levels),
            finding=finding_of(compared.estimate, levels.failing),
            unscored=sum(value_of(answer, one.plan.metric) is None for own in grouped.values() for answer in own),
            what=compared.what,
            beside=compared.beside,
            doubts=doubts_of(compared),
        )
        for one, compared in found
    }
