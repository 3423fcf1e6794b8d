"""Judges that test the difference of two means: repeatedly, sequentially (after GrowthBook), and group-sequentially."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar

import numpy as np
from scipy.stats import norm, t

from benchmarks.gates.judges import Decision
from benchmarks.gates.model import MEASUREMENTS, METRICS
from benchmarks.gates.traffic import Look
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Observations

_ENOUGH = 30  # values in each arm before a normal approximation is worth anything


@dataclass(slots=True)
class Moments:
    """Running count, sum and sum of squares of one metric in one arm."""

    count: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, seen: Observations) -> None:
        """Every request counts by itself."""
        self.count += len(seen)
        self.total += float(seen.values.sum())
        self.squares += float(seen.values @ seen.values)

    @property
    def mean(self) -> float:
        """Mean; 0 without data."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """Sample variance; 0 below two values."""
        if self.count < 2:
            return 0.0
        return max(0.0, (self.squares - self.total * self.mean) / (self.count - 1))

    @property
    def squared_error(self) -> float:
        """Variance of the mean."""
        return self.variance / self.count if self.count else 0.0


@dataclass(slots=True)
class UnitMoments(Moments):
    """The same over the means of units, each of which counts once however often it comes back."""

    units: dict[int, tuple[int, float]] = field(default_factory=dict)

    def add(self, seen: Observations) -> None:
        """Units seen before move their mean."""
        for unit, value in zip(seen.units.tolist(), seen.values.tolist(), strict=True):
            requests, before = self.units.get(unit, (0, 0.0))
            mean = (before * requests + value) / (requests + 1)
            self.units[unit] = requests + 1, mean
            self.count += requests == 0
            self.total += mean - before
            self.squares += mean * mean - before * before


def harm_sign(metric: Metric) -> float:
    """1 where more is worse, -1 where less is."""
    return -1.0 if metric.higher_is_better else 1.0


@dataclass(slots=True)
class RepeatedT:
    """A one-sided Welch test at 5 % on each metric at every look, as if there were only one.

    Afresh in each stage: pooling over different splits would confuse the time of day with the candidate.
    """

    at_intervals: ClassVar[bool] = False
    level: float = 0.05
    blamed: str | None = None
    arms: dict[Metric, tuple[Moments, Moments]] = field(default_factory=dict)

    def look(self, seen: Look) -> Decision:
        """Test everything since the stage began."""
        if seen.stage.full:
            return Decision.PASS
        if seen.first:
            self.arms = {metric: (Moments(), Moments()) for metric in METRICS}
        for metric, (mine, theirs) in self.arms.items():
            mine.add(seen.shown[metric])
            theirs.add(seen.stable[metric])
            if welch_p(mine, theirs, harm_sign(metric)) < self.level:
                self.blamed = metric.value
                return Decision.ROLLBACK
        return Decision.PASS if seen.is_time_up else Decision.CONTINUE


def welch_p(mine: Moments, theirs: Moments, sign: float) -> float:
    """One-sided p-value of the candidate being worse, by Welch's test; 1 while there is too little to say."""
    a, b = mine.squared_error, theirs.squared_error
    if min(mine.count, theirs.count) < _ENOUGH or a + b <= 0:
        return 1.0
    freedom = (a + b) ** 2 / (a**2 / (mine.count - 1) + b**2 / (theirs.count - 1))
    return float(t.sf(sign * (mine.mean - theirs.mean) / np.sqrt(a + b), freedom))


def sequential_halfwidth(squared_error: float, count: float, alpha: float, tuning: float) -> float:
    """Half-width of the one-sided asymptotic confidence sequence (arXiv 2103.06476v7, equations 134 and 161)."""
    rho2 = (-2 * np.log(2 * alpha) + np.log(-2 * np.log(2 * alpha) + 1)) / tuning
    spread = count * rho2 + 1
    return float(
        np.sqrt(squared_error * count * 2 * spread / (count**2 * rho2) * np.log(1 + np.sqrt(spread) / (2 * alpha)))
    )


@dataclass(slots=True)
class GrowthBook:
    """A safe rollout: each guardrail's one-sided sequential interval at 95 %, uncorrected, over the whole ramp.

    Its two arms are equally large in every step, and each unit counts once. Nothing is said while either arm's total or
    variance is zero (control without an error), nor for changes under 0.5 % of control. Undecided means ship. The
    default minimum of 150 in a metric's total is left out, with which errors would hardly ever be judged.
    """

    at_intervals: ClassVar[bool] = False
    alpha: float = 0.05
    tuning: float = 5000.0
    minimum_change: float = 0.005
    blamed: str | None = None
    arms: dict[Metric, tuple[UnitMoments, UnitMoments]] = field(
        default_factory=lambda: {metric: (UnitMoments(), UnitMoments()) for metric in METRICS}
    )

    def look(self, seen: Look) -> Decision:
        """Update the intervals."""
        if seen.stage.full:
            return Decision.PASS
        for metric, (mine, theirs) in self.arms.items():
            mine.add(seen.shown[metric])
            theirs.add(seen.control[metric])
            if self._worse(mine, theirs, harm_sign(metric)):
                self.blamed = metric.value
                return Decision.ROLLBACK
        return Decision.PASS if seen.is_time_up else Decision.CONTINUE

    def _worse(self, mine: Moments, theirs: Moments, sign: float) -> bool:
        if min(mine.total, theirs.total) <= 0 or min(mine.variance, theirs.variance) <= 0:
            return False
        difference = sign * (mine.mean - theirs.mean)
        error = mine.squared_error + theirs.squared_error
        halfwidth = sequential_halfwidth(error, mine.count + theirs.count, self.alpha, self.tuning)
        return difference > halfwidth and difference >= self.minimum_change * theirs.mean


@dataclass(slots=True)
class GroupSequential:
    """Ten planned analyses a stage with boundaries of O'Brien and Fleming's shape, spending 1 % over the release.

    `stages` are those of its plan that can be compared.
    """

    stages: int
    at_intervals: ClassVar[bool] = True
    alpha: float = 0.01
    blamed: str | None = None
    arms: dict[Metric, tuple[Moments, Moments]] = field(default_factory=dict)
    analyses: int = 0

    def look(self, seen: Look) -> Decision:
        """Compare each metric's score with the boundary of this analysis."""
        if seen.stage.full:
            return Decision.PASS
        if seen.first:
            self.arms, self.analyses = {metric: (Moments(), Moments()) for metric in METRICS}, 0
        boundary = spending_boundaries(self.alpha / (len(METRICS) * self.stages), MEASUREMENTS)[self.analyses]
        self.analyses += 1
        for metric, (mine, theirs) in self.arms.items():
            mine.add(seen.shown[metric])
            theirs.add(seen.stable[metric])
            if welch_p(mine, theirs, harm_sign(metric)) < norm.sf(boundary):
                self.blamed = metric.value
                return Decision.ROLLBACK
        return Decision.PASS if self.analyses >= MEASUREMENTS else Decision.CONTINUE


@lru_cache(maxsize=4)
def spending_boundaries(alpha: float, analyses: int) -> tuple[float, ...]:
    """One-sided boundaries for equally spaced analyses that spend alpha like O'Brien and Fleming (Lan & DeMets 1983).

    The density of the score that has not crossed yet is carried from analysis to analysis on a grid (Armitage,
    McPherson & Rowe 1969); the score times the square root of the analysis' number has independent steps.
    """
    grid = np.linspace(-20.0, 25.0, 4501)
    width = grid[1] - grid[0]
    kernel = norm.pdf(np.arange(-800, 801) * width) * width
    density, boundaries, spent = norm.pdf(grid), [], 0.0
    for number in range(1, analyses + 1):
        if number > 1:
            density = np.convolve(density, kernel, mode="same")
        allowed = 2 * norm.sf(norm.isf(alpha / 2) / np.sqrt(number / analyses)) - spent
        beyond = np.cumsum(density[::-1])[::-1] * width
        first = int(np.searchsorted(-beyond, -allowed))
        boundaries.append(float(grid[first] / np.sqrt(number)))
        spent += float(beyond[first])
        density = np.where(grid < grid[first], density, 0.0)
    return tuple(boundaries)
