"""Judging the answers of an eval: the candidate against stable on the same cases, within a tolerance.

A pass and a fail are both claims, held to the same standard. Pass: harm is shown to be at most the tolerance (its
upper bound is). Fail: harm is shown to be beyond the tolerance (its lower bound is). A loss of one point that may be
noise is neither, and a loss that is real but may be within the tolerance is neither: both are inconclusive, which
asks for more repeats and never passes. Failing on "not zero, and looks larger than the tolerance" would catch harm
somewhat earlier, but would reject half of the candidates whose loss is exactly the tolerated one.

Several metrics: a release needs all of them to pass, so passing needs no correction (an intersection-union test);
any of them can fail it, so the p-values for failing are adjusted by Holm's method.

Calls without a score are a third state. Their share is a gate of its own, and cases that lack a score in an arm are
left out of the pairs and counted.
"""

from collections.abc import Sequence

import numpy as np

from softlaunch.evals.answers import EvalAnswer, EvalArm
from softlaunch.evals.metrics import ACCURACY
from softlaunch.evals.paired import estimate, holm
from softlaunch.evals.report import ArmTotals, EvalReport, MetricComparison
from softlaunch.evals.rows import ByCase, arm_totals, by_case, case_row, mean_score
from softlaunch.evals.suite import Case
from softlaunch.evals.unscored import judge_unscored
from softlaunch.policy.model import EvalPolicy
from softlaunch.verdict import Interval, Outcome, Verdict

_GRAVITY = (Outcome.FAIL, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.PASS)
"""Harm that was shown stands, whatever else is missing; what is missing never passes."""


def compare(
    cases: Sequence[Case],
    answers: Sequence[EvalAnswer],
    policy: EvalPolicy,
    *,
    level: float | None = None,
    metrics: Sequence[str] = (ACCURACY,),
) -> EvalReport:
    """Judge answers of both arms on the same cases; answers to other cases are ignored.

    `level` is the error rate of each claim; left out, it is one minus the policy's confidence. Who looks more than
    once passes a smaller one. Raises nothing for missing answers: they become an error verdict.
    """
    level = 1 - policy.confidence if level is None else level
    known = {case.id for case in cases}
    answers = [answer for answer in answers if answer.key.case_id in known]
    grouped = by_case(answers)
    stable, candidate = (arm_totals(answers, arm) for arm in (EvalArm.STABLE, EvalArm.CANDIDATE))
    compared = {name: _compare_metric(cases, grouped, name, policy.tolerance.value, level) for name in metrics}
    found = {name: comparison for name, comparison in compared.items() if comparison is not None}
    p_beyond = holm({name: comparison.estimate.p_beyond for name, comparison in found.items()})
    verdicts = (
        *(
            _judge(found[name], p_beyond[name], policy, level, (stable, candidate))
            if name in found
            else _no_pairs(name, (stable, candidate))
            for name in metrics
        ),
        judge_unscored(cases, grouped, stable, candidate, policy),
    )
    rows = tuple(case_row(case, grouped) for case in cases)
    paired_cases = sum(row.change is not None for row in rows)
    outcome = min((verdict.outcome for verdict in verdicts), key=_GRAVITY.index)
    return EvalReport(
        outcome=outcome,
        reason="; ".join(f"{verdict.gate}: {verdict.reason}" for verdict in verdicts if verdict.outcome is outcome),
        verdicts=verdicts,
        metrics=tuple(found.values()),
        cases=rows,
        stable=stable,
        candidate=candidate,
        paired_cases=paired_cases,
        left_out_cases=len(rows) - paired_cases,
        repeats=1 + max((answer.key.repeat for answer in answers), default=-1),
        confidence=policy.confidence,
    )


def _compare_metric(
    cases: Sequence[Case], grouped: ByCase, metric: str, margin: float, level: float
) -> MetricComparison | None:
    """The metric on the cases that both arms have scored; None where there are none."""
    pairs = [
        (stable, candidate, case.weight)
        for case in cases
        if (stable := mean_score(grouped.get((case.id, EvalArm.STABLE), ()), metric)) is not None
        and (candidate := mean_score(grouped.get((case.id, EvalArm.CANDIDATE), ()), metric)) is not None
    ]
    if not pairs:
        return None
    stable_means, candidate_means, weights = np.array(pairs, dtype=np.float64).T
    return MetricComparison(
        metric=metric,
        stable=float(np.average(stable_means, weights=weights)),
        candidate=float(np.average(candidate_means, weights=weights)),
        margin=margin,
        estimate=estimate(stable_means, candidate_means, weights, margin=margin, level=level),
    )


def _judge(
    comparison: MetricComparison,
    p_beyond: float,
    policy: EvalPolicy,
    level: float,
    totals: tuple[ArmTotals, ArmTotals],
) -> Verdict:
    """One metric's verdict; `p_beyond` is adjusted for the number of metrics."""
    estimated = comparison.estimate
    outcome = Outcome.INCONCLUSIVE
    if p_beyond <= level:
        outcome = Outcome.FAIL
    elif estimated.p_within <= level:
        outcome = Outcome.PASS
    return Verdict(
        gate=comparison.metric,
        outcome=outcome,
        reason=_reason(comparison, outcome, policy),
        harm=estimated.harm,
        interval=Interval(estimated.lower, estimated.upper),
        margin=comparison.margin,
        candidate_count=totals[1].scored,
        stable_count=totals[0].scored,
        candidate_value=comparison.candidate,
        stable_value=comparison.stable,
    )


def _reason(comparison: MetricComparison, outcome: Outcome, policy: EvalPolicy) -> str:
    estimated = comparison.estimate
    bounds = {
        Outcome.PASS: f"at most {_points(estimated.upper)} worse" if estimated.upper > 0 else "no worse",
        Outcome.FAIL: f"at least {_points(estimated.lower)} worse",
    }.get(outcome, f"anything from {_change(estimated.lower)} to {_change(estimated.upper)}")
    return (
        f"{_percent(comparison.stable)} -> {_percent(comparison.candidate)}: {bounds} with "
        f"{policy.confidence * 100:g} % confidence, tolerance {policy.tolerance} ({estimated.method}; "
        f"differences from {_points(estimated.minimum_detectable)} on can be detected)"
    )


def _no_pairs(metric: str, totals: tuple[ArmTotals, ArmTotals]) -> Verdict:
    stable, candidate = totals
    return Verdict(
        gate=metric,
        outcome=Outcome.ERROR,
        reason=f"no case has a score in both arms ({stable.scored} of stable's {stable.calls} calls and "
        f"{candidate.scored} of the candidate's {candidate.calls} have one); see the errors of the calls",
        candidate_count=candidate.scored,
        stable_count=stable.scored,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:.1f} points"


def _change(harm: float) -> str:
    return f"{_points(abs(harm))} {'worse' if harm > 0 else 'better'}"
