"""Levels for planned looks at growing data, so that all looks together keep an error rate.

A function says how much of the level is spent by when (Lan and DeMets 1983), here a power of the share of calls (Kim
and DeMets 1987); the nominal level of each look follows by integrating over the paths that haven't stopped (Armitage,
McPherson and Rowe 1969). Looks are taken to correlate by the root of the ratio of their calls, which is the least that
they do: a further repeat of a case brings less that is unknown than the first one did.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy import special

from softlaunch.evals.statistics.multiplicity import Levels, level_of_a_look
from softlaunch.evals.statistics.paired import Floats, root

LOOKS = 5
BET_SHARE = 0.06
"""Of the error rate of a fail, what bets may use; planned looks have the rest."""
_PARTS = 400
_COARSE_PARTS = 100
_NOTHING = 1e-12
_FAR = 8.0
_PASSING, _FAILING = 4, 6
"""Powers of the share of calls by which each claim's error is spent. Both spend next to nothing early on, as O'Brien
and Fleming's bounds do, and little enough that the last look is nearly that of a design without looks. Bets find early
on what is plain, so that failing can wait longer.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """When looks are, as shares of all calls that may be made, and the levels of each; bets have one of their own."""

    times: tuple[float, ...]
    levels: tuple[Levels, ...]
    bet_level: float
    stage_looks: int = field(default=LOOKS)
    """How many looks lie in the first repeats; one more is at the end of all repeats, where there are more."""


@lru_cache(maxsize=64)
def plan_looks(level: float, first_share: float) -> Plan:
    """Five looks in the first repeats, which are `first_share` of all that may be made, and one at the end.

    The first repeats spend as much as the first of two looks would that share the level equally (Pocock).
    """
    shares = np.arange(1, LOOKS + 1) / LOOKS
    times = [*(first_share * shares), *([1.0] if first_share < 1 else [])]

    def levels(error: float, spent: Floats) -> list[float]:
        first = level_of_a_look(error, first_share)
        return nominal_levels(times, [*(first * spent), *([error] if first_share < 1 else [])])

    passing = levels(level, shares**_PASSING)
    failing = levels((1 - BET_SHARE) * level, shares**_FAILING)
    pairs = zip(passing, failing, strict=True)
    return Plan(tuple(times), tuple(Levels(*pair) for pair in pairs), BET_SHARE * level)


def nominal_levels(times: Sequence[float], spent: Sequence[float]) -> list[float]:
    """The level of each look's own test, by the error that may be spent up to it; both rise."""
    found: list[float] = []
    path = _Path()
    for time, before, after in zip(times, (0.0, *spent), spent, strict=False):
        bound = root(lambda value: path.beyond(value, time) - (after - before), -_FAR, _FAR)  # noqa: B023  (used at once)
        found.append(float(special.ndtr(-bound / np.sqrt(time))))
        path = path.upto(bound, time)
    return found


def stopping(plan: Plan, claim: str, drift: float) -> Floats:
    """How probable it is that a claim, `passing` or `failing`, is made at each look.

    `drift` is the expected statistic at the end, in standard errors. Bets are left out.
    """
    path, found = _Path(drift=drift, parts=_COARSE_PARTS), []
    for time, levels in zip(plan.times, plan.levels, strict=True):
        bound = -float(special.ndtri(max(getattr(levels, claim), _NOTHING))) * np.sqrt(time)
        found.append(path.beyond(bound, time))
        path = path.upto(bound, time)
    return np.array(found)


class _Path:
    """The paths of a Brownian motion that no look has stopped, as a density on a grid."""

    def __init__(self, *, drift: float = 0.0, parts: int = _PARTS) -> None:
        self._time, self._drift, self._parts = 0.0, drift, parts
        self._grid, self._mass = np.zeros(1), np.ones(1)

    def beyond(self, bound: float, time: float) -> float:
        """How probable it is to be above a bound at a later time."""
        mean, width = self._grid + self._drift * (time - self._time), np.sqrt(time - self._time)
        return float((self._mass * special.ndtr((mean - bound) / width)).sum())

    def upto(self, bound: float, time: float) -> "_Path":
        """The paths that are below a bound at a later time."""
        start = min(bound, self._drift * time) - _FAR * np.sqrt(time)
        part = (bound - start) / self._parts
        grid = start + part * (np.arange(self._parts, dtype=np.float64) + 0.5)
        mean, width = self._grid + self._drift * (time - self._time), np.sqrt(time - self._time)
        density = np.exp(-(((grid[:, None] - mean[None, :]) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
        found = _Path(drift=self._drift, parts=self._parts)
        found._time, found._grid, found._mass = time, grid, (density * self._mass).sum(axis=1) * part
        return found
