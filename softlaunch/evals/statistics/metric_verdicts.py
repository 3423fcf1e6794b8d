"""The verdict on one metric of an eval, and what it means that metrics contradict each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from softlaunch.core.arms import ByArm
from softlaunch.core.quantities import Margin, MarginKind
from softlaunch.core.verdict import Interval, Outcome, Verdict
from softlaunch.evals.statistics.amounts import AmountEstimate
from softlaunch.evals.statistics.multiplicity import Levels
from softlaunch.evals.statistics.paired import PairedEstimate, cases_needed
from softlaunch.evals.statistics.report import ArmTotals, Finding, MetricComparison

Totals = ByArm[ArmTotals]
"""Stable's and the candidate's."""


def outcome_of(compared: AmountEstimate, p_beyond: float, levels: Levels) -> Outcome:
    """Fail and pass are claims that must be shown; `p_beyond` is adjusted for the number of metrics.

    What would pass although another figure is clearly worse is for people to review, and so is everything where both
    arms seem to be in different units.
    """
    if compared.other_unit:
        return Outcome.REVIEW
    if p_beyond <= levels.failing:
        return Outcome.FAIL
    if compared.estimate.p_within > levels.passing:
        return Outcome.INCONCLUSIVE
    return Outcome.REVIEW if compared.doubts else Outcome.PASS


def doubts_of(compared: AmountEstimate) -> tuple[str, ...]:
    """Why a person has to decide, in words."""
    unit = ("one arm is about a thousand times the other, as with milliseconds and seconds",)
    return (*(unit if compared.other_unit else ()), *compared.doubts)


def finding_of(estimated: PairedEstimate, level: float) -> Finding:
    """Which way the metric has moved, if it is shown to have moved at all."""
    if estimated.p_worse <= level / 2:
        return Finding.WORSE
    return Finding.BETTER if estimated.p_better <= level / 2 else Finding.NONE


def judge_metric(compared: MetricComparison, confidence: float, totals: Totals) -> Verdict:
    """The comparison of a metric as a verdict with its reason and figures."""
    estimated = compared.estimate
    return Verdict(
        gate=compared.metric,
        outcome=compared.outcome,
        reason=_reason(compared, confidence),
        harm=estimated.harm,
        interval=Interval(estimated.lower, estimated.upper),
        margin=compared.margin,
        candidate_count=totals.candidate.scored,
        stable_count=totals.stable.scored,
        candidate_value=compared.candidate,
        stable_value=compared.stable,
    )


def no_pairs(metric: str, totals: Totals, values: ByArm[int], *, is_nothing: bool = False) -> Verdict:
    """The verdict on a metric that no case has a value for in both arms; `values` counts those of either.

    `is_nothing`: there are values, and stable's are all 0, which a change could be no share of.
    """
    stable, candidate = totals.stable, totals.candidate
    found = (
        "stable's values are all 0, and no change is a share of nothing"
        if is_nothing
        else "no case has a score in both arms"
    )
    return Verdict(
        gate=metric,
        outcome=Outcome.ERROR,
        reason=f"{found} ({values.stable:,} of stable's {stable.calls:,} calls and "
        f"{values.candidate:,} of the candidate's {candidate.calls:,} have one)",
        candidate_count=candidate.scored,
        stable_count=stable.scored,
    )


def contradicted(
    verdicts: Sequence[Verdict], compared: Mapping[str, MetricComparison], p_better: Mapping[str, float], level: float
) -> tuple[Verdict, ...]:
    """The verdicts, with every fail of a metric turned into `review` where another score is shown to have risen.

    `p_better` is adjusted for the number of metrics. Only scores contradict a fall: that a candidate got cheaper or
    faster is no reason to think that it isn't worse.
    """
    risen = [name for name, one in compared.items() if not one.relative and p_better[name] <= level]
    if not risen:
        return tuple(verdicts)
    gains = " and ".join(f"{name} {_values(compared[name])}" for name in risen)
    return tuple(
        replace(
            verdict,
            outcome=Outcome.REVIEW,
            reason=f"the metrics disagree, a person has to decide: it falls, {gains} rises; {verdict.reason}",
        )
        if verdict.outcome is Outcome.FAIL and verdict.gate in compared
        else verdict
        for verdict in verdicts
    )


def show_amount(value: float) -> str:
    """A value in an unknown unit: three significant digits, never an exponent."""
    return (
        f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) >= 1e-4 or not value else f"{value:.7f}"
    )


def _values(compared: MetricComparison) -> str:
    show = show_amount if compared.relative else _percent
    beside = "".join(f", {one.name} {show(one.stable)} -> {show(one.candidate)}" for one in compared.beside)
    what = f" ({compared.what}{beside})" if compared.relative else ""
    return f"{show(compared.stable)} -> {show(compared.candidate)}{what}"


def _reason(compared: MetricComparison, confidence: float) -> str:
    estimated = compared.estimate

    def size(harm: float) -> str:
        return f"{100 * harm:.1f} {'%' if compared.relative else 'points'}"

    def change(harm: float) -> str:
        return f"{size(abs(harm))} {'worse' if harm > 0 else 'better'}"

    bounds = {
        Outcome.PASS: _at_most(estimated.upper, size),
        Outcome.REVIEW: _at_most(estimated.upper, size),
        Outcome.FAIL: f"at least {size(estimated.lower)} worse",
    }.get(compared.outcome, f"anything from {change(estimated.lower)} to {change(estimated.upper)}")
    shown = "" if compared.outcome is Outcome.FAIL else f"{compared.finding}, "
    margin = Margin(MarginKind.RELATIVE if compared.relative else MarginKind.POINTS, compared.margin)
    few = compared.outcome is Outcome.INCONCLUSIVE and estimated.minimum_detectable > compared.margin
    needed = _needed(estimated, margin, 1 - confidence, size) if few else ""
    review = compared.outcome is Outcome.REVIEW
    doubts = f"a person has to decide, {' and '.join(compared.doubts)}: " if review else ""
    return (
        f"{doubts}{_values(compared)}: {shown}{bounds} with {confidence * 100:g} % confidence, tolerance {margin} "
        f"({estimated.method}; differences from {size(estimated.minimum_detectable)} on can be detected{needed})"
    )


def _needed(estimated: PairedEstimate, margin: Margin, level: float, size: Callable[[float], str]) -> str:
    """Why the smallest difference that can be detected isn't the one that is ruled out, and what it would take."""
    rules_out = (
        f", that is, are noticed in four of five such evals; what they rule out is a loss of {size(estimated.upper)}, "
        f"so only such a tolerance would have passed"
    )
    needed = f"; about {cases_needed(estimated, margin.value, level):,} cases would show {margin}"
    return (rules_out if 0 < estimated.upper < 1 else "") + needed


def _at_most(upper: float, size: Callable[[float], str]) -> str:
    return f"at most {size(upper)} worse" if upper > 0 else "no worse"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
