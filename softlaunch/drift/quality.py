"""What the golden set shows: which metrics moved, which contradict each other, what is unknown, as remarks. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from softlaunch.core.quantities import Margin
from softlaunch.drift.evidence import allowed_loss
from softlaunch.drift.figures import DriftFigures
from softlaunch.evals.statistics.report import Finding, MetricComparison
from softlaunch.policy.drift import DriftPolicy


class Weight(StrEnum):
    """What a remark asks for: an alert opens an incident, a notice is only in the report."""

    ALERT = "alert"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Remark:
    """One result of a check, about a metric or another subject, in a sentence."""

    weight: Weight
    subject: str
    sentence: str


def of_quality(figures: DriftFigures, policy: DriftPolicy) -> list[Remark]:
    """A remark for each metric that has moved, or a single one where they contradict each other; muted ones beside."""
    muted = [_muted(one, figures.muted[one.metric]) for one in figures.quality if one.metric in figures.muted]
    if disagree(figures, policy):
        sentence = "; ".join(_moved(one) for one in figures.counted if one.finding is not Finding.NONE)
        return [Remark(Weight.ALERT, "quality", f"the metrics disagree: {sentence}"), *muted]
    moved = [one for one in figures.counted if one.finding is not Finding.NONE]
    return [Remark(_weight(one, policy.margin), one.metric, _moved(one)) for one in moved] + muted


def disagree(figures: DriftFigures, policy: DriftPolicy) -> bool:
    """Whether one metric is shown to have lost more than is allowed, and another to have won as much."""
    beyond = {one.finding for one in figures.counted if abs(one.difference) > allowed_loss(one, policy.margin)}
    return {Finding.WORSE, Finding.BETTER} <= beyond


def only_better(figures: DriftFigures) -> bool:
    """Whether something is shown to have won, and nothing to have lost."""
    findings = {one.finding for one in figures.counted}
    return Finding.BETTER in findings and Finding.WORSE not in findings


def of_refusals(figures: DriftFigures, policy: DriftPolicy) -> list[Remark]:
    """How the share of refused answers has moved; beyond the policy's margin it is an alert either way."""
    one = figures.answered
    if one is None or one.finding is Finding.NONE:
        return []
    verb = "rose" if one.candidate < one.stable else "fell"
    sentence = f"refused answers {verb} from {(1 - one.stable) * 100:.1f} % to {(1 - one.candidate) * 100:.1f} %"
    far = abs(one.difference) > policy.refusals.value
    return [Remark(Weight.ALERT if far else Weight.NOTICE, "refusals", sentence)]


def of_gaps(figures: DriftFigures) -> list[Remark]:
    """What can't be judged. It is an alert: without evidence nobody may say that nothing has drifted."""
    return [Remark(Weight.ALERT, "evidence", gap) for gap in figures.gaps]


def of_weakness(figures: DriftFigures) -> list[Remark]:
    """What so few cases can't show: no incident, and no all-clear either."""
    return [Remark(Weight.NOTICE, "power", sentence) for sentence in figures.weak]


def _weight(one: MetricComparison, margin: Margin) -> Weight:
    too_much = one.finding is Finding.WORSE and one.stable - one.candidate > allowed_loss(one, margin)
    return Weight.ALERT if too_much else Weight.NOTICE


def _moved(one: MetricComparison) -> str:
    verb = "fell" if one.candidate < one.stable else "rose"
    return f"{one.metric} {verb} from {one.stable * 100:.1f} % to {one.candidate * 100:.1f} %"


def _muted(one: MetricComparison, why: str) -> Remark:
    moved = one.metric if one.finding is Finding.NONE else f"{_moved(one)}, but"
    return Remark(Weight.NOTICE, one.metric, f"{moved} is muted: {why}")
