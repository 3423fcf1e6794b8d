"""How many of each arm's requests a metric is known of, and whether the arms differ in that beyond chance."""

from dataclasses import dataclass, field

import numpy as np

from softlaunch.core.live_metrics import Metric, Source
from softlaunch.forecast.replay.rows import Flags
from softlaunch.forecast.replay.seen import mix
from softlaunch.gates.observations import Floats, Units

_GROUPS = 4096
_BY_CHANCE = 3.29  # standard deviations, which one difference in a thousand exceeds
_TOLERATED_MISSING = 0.01
_DONE = {Source.RATINGS: "rated", Source.SCORES: "scored", Source.REPORTS: "reported"}


@dataclass(frozen=True, slots=True)
class Rates:
    """The share of each arm's requests, in [0, 1], that a metric is known of; `differ` where that can't be chance."""

    metric: Metric
    candidate: float
    stable: float
    differ: bool

    @property
    def said(self) -> str:
        """Both, as a sentence without its end."""
        done = _DONE.get(self.metric.entry.source, "measured")
        what = "requests" if self.metric is Metric.ERRORS else "answers"
        candidate, stable = _told_apart(self.candidate, self.stable)
        how = "were measured" if self.metric is Metric.ERRORS else f"was {done}"
        return f"{self.metric.value} {how} for {candidate} of the candidate's {what} and {stable} of stable's"

    @property
    def validity_error(self) -> str | None:
        """Why what is known can't stand for the rest, in words; None when it can.

        What is measured of every request and missing in one arm may be missing because it was bad. Of ratings and
        scores there is a sample, which may be larger in one arm.
        """
        if not self.differ or self.metric.is_rated:
            return None
        return self.said if abs(self.candidate - self.stable) > _TOLERATED_MISSING else None


@dataclass(slots=True, eq=False)
class Measured:
    """How many requests could have a value and how many have one, by arm (stable, candidate) and group of units.

    Requests of a unit are alike, also in whether they are rated, so that a unit, or a group of them, is what varies by
    chance and not a request. Groups keep memory fixed, and no unit is in two of them (random groups: Wolter 2007,
    Introduction to Variance Estimation, chapter 2).
    """

    asked: Floats = field(default_factory=lambda: np.zeros((2, _GROUPS)))
    known: Floats = field(default_factory=lambda: np.zeros((2, _GROUPS)))

    def add(self, units: Units, candidate: Flags, known: Flags, asked: Flags) -> None:
        """Count requests, arrays of equal length; only those that are `asked` for could have a value."""
        group = (mix(units) >> np.uint64(32)).astype(np.int64) % _GROUPS + _GROUPS * candidate
        self.asked += _by_group(group[asked])
        self.known += _by_group(group[asked & known])

    def rates(self, metric: Metric) -> Rates | None:
        """Both arms' shares; None where one arm has no request."""
        asked, known = self.asked.sum(axis=1), self.known.sum(axis=1)
        if not asked.all():
            return None
        stable, candidate = (known / asked).tolist()
        return Rates(metric, candidate, stable, abs(candidate - stable) > _BY_CHANCE * self._spread(asked))

    def _spread(self, asked: Floats) -> float:
        """Standard deviation of the difference if both arms are alike.

        An arm's variance is the larger of its own and that of both together: its own is too small where it has none of
        the few that are known, and that of both where it happens to have many.
        """
        residual = self.known - self.asked * (self.known.sum() / self.asked.sum())
        own = (residual**2).sum(axis=1)
        together = (residual**2).sum() / asked.sum() * asked
        return float(np.sqrt((np.maximum(own, together) / asked**2).sum()))


def _by_group(group: Units) -> Floats:
    return np.bincount(group, minlength=2 * _GROUPS).reshape(2, _GROUPS).astype(np.float64)


def _told_apart(candidate: float, stable: float) -> tuple[str, str]:
    """Two shares in percent, with as few digits as tell them from each other, from none and from all."""
    for digits in range(4):
        shown = [f"{share * 100:.{digits}f}" for share in (candidate, stable)]
        ends = [float(text) in {0.0, 100.0} for text in shown]
        if ends == [share in {0.0, 1.0} for share in (candidate, stable)] and shown[0] != shown[1]:
            break
    return f"{float(shown[0]):g} %", f"{float(shown[1]):g} %"
