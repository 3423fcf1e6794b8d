"""The figures of a check: every metric then and now, paired by case, and how the outputs themselves have changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.verdict import Outcome, Role
from softlaunch.drift.outputs import OutputChange, change_of_outputs
from softlaunch.evals.calls.answers import EvalAnswer, Status
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.metric_verdicts import finding_of
from softlaunch.evals.statistics.multiplicity import holm
from softlaunch.evals.statistics.report import ArmTotals, EvalReport, MetricComparison, MetricPlan
from softlaunch.evals.statistics.rows import ComparedCase
from softlaunch.evals.statistics.unscored import first_without_value, metric_gate
from softlaunch.metrics.refusal import refusal_in
from softlaunch.policy.drift import DriftPolicy
from softlaunch.policy.evals import EvalPolicy

ANSWERED, LENGTH, LATENCY, COST = "answered", "length", "latency", "cost"
"""Not refused, in [0, 1]; characters; milliseconds; USD."""
MAY_LACK = Margin(MarginKind.POINTS, 0.05)
"""Share of the answers that may lack a score, where no policy says so."""


@dataclass(frozen=True, slots=True)
class DriftFigures:
    """What was measured on the golden set. Metrics that nothing is known of are missing.

    The baseline is the stable arm, today the candidate. `muted` has the metrics that may not alert, with the reason;
    `gaps` says what can't be judged, in sentences.
    """

    quality: tuple[MetricComparison, ...]
    answered: MetricComparison | None
    amounts: tuple[MetricComparison, ...]
    outputs: OutputChange | None
    then: ArmTotals
    now: ArmTotals
    cases: int
    muted: Mapping[str, str] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()

    @property
    def counted(self) -> tuple[MetricComparison, ...]:
        """The metrics of quality that may alert."""
        return tuple(one for one in self.quality if one.metric not in self.muted)


def measure_drift(
    cases: Sequence[ComparedCase],
    answers: Sequence[EvalAnswer],
    quality: Sequence[MetricPlan],
    policy: DriftPolicy,
    may_lack: Margin = MAY_LACK,
) -> DriftFigures:
    """Compare both runs by the machinery of the regression eval.

    What is shown of the metrics of quality that may alert is adjusted for their number (Holm), so that together it
    holds with the policy's confidence; refusals, amounts and muted metrics each hold by themselves.
    """
    named = {plan.metric for plan in quality}
    answered = MetricPlan(ANSWERED, policy.refusals)
    amounts = [MetricPlan(name, policy.amounts, higher_is_better=False) for name in (LENGTH, LATENCY, COST)]
    extra = [plan for plan in (answered, *amounts) if plan.metric not in named]
    judged = EvalPolicy(golden_set="-", confidence=policy.confidence, maximum_unscored=may_lack)
    report = compare(cases, [_with_outputs(answer) for answer in answers], judged, metrics=(*quality, *extra))
    muted = {plan.metric: why for plan in quality if (why := _why_muted(plan))}
    alerting = [plan.metric for plan in quality if plan.metric not in muted]
    by_name = _adjusted({one.metric: one for one in report.metrics}, alerting, 1 - policy.confidence)
    found = {plan.metric: by_name[plan.metric] for plan in extra if plan.metric in by_name}
    return DriftFigures(
        quality=tuple(by_name[plan.metric] for plan in quality if plan.metric in by_name),
        answered=found.get(ANSWERED),
        amounts=tuple(one for name, one in found.items() if name != ANSWERED),
        outputs=change_of_outputs(answers, policy.confidence),
        then=report.stable,
        now=report.candidate,
        cases=report.paired_cases,
        muted=muted,
        gaps=tuple(_gaps(report, quality, may_lack, answers)),
    )


def _why_muted(plan: MetricPlan) -> str:
    return plan.withheld or ("the policy says so" if plan.role is Role.MUTED else "")


def _adjusted(
    compared: Mapping[str, MetricComparison], names: Sequence[str], level: float
) -> Mapping[str, MetricComparison]:
    """The comparisons, with what is shown of those named adjusted for how many there are."""
    family = {name: compared[name].estimate for name in names if name in compared}
    worse = holm({name: one.p_worse for name, one in family.items()})
    better = holm({name: one.p_better for name, one in family.items()})
    shown = {
        name: finding_of(replace(one, p_worse=worse[name], p_better=better[name]), level)
        for name, one in family.items()
    }
    return {name: replace(one, finding=shown.get(name, one.finding)) for name, one in compared.items()}


def _gaps(
    report: EvalReport, quality: Sequence[MetricPlan], may_lack: Margin, answers: Sequence[EvalAnswer]
) -> Iterator[str]:
    """What keeps the check from saying that nothing has drifted: failed calls, metrics without values or judges."""
    then, now = report.stable, report.candidate
    if max(then.unscored_share, now.unscored_share) > may_lack.value:
        codes = ", ".join(sorted({*then.errors, *now.errors}))
        yield (
            f"{now.unscored:,} of {now.calls:,} calls failed now, {then.unscored:,} of {then.calls:,} then"
            f"{f' ({codes})' if codes else ''}; {may_lack} may"
        )
        return
    counted = [plan for plan in quality if not _why_muted(plan)]
    if not counted:
        yield f"no metric of quality may alert: {_why_muted(quality[0])}"
    compared = {one.metric for one in report.metrics}
    lacking = {verdict.gate: verdict for verdict in report.verdicts if verdict.outcome is Outcome.ERROR}
    for plan in (plan for plan in counted if plan.role is Role.REQUIRED):
        verdict = lacking.get(metric_gate(plan.metric))
        if plan.metric not in compared:
            first = first_without_value(answers, plan.metric)
            yield f"{plan.metric} has no score both then and now, of any case{first}"
        elif verdict is not None and verdict.candidate_value is not None and verdict.stable_value is not None:
            lost = f"{verdict.candidate_value * 100:.0f} % of the answers now and {verdict.stable_value * 100:.0f} %"
            first = first_without_value(answers, plan.metric)
            yield f"{plan.metric} has no score for {lost} of those then; {may_lack} may lack one{first}"


def _with_outputs(answer: EvalAnswer) -> EvalAnswer:
    """An answer with what its text alone shows: whether it refuses, and how long it is."""
    if answer.status is not Status.SCORED or answer.answer is None:
        return answer
    own_scores = {LENGTH: float(len(answer.answer))}
    if answer.answer.strip():
        own_scores[ANSWERED] = float(refusal_in(answer.answer) is None)
    return replace(answer, scores={**own_scores, **answer.scores})
