"""Judges that compare a measurement with a fixed number, after Argo Rollouts and Flagger."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.gates.arrivals import Floats
from benchmarks.gates.judges import Decision
from benchmarks.gates.model import MEASUREMENTS, METRICS, STAGES, Kind, Levels, Scenario, interval_seconds
from benchmarks.gates.traffic import Arm, Look, Traffic
from softlaunch.core.live_metrics import Metric

Limits = Mapping[Metric, float]
"""The worst acceptable measurement of each metric: error rate, 95th percentile of latency, means of the rest."""

_ARGO_CONSECUTIVE_ERRORS = 4
_NO_HARM = -1.0


def measure(metric: Metric, arm: Arm) -> float | None:
    """One measurement over an interval, or None without data."""
    values = arm[metric].values
    if not len(values):
        return None
    return float(np.quantile(values, 0.95)) if metric is Metric.LATENCY else float(values.mean())


def harm(metric: Metric, value: float) -> float:
    """A measurement turned so that more is worse."""
    return -value if metric.higher_is_better else value


def naive_argo(levels: Levels) -> Limits:
    """The success rate of Argo's own example, and some 20 % of room in the rest."""
    return {**_roomy(levels), Metric.ERRORS: 0.05}


def naive_flagger(levels: Levels) -> Limits:
    """The success rate of Flagger's own example, and some 20 % of room in the rest."""
    return {**_roomy(levels), Metric.ERRORS: 0.01}


def _roomy(levels: Levels) -> dict[Metric, float]:
    return {
        Metric.LATENCY: 1.2 * levels.latency_median_ms * float(np.exp(1.645 * levels.latency_sigma)),
        Metric.COST: 1.2 * levels.cost_median_usd * float(np.exp(levels.cost_sigma**2 / 2)),
        Metric.QUALITY: levels.quality_mean - 0.05,
        Metric.SATISFACTION: levels.satisfied - 0.10,
    }


@dataclass(slots=True)
class Argo:
    """An analysis run in each step: each metric is measured `MEASUREMENTS` times and may fail `failure_limit` times.

    A measurement without data is an error; more than four in a row end the run, which aborts the rollout.
    """

    limits: Limits
    failure_limit: int
    at_intervals: ClassVar[bool] = True
    blamed: str | None = None
    failures: dict[Metric, int] = field(default_factory=dict)
    errors: dict[Metric, int] = field(default_factory=dict)
    measured: int = 0

    def look(self, seen: Look) -> Decision:
        """Take every metric's measurement."""
        if seen.stage.full:
            return Decision.PASS
        if seen.first:
            self.failures, self.errors = dict.fromkeys(METRICS, 0), dict.fromkeys(METRICS, 0)
            self.measured = 0
        self.measured += 1
        for metric in METRICS:
            value = measure(metric, seen.shown)
            self.errors[metric] = self.errors[metric] + 1 if value is None else 0
            if value is not None and harm(metric, value) > harm(metric, self.limits[metric]):
                self.failures[metric] += 1
            if self.failures[metric] > self.failure_limit or self.errors[metric] > _ARGO_CONSECUTIVE_ERRORS:
                self.blamed = metric.value
                return Decision.ROLLBACK
        return Decision.PASS if self.measured >= MEASUREMENTS else Decision.CONTINUE


@dataclass(slots=True)
class Flagger:
    """A check at every interval. Failed ones add up over the whole release and `threshold` of them end it.

    A check fails as soon as one metric is out of its range or has no data. A stage lasts `MEASUREMENTS` good checks.
    """

    limits: Limits
    threshold: int
    at_intervals: ClassVar[bool] = True
    blamed: str | None = None
    failed: int = 0
    good: int = 0

    def look(self, seen: Look) -> Decision:
        """Check every metric."""
        if seen.stage.full:
            return Decision.PASS
        self.good = 0 if seen.first else self.good
        for metric in METRICS:
            value = measure(metric, seen.shown)
            if value is None or harm(metric, value) > harm(metric, self.limits[metric]):
                self.failed, self.blamed = self.failed + 1, metric.value
                return Decision.ROLLBACK if self.failed >= self.threshold else Decision.CONTINUE
        self.good += 1
        return Decision.PASS if self.good >= MEASUREMENTS else Decision.CONTINUE


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Harm of each measurement of some fine releases without drift: (releases, stages, measurements, metrics)."""

    harms: Floats

    @classmethod
    def of(cls, seed: int, releases: int) -> "Rehearsal":
        """Measure that many releases."""
        traffics = (Traffic(Scenario("tuning", Kind.FINE), (seed, 0, run)) for run in range(releases))
        return cls(np.array([_measurements(traffic) for traffic in traffics]))

    def argo_limits(self, failure_limit: int) -> Limits:
        """The tightest limits by which none of the releases would have been rolled back by Argo's rule."""
        return self._tightest(lambda failed: bool((failed.sum(axis=2) > failure_limit).any()))

    def flagger_limits(self, threshold: int) -> Limits:
        """The tightest limits by which none of the releases would have been rolled back by Flagger's rule."""
        return self._tightest(lambda failed: bool((failed.any(axis=3).sum(axis=(1, 2)) >= threshold).any()))

    def _tightest(self, rolls_back: Callable[[NDArray[np.bool_]], bool]) -> Limits:
        """Limits at the same quantile of each metric, the lowest by which the rule rolls nothing back."""
        limits = self.harms.max(axis=(0, 1, 2))
        for beyond in np.geomspace(1e-4, 0.3, 100):
            tighter = np.quantile(self.harms, 1 - beyond, axis=(0, 1, 2))
            if rolls_back(self.harms > tighter):
                break
            limits = tighter
        return {metric: harm(metric, float(limit)) for metric, limit in zip(METRICS, limits, strict=True)}


def _measurements(traffic: Traffic) -> Floats:
    """One release, shape (stages, measurements, metrics)."""
    now, rows = 0.0, []
    for stage in (one for one in STAGES if not one.full):
        seen = traffic.stage(stage, now)
        for _ in range(MEASUREMENTS):
            now += interval_seconds(traffic.scenario, stage)
            shown = seen.until(now).shown
            rows.append([_harm_or_none(metric, shown) for metric in METRICS])
    return np.array(rows).reshape(-1, MEASUREMENTS, len(METRICS))


def _harm_or_none(metric: Metric, shown: Arm) -> float:
    """An interval without a rating is as good as can be: it must not loosen a limit."""
    value = measure(metric, shown)
    return _NO_HARM if value is None else harm(metric, value)
