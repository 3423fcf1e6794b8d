"""The figures of a check: every metric then and now, paired by case, and how the outputs themselves have changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.refusal_wording import refusal_in
from softlaunch.core.verdict import Outcome, Role
from softlaunch.drift.evidence import tested_together, too_weak
from softlaunch.drift.outputs import OutputChange, change_of_outputs
from softlaunch.evals.calls.answers import EvalAnswer, Status
from softlaunch.evals.statistics.comparison import compare
from softlaunch.evals.statistics.missing import missing_gate
from softlaunch.evals.statistics.pairs import PairedMetric, pair
from softlaunch.evals.statistics.report import ArmTotals, EvalReport, MetricComparison, MetricPlan
from softlaunch.evals.statistics.rows import ComparedCase, by_case
from softlaunch.evals.statistics.unscored import first_without_value, metric_gate
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
    `gaps` says what can't be judged, and `weak` what so few cases can't show, in sentences.
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
    weak: tuple[str, ...] = ()

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
    doubts: Sequence[str] = (),
) -> DriftFigures:
    """Compare both runs by the machinery of the regression eval.

    What is shown of the metrics of quality that may alert is adjusted for their number (Holm), so that together it
    holds with the policy's confidence; refusals, amounts and muted metrics each hold by themselves. An interval has the
    level at which its metric was tested. `doubts` are further reasons why nothing may be said to be well.
    """
    named = {plan.metric for plan in quality}
    extra = [plan for plan in _of_every_answer(policy) if plan.metric not in named]
    answers = [_with_outputs(answer) for answer in answers]
    plans = (*quality, *extra)
    judged = _as_eval(policy, may_lack)
    report = compare(cases, answers, judged, metrics=plans)
    muted = {plan.metric: why for plan in quality if (why := _why_muted(plan))}
    alerting = [plan.metric for plan in quality if plan.metric not in muted]
    paired = {plan.metric: pair(cases, by_case(answers), plan, judged.tolerance) for plan in plans}
    by_name = _tested(report, paired, alerting, 1 - policy.confidence)
    counted = [by_name[plan.metric] for plan in quality if plan.metric in alerting and plan.metric in by_name]
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
        gaps=(*doubts, *_gaps(report, quality, may_lack, answers)),
        weak=tuple(too_weak(counted, {plan.metric for plan in quality if plan.role is Role.REQUIRED}, policy.margin)),
    )


def _of_every_answer(policy: DriftPolicy) -> list[MetricPlan]:
    """What is compared whatever a good answer is."""
    amounts = [MetricPlan(name, policy.amounts, higher_is_better=False) for name in (LENGTH, LATENCY, COST)]
    return [MetricPlan(ANSWERED, policy.refusals), *amounts]


def _as_eval(policy: DriftPolicy, may_lack: Margin) -> EvalPolicy:
    """The margin in points, for segments; metrics of the whole go by the margin itself."""
    return EvalPolicy(
        golden_set="-",
        confidence=policy.confidence,
        maximum_unscored=may_lack,
        tolerance=Margin(MarginKind.POINTS, policy.margin.value),
    )


def _tested(
    report: EvalReport, paired: Mapping[str, PairedMetric | None], alerting: Sequence[str], level: float
) -> dict[str, MetricComparison]:
    """The comparisons at their levels: those that may alert together, every other one by itself."""
    found = {one.metric: one for one in report.metrics}
    families = [[name for name in alerting if name in found], *([name] for name in found if name not in alerting)]
    for family in families:
        found |= tested_together({name: found[name] for name in family}, paired, level)
    return found


def _why_muted(plan: MetricPlan) -> str:
    return plan.withheld or ("the policy says so" if plan.role is Role.MUTED else "")


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
    yield from (
        f"{verdict.gate}: {verdict.reason}"
        for verdict in report.verdicts
        if verdict.outcome is Outcome.REVIEW and verdict.gate.startswith("segment ")
    )
    yield from (
        verdict.reason
        for verdict in report.verdicts
        if verdict.outcome is Outcome.INCONCLUSIVE and verdict.gate in {missing_gate(plan.metric) for plan in quality}
    )
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
