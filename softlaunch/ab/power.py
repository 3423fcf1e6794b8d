"""Planning a test: how many users and how long the smallest difference takes, on the app's own traffic. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, inf

import numpy as np
from scipy import special  # scipy.stats alone would take a second to import

from softlaunch.ab.looks import FIRST_SHARE, boundaries, planned_ends, spending
from softlaunch.ab.samples import Floats
from softlaunch.core.live_metrics import Metric
from softlaunch.forecast.traffic import Traffic
from softlaunch.gates.observations import Observations
from softlaunch.policy.ab import AbPolicy

DAY = 86400.0
_CURVE = 60
_FEW = 30


@dataclass(frozen=True, slots=True)
class MetricPlan:
    """What one metric needs. Units are users with at least one rating or score, of both arms together.

    `deviation` is the standard deviation of a unit's mean. Times are seconds, infinite where the traffic never brings
    so many units. `smallest` is the effect found with the planned power at each planned end; `power` the chance that
    the policy's smallest effect is found there. `is_known` is false where too little is known of the metric.
    """

    metric: Metric
    is_known: bool
    deviation: float = 0.0
    units_needed: float = inf
    seconds_needed: float = inf
    units_equal: float = inf
    seconds_equal: float = inf
    smallest: tuple[float, ...] = ()
    power: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """A test before it begins. `ends` are the planned ends in seconds, the first one long enough where one can be."""

    app: str
    requests_per_hour: float
    note: str
    policy: AbPolicy
    ends: tuple[float, ...]
    metrics: tuple[MetricPlan, ...]
    curves: tuple[tuple[float, tuple[tuple[float, float], ...]], ...]
    """For each end, effect and power of the metric that needs the least time."""

    @property
    def duration(self) -> float:
        """When the test is planned to end."""
        return self.ends[0]

    @property
    def found_in_time(self) -> tuple[MetricPlan, ...]:
        """Metrics whose smallest effect is found with the planned power by the limit."""
        return tuple(one for one in self.metrics if one.seconds_needed <= self.policy.maximum_time)


def plan_trial(app: str, policy: AbPolicy, traffic: Traffic) -> TrialPlan:
    """Needed units, times and powers of each metric; the duration is in whole days and within the policy's bounds."""
    count = len(policy.metrics)
    needed = [_needs(metric, policy, traffic, count) for metric in policy.metrics]
    in_time = [one.seconds_needed for one in needed if one.seconds_needed <= policy.maximum_time]
    longest = ceil(max(in_time, default=0.0) / DAY) * DAY if policy.minimum_time >= DAY else max(in_time, default=0.0)
    lasting = min(policy.maximum_time, max(policy.minimum_time, longest))
    lasts = policy.model_copy(update={"minimum_time": lasting})
    ends = planned_ends(lasts)
    metrics = tuple(_at_ends(one, lasts, traffic, ends, count) for one in needed)
    return TrialPlan(
        app=app,
        requests_per_hour=3600 * traffic.requests_per_second,
        note=traffic.note,
        policy=lasts,
        ends=ends,
        metrics=metrics,
        curves=_curves(metrics, lasts, traffic, ends),
    )


def power(effect: float, deviation: float, units: float, policy: AbPolicy, alpha: float) -> float:
    """Chance that a difference is found, by the normal limit of Welch's test, with so many units in both arms."""
    if units <= 0 or deviation <= 0:
        return 0.0
    share = policy.split_percent / 100
    shift = effect / (deviation / np.sqrt(units * share * (1 - share)))
    limit = -float(special.ndtri(alpha / 2))
    return float(special.ndtr(shift - limit) + special.ndtr(-shift - limit))


def level(policy: AbPolicy, metrics: int) -> float:
    """The alpha that one metric surely has at the planned end: Holm's first step, and what the looks leave it."""
    first = 1.0 if policy.minimum_time >= policy.maximum_time else FIRST_SHARE
    return policy.alpha * first / metrics


def _needs(metric: Metric, policy: AbPolicy, traffic: Traffic, count: int) -> MetricPlan:
    deviation = unit_deviation(traffic.stable.get(metric))
    if deviation is None:
        return MetricPlan(metric, is_known=False)
    alpha = level(policy, count)
    share = policy.split_percent / 100
    needed = (_quantiles(alpha, policy.power) * deviation / policy.minimum_effect.value) ** 2 / (share * (1 - share))
    sure = -special.ndtri(alpha * count) + special.ndtri((1 + policy.power) / 2)  # all metrics must be equal: no Holm
    equal = (sure * deviation / policy.equal_within.value) ** 2 / (share * (1 - share))
    return MetricPlan(
        metric=metric,
        is_known=True,
        deviation=deviation,
        units_needed=float(needed),
        seconds_needed=_seconds(traffic, metric, float(needed)),
        units_equal=float(equal),
        seconds_equal=_seconds(traffic, metric, float(equal)),
    )


def _at_ends(plan: MetricPlan, policy: AbPolicy, traffic: Traffic, ends: Sequence[float], count: int) -> MetricPlan:
    if not plan.is_known:
        return plan
    share = policy.split_percent / 100
    units = [units_after(traffic, plan.metric, end) for end in ends]
    levels = _levels(policy, count, units)
    return replace(
        plan,
        smallest=tuple(
            _quantiles(alpha, policy.power) * plan.deviation / float(np.sqrt(seen * share * (1 - share)))
            if seen
            else inf
            for seen, alpha in zip(units, levels, strict=True)
        ),
        power=tuple(
            power(policy.minimum_effect.value, plan.deviation, seen, policy, alpha)
            for seen, alpha in zip(units, levels, strict=True)
        ),
    )


def _levels(policy: AbPolicy, metrics: int, units: Sequence[float]) -> list[float]:
    """What alpha each planned end's own boundary stands for; later ones are stricter, the earlier have spent most."""
    seen = [max(count, 1e-9) for count in units]
    limits = boundaries(policy.alpha / metrics, seen, spending(len(seen)))
    return [2 * float(special.ndtr(-limit)) for limit in limits]


def _quantiles(alpha: float, wanted: float) -> float:
    return float(-special.ndtri(alpha / 2) + special.ndtri(wanted))


def _curves(
    metrics: Sequence[MetricPlan], policy: AbPolicy, traffic: Traffic, ends: Sequence[float]
) -> tuple[tuple[float, tuple[tuple[float, float], ...]], ...]:
    known = [one for one in metrics if one.is_known]
    if not known:
        return ()
    quickest = min(known, key=lambda one: one.seconds_needed)
    furthest = 1.6 * max(quickest.smallest[0], policy.minimum_effect.value)
    effects: Floats = np.linspace(0.0, min(furthest, 1.0), _CURVE)
    units = [units_after(traffic, quickest.metric, end) for end in ends]
    return tuple(
        (
            end,
            tuple((float(effect), power(float(effect), quickest.deviation, seen, policy, alpha)) for effect in effects),
        )
        for end, seen, alpha in zip(ends, units, _levels(policy, len(metrics), units), strict=True)
    )


def unit_deviation(seen: Observations | None) -> float | None:
    """The standard deviation of units' means; None with fewer than thirty units."""
    if seen is None or not len(seen):
        return None
    _, inverse = np.unique(seen.units, return_inverse=True)
    counts = np.bincount(inverse)
    if len(counts) < _FEW:
        return None
    return float((np.bincount(inverse, weights=seen.values) / counts).std(ddof=1)) or None


def units_after(traffic: Traffic, metric: Metric, seconds: float) -> float:
    """Distinct users with a value of a metric after so long."""
    requests = traffic.requests_per_second * traffic.shares.get(metric, 1.0) * seconds
    return float(traffic.users.among(np.array([requests]))[0]) if requests > 0 else 0.0


def _seconds(traffic: Traffic, metric: Metric, units: float) -> float:
    per_second = traffic.requests_per_second * traffic.shares.get(metric, 1.0)
    if per_second <= 0:
        return inf
    return float(traffic.users.needed(np.array([units]))[0]) / per_second
