"""Segments of the cases, by their tags: what is lost in one of them, however well the others do.

Every segment of five cases or more is tested against the metric's own margin, and all of these claims, over segments
and metrics, share one error budget by Holm's method: with no segment worse by more than its margin, any is said to be
in at most `level` of the comparisons. A lost segment is for people to review, or a fail where it is critical.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from softlaunch.core.quantities import Margin
from softlaunch.core.verdict import Interval, Outcome, Verdict
from softlaunch.evals.statistics.multiplicity import holm
from softlaunch.evals.statistics.paired import PairedEstimate
from softlaunch.evals.statistics.pairs import PairedMetric, pair
from softlaunch.evals.statistics.report import MetricPlan
from softlaunch.evals.statistics.rows import ByCase, ComparedCase

GATE = "segments"
FEW_CASES = 5
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class _Segment:
    """One metric on the cases of one tag."""

    tag: str
    paired: PairedMetric
    estimate: PairedEstimate


def judge_segments(
    cases: Sequence[ComparedCase],
    grouped: ByCase,
    plans: Sequence[MetricPlan],
    tolerance: Margin,
    level: float,
    critical: Sequence[str] = (),
) -> tuple[Verdict, ...]:
    """A verdict for each lost segment, or a pass of all of them; none where no case has a tag.

    A critical segment that has no case with a score in both arms is inconclusive: nothing was seen of it.
    """
    segments = [
        segment
        for tag in dict.fromkeys(tag for case in cases for tag in case.tags)
        for segment in _of_tag(tag, [case for case in cases if tag in case.tags], grouped, plans, tolerance, level)
    ]
    names = {f"{number}": one for number, one in enumerate(segments)}
    p_beyond = holm({name: one.estimate.p_beyond for name, one in names.items()})
    lost = [_lost(one, level, one.tag in critical) for name, one in names.items() if p_beyond[name] <= level]
    unseen = [_unseen(tag) for tag in critical if tag not in {one.tag for one in segments}]
    if lost or unseen or not segments:
        return (*lost, *unseen)
    tags = {one.tag for one in segments}
    return (Verdict(GATE, Outcome.PASS, f"none of {len(tags)} segments is shown to be worse by more than its margin"),)


def _of_tag(
    tag: str,
    cases: Sequence[ComparedCase],
    grouped: ByCase,
    plans: Sequence[MetricPlan],
    tolerance: Margin,
    level: float,
) -> list[_Segment]:
    found = [one for plan in plans if (one := pair(cases, grouped, plan, tolerance)) is not None and not one.relative]
    return [
        _Segment(tag, one, compared.estimate)
        for one in found
        if len(one.stable) >= FEW_CASES and (compared := one.compared(level)) is not None
    ]


def _lost(segment: _Segment, level: float, is_critical: bool) -> Verdict:  # noqa: FBT001
    found, paired = segment.estimate, segment.paired
    compared = paired.compared(level)
    stable, candidate = (compared.stable, compared.candidate) if compared else (0.0, 0.0)
    what = "it is critical" if is_critical else "a person has to decide"
    return Verdict(
        gate=f"segment {segment.tag[:_SHOWN]}",
        outcome=Outcome.FAIL if is_critical else Outcome.REVIEW,
        reason=f"{paired.plan.metric} of its {found.cases:,} cases {stable * 100:.1f} % -> {candidate * 100:.1f} %: "
        f"at least {found.lower * 100:.1f} points worse, tolerance {paired.margin}; {what}",
        harm=found.harm,
        interval=Interval(found.lower, found.upper),
        margin=paired.margin.value,
        candidate_value=candidate,
        stable_value=stable,
    )


def _unseen(tag: str) -> Verdict:
    reason = f"it is critical, and fewer than {FEW_CASES} of its cases have a score in both arms"
    return Verdict(f"segment {tag[:_SHOWN]}", Outcome.INCONCLUSIVE, reason)
