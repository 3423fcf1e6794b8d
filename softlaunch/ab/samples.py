"""What a test knows of its units: one value per unit and metric, with what the same unit did before the test."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from softlaunch.core.live_metrics import Metric

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One metric in one arm: each unit's mean over its requests, shape (n,), and its mean before the test.

    `before` has the same shape, NaN where nothing is known of the unit. A unit counts once however much it asks:
    its requests resemble each other.
    """

    values: Floats
    before: Floats

    @classmethod
    def of(cls, values: Floats, before: Floats | None = None) -> "Sample":
        """A sample; without `before` nothing is known of any unit."""
        held = np.asarray(values, dtype=np.float64)
        known = np.full(len(held), np.nan) if before is None else np.asarray(before, dtype=np.float64)
        return cls(held, known)

    def __len__(self) -> int:
        """How many units there are."""
        return len(self.values)


NOTHING = Sample.of(np.empty(0))


@dataclass(frozen=True, slots=True)
class Arms:
    """Everything that was measured in a test. A is stable, B the candidate.

    `units` counts those that were served by each, whether anything else was measured of them or not.
    """

    a: Mapping[Metric, Sample] = field(default_factory=dict)
    b: Mapping[Metric, Sample] = field(default_factory=dict)
    units: tuple[int, int] = (0, 0)

    def pair(self, metric: Metric) -> tuple[Sample, Sample]:
        """Both samples of a metric, empty where nothing was measured."""
        return self.a.get(metric, NOTHING), self.b.get(metric, NOTHING)


@dataclass(frozen=True, slots=True)
class Sharpened:
    """Two samples after CUPED: their values adjusted, by which slope, and how much variance that took away."""

    a: Sample
    b: Sample
    slope: float = 0.0
    known_share: float = 0.0
    saved_variance: float = 0.0


def sharpen(a: Sample, b: Sample) -> Sharpened:
    """Take out of each unit's value what its own past foretold (CUPED; Deng, Xu, Kohavi & Walker 2013, section 3.2).

    The slope is one for both arms, and the past's mean too, so that the difference keeps its expectation whichever unit
    fell where. A unit without a past is left as it is, in both arms.
    """
    before = np.concatenate([a.before, b.before])
    known = ~np.isnan(before)
    if known.sum() < _ENOUGH or np.ptp(before[known]) == 0:
        return Sharpened(a, b)
    centre = before[known].mean()
    pasts = [np.where(np.isnan(arm.before), 0.0, arm.before - centre) for arm in (a, b)]
    within = [arm.values - arm.values.mean() for arm in (a, b)]
    past = np.concatenate(pasts)
    slope = float(np.concatenate(within) @ past / (past @ past))
    adjusted = [replace(arm, values=arm.values - slope * moved) for arm, moved in zip((a, b), pasts, strict=True)]
    left = np.concatenate([arm.values - arm.values.mean() for arm in adjusted])
    total = float(np.concatenate(within) @ np.concatenate(within))
    saved = 1 - float(left @ left) / total if total > 0 else 0.0
    return Sharpened(adjusted[0], adjusted[1], slope, float(known.mean()), max(0.0, saved))


_ENOUGH = 50  # units with a past, before a slope is worth anything
