"""A judge after Kayenta's NetflixACAJudge: Mann-Whitney on one value per interval and arm."""

from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from benchmarks.gates.judges import Decision
from benchmarks.gates.model import MEASUREMENTS, METRICS
from benchmarks.gates.traffic import Arm, Look
from softlaunch.core.live_metrics import Metric

Floats: TypeAlias = NDArray[np.float64]
_TOLERANCE = 0.25
_CONFIDENCE = 0.98
_PASS_SCORE = 95.0
_MARGINAL_SCORE = 75.0
_JUDGED_AT = (MEASUREMENTS // 2, MEASUREMENTS)


def excess(shift: float, candidate: Floats, stable: Floats) -> float:
    """Normal score of the rank sum after moving the candidate down by `shift`; NaN when all values are tied."""
    m, n = len(candidate), len(stable)
    ranks = rankdata(np.concatenate([candidate - shift, stable]))
    _, ties = np.unique(ranks, return_counts=True)
    variance = m * n / 12 * (m + n + 1 - float((ties**3 - ties).sum()) / ((m + n) * (m + n - 1)))
    if variance <= 0:
        return float("nan")
    distance = float(ranks[:m].sum()) - m * (m + 1) / 2 - m * n / 2
    return float((distance - np.sign(distance) * 0.5) / np.sqrt(variance))


def is_high(candidate: Floats, stable: Floats) -> bool:
    """Whether the lower end of the 98 % interval of the shift lies above a quarter of the shift's estimate."""
    if np.array_equal(np.sort(candidate), np.sort(stable)):
        return False
    estimate = float(np.median(candidate[:, None] - stable[None, :]))
    return bool(excess(_TOLERANCE * abs(estimate), candidate, stable) > norm.ppf(0.5 + _CONFIDENCE / 2))


@dataclass(slots=True)
class Kayenta:
    """Ten intervals a stage, judged halfway and at the end, with as large a baseline as the canary.

    The score is the share of metrics that are not worse. Under the marginal score the stage fails at once, at its end
    it passes from the pass score on. Metrics without data are left out; half of them missing is a failure.
    """

    at_intervals: ClassVar[bool] = True
    blamed: str | None = None
    values: dict[Metric, tuple[list[float], list[float]]] = field(default_factory=dict)
    intervals: int = 0

    def look(self, seen: Look) -> Decision:
        """Add the interval's values; judge when it is time."""
        if seen.stage.full:
            return Decision.PASS
        if seen.first:
            self.values, self.intervals = {metric: ([], []) for metric in METRICS}, 0
        self.intervals += 1
        for metric in METRICS:
            for series, arm in zip(self.values[metric], (seen.shown, seen.control), strict=True):
                series.extend(_value(metric, arm))
        if self.intervals not in _JUDGED_AT:
            return Decision.CONTINUE
        score = self._score()
        if score < _MARGINAL_SCORE:
            return Decision.ROLLBACK
        if self.intervals < MEASUREMENTS:
            return Decision.CONTINUE
        return Decision.PASS if score >= _PASS_SCORE else Decision.ROLLBACK

    def _score(self) -> float:
        judged = {metric: both for metric, both in self.values.items() if both[0] and both[1]}
        if 2 * len(judged) <= len(METRICS):
            self.blamed = "no data"
            return 0.0
        high = [metric.value for metric, (mine, theirs) in judged.items() if is_high(np.array(mine), np.array(theirs))]
        self.blamed = high[0] if high else None
        return 100.0 * (1 - len(high) / len(judged))


def _value(metric: Metric, arm: Arm) -> list[float]:
    """An interval's mean, more being worse; costs are per 1,000 requests, for tiny numbers pass this judge unseen."""
    values = arm[metric].values
    if not len(values):
        return []
    mean = float(values.mean()) * (1000.0 if metric is Metric.COST else 1.0)
    return [-mean if metric.higher_is_better else mean]
