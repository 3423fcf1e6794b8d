"""What people met: plain figures of all requests of a stage and of its last minutes."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from softlaunch.core.arms import ByArm
from softlaunch.core.live_metrics import Metric
from softlaunch.core.verdict import LATELY_MINUTES, Met
from softlaunch.gates.observations import Events, Flags, Floats, Units
from softlaunch.gates.reference import HIGHEST, LEVELS, LOWEST, Histogram, log_buckets, log_values

_MINUTE = 60.0


class Plain:
    """One metric's values over all requests of one arm: of the stage, and by minute of the last minutes.

    Both are counts by bucket, shape (buckets,): of half a point for a share, of 2 % for a magnitude.
    """

    def __init__(self, *, is_magnitude: bool) -> None:
        """Nothing seen."""
        self.is_magnitude = is_magnitude
        self._lowest, highest = (LOWEST, HIGHEST) if is_magnitude else (0, LEVELS)
        self._buckets = highest - self._lowest + 1
        self.held = np.zeros(self._buckets, np.int64)
        self.minutes: dict[int, Units] = {}

    def add(self, at: Floats, values: Floats) -> None:
        """Take in values, shape (n,), of requests at these times."""
        if not len(values):
            return
        bucket = log_buckets(values) if self.is_magnitude else (values.clip(0, 1) * LEVELS).round().astype(np.int64)
        bucket -= self._lowest
        self.held += self._counted(bucket)
        minute = (at // _MINUTE).astype(np.int64)
        latest = int(minute.max())
        for one in range(max(int(minute.min()), latest - LATELY_MINUTES), latest + 1):
            chosen = bucket[minute == one]
            if len(chosen):
                counts = self._counted(chosen)
                self.minutes[one] = self.minutes[one] + counts if one in self.minutes else counts

    def _counted(self, bucket: Units) -> Units:
        return np.bincount(bucket, minlength=self._buckets)

    def forget(self, now: float) -> None:
        """Drop the minutes that are over for long."""
        oldest = math.floor(now / _MINUTE) - LATELY_MINUTES
        for minute in [minute for minute in self.minutes if minute < oldest]:
            del self.minutes[minute]

    @property
    def requests(self) -> int:
        """How many there were."""
        return int(self.held.sum())

    def _value(self, counts: Units, share: float = 0.5) -> float | None:
        """The mean of a share, or a quantile of a magnitude; None without any."""
        upto = counts.cumsum()
        if not upto[-1]:
            return None
        if self.is_magnitude:
            bucket = int(upto.searchsorted(share * upto[-1])) + self._lowest
            return float(log_values(np.array([bucket]))[0])
        return float(np.arange(self._buckets) @ counts / LEVELS / upto[-1])

    def met(self, users: int) -> Met:
        """The figures."""
        lately = sum(self.minutes.values(), start=np.zeros(self._buckets, np.int64))
        return Met(
            requests=self.requests,
            users=users,
            value=self._value(self.held),
            slow=self._value(self.held, 0.95) if self.is_magnitude else None,
            lately=self._value(lately),
            lately_requests=int(lately.sum()),
        )

    def were(self, missing: int, *, high: bool, within: bool = False) -> Met:
        """The figures of the stage, were so many requests more as high, or as low, as the metric can be.

        `within` where it is not requests more, but that many of the ones that are known.
        """
        if not self.is_magnitude:
            return Met(self.requests, value=self._mean_was(missing, high=high, within=within))
        median, slow = (self._quantile_was(share, missing, high=high, within=within) for share in (0.5, 0.95))
        return Met(self.requests, value=median, slow=slow)

    def _quantile_was(self, share: float, missing: int, *, high: bool, within: bool) -> float:
        known = self.requests
        rank = share * (known if within else known + missing)
        if within and high:
            rank += missing
        elif not high:
            rank -= missing
        if rank > known:
            return math.inf
        bucket = int(self.held.cumsum().searchsorted(rank)) + self._lowest
        return float(log_values(np.array([bucket]))[0]) if rank > 0 else 0.0

    def _mean_was(self, missing: int, *, high: bool, within: bool) -> float:
        total = float(np.arange(self._buckets) @ self.held) / LEVELS
        if within:
            worst = total + missing if high else total - missing
            return min(max(worst / self.requests, 0.0), 1.0)
        return (total + missing * high) / (self.requests + missing)

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "held": self._sparse(self.held).dump(),
            "minutes": {str(minute): self._sparse(counts).dump() for minute, counts in self.minutes.items()},
        }

    def fill(self, state: Mapping[str, Any]) -> None:
        """Take on what was dumped."""
        self.held = self._dense(state["held"])
        self.minutes = {int(minute): self._dense(counts) for minute, counts in state["minutes"].items()}

    def _sparse(self, counts: Units) -> Histogram:
        bucket = counts.nonzero()[0]
        return Histogram(bucket + self._lowest, counts[bucket].astype(np.float64))

    def _dense(self, state: Mapping[str, list[float]]) -> Units:
        held, counts = Histogram.load(state), np.zeros(self._buckets, np.int64)
        counts[held.index - self._lowest] = held.weight.round()
        return counts


@dataclass(slots=True, eq=False)
class PlainFigures:
    """Both arms' plain figures of every metric of a stage."""

    arms: dict[Metric, ByArm[Plain]] = field(default_factory=dict)

    def add(self, metric: Metric, events: Events) -> None:
        """Take in events: the metric's column."""
        column = events.values.get(metric)
        if column is None:
            return
        arms = self.arms.setdefault(metric, _arms(metric))
        measured = ~np.isnan(column)
        for plain, of_arm in ((arms.candidate, events.candidate), (arms.stable, ~events.candidate)):
            chosen: Flags = measured & of_arm
            plain.add(events.at[chosen], column[chosen])

    def forget(self, now: float) -> None:
        """Let time go by up to `now` (epoch seconds), whether anything came or not."""
        for arms in self.arms.values():
            arms.candidate.forget(now)
            arms.stable.forget(now)

    def requests(self, metric: Metric) -> int:
        """In how many requests of both arms a metric was measured."""
        arms = self.arms.get(metric)
        return 0 if arms is None else arms.candidate.requests + arms.stable.requests

    def met(self, metric: Metric, users: ByArm[int]) -> ByArm[Met | None]:
        """What the candidate's and stable's users met; None where nothing is known of a metric."""
        arms = self.arms.get(metric)
        if arms is None:
            return ByArm(None, None)
        return ByArm(arms.candidate.met(users.candidate), arms.stable.met(users.stable))

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {metric.value: [arms.candidate.dump(), arms.stable.dump()] for metric, arms in self.arms.items()}

    @classmethod
    def load(cls, state: Mapping[str, Any], metrics: Iterable[Metric]) -> Self:
        """What was dumped of these metrics."""
        figures = cls()
        for metric in metrics:
            if metric not in state:
                continue
            candidate, stable = state[metric]
            arms = figures.arms[metric] = _arms(metric)
            arms.candidate.fill(candidate)
            arms.stable.fill(stable)
        return figures


def _arms(metric: Metric) -> ByArm[Plain]:
    return ByArm(Plain(is_magnitude=metric.is_relative), Plain(is_magnitude=metric.is_relative))


def harm_met(metric: Metric, candidate: Met, stable: Met) -> dict[str, float]:
    """Plain harm in the margin's unit, by what was compared; empty where an arm has no value."""
    if candidate.value is None or stable.value is None:
        return {}
    if not metric.is_relative:
        worse = candidate.value - stable.value
        return {"on average": -worse if metric.higher_is_better else worse}
    pairs = {"at the median": (candidate.value, stable.value), "at the 95th percentile": (candidate.slow, stable.slow)}
    return {name: one / other - 1 for name, (one, other) in pairs.items() if one is not None and other}
