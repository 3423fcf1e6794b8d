"""A judge after YEAST, "Yet Another Sequential Test" (Kurennoy, Dodin, Gurbanov & Peleteiro 2024, arXiv 2406.16523)."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from scipy.stats import norm

from benchmarks.gates.judges import Decision
from benchmarks.gates.model import METRICS, Scenario, stage_hours
from benchmarks.gates.traffic import Look
from benchmarks.gates.ttests import harm_sign
from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Observations, Window


def planned_requests(scenario: Scenario) -> float:
    """Requests of both arms, equally many of each, in all stages that can be compared."""
    seconds = [
        stage.share * max(3600 * stage_hours(scenario, stage), stage.minimum_seconds)
        for stage in scenario.stages
        if not stage.full
    ]
    return 2 * scenario.rate * sum(seconds)


@dataclass(slots=True)
class Yeast:
    """The candidate's sum of harms less that of as large a slice of stable, against one constant threshold a metric.

    By Levy's inequality the largest of all sums up to the last exceeds `z(1 - alpha/2)` standard deviations of the last
    with a probability of alpha at most, so it may be looked at all the time; but the number of observations has to be
    planned beforehand. Their variance is learnt from stable's past, robust to users who come back there, and harms are
    taken less stable's past mean, which is kind: of scores near one the plain sum would hardly tell anything. Alpha is
    1 % over all metrics. Undecided means ship, once the planned time is over.
    """

    history: Window
    planned: float
    alpha: float = 0.01
    at_intervals: ClassVar[bool] = False
    blamed: str | None = None
    sums: dict[Metric, float] = field(default_factory=lambda: dict.fromkeys(METRICS, 0.0))
    usual: dict[Metric, tuple[float, float]] = field(init=False)

    def __post_init__(self) -> None:
        """Learn each metric's mean and threshold."""
        requests = len(self.history.stable[Metric.ERRORS])
        self.usual = {metric: self._learn(self.history.stable[metric], requests) for metric in METRICS}

    def _learn(self, seen: Observations, requests: int) -> tuple[float, float]:
        mean = float(seen.values.mean())
        _, unit = np.unique(seen.units, return_inverse=True)
        of_unit = np.bincount(unit, seen.values - mean)
        deviation = np.sqrt(self.planned * float(of_unit @ of_unit) / requests)
        return mean, float(norm.isf(self.alpha / len(METRICS) / 2) * deviation)

    def look(self, seen: Look) -> Decision:
        """Add what is new to the sums."""
        if seen.stage.full:
            return Decision.PASS
        for metric, (mean, threshold) in self.usual.items():
            more = float((seen.shown[metric].values - mean).sum() - (seen.control[metric].values - mean).sum())
            self.sums[metric] += harm_sign(metric) * more
            if self.sums[metric] > threshold:
                self.blamed = metric.value
                return Decision.ROLLBACK
        return Decision.PASS if seen.is_time_up else Decision.CONTINUE
