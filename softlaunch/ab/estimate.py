"""The difference between the arms of a test: B minus A, with its error, at a planned end and at any time before."""

from dataclasses import dataclass

import numpy as np
from scipy import special  # scipy.stats alone would take a second to import

from softlaunch.ab.samples import Floats, Sample
from softlaunch.core.verdict import Interval

ENOUGH = 20
"""Units that each arm needs before a difference says anything."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An estimated difference with its standard error and degrees of freedom, and the means that it is between."""

    value: float
    error: float
    freedom: float
    mean_a: float
    mean_b: float
    units: tuple[int, int]

    @property
    def information(self) -> float:
        """One over the variance."""
        return 1 / self.error**2

    @property
    def z(self) -> float:
        """The normal deviate with the t statistic's tail probability."""
        return self.z_against(0.0)

    def z_against(self, other: float) -> float:
        """The same for the distance from another value than zero."""
        t = (self.value - other) / self.error
        return float(np.sign(t) * -special.ndtri(max(float(special.stdtr(self.freedom, -abs(t))), 1e-300)))

    def within(self, boundary: float) -> Interval:
        """The interval whose ends have this normal deviate."""
        reach = -float(special.stdtrit(self.freedom, max(float(special.ndtr(-boundary)), 1e-300))) * self.error
        return Interval(self.value - reach, self.value + reach)


def welch(a: Sample, b: Sample) -> Difference | None:
    """The difference of means by Welch (1947), with Satterthwaite's degrees of freedom; None with too few units.

    Where nothing varies the error is that of the unit which could have been the first to differ.
    """
    if min(len(a), len(b)) < ENOUGH:
        return None
    parts = [_variance(arm.values) / len(arm) for arm in (a, b)]
    total = sum(parts)
    freedom = total**2 / sum(part**2 / (len(arm) - 1) for part, arm in zip(parts, (a, b), strict=True))
    mean_a, mean_b = float(a.values.mean()), float(b.values.mean())
    return Difference(mean_b - mean_a, float(np.sqrt(total)), float(freedom), mean_a, mean_b, (len(a), len(b)))


def paired(a: Floats, b: Floats) -> Difference | None:
    """The mean difference of the same questions under both, by Student's t over them; None with too few."""
    if len(a) < ENOUGH:
        return None
    error = float(np.sqrt(_variance(b - a) / len(a)))
    mean_a, mean_b = float(a.mean()), float(b.mean())
    return Difference(mean_b - mean_a, error, len(a) - 1.0, mean_a, mean_b, (len(a), len(b)))


def ratio(a: Sample, b: Sample) -> Difference | None:
    """The relative change of a mean that is above zero, (B - A) / A, by the delta method; None without enough units.

    Deng, Knoblich & Lu 2018, "Applying the Delta Method in Metric Analytics", section 2.
    """
    plain = welch(a, b)
    if plain is None or plain.mean_a <= 0:
        return None
    share = plain.mean_b / plain.mean_a
    variance = (_variance(b.values) / len(b) + share**2 * _variance(a.values) / len(a)) / plain.mean_a**2
    return Difference(share - 1, float(np.sqrt(variance)), plain.freedom, plain.mean_a, plain.mean_b, plain.units)


def _variance(values: Floats) -> float:
    """The sample's variance, never below that of one unit in it that differs from the rest by its own size."""
    if np.ptp(values) > 0:
        return float(values.var(ddof=1))
    return (float(values[0]) or 1.0) ** 2 / len(values)


def at_any_time(difference: Difference, alpha: float, planned_information: float) -> Interval:
    """An interval that holds at every look together, however often and whenever one looks.

    An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, theorem 2.2), with
    the mixture that makes it tightest about where the estimate has the planned information.
    """
    rho = (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / planned_information
    grown = difference.information * rho + 1
    reach = difference.error * float(np.sqrt(2 * grown / (grown - 1) * np.log(np.sqrt(grown) / alpha)))
    return Interval(difference.value - reach, difference.value + reach)
