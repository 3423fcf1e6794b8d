"""What is missing in one arm: counted, shown, bounded by the worst that it could be, and never a pass by itself.

A case that only one arm has a value for says nothing about the change, so it is left out of the pairs. But answers
that are missing are seldom the good ones: a pass stands only while it would still be one by its estimate had every
missing answer of the candidate been worth nothing, and every missing one of stable been perfect.
"""

import numpy as np

from softlaunch.core.verdict import Interval, Outcome, Verdict
from softlaunch.evals.statistics.pairs import OneSided, PairedMetric

_TAIL = 0.05  # a larger share of missing amounts leaves the 95th percentile open


def missing_gate(metric: str) -> str:
    """The gate on cases that only one arm has a value for."""
    return f"missing: {metric}"


def judge_missing(paired: PairedMetric, missing: OneSided) -> Verdict | None:
    """Whether what is missing in one arm could hide more than the margin; None where nothing is."""
    if not len(missing):
        return None
    everything = len(paired.stable) + len(missing)
    counted = (
        f"{len(missing):,} of {everything:,} cases have a value of one arm only ({len(missing.stable):,} lack the "
        f"candidate's, {len(missing.candidate):,} stable's)"
    )
    worst = _worst_amount(paired, missing) if paired.relative else _worst_score(paired, missing)
    enough = worst.upper <= paired.margin.value
    reason = f"{counted}{_bounded(paired, worst)}, tolerance {paired.margin}"
    return Verdict(
        gate=missing_gate(paired.plan.metric),
        outcome=Outcome.PASS if enough else Outcome.INCONCLUSIVE,
        reason=reason if enough else f"{reason}: what is missing could hide more, so find it, and compare again",
        interval=worst if np.isfinite([worst.lower, worst.upper]).all() else None,
        margin=paired.margin.value,
    )


def _bounded(paired: PairedMetric, worst: Interval) -> str:
    if paired.relative:
        return f"; the change of the median case could be {_percent(worst.lower)} to {_percent(worst.upper)}"
    low, high = (-worst.upper * 100, -worst.lower * 100)
    return f"; with these the difference is between {low:+.1f} and {high:+.1f} points"


def _percent(share: float) -> str:
    return f"{share * 100:+.0f} %" if np.isfinite(share) else "anything"


def _worst_score(paired: PairedMetric, missing: OneSided) -> Interval:
    """Mean harm of all cases, the missing values anything from 0 to 1."""
    known = float(np.sum((paired.stable - paired.candidate) * paired.weights))
    had, has = np.array(missing.stable).reshape(-1, 2), np.array(missing.candidate).reshape(-1, 2)
    total = float(paired.weights.sum() + had[:, 1].sum() + has[:, 1].sum())
    most = known + float(had[:, 0] @ had[:, 1] + (1 - has[:, 0]) @ has[:, 1])
    least = known - float((1 - had[:, 0]) @ had[:, 1] + has[:, 0] @ has[:, 1])
    return Interval(least / total, most / total)


def _worst_amount(paired: PairedMetric, missing: OneSided) -> Interval:
    """The median case's relative harm, the missing ones without bounds; as unknown as the tail where that may be."""
    sign = -1.0 if paired.plan.higher_is_better else 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        harms = np.nan_to_num(sign * (paired.candidate / paired.stable - 1), nan=0.0, posinf=np.inf, neginf=-np.inf)
    unknown = np.full(len(missing), np.inf)
    if len(missing) > _TAIL * (len(harms) + len(missing)):
        return Interval(-np.inf, np.inf)
    return Interval(*(float(np.median(np.append(harms, way * unknown))) for way in (-1, 1)))
