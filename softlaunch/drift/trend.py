"""The trend of live traffic: weekly means with bands, and the week in which a level changed, if any. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats alone would take a second to import

from softlaunch.core.live_metrics import Metric

Floats = NDArray[np.float64]

WEEK = 7 * 86400.0
_FEW_UNITS = 10
_FEW_WEEKS = 6
_SIDE = 2  # weeks that a level must last to be one
_SHUFFLES = 999
_EVEN = 1e-12


@dataclass(frozen=True, slots=True)
class Week:
    """A week's values: one a unit, because a unit's ratings resemble each other. `begins_at` in epoch seconds."""

    begins_at: float
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class WeekLevel:
    """A week's mean with its 95 % band."""

    begins_at: float
    mean: float
    low: float
    high: float
    units: int


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The week from which on the level is another one, both levels, and how rarely chance alone splits so well."""

    begins_at: float
    before: float
    after: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Trend:
    """A metric over the weeks; weeks with fewer than ten units are left out."""

    metric: Metric
    weeks: tuple[WeekLevel, ...]
    change: ChangePoint | None = None


def trend_of(metric: Metric, weeks: Sequence[Week], rng: np.random.Generator, confidence: float) -> Trend:
    """Levels by week and the clearest change among them, if it is one with this confidence."""
    known = [week for week in weeks if len(week.values) >= _FEW_UNITS]
    levels = tuple(_level(week) for week in known)
    found = _change(levels, rng) if len(levels) >= _FEW_WEEKS else None
    return Trend(metric, levels, found if found is not None and found.p_value <= 1 - confidence else None)


def _level(week: Week) -> WeekLevel:
    """Mean and band; where nothing varies the band is that of one value that might have, as Agresti & Coull have it."""
    values = np.array(week.values)
    units = len(values)
    mean = float(values.mean())
    centre = (values.sum() + 2) / (units + 4)
    spread = max(float(values.var()), centre * (1 - centre) * 0.05)
    reach = -float(special.ndtri(0.025)) * float(np.sqrt(spread / units))
    return WeekLevel(week.begins_at, mean, max(0.0, mean - reach), min(1.0, mean + reach), units)


def _change(levels: Sequence[WeekLevel], rng: np.random.Generator) -> ChangePoint | None:
    """The split of the weeks that explains most, its p-value by shuffling them: without a change their order is chance.

    The statistic is the largest weighted sum of squares between the two sides (Sen & Srivastava 1975).
    """
    means, weights = np.array([one.mean for one in levels]), np.array([float(one.units) for one in levels])
    gains = _gains(means, weights)
    best = int(np.argmax(gains))
    orders = rng.permuted(np.tile(np.arange(len(levels)), (_SHUFFLES, 1)), axis=1)
    by_chance = _gains(means[orders], weights[orders]).max(axis=1)
    reached = 1 + int((by_chance >= gains[best] - _EVEN).sum())
    at = best + _SIDE
    return ChangePoint(
        begins_at=levels[at].begins_at,
        before=float(np.average(means[:at], weights=weights[:at])),
        after=float(np.average(means[at:], weights=weights[at:])),
        p_value=reached / (_SHUFFLES + 1),
    )


def _gains(means: Floats, weights: Floats) -> Floats:
    """What each split explains, from after the second week to before the last but one; weeks are the last axis."""
    mass, total = np.cumsum(weights, axis=-1), np.cumsum(weights * means, axis=-1)
    ends = slice(_SIDE - 1, means.shape[-1] - _SIDE)
    left, whole = mass[..., ends], mass[..., -1:]
    right = whole - left
    apart = total[..., ends] / left - (total[..., -1:] - total[..., ends]) / right
    return np.asarray(apart**2 * left * right / whole)
