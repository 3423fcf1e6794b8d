"""Analysing a test: what each metric says at a look, and the figures that a conclusion needs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special  # scipy.stats alone would take a second to import

from softlaunch.ab.estimate import Difference, at_any_time, paired, ratio, welch
from softlaunch.ab.looks import boundaries, repeated_p, spending
from softlaunch.ab.samples import Arms, Floats, Sample, Sharpened, sharpen
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import Interval
from softlaunch.evals.statistics.multiplicity import holm
from softlaunch.policy.ab import AbPolicy

SAVINGS = (Metric.COST, Metric.LATENCY)
"""What decides between equals, in this order."""
_SPLIT_ALPHA = 0.001


@dataclass(frozen=True, slots=True)
class Past:
    """A metric's statistic and information at an earlier planned look."""

    z: float
    information: float


@dataclass(frozen=True, slots=True)
class Moment:
    """Which look this is: so many planned ends in all, this many of them (from 1) reached with it, and what they found.

    A look between planned ends only monitors.
    """

    looks: int
    number: int
    planned: bool
    past: Sequence[Mapping[Metric, Past]] = ()


@dataclass(frozen=True, slots=True)
class MetricResult:
    """One metric: B minus A in points of a share, or as a relative change for cost and latency.

    `interval` holds at this look together with all planned ones, `anytime` whenever one looks. `p_value` is adjusted
    for looks and metrics; None between planned ends, and for what only decides between equals.
    """

    metric: Metric
    difference: Difference
    interval: Interval
    anytime: Interval
    equal_interval: Interval
    p_value: float | None = None
    past_share: float = 0.0
    saved_variance: float = 0.0

    def beyond(self) -> int:
        """1 where B is shown to be higher, -1 where lower, 0 where neither."""
        return int(self.interval.lower > 0) - int(self.interval.upper < 0)


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that a look found. Metrics that too little was measured of are missing."""

    metrics: tuple[MetricResult, ...]
    savings: tuple[MetricResult, ...]
    units: tuple[int, int]
    split_p: float
    missing: tuple[Metric, ...] = ()

    @property
    def split_is_off(self) -> bool:
        """Whether units fell on the arms in another proportion than was set, so that nothing can be compared."""
        return self.split_p < _SPLIT_ALPHA

    def saving(self, metric: Metric) -> MetricResult | None:
        """What the test says of cost or latency."""
        return next((result for result in self.savings if result.metric is metric), None)


@dataclass(frozen=True, slots=True)
class _Compared:
    """One metric's difference, and the samples that it was computed from."""

    difference: Difference
    sharpened: Sharpened


def analyse(arms: Arms, policy: AbPolicy, moment: Moment) -> Analysis:
    """Compare the arms as they are at a moment of the test."""
    found = {metric: _differ(*arms.pair(metric), metric) for metric in policy.metrics}
    known = {metric: result for metric, result in found.items() if result is not None}
    p_values = (
        _p_values({metric: result.difference for metric, result in known.items()}, moment) if moment.planned else {}
    )
    metrics = tuple(
        _result(metric, result, policy, moment, metrics=len(known), p_value=p_values.get(metric))
        for metric, result in known.items()
    )
    savings = {metric: _differ(*arms.pair(metric), metric) for metric in SAVINGS}
    return Analysis(
        metrics=metrics,
        savings=tuple(_result(name, one, policy, moment) for name, one in savings.items() if one is not None),
        units=arms.units,
        split_p=_split_p(arms.units, policy.split_percent / 100),
        missing=tuple(metric for metric, result in found.items() if result is None),
    )


def analyse_pairs(metric: Metric, a: Floats, b: Floats, policy: AbPolicy, moment: Moment) -> Analysis | None:
    """Compare both variants on the same questions; None with too few of them."""
    difference = paired(a, b)
    if difference is None:
        return None
    plain = _Compared(difference, Sharpened(Sample.of(a), Sample.of(b)))
    p_value = _p_values({metric: difference}, moment)[metric]
    result = _result(metric, plain, policy, moment, p_value=p_value)
    return Analysis((result,), (), difference.units, split_p=1.0)


def _differ(a: Sample, b: Sample, metric: Metric) -> _Compared | None:
    """The difference of one metric: sharpened by the units' past for scores, relative for cost and latency.

    Latency is compared by its logarithm's mean, so that a few very slow answers don't decide.
    """
    if metric is Metric.LATENCY:
        in_a, in_b = (Sample(np.log(np.maximum(arm.values, 1e-3)), arm.before) for arm in (a, b))
        plain = welch(in_a, in_b)
        return None if plain is None else _Compared(plain, Sharpened(in_a, in_b))
    if metric.is_relative:
        relative = ratio(a, b)
        return None if relative is None else _Compared(relative, Sharpened(a, b))
    sharpened = sharpen(a, b)
    difference = welch(sharpened.a, sharpened.b)
    return None if difference is None else _Compared(difference, sharpened)


def _p_values(found: Mapping[Metric, Difference], moment: Moment) -> dict[Metric, float]:
    """Adjusted for the looks by repeated p-values, then for the metrics by Holm's method."""
    shares = spending(moment.looks)[: moment.number]
    repeated = {}
    for metric, difference in found.items():
        past = [look[metric] for look in moment.past if metric in look]
        scores = [*(one.z for one in past), difference.z]
        information = [*(one.information for one in past), difference.information]
        used = (*shares[: len(past)], shares[-1])
        repeated[metric.value] = repeated_p(scores, information, used)
    return {Metric.reported(name): value for name, value in holm(repeated).items()}


def _result(
    metric: Metric,
    compared: _Compared,
    policy: AbPolicy,
    moment: Moment,
    *,
    metrics: int = 1,
    p_value: float | None = None,
) -> MetricResult:
    difference, sharpened = compared.difference, compared.sharpened
    information = [*_information(metric, moment), difference.information]
    shares = spending(moment.looks)[: moment.number]
    used = (*shares[: len(information) - 1], shares[-1])
    needed = planned_information(policy)
    turned = _turned if metric is Metric.LATENCY else _as_is
    return MetricResult(
        metric=metric,
        difference=difference,
        interval=turned(difference.within(boundaries(policy.alpha, information, used)[-1])),
        anytime=turned(at_any_time(difference, policy.alpha / metrics, needed)),
        equal_interval=turned(difference.within(boundaries(2 * policy.alpha, information, used)[-1])),
        p_value=p_value,
        past_share=sharpened.known_share,
        saved_variance=sharpened.saved_variance,
    )


def _information(metric: Metric, moment: Moment) -> list[float]:
    return [look[metric].information for look in moment.past if metric in look]


def planned_information(policy: AbPolicy) -> float:
    """What the estimate of the smallest difference needs, to be distinguished from none with the planned power."""
    both = special.ndtri(1 - policy.alpha / 2) + special.ndtri(policy.power)
    return float((both / policy.minimum_effect.value) ** 2)


def _as_is(interval: Interval) -> Interval:
    return interval


def _turned(interval: Interval) -> Interval:
    """An interval of log ratios as one of relative changes."""
    return Interval(float(np.expm1(interval.lower)), float(np.expm1(interval.upper)))


def change(result: MetricResult) -> float:
    """The estimate in the unit of the interval."""
    value = result.difference.value
    return float(np.expm1(value)) if result.metric is Metric.LATENCY else value


def _split_p(units: tuple[int, int], share: float) -> float:
    """Two-sided p-value of the split that was set, by the normal limit of the binomial distribution."""
    total = sum(units)
    if total == 0:
        return 1.0
    deviation = abs(units[1] - total * share) - 0.5
    return float(min(1.0, 2 * special.ndtr(-max(deviation, 0.0) / np.sqrt(total * share * (1 - share)))))
