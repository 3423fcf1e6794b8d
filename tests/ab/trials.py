"""Simulated A/B tests: units with ratings and costs, a few requests each, in arms that differ as told."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from softlaunch.ab.analysis import Analysis, Moment, analyse
from softlaunch.ab.conclusion import Choice, Conclusion, conclude
from softlaunch.ab.document import past
from softlaunch.ab.looks import planned_ends
from softlaunch.ab.samples import Arms, Floats, Sample
from softlaunch.core.live_metrics import Metric
from softlaunch.policy.ab import AbPolicy


@dataclass(frozen=True)
class World:
    """How units are: the share of good ratings on A, how much units differ (intra-class correlation), their past.

    `lift` is B's advantage in satisfaction, `cost_ratio` B's cost over A's.
    """

    satisfaction: float = 0.8
    lift: float = 0.0
    alike: float = 0.3
    requests: int = 4
    cost_ratio: float = 1.0
    quality: bool = False
    quality_lift: float = 0.0
    known_past: bool = False

    def arms(self, units: int, rng: np.random.Generator) -> Arms:
        """So many units, each on A or B with equal chance."""
        on_b = int(rng.binomial(units, 0.5))
        a, b = (
            self._arm(units - on_b, 0.0, 0.0, 1.0, rng),
            self._arm(on_b, self.lift, self.quality_lift, self.cost_ratio, rng),
        )
        return Arms(a, b, (units - on_b, on_b))

    def _arm(
        self, units: int, lift: float, better: float, cost: float, rng: np.random.Generator
    ) -> dict[Metric, Sample]:
        """Ratings of a unit resemble each other: its own share of good ones is drawn from a beta distribution."""
        size = 1 / self.alike - 1
        own = rng.beta(self.satisfaction * size, (1 - self.satisfaction) * size, units)
        raised = np.clip(own + lift * own * (1 - own) / _spread(self.satisfaction, self.alike), 0, 1)
        found = {
            Metric.SATISFACTION: Sample.of(
                rng.binomial(self.requests, raised) / self.requests,
                rng.binomial(self.requests, own) / self.requests if self.known_past else None,
            ),
            Metric.COST: Sample.of(1e-3 * cost * rng.lognormal(0, 0.5, units)),
            Metric.LATENCY: Sample.of(800 * rng.lognormal(0, 0.4, units)),
        }
        if self.quality:
            found[Metric.QUALITY] = Sample.of(np.clip(rng.normal(0.7 + better, 0.15, units), 0, 1))
        return found


def _spread(mean: float, alike: float) -> float:
    """Mean of own x (1 - own) under the beta distribution, so that a lift in points stays that lift on average."""
    return mean * (1 - mean) * (1 - alike)


def grown(world: World, units: Sequence[int], rng: np.random.Generator) -> list[Arms]:
    """One test as it stands after so many units each time: the later ones hold the earlier."""
    whole = world.arms(units[-1], rng)
    return [_first(whole, count / units[-1]) for count in units]


def _first(arms: Arms, share: float) -> Arms:
    def cut(side: dict[Metric, Sample]) -> dict[Metric, Sample]:
        return {
            metric: Sample(sample.values[: _count(sample, share)], sample.before[: _count(sample, share)])
            for metric, sample in side.items()
        }

    return Arms(cut(dict(arms.a)), cut(dict(arms.b)), (round(arms.units[0] * share), round(arms.units[1] * share)))


def _count(sample: Sample, share: float) -> int:
    return round(len(sample) * share)


def run(stages: Sequence[Arms], policy: AbPolicy) -> tuple[Conclusion, int]:
    """A whole test: the conclusion, and at which planned end (from 0) it came."""
    looks = len(planned_ends(policy))
    concluded: list[Analysis] = []
    conclusion = Conclusion(Choice.EXTEND, "not looked at yet")
    for number, arms in enumerate(stages[:looks]):
        moment = Moment(looks, number + 1, planned=True, past=[past(one) for one in concluded])
        analysis = analyse(arms, policy, moment)
        conclusion = conclude(analysis, policy, can_extend=number + 1 < looks)
        if conclusion.choice is not Choice.EXTEND:
            return conclusion, number
        concluded.append(analysis)
    return conclusion, len(stages) - 1


def values_of(arms: Arms, metric: Metric) -> tuple[Floats, Floats]:
    """The values of both arms."""
    return arms.a[metric].values, arms.b[metric].values
