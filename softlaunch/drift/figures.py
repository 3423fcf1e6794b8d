"""The figures of a check: every metric then and now, paired by case, and how the outputs themselves have changed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from softlaunch.drift.outputs import OutputChange, change_of_outputs
from softlaunch.evals.answers import EvalAnswer, Status
from softlaunch.evals.comparison import compare
from softlaunch.evals.metrics.refusal import refusal_in
from softlaunch.evals.report import ArmTotals, MetricComparison, MetricPlan
from softlaunch.evals.rows import ComparedCase
from softlaunch.policy.drift import DriftPolicy
from softlaunch.policy.model import EvalPolicy

ANSWERED, LENGTH, LATENCY, COST = "answered", "length", "latency", "cost"
"""Not refused, in [0, 1]; characters; milliseconds; USD."""


@dataclass(frozen=True, slots=True)
class DriftFigures:
    """What was measured on the golden set. Metrics that nothing is known of are missing.

    The baseline is the stable arm, today the candidate.
    """

    quality: tuple[MetricComparison, ...]
    answered: MetricComparison | None
    amounts: tuple[MetricComparison, ...]
    outputs: OutputChange | None
    then: ArmTotals
    now: ArmTotals
    cases: int


def measure_drift(
    cases: Sequence[ComparedCase],
    answers: Sequence[EvalAnswer],
    quality: Sequence[MetricPlan],
    policy: DriftPolicy,
) -> DriftFigures:
    """Compare both runs by the machinery of the regression eval; each claim holds with the policy's confidence."""
    extra = (
        MetricPlan(ANSWERED, policy.refusals),
        *(MetricPlan(name, policy.amounts, higher_is_better=False) for name in (LENGTH, LATENCY, COST)),
    )
    judged = EvalPolicy(golden_set="-", confidence=policy.confidence)
    report = compare(cases, [_with_outputs(answer) for answer in answers], judged, metrics=(*quality, *extra))
    by_name = {one.metric: one for one in report.metrics}
    return DriftFigures(
        quality=tuple(by_name[plan.metric] for plan in quality if plan.metric in by_name),
        answered=by_name.get(ANSWERED),
        amounts=tuple(by_name[name] for name in (LENGTH, LATENCY, COST) if name in by_name),
        outputs=change_of_outputs(answers, policy.confidence),
        then=report.stable,
        now=report.candidate,
        cases=report.paired_cases,
    )


def _with_outputs(answer: EvalAnswer) -> EvalAnswer:
    """An answer with what its text alone says: whether it refuses, and how long it is."""
    if answer.status is not Status.SCORED or answer.answer is None:
        return answer
    told = {LENGTH: float(len(answer.answer))}
    if answer.answer.strip():
        told[ANSWERED] = float(refusal_in(answer.answer) is None)
    return replace(answer, scores={**told, **answer.scores})
