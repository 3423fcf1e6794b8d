"""What people met: plain figures of all requests of a stage and of its last minutes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from softlaunch.gates.observations import Events, Flags, Floats, Tally, Units
from softlaunch.gates.reference import LEVELS, Histogram, log_buckets, log_values
from softlaunch.policy.model import DIRECTIONS, RELATIVE_METRICS, Direction, Metric
from softlaunch.verdict import Met

LATELY_MINUTES = 5
_MINUTE = 60.0


@dataclass(slots=True, eq=False)
class Plain:
    """One metric's values over all requests of one arm: of the stage, and by minute of the last minutes."""

    is_magnitude: bool
    held: Histogram = field(default_factory=Histogram)
    minutes: dict[int, Histogram] = field(default_factory=dict)

    def add(self, at: Floats, values: Floats) -> None:
        """Take in values, shape (n,), of requests at these times."""
        if not len(values):
            return
        index = log_buckets(values) if self.is_magnitude else np.rint(np.clip(values, 0, 1) * LEVELS).astype(np.int64)
        self.held.add(_tally(index))
        minute = (at // _MINUTE).astype(np.int64)
        for one in np.unique(minute).tolist():
            self.minutes.setdefault(one, Histogram()).add(_tally(index[minute == one]))

    def forget(self, now: float) -> None:
        """Drop the minutes that are over for long."""
        oldest = math.floor(now / _MINUTE) - LATELY_MINUTES
        self.minutes = {minute: held for minute, held in self.minutes.items() if minute >= oldest}

    def lately(self) -> Histogram:
        """The last minutes together."""
        together = Histogram()
        for held in self.minutes.values():
            together.add(held.tally())
        return together

    def value(self, held: Histogram, share: float = 0.5) -> float | None:
        """The mean of a share, or a quantile of a magnitude; None without any."""
        if not len(held.index):
            return None
        if self.is_magnitude:
            bucket = held.quantile(share)
            return None if bucket is None else float(log_values(np.array([bucket]))[0])
        counted = held.tally()
        return float((counted.index / LEVELS) @ counted.weight / counted.units)

    def met(self, users: int) -> Met:
        """The figures."""
        lately = self.lately()
        return Met(
            requests=round(self.held.total),
            users=users,
            value=self.value(self.held),
            slow=self.value(self.held, 0.95) if self.is_magnitude else None,
            lately=self.value(lately),
            lately_requests=round(lately.total),
        )

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {
            "held": self.held.dump(),
            "minutes": {str(minute): held.dump() for minute, held in self.minutes.items()},
        }


def _tally(index: Units) -> Tally:
    distinct, counts = np.unique(index, return_counts=True)
    return Tally(distinct, counts.astype(np.float64), len(index))


@dataclass(slots=True, eq=False)
class PlainFigures:
    """Both arms' plain figures of every metric of a stage."""

    arms: dict[Metric, tuple[Plain, Plain]] = field(default_factory=dict)

    def add(self, metric: Metric, events: Events) -> None:
        """Take in events: the metric's column."""
        column = events.values.get(metric)
        if column is None:
            return
        arms = self.arms.setdefault(metric, _arms(metric))
        measured = ~np.isnan(column)
        for plain, of_arm in zip(arms, (events.candidate, ~events.candidate), strict=True):
            chosen: Flags = measured & of_arm
            plain.add(events.at[chosen], column[chosen])

    def forget(self, now: float) -> None:
        """Let time go by up to `now` (epoch seconds), whether anything came or not."""
        for arms in self.arms.values():
            for plain in arms:
                plain.forget(now)

    def requests(self, metric: Metric) -> int:
        """In how many requests of both arms a metric was measured."""
        return round(sum(plain.held.total for plain in self.arms.get(metric, ())))

    def met(self, metric: Metric, users: tuple[int, int]) -> tuple[Met | None, Met | None]:
        """What the candidate's and stable's users met; None where nothing is known of a metric."""
        if metric not in self.arms:
            return None, None
        candidate, stable = self.arms[metric]
        return candidate.met(users[0]), stable.met(users[1])

    def dump(self) -> dict[str, Any]:
        """The state as JSON values."""
        return {metric.value: [arm.dump() for arm in arms] for metric, arms in self.arms.items()}

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> Self:
        """What was dumped."""
        figures = cls()
        for name, arms in state.items():
            metric = Metric(name)
            figures.arms[metric] = _arms(metric)
            for plain, held in zip(figures.arms[metric], arms, strict=True):
                plain.held = Histogram.load(held["held"])
                plain.minutes = {int(minute): Histogram.load(one) for minute, one in held["minutes"].items()}
        return figures


def _arms(metric: Metric) -> tuple[Plain, Plain]:
    return Plain(metric in RELATIVE_METRICS), Plain(metric in RELATIVE_METRICS)


def harm_met(metric: Metric, candidate: Met, stable: Met) -> dict[str, float]:
    """Plain harm in the margin's unit, by what was compared; empty where an arm has no value."""
    if candidate.value is None or stable.value is None:
        return {}
    if metric not in RELATIVE_METRICS:
        worse = candidate.value - stable.value
        return {"on average": -worse if DIRECTIONS[metric] is Direction.HIGHER_IS_BETTER else worse}
    pairs = {"at the median": (candidate.value, stable.value), "at the 95th percentile": (candidate.slow, stable.slow)}
    return {name: one / other - 1 for name, (one, other) in pairs.items() if one is not None and other}
