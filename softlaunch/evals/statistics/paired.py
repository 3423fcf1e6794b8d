"""Paired non-inferiority on cases: how much worse the candidate is, between which bounds, and by which method.

The input is one harm per case (stable's mean score minus the candidate's, in [-1, 1]); a case is the unit, however
often it was repeated. Every method gives an upper and a lower bound, each one-sided at the stated level, and the
p-values of the two claims that an eval can make. Nothing collapses to certainty because nothing varied: a handful of
equal answers leaves room for the harm that so few cases could have missed.

Which method is used depends on what was seen:

- every case differs by the same, or none does: exact. If the mean harm were m, all n cases would show h with
  probability at most ((1 - m) / (1 - h))^n, so for h = 0 the upper bound is 1 - level^(1/n), the "rule of three" (about
  3/n at 5 %; Hanley & Lippman-Hand 1983).
- every case is simply right or wrong in each arm: the score interval for paired shares (Tango 1998, Statistics in
  Medicine 17:891, equation 10), whose test of no difference is McNemar's.
- the differences are effectively fewer than fifteen, (sum |d|)^2 / sum d^2: a betting bound, valid for any number of
  cases and any bounded harm (Waudby-Smith & Ramdas 2023, equation 29, with fixed bets instead of predictable ones,
  mixed over a few sizes). Three large differences among thirty next to nothing are three.
- else: Student's t over the cases, plain and with Hall's correction for skewness (1992, JRSS B 54:221), and of both
  whichever claims less: without the correction a few large losses among many ties look safer than they are, and with
  it alone chance is found too often, because the skewness of few differences is chance itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats alone would take a second to import

Floats = NDArray[np.float64]

POWER = 0.8
FEW_DIFFERENCES = 15
"""Cases that must differ, effectively, before a mean over them is taken to be normal."""
_BETS = np.array([0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95])
_EDGE = 1e-9
_HALVINGS = 36
_SAME = 1e-12


@dataclass(frozen=True, slots=True)
class PairedEstimate:
    """Weighted mean harm over cases with one-sided bounds, in the metric's unit.

    `p_within` is the p-value against "harm is at the margin or above" (small: shown to be acceptable), `p_beyond` the
    one against "harm is at the margin or below" (small: shown to be too much); `p_better` and `p_worse` are the same
    at a margin of zero (small: shown to be better, or worse, by however little). `minimum_detectable` is the
    difference that this many cases, varying as these do, distinguish from none with 80 % power.
    """

    harm: float
    lower: float
    upper: float
    p_within: float
    p_beyond: float
    p_better: float
    p_worse: float
    minimum_detectable: float
    method: str
    cases: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a method finds: one-sided bounds, and p-values for lying within the margin and beyond it."""

    lower: float
    upper: float
    p_within: float
    p_beyond: float
    method: str


def estimate(stable: Floats, candidate: Floats, weights: Floats, *, margin: float, level: float) -> PairedEstimate:
    """Compare case means of both arms, arrays of length n >= 1 with values in [0, 1]; weights are positive.

    `margin` is in [0, 1) and `level` is the error rate of each one-sided bound, in (0, 0.5).
    """
    harm = stable - candidate
    shares = weights / weights.mean()
    binary = bool(np.ptp(shares) < _SAME) and _is_binary(stable) and _is_binary(candidate)
    bounds = _bounds(harm, shares, margin, level, binary=binary)
    at_zero = _bounds(harm, shares, 0.0, level, binary=binary)
    mean = float(np.average(harm, weights=shares))
    return PairedEstimate(
        harm=mean,
        lower=max(-1.0, min(bounds.lower, mean)),
        upper=min(1.0, max(bounds.upper, mean)),
        p_within=bounds.p_within,
        p_beyond=bounds.p_beyond,
        p_better=at_zero.p_within,
        p_worse=at_zero.p_beyond,
        minimum_detectable=min(1.0, minimum_detectable(harm, shares, level)),
        method=bounds.method,
        cases=len(harm),
    )


def effective_differences(harm: Floats) -> float:
    """How many equally large differences would vary as these do: (sum |d|)^2 / sum d^2, zero where there is none."""
    squares = float(np.sum(harm**2))
    return float(np.sum(np.abs(harm)) ** 2 / squares) if squares > _SAME**2 else 0.0


def _bounds(harm: Floats, shares: Floats, margin: float, level: float, *, binary: bool) -> Bounds:
    if np.ptp(harm) <= _SAME:
        return _all_alike(len(harm), float(harm[0]), float(shares.max()), margin, level)
    if binary:
        return _paired_shares(int((harm > 0).sum()), int((harm < 0).sum()), len(harm), margin, level)
    if effective_differences(harm * shares) < FEW_DIFFERENCES:
        return _bets(harm * shares, float(shares.max()), margin, level)
    return student(harm, shares, margin, level, floor=1 / len(harm))


def _is_binary(values: Floats) -> bool:
    return bool(np.all((values == 0) | (values == 1)))


def _all_alike(n: int, harm: float, heaviest: float, margin: float, level: float) -> Bounds:
    """Every case has the same harm; `heaviest` is the largest weight over the mean weight: others could be heavy."""
    unseen = heaviest * (1 - level ** (1 / n))
    method = f"exact bound, {'no difference' if abs(harm) <= _SAME else 'the same difference'} in {n} cases"
    return Bounds(
        harm - (1 + harm) * unseen,
        harm + (1 - harm) * unseen,
        _p_unseen(n, harm, heaviest, margin),
        _p_unseen(n, -harm, heaviest, -margin),
        method,
    )


def _p_unseen(n: int, harm: float, heaviest: float, margin: float) -> float:
    """p-value against "the mean is `margin` or more": n cases all show `harm`, and others could lose everything."""
    if margin <= harm:
        return 1.0
    return float(max(0.0, 1 - (margin - harm) / ((1 - harm) * heaviest)) ** n)


def _paired_shares(lost: int, won: int, n: int, margin: float, level: float) -> Bounds:
    """Tango's score interval: `lost` cases went from right to wrong, `won` the other way.

    It leans on a normal limit, so a loss or a gain is claimed only where McNemar's exact test, too, shows that there
    is any.
    """
    z = -float(special.ndtri(level))

    def score(bound: float) -> float:
        return _tango(lost, won, n, bound)

    upper = root(lambda bound: score(bound) + z, -1 + _EDGE, 1 - _EDGE)
    lower = root(lambda bound: score(bound) - z, -1 + _EDGE, 1 - _EDGE)
    p_any = float(special.betainc(lost, won + 1, 0.5)) if lost else 1.0
    p_gain = float(special.betainc(won, lost + 1, 0.5)) if won else 1.0
    at_margin = score(margin)
    p_within = float(special.ndtr(at_margin))
    return Bounds(
        lower if p_any <= level else min(lower, 0.0),
        upper,
        p_within if margin else max(p_within, p_gain),
        max(float(special.ndtr(-at_margin)), p_any),
        f"score interval for paired shares (McNemar), {lost} of {n} cases lost and {won} won",
    )


def _tango(lost: int, won: int, n: int, harm: float) -> float:
    """The score statistic of `share lost - share won = harm`; falls as harm grows (Tango 1998, equations 8 to 10)."""
    a = 2.0 * n
    b = -lost - won + (2 * n - lost + won) * harm
    c = -won * harm * (1 - harm)
    share_won = (np.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = n * (2 * share_won + harm * (1 - harm))
    distance = lost - won - n * harm
    return float(distance / np.sqrt(variance)) if variance > _SAME else float(np.sign(distance) * np.inf)


def _bets(values: Floats, bound: float, margin: float, level: float) -> Bounds:
    """Betting bounds for the mean of values in [-bound, bound]."""
    upper = _betting_upper(values, bound, level)
    lower = -_betting_upper(-values, bound, level)
    return Bounds(
        lower,
        upper,
        _betting_p(values, bound, margin),
        _betting_p(-values, bound, -margin),
        f"betting bound, {int(np.count_nonzero(values))} of {len(values)} cases differ",
    )


def _betting_p(values: Floats, bound: float, mean: float) -> float:
    """p-value against "the mean is `mean` or more": one over the capital won by betting on less (Ville, Markov)."""
    if mean >= bound:
        return 0.0
    gains = np.log1p(_BETS[:, None] * (mean - values[None, :]) / (bound - mean))
    log_capital = np.logaddexp.reduce(gains.sum(axis=1)) - np.log(len(_BETS))
    return float(np.exp(min(0.0, -log_capital)))


def _betting_upper(values: Floats, bound: float, level: float) -> float:
    return root(lambda mean: level - _betting_p(values, bound, mean), -bound + _EDGE, bound - _EDGE)


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a monotone function changes its sign, by bisection; an end where it doesn't, the one nearer to zero."""
    at_low, at_high = function(low), function(high)
    if np.sign(at_low) == np.sign(at_high):
        return low if abs(at_low) < abs(at_high) else high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if np.sign(function(middle)) == np.sign(at_low) else (low, middle)
    return (low + high) / 2


def student(harm: Floats, shares: Floats, margin: float, level: float, *, floor: float = 0.0) -> Bounds:
    """Bounds by Student's t, plain and with Hall's correction, the wider of both; `shares` are weights with mean 1.

    `floor` is the least standard error: 1/n is that of one case among n that differs by all there is.
    """
    error, freedom = _standard_error(harm, shares)
    error = max(error, floor)
    mean = float(np.average(harm, weights=shares))
    deviations = shares * (harm - mean)
    spread = max(float(np.mean(deviations**2)), _SAME**2)
    skew = float(np.mean(deviations**3) / spread**1.5 / np.sqrt(freedom + 1))
    quantile = -float(special.stdtrit(freedom, level))
    plain = (mean - margin) / error
    corrected = _unskewed(plain, skew)
    return Bounds(
        mean - max(quantile, _skewed(quantile, skew)) * error,
        mean - min(-quantile, _skewed(-quantile, skew)) * error,
        float(special.stdtr(freedom, max(plain, corrected))),
        float(special.stdtr(freedom, -min(plain, corrected))),
        f"paired t over {len(harm)} cases",
    )


def _unskewed(t: float, skew: float) -> float:
    """Hall's transformation of a t statistic, equation 2.6; `skew` is the skewness over the root of n."""
    return t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6


def _skewed(t: float, skew: float) -> float:
    """The inverse of `_unskewed`."""
    return t if abs(skew) < _EDGE else 3 / skew * (float(np.cbrt(1 + skew * (t - skew / 6))) - 1)


def _standard_error(harm: Floats, shares: Floats) -> tuple[float, float]:
    """Of the weighted mean, and its degrees of freedom by Kish's effective number of cases."""
    n = len(harm)
    mean = np.average(harm, weights=shares)
    variance = np.sum((shares * (harm - mean)) ** 2) / n**2 * n / max(n - 1, 1)
    effective = shares.sum() ** 2 / np.sum(shares**2)
    return max(float(np.sqrt(variance)), _SAME), max(float(effective) - 1, 1.0)


def cases_needed(found: PairedEstimate, margin: float, level: float = 1 - POWER) -> int:
    """How many cases, varying as these do, would distinguish a harm of `margin` (above zero) from none.

    Where none differs, so many that one would have, but for a probability of `level`.
    """
    by_count = np.log(level) / np.log1p(-min(margin, 1 - _EDGE))
    by_variation = 0.0 if found.minimum_detectable <= _by_count(found.cases) + _SAME else found.minimum_detectable
    return int(np.ceil(max(by_count, found.cases * (by_variation / margin) ** 2)))


def _by_count(cases: int) -> float:
    """The share of flipped cases of which one would have been among so many with 80 % probability."""
    return float(1 - (1 - POWER) ** (1 / cases))


def minimum_detectable(harm: Floats, shares: Floats, level: float) -> float:
    """The mean that these cases, varying as they do, distinguish from zero with 80 % power.

    At least the share of flipped cases of which one would have been among these with 80 % probability.
    """
    error, _ = _standard_error(harm, shares)
    by_variation = -(special.ndtri(level) + special.ndtri(1 - POWER)) * error
    return float(max(by_variation, _by_count(len(harm))))
