"""How much alpha each planned look at a test may spend, so that extending it keeps the promise of the whole.

A test that is undecided at its planned end continues, with further looks at ends that were fixed before it began. The
looks share alpha by a spending function (Lan & DeMets 1983): the planned end gets four fifths, later ends the rest in
equal parts. The boundaries follow from the joint normal distribution of the looks' statistics, whose increments are
independent (Armitage, McPherson & Rowe 1969; Jennison & Turnbull 2000, section 19.2).
"""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray
from scipy import special  # scipy.stats alone would take a second to import

from softlaunch.policy.ab import AbPolicy

Floats = NDArray[np.float64]

FIRST_SHARE = 0.8
"""Share of alpha that the planned end may spend where the test can be extended."""
_POINTS = 201
_HALVINGS = 34
_P_HALVINGS = 24
_GROWTH = 1e-6  # information that did not grow from one look to the next counts as grown by so much
_FAR = 40.0
_SHORT = 0.25  # an extension this much shorter than the last stretch isn't worth a look of its own


def planned_ends(policy: AbPolicy) -> tuple[float, ...]:
    """Seconds after its begin at which a test may end: minimum_time, then twice as long each time, up to the limit."""
    found = [policy.minimum_time]
    while found[-1] < policy.maximum_time:
        following = min(2 * found[-1], policy.maximum_time)
        if policy.maximum_time - following < _SHORT * found[-1]:
            following = policy.maximum_time
        found.append(following)
    return tuple(found)


def extension(policy: AbPolicy, planned_end: int) -> timedelta:
    """How long a test that is undecided at this planned end (from 1) continues until the next."""
    ends = planned_ends(policy)
    return timedelta(seconds=ends[planned_end] - ends[planned_end - 1])


def spending(looks: int) -> tuple[float, ...]:
    """Share of alpha that each of so many looks spends; adds up to one."""
    if looks == 1:
        return (1.0,)
    return (FIRST_SHARE, *[(1 - FIRST_SHARE) / (looks - 1)] * (looks - 1))


def boundaries(alpha: float, information: Sequence[float], shares: Sequence[float]) -> tuple[float, ...]:
    """What |z| must reach at each of the looks so far, given their information (one over the estimate's variance).

    Under no difference, some |z| reaches its boundary with probability alpha times the shares spent so far.
    """
    found = [_normal_quantile(alpha * shares[0])]
    density, grid = _truncated(found[0])
    for before, now, share in _steps(information, shares):
        spread = np.sqrt(1 - before / now)
        shrunk = grid * np.sqrt(before / now)
        found.append(_next_boundary(density, shrunk, spread, alpha * share))
        density, grid = _carry_on(density, shrunk, spread, found[-1])
    return tuple(found)


def repeated_p(scores: Sequence[float], information: Sequence[float], shares: Sequence[float]) -> float:
    """The smallest alpha at which a metric has differed at one of its looks so far: a valid p-value after every look.

    Jennison & Turnbull 2000, section 9.3; over several metrics such p-values may be adjusted by Holm's method.
    """
    if len(scores) == 1:
        return min(1.0, 2 * float(special.ndtr(-abs(scores[0]))) / shares[0])
    low, high = 0.0, 1.0
    for _ in range(_P_HALVINGS):
        middle = (low + high) / 2
        limits = boundaries(middle, information, shares)
        reached = any(abs(z) >= limit for z, limit in zip(scores, limits, strict=True))
        low, high = (low, middle) if reached else (middle, high)
    return high


def _steps(information: Sequence[float], shares: Sequence[float]) -> list[tuple[float, float, float]]:
    steps, before = [], information[0]
    for now, share in zip(information[1:], shares[1:], strict=False):
        grown = max(now, before * (1 + _GROWTH))
        steps.append((before, grown, share))
        before = grown
    return steps


def _normal_quantile(tails: float) -> float:
    return float(-special.ndtri(max(tails, 1e-300) / 2))


def _truncated(limit: float) -> tuple[Floats, Floats]:
    """Mass of a standard normal variable on a grid inside (-limit, limit)."""
    width = 2 * limit / _POINTS
    grid = -limit + width * (np.arange(_POINTS) + 0.5)
    return np.asarray(np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi) * width), np.asarray(grid)


def _next_boundary(mass: Floats, shrunk: Floats, spread: float, wanted: float) -> float:
    """Where both tails of the next statistic, over paths that have not ended yet, hold as much as is wanted."""
    low, high = 0.0, _FAR
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tails = special.ndtr((shrunk - middle) / spread) + special.ndtr((-middle - shrunk) / spread)
        low, high = (middle, high) if float(mass @ tails) > wanted else (low, middle)
    return high


def _carry_on(mass: Floats, shrunk: Floats, spread: float, limit: float) -> tuple[Floats, Floats]:
    width = 2 * limit / _POINTS
    grid = -limit + width * (np.arange(_POINTS) + 0.5)
    kernel = np.exp(-(((grid[None, :] - shrunk[:, None]) / spread) ** 2) / 2) / (np.sqrt(2 * np.pi) * spread)
    return np.asarray(mass @ kernel * width), np.asarray(grid)
