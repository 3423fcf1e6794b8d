"""Each unit's own past on stable as a baseline, so that what it is used to doesn't pass for what an arm does.

The past is from before the release, so no arm had been drawn: a unit's baseline is the same whichever arm it is on.
Values that are divided by it are evidence as valid as the values themselves, with less spread (CUPED: Deng, Xu, Kohavi
and Walker 2013).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from softlaunch.core.live_metrics import Metric
from softlaunch.gates.observations import Events, Flags, Floats, Units, Window
from softlaunch.gates.visits import VisitRule

_ENOUGH = 10
_SMALLEST = 1e-18


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """How much larger than usual a magnitude is with each unit: `units`, ascending, and `factor`, shape (units,)."""

    units: Units
    factor: Floats

    @classmethod
    def learn(cls, units: Units, values: Floats) -> Self:
        """From the means of units' visits, shape (n,), as logarithms.

        A unit's factor is its mean off everybody's, shrunk by `ICC k / (1 + (k - 1) ICC)` for k visits, where ICC is
        how correlated the visits of one unit are (by the analysis of variance with random effects; Donner 1986).
        """
        distinct, place, visits = np.unique(units, return_inverse=True, return_counts=True)
        similarity = _similarity(values, place, visits)
        shrunk = similarity * visits / (1 + (visits - 1) * similarity)
        means = np.bincount(place, values, len(distinct)) / np.maximum(visits, 1)
        return cls(distinct, np.exp(shrunk * (means - (values.mean() if len(values) else 0.0))))

    def divide(self, units: Units, values: Floats) -> Floats:
        """Values of units, shape (n,), each divided by its unit's factor; of a unit without a past as they are."""
        if not len(self.units):
            return values
        place = np.minimum(np.searchsorted(self.units, units), len(self.units) - 1)
        return np.asarray(values / np.where(self.units[place] == units, self.factor[place], 1.0))


def _similarity(values: Floats, place: Units, visits: Units) -> float:
    """The intraclass correlation of visits, in [0, 1); zero where too few units came more than once to tell."""
    count, units = len(values), len(visits)
    if np.count_nonzero(visits > 1) < _ENOUGH:
        return 0.0
    means = np.bincount(place, values) / visits
    between = float(visits @ (means - values.mean()) ** 2) / (units - 1)
    within = float(((values - means[place]) ** 2).sum()) / (count - units)
    usual = (count - float((visits**2).sum()) / count) / (units - 1)
    spread = between + (usual - 1) * within
    return float(np.clip((between - within) / spread, 0.0, 0.99)) if spread > 0 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Baselines:
    """Baselines of the metrics that are adjusted, by metric; none of them where nothing is."""

    by_metric: Mapping[Metric, Baseline] = field(default_factory=dict)

    @classmethod
    def learn(cls, metrics: Iterable[Metric], past: Events) -> Self:
        """From everything that stable answered before the release."""
        pause = VisitRule.learn(past).pause
        return cls(
            {
                metric: Baseline.learn(*_visits(past, past.values[metric], pause))
                for metric in metrics
                if metric in past.values
            }
        )

    def adjust(self, window: Window) -> Window:
        """The same window with requests whose magnitudes are divided by their units' baselines."""
        requests = window.requests
        if requests is None or not self.by_metric:
            return window
        adjusted = {
            metric: baseline.divide(requests.units, requests.values[metric])
            for metric, baseline in self.by_metric.items()
            if metric in requests.values
        }
        return replace(window, requests=replace(requests, values={**requests.values, **adjusted}))


def _visits(past: Events, values: Floats, pause: float) -> tuple[Units, Floats]:
    """The unit of each visit, between two longer pauses, and its mean logarithm of what was measured."""
    measured: Flags = ~np.isnan(values)
    units, at = past.units[measured], past.at[measured]
    order = np.lexsort((at, units))
    units, at = units[order], at[order]
    begins = np.ones(len(units), np.bool_)
    begins[1:] = (units[1:] != units[:-1]) | (np.diff(at) >= pause)
    visit = np.cumsum(begins) - 1
    logarithms = np.log(np.maximum(values[measured][order], _SMALLEST))
    means = np.bincount(visit, logarithms) / np.bincount(visit) if len(visit) else np.empty(0)
    return units[begins], means


def learn_before(metrics: Iterable[Metric], past: Events, moment: float) -> Baselines:
    """Baselines from what of the past was over before a moment.

    What is learnt of stable's visits is adjusted by what came before them, as later visits will be by all of it: no
    visit is held against itself.
    """
    return Baselines.learn(metrics, past.only(past.at < moment))
