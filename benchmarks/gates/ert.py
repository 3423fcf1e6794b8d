"""A judge after e-RT, sequential randomization tests by betting on the assignment (Zampieri 2025, arXiv 2512.04366)."""

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.gates.judges import Decision
from benchmarks.gates.model import METRICS
from benchmarks.gates.traffic import Known, Look
from benchmarks.gates.ttests import UnitMoments, harm_sign
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Observations

Floats: TypeAlias = NDArray[np.float64]
_BURN_IN, _RAMP = 50, 100  # units before the first bet, and until bets are whole
_LARGEST = 0.6  # of the bets on unbounded values
_REMEMBERED = 2000


@dataclass(slots=True)
class Bets:
    """One metric's e-value, what both arms' units had so far, and recent values of both."""

    metric: Metric
    log_e_value: float = 0.0
    arms: tuple[UnitMoments, UnitMoments] = field(default_factory=lambda: (UnitMoments(), UnitMoments()))
    recent: Floats = field(default_factory=lambda: np.empty(0))
    known: Known = field(default_factory=Known)

    def add(self, candidate: Observations, stable: Observations, share: float) -> None:
        """Bet on the units that are new in the release by what was known before, and learn from them."""
        fresh = [self._fresh(arm) for arm in (candidate, stable)]
        seen = sum(arm.count for arm in self.arms)
        strength = float(np.clip((seen - _BURN_IN) / _RAMP, 0.0, 1.0))
        for arm, is_candidate in zip(fresh, (True, False), strict=True):
            wager = np.clip(strength * self._wager(arm.values), -0.98, 0.98)
            odds = share / (1 - share) * (1 + wager) / (1 - wager)
            chance = odds / (1 + odds)
            factor = chance / share if is_candidate else (1 - chance) / (1 - share)
            self.log_e_value += float(np.log(factor).sum())
        for moments, arm in zip(self.arms, fresh, strict=True):
            moments.add(arm)
        self.recent = np.concatenate([self.recent, fresh[0].values, fresh[1].values])[-_REMEMBERED:]

    def _fresh(self, arm: Observations) -> Observations:
        """Harms of the units that weren't met before: one each, the mean of what they did at once."""
        units, place, counts = np.unique(arm.units, return_inverse=True, return_counts=True)
        means = np.bincount(place, arm.values, len(units)) / counts
        fresh = self.known.first_time(units)
        return Observations(units[fresh], means[fresh] if harm_sign(self.metric) > 0 else 1 - means[fresh])

    def _wager(self, harm: Floats) -> Floats:
        """How much each value speaks for the candidate, in (-1, 1), after which arm had the larger harm so far."""
        difference = self.arms[0].mean - self.arms[1].mean
        if difference <= 0 or not len(self.recent):
            return np.zeros(len(harm))
        if self.metric.is_relative:
            middle = float(np.median(self.recent))
            spread = 1.4826 * float(np.median(np.abs(self.recent - middle))) or 1.0
            distance = (harm - middle) / spread
            return np.asarray(_LARGEST * distance / (1 + np.abs(distance)))
        return difference * (2 * harm - 1)


@dataclass(slots=True)
class Ert:
    """Bets, unit by unit, on whether it is the candidate's, given what happened to it: e-RT for errors and thumbs,
    e-RTo for quality, e-RTc for latency and cost, with the published burn-in, ramp and sizes of bets.

    Two things differ. The original is made for arms of equal size and bets a chance of `(1 + wager) / 2`; here the
    wager moves the odds of the split in force by `(1 + wager) / (1 - wager)`, which is the same for equal arms. And it
    bets on harm only, for an improvement is no reason to roll back. What it has learnt is updated from look to look. A
    unit counts once a release, by what it did when it appeared; each metric has a fifth of 1 %. Undecided means ship.
    """

    alpha: float = 0.01
    at_intervals: ClassVar[bool] = False
    blamed: str | None = None
    bets: dict[Metric, Bets] = field(default_factory=lambda: {metric: Bets(metric) for metric in METRICS})

    def look(self, seen: Look) -> Decision:
        """Bet on the units that are new."""
        if seen.stage.full:
            return Decision.PASS
        for metric, bets in self.bets.items():
            bets.add(seen.window.candidate[metric], seen.window.stable[metric], seen.stage.share)
            if bets.log_e_value >= np.log(len(METRICS) / self.alpha):
                self.blamed = metric.value
                return Decision.ROLLBACK
        return Decision.PASS if seen.is_time_up else Decision.CONTINUE
