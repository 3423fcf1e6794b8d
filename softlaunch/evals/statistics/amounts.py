"""Paired comparison of amounts without an upper end (latency, cost, tokens): by the median case, and by the tail.

What is compared is the relative change of each case: its median, bounded by the sign test over the cases, which holds
whatever the amounts are spread like. A mean belongs to a handful of stalls, and can fall while nine cases in ten become
slower. Beside it stands the 95th percentile of each arm (for amounts of which more is better, the 5th). The candidate's
is (1 + h) times stable's where as many of its cases lie above (1 + h) times stable's as of stable's lie above it; each
case is above in both arms, in one or in none, so the same test answers, asked at both arms' percentiles because they
need not be spread alike. Harm at the tail decides where it is shown and the median's isn't; as both can fail a
candidate, each claim of harm has half of the level.

Where the differences are effectively fewer than fifteen, the relative change of each case, in terms of the larger of
its two amounts, is a bounded harm, and its mean is judged like a score.

A tail or a mean that is shown to be worse, and is worse by more than the margin, is for people to look at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special  # scipy.stats alone would take a second to import

from softlaunch.evals.statistics.paired import (
    FEW_DIFFERENCES,
    POWER,
    Floats,
    PairedEstimate,
    effective_differences,
    estimate,
    root,
    student,
)

_LARGEST = 1000.0  # times stable's amount; a bound beyond says that nothing is known
_SAME = 1e-12
_DIGITS = 6  # of a bound, beyond which bisection knows nothing
_TAIL = 0.95
_THOUSANDFOLD = (300.0, 3000.0)
_TAILS = {1.0: "95th percentile", -1.0: "5th percentile"}


@dataclass(frozen=True, slots=True)
class Beside:
    """A figure that is shown beside the one that is compared, such as the mean, of both arms."""

    name: str
    stable: float
    candidate: float


@dataclass(frozen=True, slots=True)
class AmountEstimate:
    """The harm, what it is of, and the figures beside it; harm is a share of `stable`.

    `doubts` says what else is shown to be worse, and by more than the margin, so that the median alone is no pass.
    """

    estimate: PairedEstimate
    what: str
    stable: float
    candidate: float
    beside: tuple[Beside, ...]
    doubts: tuple[str, ...]
    other_unit: bool = False
    """Whether the arms look as if they were in two units: one is about a thousand times the other."""


@dataclass(frozen=True, slots=True)
class _Amounts:
    """Case means of both arms, their weights (mean 1), the margin and level; `sign` is -1 where more is better."""

    stable: Floats
    candidate: Floats
    shares: Floats
    margin: float
    level: float
    sign: float

    @property
    def change(self) -> Floats:
        """How much worse each case is, in the amounts' own unit."""
        return self.sign * (self.candidate - self.stable)


def estimate_amounts(
    stable: Floats, candidate: Floats, weights: Floats, *, margin: float, level: float, higher_is_better: bool = False
) -> AmountEstimate | None:
    """Compare case means of both arms, arrays of length n >= 1 with values of zero or more.

    Harm, bounds and `margin` are shares of what stable has. Where that is nothing the candidate's nothing is the same,
    and of anything else it is no share: None.
    """
    usual = float(np.average(stable, weights=weights))
    if usual <= 0 and candidate.any():
        return None
    given = _Amounts(stable, candidate, weights / weights.mean(), margin, level, -1.0 if higher_is_better else 1.0)
    bounded = given.change / np.maximum(np.maximum(stable, candidate), _SAME * usual if usual > 0 else 1.0)
    if effective_differences(bounded) < FEW_DIFFERENCES:
        found = estimate(bounded, np.zeros(len(bounded)), weights, margin=margin, level=level)
        return _told(given, found, "mean change of a case")
    middle, tail = _of_median(given), _of_tail(given)
    if tail is None:
        return _told(given, middle, "median change of a case")
    if tail.p_beyond <= level < middle.p_beyond:
        return _told(given, tail, _TAILS[given.sign])
    surprising = tail.harm > margin and tail.p_worse <= level
    doubts = [f"the {_TAILS[given.sign]} is {100 * tail.harm:.0f} % worse"] if surprising else []
    return _told(given, middle, "median change of a case", doubts)


def _told(given: _Amounts, found: PairedEstimate, what: str, doubts: Sequence[str] = ()) -> AmountEstimate:
    usual, now = (float(np.average(arm, weights=given.shares)) for arm in (given.stable, given.candidate))
    harm = given.sign * (now - usual) / usual if usual > 0 else 0.0
    mean_is_worse = student(given.change, given.shares, 0.0, given.level).p_beyond <= given.level
    of_mean = [f"the mean is {100 * harm:.0f} % worse"] if harm > given.margin and mean_is_worse else []
    tail = _both(given, _TAIL)
    middle = _both(given, 0.5) if _both(given, 0.5)[0] > 0 else (usual, now)
    return AmountEstimate(
        found,
        what,
        *(tail if what in _TAILS.values() else middle),
        (Beside("mean", usual, now), Beside("p95" if given.sign > 0 else "p5", *tail)),
        (*doubts, *of_mean),
        other_unit=_looks_thousandfold(*middle),
    )


def _looks_thousandfold(stable: float, candidate: float) -> bool:
    """As seconds and milliseconds do."""
    low, high = sorted((stable, candidate))
    return low > 0 and _THOUSANDFOLD[0] <= high / low <= _THOUSANDFOLD[1]


def _of_median(given: _Amounts) -> PairedEstimate:
    """The median over the cases of how much worse each has become, as a share of what it was."""
    with np.errstate(divide="ignore", invalid="ignore"):
        harms = given.change / given.stable  # what was nothing and is something has changed without bounds
    harms = np.nan_to_num(harms, nan=0.0, posinf=np.inf, neginf=-np.inf)
    order = np.argsort(harms, kind="stable")
    reached = np.cumsum(given.shares[order]) / given.shares.sum()
    low, high = (min(int(np.searchsorted(reached, half)), len(harms) - 1) for half in (0.5 - _SAME, 0.5 + _SAME))
    harm = float(np.clip(harms[order[[low, high]]], -_LARGEST, _LARGEST).mean())

    def p_fewer(bound: float, way: float) -> float:
        """Small where more cases are shown to be below the bound than above it (or, `way` -1, the other way round)."""
        return _p_fewer(way * np.sign(harms - bound), given)

    return _estimated(given, harm, p_fewer, f"sign test over {len(harms)} cases")


def _of_tail(given: _Amounts) -> PairedEstimate | None:
    """Harm at the tail; None where stable has nothing there that it could be a share of."""
    usual, now = _both(given, _TAIL)
    if usual <= 0:
        return None
    worse, better = given.sign * given.candidate, given.sign * given.stable
    after, before = given.sign * now, given.sign * usual

    def p_fewer(bound: float, way: float) -> float:
        """Of both thresholds, stable's percentile and the candidate's, the p-value that claims less."""
        factor = 1 + given.sign * bound
        by_stable = (worse > before * factor).astype(np.float64) - (better > before)
        by_candidate = (worse > after).astype(np.float64) - (better > after / factor if factor > 0 else False)
        return max(_p_fewer(way * moved, given) for moved in (by_stable, by_candidate))

    return _estimated(
        given, given.sign * (now - usual) / usual, p_fewer, f"sign test on the tail of {len(worse)} cases"
    )


def _estimated(given: _Amounts, harm: float, p_fewer: Callable[[float, float], float], method: str) -> PairedEstimate:
    """Bounds where the test turns; the claims of harm are two, of the median and of the tail."""
    level = given.level

    def p_above(bound: float) -> float:
        """Small where harm is shown to be at least the bound: just below it, for amounts that are equal to it."""
        return p_fewer(bound - _SAME, -1.0)

    lower = root(lambda bound: p_above(bound) - level, -_LARGEST, harm)
    upper = root(lambda bound: p_fewer(bound, 1.0) - level, harm, _LARGEST if given.sign > 0 else 1.0)
    spread = (upper - lower) / 2 / -float(special.ndtri(level))
    return PairedEstimate(
        harm=harm,
        lower=min(harm, round(lower, _DIGITS)),
        upper=max(harm, round(upper, _DIGITS)),
        p_within=p_fewer(given.margin, 1.0),
        p_beyond=min(1.0, 2 * p_above(given.margin)),
        p_better=p_fewer(0.0, 1.0),
        p_worse=min(1.0, 2 * p_above(0.0)),
        minimum_detectable=-float(special.ndtri(level) + special.ndtri(1 - POWER)) * spread,
        method=method,
        cases=len(given.stable),
    )


def _p_fewer(moved: Floats, given: _Amounts) -> float:
    """Small where -1 is shown to be more frequent than 1: the sign test (mid-p), or Student's t with weights."""
    if np.ptp(given.shares) > _SAME:
        return student(moved, given.shares, 0.0, given.level, floor=1 / len(moved)).p_within
    more, fewer = int((moved > 0).sum()), int((moved < 0).sum())
    if not fewer:
        return 1.0
    at_least, beyond = special.betainc(fewer, more + 1, 0.5), special.betainc(fewer + 1, more, 0.5) if more else 0.0
    return float(at_least + beyond) / 2


def _both(given: _Amounts, at: float) -> tuple[float, float]:
    """A quantile of stable and of the candidate."""
    return _quantile(given, given.stable, at), _quantile(given, given.candidate, at)


def _quantile(given: _Amounts, values: Floats, at: float) -> float:
    """The smallest value that has at least so much of the weight on the better side, itself included."""
    order = np.argsort(given.sign * values, kind="stable")
    reached = np.cumsum(given.shares[order]) / given.shares.sum()
    return float(values[order][min(int(np.searchsorted(reached, at - _SAME)), len(values) - 1)])
