"""What an analysis leads to: a winner, equals, more time, or people. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from softlaunch.ab.analysis import SAVINGS, Analysis, MetricResult, Moment, analyse_pairs, change
from softlaunch.ab.samples import Floats
from softlaunch.core.errors import SoftlaunchError
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Outcome
from softlaunch.policy.ab import AbPolicy

_BETTER = {Metric.COST: "cheaper", Metric.LATENCY: "faster"}
_WORSE = {Metric.COST: "more expensive", Metric.LATENCY: "slower"}


class Choice(StrEnum):
    """What a test ends with, or that it continues."""

    A = "a"
    B = "b"
    EITHER = "either"
    EXTEND = "extend"
    PEOPLE = "people"
    VOID = "void"

    @property
    def outcome(self) -> Outcome:
        """What it means for the candidate."""
        return _OUTCOMES[self]


_OUTCOMES = {
    Choice.A: Outcome.FAIL,
    Choice.B: Outcome.PASS,
    Choice.EITHER: Outcome.FAIL,
    Choice.EXTEND: Outcome.INCONCLUSIVE,
    Choice.PEOPLE: Outcome.INCONCLUSIVE,
    Choice.VOID: Outcome.ERROR,
}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The choice and the sentence that says why."""

    choice: Choice
    reason: str


def conclude(analysis: Analysis, policy: AbPolicy, *, can_extend: bool) -> Conclusion:
    """The conclusion at a planned end: sound data first, then a winner, then equals, then more time, then people."""
    if analysis.split_is_off:
        a, b = analysis.units
        meant = f"{100 - policy.split_percent:g} to {policy.split_percent:g}"
        return Conclusion(
            Choice.VOID, f"units fell {a:,} to {b:,} on A and B instead of {meant} %: the split is off, nothing holds"
        )
    differing = [result for result in analysis.metrics if _differs(result, policy)]
    if differing:
        return _of_differences(differing)
    equal = analysis.metrics and all(_is_equal(result, policy) for result in analysis.metrics)
    if equal and not analysis.missing:
        return _of_equals(analysis, policy)
    lacking = _lacking(analysis, policy)
    if can_extend:
        return Conclusion(Choice.EXTEND, f"undecided: {lacking}")
    return Conclusion(Choice.PEOPLE, f"undecided at the limit: {lacking}")


def _differs(result: MetricResult, policy: AbPolicy) -> bool:
    return result.p_value is not None and result.p_value <= policy.alpha


def _is_equal(result: MetricResult, policy: AbPolicy) -> bool:
    """Two one-sided tests (Schuirmann 1987): the interval is inside the margin on both sides."""
    margin = policy.equal_within.value
    return -margin < result.equal_interval.lower and result.equal_interval.upper < margin


def _of_differences(differing: Sequence[MetricResult]) -> Conclusion:
    ways = {result.difference.value > 0 for result in differing}
    shown = "; ".join(describe(result) for result in differing)
    if len(ways) > 1:
        return Conclusion(Choice.PEOPLE, f"the metrics disagree: {shown}")
    choice = Choice.B if ways == {True} else Choice.A
    return Conclusion(choice, f"{choice.value.upper()} is better: {shown}")


def _of_equals(analysis: Analysis, policy: AbPolicy) -> Conclusion:
    equal = f"equal within {policy.equal_within}"
    sides = {metric: _side(analysis.saving(metric), policy) for metric in SAVINGS}
    favoured = {side for side in sides.values() if side is not None}
    if not favoured:
        return Conclusion(
            Choice.EITHER, f"{equal}, and neither is cheaper or faster by {policy.minimum_saving}: A stays"
        )
    shown = ", ".join(_saved(analysis.saving(metric)) for metric in SAVINGS if sides[metric] is not None)
    if len(favoured) > 1:
        return Conclusion(Choice.PEOPLE, f"{equal}, but B is {shown}")
    (choice,) = favoured
    return Conclusion(choice, f"{'B: ' if choice is Choice.B else 'A stays: '}{equal}, {_for(choice, shown)}")


def _for(choice: Choice, shown: str) -> str:
    return shown if choice is Choice.B else f"B is {shown}"


def _side(result: MetricResult | None, policy: AbPolicy) -> Choice | None:
    """Who is cheaper or faster by as much as counts; None where that isn't shown."""
    if result is None or abs(change(result)) < policy.minimum_saving.value:
        return None
    return {1: Choice.A, -1: Choice.B, 0: None}[result.beyond()]


def _saved(result: MetricResult | None) -> str:
    if result is None:
        return ""
    moved = change(result)
    return f"{abs(moved) * 100:.0f} % {(_BETTER if moved < 0 else _WORSE)[result.metric]}"


def _lacking(analysis: Analysis, policy: AbPolicy) -> str:
    parts = [describe(result) for result in analysis.metrics]
    parts += [f"too few values of {metric}" for metric in analysis.missing]
    return f"{'; '.join(parts)}; neither a difference nor equality within {policy.equal_within} is shown"


def describe(result: MetricResult) -> str:
    """`satisfaction +2.1 points (+0.4 to +3.8), A 80.0 %, B 82.1 %`."""
    low, high = (f"{bound * 100:+.1f}" for bound in (result.interval.lower, result.interval.upper))
    difference = result.difference
    return (
        f"{result.metric} {difference.value * 100:+.1f} points ({low} to {high}), A {difference.mean_a * 100:.1f} %, "
        f"B {difference.mean_b * 100:.1f} %"
    )


class TooFewPairsError(SoftlaunchError):
    """Too few questions have a judgement of both variants."""


def conclude_pairs(a: Floats, b: Floats, policy: AbPolicy) -> tuple[Analysis, Conclusion]:
    """The conclusion from judgements in [0, 1], equally long and in the same order of questions.

    A question is its own control, so the differences are what varies. Raises TooFewPairsError.
    """
    analysis = analyse_pairs(Metric.QUALITY, a, b, policy, Moment(looks=1, number=1, planned=True))
    if analysis is None:
        raise TooFewPairsError(f"{len(a)} questions were judged for both; a comparison needs 20 at least")
    return analysis, conclude(analysis, policy, can_extend=False)
