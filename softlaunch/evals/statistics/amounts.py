"""Paired comparison of amounts without an upper end (latency, cost, tokens), as a share of stable's mean.

The ratio of two means over the same cases is bounded by Fieller's theorem (1954, JRSS B 16:175): harm h is refuted
where the mean of `candidate - (1 + h) stable` is, so that stable's own mean need not be known exactly. The test on
that contrast is the t test of `paired`, with the same correction for skewness.

Where fewer than fifteen cases differ no such limit can be trusted: then the relative change of each case, in terms of
the larger of its two amounts, is a bounded harm and is judged like a score.
"""

import numpy as np

from softlaunch.evals.statistics.paired import (
    FEW_DIFFERENCES,
    Floats,
    PairedEstimate,
    estimate,
    minimum_detectable,
    root,
    student,
)

_LARGEST = 1000.0  # times stable's mean; a bound beyond says that nothing is known
_SAME = 1e-12


def estimate_amounts(
    stable: Floats, candidate: Floats, weights: Floats, *, margin: float, level: float, higher_is_better: bool = False
) -> PairedEstimate | None:
    """Compare case means of both arms, arrays of length n >= 1 with values of zero or more.

    Harm, bounds and `margin` are shares of stable's weighted mean; None where that mean is zero, because nothing is a
    share of nothing.
    """
    sign = -1.0 if higher_is_better else 1.0
    usual = float(np.average(stable, weights=weights))
    if usual <= 0:
        return None
    stable, candidate = stable / usual, candidate / usual
    if np.count_nonzero(np.abs(stable - candidate) > _SAME) < FEW_DIFFERENCES:
        larger = np.maximum(np.maximum(stable, candidate), _SAME)
        change = sign * (candidate - stable) / larger
        return estimate(change, np.zeros(len(change)), weights, margin=margin, level=level)
    return _by_fieller(stable, candidate, weights, margin, level, sign)


def _by_fieller(
    stable: Floats, candidate: Floats, weights: Floats, margin: float, level: float, sign: float
) -> PairedEstimate:
    """Of amounts whose mean in the stable arm is 1."""
    shares = weights / weights.mean()
    change = sign * (candidate - stable)
    harm = float(np.average(change, weights=shares))

    def p_below(bound: float) -> float:
        """Small where harm is shown to be less than the bound."""
        return student(change - bound * stable, shares, 0.0, level).p_within

    at_margin = student(change - margin * stable, shares, 0.0, level)
    at_zero = student(change, shares, 0.0, level)
    return PairedEstimate(
        harm=harm,
        lower=min(harm, root(lambda bound: p_below(bound) - (1 - level), -_LARGEST, harm)),
        upper=max(harm, root(lambda bound: p_below(bound) - level, harm, _LARGEST)),
        p_within=at_margin.p_within,
        p_beyond=at_margin.p_beyond,
        p_better=at_zero.p_within,
        p_worse=at_zero.p_beyond,
        minimum_detectable=minimum_detectable(change, shares, level),
        method=f"ratio of means (Fieller) over {len(stable)} cases",
        cases=len(stable),
    )
