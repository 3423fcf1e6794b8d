"""Betting on harm, case by case: a claim that may be made at any moment, because nobody wins against a true null.

Each case brings a harm in [-1, 1], weighted. Against "the mean harm is m or less" a capital of 1 is staked again and
again on more; its expectation never rises while that is true, so it reaches 1/level with probability `level` at most,
whenever one looks (Ville 1939; Waudby-Smith and Ramdas 2023, section 4). The means that the capital doesn't refute are
a confidence sequence, so that the decision and the interval beside it are one procedure.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from softlaunch.evals.statistics.amounts import AmountEstimate
from softlaunch.evals.statistics.multiplicity import Levels
from softlaunch.evals.statistics.paired import POWER, Floats, PairedEstimate, root

_BETS = np.array([0.15, 0.3, 0.5, 0.7, 0.9])[:, None]
_LOG_WEIGHTS = np.log(np.array([1.0, 1.0, 2.0, 2.0, 1.0]) / 7)[:, None]
"""Stakes are shares of the most that can be staked. Small harm needs the smaller ones; looks will find it as well."""
_EDGE = 1e-9


@dataclass(frozen=True, slots=True)
class Bets:
    """A metric on the cases that were asked so far, in the order that was drawn.

    A value that one arm lacks is the one that speaks most against harm. `shares` are weights whose mean over the whole
    golden set is 1, `largest` is the largest of them all.
    """

    stable: Floats
    candidate: Floats
    shares: Floats
    largest: float
    margin: float

    @property
    def harms(self) -> Floats:
        """Weighted harm of each case."""
        return (self.stable - self.candidate) * self.shares

    def won(self) -> Floats:
        """The logarithm of the capital after each case, staked on harm beyond the margin."""
        return _log_capital(self.harms, self.largest, self.margin)

    def crossing(self, level: float) -> int | None:
        """After how many cases harm beyond the margin is first shown at a level; None where it isn't yet."""
        if not len(self.shares):
            return None
        beyond = np.flatnonzero(self.won() >= -np.log(level))
        return int(beyond[0]) + 1 if len(beyond) else None

    def estimate(self, levels: Levels) -> AmountEstimate:
        """What is known of the harm at a moment that the bets chose themselves; it claims no harm within the margin."""
        level, harms = levels.failing, self.harms
        mean = float(np.average(self.stable - self.candidate, weights=self.shares))
        first = self.crossing(level) or len(harms)
        lower = max(self._lower(harms[:first], level), self._lower(harms, level))
        upper = -self._lower(-harms, level)
        found = PairedEstimate(
            harm=mean,
            lower=min(lower, mean),
            upper=max(upper, mean),
            p_within=1.0,
            p_beyond=_p(self.won()),
            p_better=_p(_log_capital(-harms, self.largest, 0.0)),
            p_worse=_p(_log_capital(harms, self.largest, 0.0)),
            minimum_detectable=float(np.std(harms) * (special.ndtri(POWER) - special.ndtri(level)) / len(harms) ** 0.5),
            method=f"bets on each of {len(harms):,} cases, valid at any moment",
            cases=len(harms),
        )
        stable, candidate = (float(np.average(arm, weights=self.shares)) for arm in (self.stable, self.candidate))
        return AmountEstimate(found, "mean", stable, candidate, (), ())

    def _lower(self, harms: Floats, level: float) -> float:
        """The harm that isn't refuted yet from below."""
        threshold = -float(np.log(level))

        def excess(mean: float) -> float:
            gains = _log_gains(harms, self.largest, mean).sum(axis=1, keepdims=True)
            return float(np.logaddexp.reduce(gains + _LOG_WEIGHTS, axis=None)) - threshold

        return max(-1.0, root(excess, -self.largest + _EDGE, self.largest - _EDGE))


def _log_gains(values: Floats, largest: float, mean: float) -> Floats:
    """By stake and value in [-largest, largest]: the log of how the capital grows, staked on more than `mean`."""
    gains: Floats = np.log1p(_BETS * (values - mean) / (largest + mean))
    return gains


def _log_capital(values: Floats, largest: float, mean: float) -> Floats:
    """After each value in [-largest, largest], staked on a mean above `mean`: a mixture over a few stakes."""
    gains = np.cumsum(_log_gains(values, largest, mean), axis=1)
    # the same as scipy's logsumexp, whose overhead is ten times the arithmetic of a golden set
    found: Floats = np.logaddexp.reduce(gains + _LOG_WEIGHTS, axis=0)
    return found


def _p(log_capital: Floats) -> float:
    """One over the largest capital so far."""
    return float(np.exp(-max(0.0, float(log_capital.max(initial=0.0)))))
